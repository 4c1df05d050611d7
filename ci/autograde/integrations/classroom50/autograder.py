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


def main() -> int:
    checkout = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        course, out = Path(place, "course"), Path(place, "results")
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", COURSE, course], check=True)
        grading = subprocess.run([*AUTOGRADE, "--lab", LAB, checkout, "--out", out], cwd=course, check=False)
        body = out / "report.md"
        if body.is_file():
            # The text of the release: the points, what is held and why, the pictures of the failing cases.
            (checkout / "release-body.md").write_text(body.read_text(encoding="utf-8"), encoding="utf-8")
        if grading.returncode != 0:
            # The runner makes an error of it, and no score.
            return grading.returncode
        result = json.loads((out / "classroom50.json").read_text(encoding="utf-8"))
    # The rest is what only the runner knows; it adds owner and kind of assignment itself.
    env = os.environ
    result |= {
        "classroom": env["CLASSROOM"],
        "assignment": env["ASSIGNMENT"],
        "submission": env["SUBMISSION_TAG"],
        "commit": env["COMMIT_URL"],
        "release": env["RELEASE_URL"],
        "review": env.get("REVIEW_URL") or env["COMMIT_URL"],
        "datetime": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    (checkout / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
