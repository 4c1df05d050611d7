"""CLASSROOM/autograders/ASSIGNMENT/autograder.py of a Classroom 50: grades the learner's checkout, writes result.json.

Set COURSE to the repository that you grade with and LAB to the lab. The runtime block needs nothing but rustup, which
GitHub's runners have.
"""

import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

COURSE = os.environ.get("COURSE", "https://github.com/OWNER/COURSE.git")
LAB = os.environ.get("LAB", "lab03")
AUTOGRADE = shlex.split(os.environ.get("AUTOGRADE", "cargo autograde"))
# What the grader ends with when nothing in the checkout could be graded. The learner reads why.
NOTHING_TO_GRADE = 3


def main() -> int:
    checkout = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        course, out = Path(place, "course"), Path(place, "results")
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", COURSE, course], check=True)
        grading = subprocess.run([*AUTOGRADE, "--lab", LAB, checkout, "--out", out], cwd=course, check=False)
        if grading.returncode not in (0, NOTHING_TO_GRADE):
            # The runner makes an error of it, and no score.
            return grading.returncode
        result = json.loads((out / "classroom50.json").read_text(encoding="utf-8"))
        body = (out / "report.md").read_text(encoding="utf-8")
    # The rest is what only the runner knows; it adds owner and kind of assignment itself.
    env = os.environ
    result |= {
        "classroom": env["CLASSROOM"],
        "assignment": env["ASSIGNMENT"],
        "submission": env["SUBMISSION_TAG"],
        "commit": env["COMMIT_URL"],
        "release": env["RELEASE_URL"],
        "review": env.get("REVIEW_URL") or env["COMMIT_URL"],
        "datetime": as_text(handed_in(checkout)),
        "graded_at": as_text(now()),
    }
    (checkout / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
    # The text of the release: the points, what is held and why, the pictures of the failing cases.
    (checkout / "release-body.md").write_text(body, encoding="utf-8")
    if "GITHUB_OUTPUT" in env:
        # What is beside the commit: `lab03: held for review, 100 of 100 points wait`.
        passed = all(test["passed"] for test in result["tests"])
        with open(env["GITHUB_OUTPUT"], "a", encoding="utf-8") as outputs:
            print("status=" + ("success" if passed else "failure"), file=outputs)
            print("summary=" + body.splitlines()[0].removeprefix("### "), file=outputs)
    return 0


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def handed_in(checkout: Path) -> datetime.datetime:
    """When the commit was made: a regrade must not make it late."""
    git = ["git", "-c", "safe.directory=*", "-C", str(checkout), "show", "--no-patch", "--format=%ct", "HEAD"]
    shown = subprocess.run(git, capture_output=True, text=True, check=False)
    seconds = shown.stdout.strip()
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc) if seconds.isdigit() else now()


def as_text(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(main())
