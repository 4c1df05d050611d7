#!/usr/bin/env bash
# Grades the checkout of a learner in a job of GitLab CI:  grade.sh LAB SUBMISSION OUT
set -euo pipefail
course=$(cd "$(dirname "$0")/../../../.." && pwd)
lab=$1 submission=$(realpath "$2") out=$(realpath -m "$3")
read -ra autograde <<<"${AUTOGRADE:-cargo autograde}"
cd "$course"
"${autograde[@]}" --lab "$lab" "$submission" --out "$out"
