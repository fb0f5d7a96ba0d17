"""The newest version is released, however many there are."""

import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]

# Answers as the AWS CLI does: a query is asked of every page when the output is text, and of all of them when it is JSON.
AWS = """#!/bin/bash
echo "$*" >>"$(dirname "$0")/asked"
case "$*" in
  *get-alias*) echo 7 ;;
  *list-versions-by-function*text*) printf '50\\n61\\n' ;;
  *list-versions-by-function*json*) echo '"61"' ;;
  *create-deployment*) echo d-1 ;;
esac
"""


class Release(unittest.TestCase):
    def test_the_last_of_several_pages_is_the_newest(self):
        with tempfile.TemporaryDirectory() as folder:
            aws = pathlib.Path(folder) / "aws"
            aws.write_text(AWS, encoding="utf-8")
            aws.chmod(0o755)
            said = subprocess.run(
                [ROOT / "infra/release", "fitbridge", "poller"],
                env={"PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
            )
            asked = (pathlib.Path(folder) / "asked").read_text(encoding="utf-8")
        self.assertIn("live moves from version 7 to 61 ", said.stdout)
        self.assertIn('TargetVersion\\": \\"61\\"', asked)


if __name__ == "__main__":
    unittest.main()
