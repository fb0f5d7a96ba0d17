"""Before a deployment builds anything, it says what it lacks."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]


def account(*options, **environment):
    """What infra/account says in this environment, with no configuration of its own."""
    with tempfile.TemporaryDirectory() as home:
        inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        said = subprocess.run(
            [sys.executable, ROOT / "infra/account", *options],
            env={**inherited, "HOME": home, "AWS_EC2_METADATA_DISABLED": "true", **environment},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
    return said.returncode, said.stdout + said.stderr


class Account(unittest.TestCase):
    def test_everything_that_is_missing_is_said_at_once(self):
        code, said = account()
        self.assertEqual(code, 1)
        self.assertIn("nothing was built or deployed", said)
        self.assertIn("credentials are missing", said)
        self.assertIn("no region is set", said)
        self.assertNotIn("Traceback", said)

    def test_a_profile_that_is_not_there_is_named(self):
        code, said = account("--profile", "nobody", "--region", "eu-central-1")
        self.assertEqual(code, 1)
        self.assertIn("nobody", said)
        self.assertNotIn("no region", said)
        self.assertNotIn("Traceback", said)

    def test_credentials_that_nobody_answers_for_do_not_do(self):
        code, said = account(
            "--no-confirm-changeset",
            AWS_REGION="eu-central-1",
            AWS_DEFAULT_REGION="eu-central-1",
            AWS_ACCESS_KEY_ID="a",
            AWS_SECRET_ACCESS_KEY="b",
            AWS_ENDPOINT_URL="http://127.0.0.1:1",
        )
        self.assertEqual(code, 1)
        self.assertIn("the AWS credentials do not work", said)
        self.assertNotIn("Traceback", said)

    def test_the_region_is_taken_as_the_aws_cli_takes_it(self):
        text = (ROOT / "infra/deploy").read_text()
        self.assertLess(text.index("export AWS_DEFAULT_REGION=$AWS_REGION"), text.index("infra/account"))

    def test_it_is_asked_before_anything_is_built(self):
        text = (ROOT / "infra/deploy").read_text()
        self.assertLess(text.index("infra/account"), text.index("build --beta-features"))


if __name__ == "__main__":
    unittest.main()
