"""What a deployment is given stays: the next one does not put it back."""

import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import unittest

ROOT = pathlib.Path(__file__).parents[2]
SAVED = """# by hand
version = 0.1
[default.deploy.parameters]
stack_name = "fitbridge"
region = "eu-central-1"
parameter_overrides = "ServiceName=\\"fitbridge\\" AlarmEmail=\\"me@example.com\\" Stopped=\\"false\\" Vault=\\"per-user-secret\\" MailSender=\\"\\""
image_repositories = []
"""


def deploy(*options, saved=SAVED):
    """What is left of the options, and what is saved then."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "samconfig.toml"
        file.write_text(saved, encoding="utf-8")
        said = subprocess.run(
            [sys.executable, ROOT / "infra/parameters.py", *options],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=folder, capture_output=True, text=True, check=True,
        )
        return said.stdout.split("\0")[:-1], file.read_text(encoding="utf-8")


def overrides(text):
    """The parameters as sam reads them."""
    sys.path.insert(0, str(ROOT / "infra"))
    import parameters

    return parameters.parsed(tomllib.loads(text)["default"]["deploy"]["parameters"]["parameter_overrides"])


class Parameters(unittest.TestCase):
    def test_what_is_given_is_saved_and_the_rest_stays(self):
        left, text = deploy("--no-confirm-changeset", "--parameter-overrides", "Stopped=true", "Vault=keyring",
                            "--stack-name", "mine")
        self.assertEqual(left, ["--no-confirm-changeset", "--stack-name", "mine"])
        self.assertEqual(overrides(text), overrides(SAVED) | {"Stopped": "true", "Vault": "keyring"})
        changed = [line for line in text.splitlines() if line not in SAVED.splitlines()]
        self.assertEqual(len(changed), 1, "nothing else of the file is touched")
        self.assertEqual(deploy(saved=text), ([], text), "the next deployment puts nothing back")

    def test_every_way_to_write_them_is_understood(self):
        for given in (["Stopped=true"], ['Stopped="true"'], ["ParameterKey=Stopped,ParameterValue=true"]):
            with self.subTest(given):
                text = deploy("--parameter-overrides", *given)[1]
                self.assertEqual(overrides(text)["Stopped"], "true")
        text = deploy("--parameter-overrides", "IgpsportUrl=", 'AlarmEmail=a"b@example.com')[1]
        self.assertEqual((overrides(text)["IgpsportUrl"], overrides(text)["AlarmEmail"]), ("", 'a"b@example.com'))

    def test_without_saved_parameters_they_are_added(self):
        bare = '[default.deploy.parameters]\nstack_name = "fitbridge"\n'
        self.assertEqual(overrides(deploy("--parameter-overrides", "Shards=2", saved=bare)[1]), {"Shards": "2"})

    def test_a_new_version_is_published_for_what_is_saved(self):
        # The digest is of what is saved then, so that it differs when a parameter does, and only then.
        text = (ROOT / "infra/deploy").read_text(encoding="utf-8")
        self.assertLess(text.index("infra/parameters.py"), text.index("digest=$("))


if __name__ == "__main__":
    unittest.main()
