#!/usr/bin/env bash
# Grades the checkout of a learner in a step of GitHub Actions:  grade.sh LAB SUBMISSION OUT
set -uo pipefail
course=$(cd "$(dirname "$0")/../../../.." && pwd)
lab=$1 submission=$(realpath "$2") out=$(realpath -m "$3")
read -ra autograde <<<"${AUTOGRADE:-$course/ci/autograde/integrations/autograde}"

# A compiler's message repeats the learner's text, which could hold commands for GitHub: `::error::`, `::set-output`.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
cd "$course" && "${autograde[@]}" --lab "$lab" "$submission" --out "$out" 2>&1
status=$?
[ -f "$out/report.md" ] && cat "$out/report.md"
echo "::$token::"
# 3: there is nothing to grade in what was handed in, and the reports say why. Any other trouble is not the learner's.
[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || exit "$status"

if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    cat "$out/report.md" >>"$GITHUB_STEP_SUMMARY"
fi
# The older Classroom's reporter takes the name of each runner from this step's outputs, and its result from the environment.
if [ -n "${GITHUB_ENV:-}" ] && [ -n "${GITHUB_OUTPUT:-}" ]; then
    python3 - "$out/classroom.json" "$GITHUB_ENV" "$GITHUB_OUTPUT" <<'PYTHON'
import base64, json, sys

pairs = json.load(open(sys.argv[1], encoding="utf-8"))
with open(sys.argv[2], "a", encoding="ascii") as env, open(sys.argv[3], "a", encoding="ascii") as outputs:
    for pair in pairs:
        result = base64.b64encode(json.dumps(pair["results"]).encode()).decode()
        print(f"{pair['runner'].upper()}_RESULTS={result}", file=env)
    print("runners=" + ",".join(pair["runner"] for pair in pairs), file=outputs)
PYTHON
fi
exit "$status"
