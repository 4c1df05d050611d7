#!/usr/bin/env bash
# Grades the checkout of a learner in a job of GitLab CI:  grade.sh LAB SUBMISSION OUT [CACHE]
#
# CACHE is a folder of the project, which GitLab keeps from job to job: what was compiled is taken from there, and put back.
set -euo pipefail
course=$(cd "$(dirname "$0")/../../../.." && pwd)
lab=$1 submission=$(realpath "$2") out=$(realpath -m "$3") cache=${4:+$(realpath -m "$4")}
read -ra autograde <<<"${AUTOGRADE:-$course/ci/autograde/integrations/autograde}"
if [ -n "$cache" ]; then
    [ ! -d "$cache/target" ] || [ -e "$course/target" ] || mv "$cache/target" "$course/target"
    trap 'mkdir -p "$cache" && mv "$course/target" "$cache/target"' EXIT
fi
cd "$course"
"${autograde[@]}" --lab "$lab" "$submission" --out "$out"
