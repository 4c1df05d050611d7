#!/usr/bin/env bash
# Grades the checkout of a learner in a step of GitHub Actions:  grade.sh LAB SUBMISSION OUT
set -uo pipefail
course=$(cd "$(dirname "$0")/../../../.." && pwd)
lab=$1 submission=$(realpath "$2") out=$(realpath -m "$3")
read -ra autograde <<<"${AUTOGRADE:-cargo autograde}"

# A compiler's message repeats the learner's text, which could hold commands for GitHub: `::error::`, `::set-output`.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
cd "$course" && "${autograde[@]}" --lab "$lab" "$submission" --out "$out" 2>&1
status=$?
echo "::$token::"
[ "$status" -eq 0 ] || exit "$status"

# The older Classroom's reporter takes the result from this step's outputs.
if [ -n "${GITHUB_OUTPUT:-}" ]; then
    echo "result=$(base64 -w0 "$out/classroom.json")" >>"$GITHUB_OUTPUT"
fi
