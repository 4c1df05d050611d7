#!/usr/bin/env bash
# Grades what was handed in and ends with the two lines that Autolab reads:  driver.sh LAB HANDIN
set -uo pipefail
course=$(cd "$(dirname "$0")/../../../.." && pwd)
lab=$1 handin=$(realpath "$2") out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
read -ra autograde <<<"${AUTOGRADE:-cargo autograde}"
cd "$course" && "${autograde[@]}" --lab "$lab" "$handin" --out "$out" 2>&1
status=$?
if [ "$status" -eq 0 ]; then
    cat "$out/autolab.txt"
else
    # No points are not zero points: a person looks at it.
    echo '{"scores": {}}'
fi
