"""The functions are deployed as their profile in Cargo.toml says."""

import re
import tomllib
import unittest

from sam import ROOT


class Profile(unittest.TestCase):
    def test_what_sam_builds_is_the_profile_of_the_functions(self):
        profiles = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]
        ours = {key: str(value) for key, value in profiles["function"].items() if key != "inherits"}
        self.assertEqual(profiles["function"]["inherits"], "release")
        exported = re.findall(r"CARGO_PROFILE_RELEASE_([A-Z_]+)=(\S+)", (ROOT / "infra/deploy").read_text())
        self.assertEqual(ours, {name.lower().replace("_", "-"): value for name, value in exported})

    def test_work_on_bytes_is_at_full_speed(self):
        packages = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]["release"]["package"]
        for name in ["fitbridge-fit", "sha2", "flate2"]:
            self.assertEqual(packages[name], {"opt-level": 3})

    def test_they_are_built_lean(self):
        for name in ["poller", "sink"]:
            manifest = tomllib.loads((ROOT / "functions" / name / "Cargo.toml").read_text())
            self.assertEqual(manifest["package"]["metadata"]["lambda"]["build"], {"features": ["lean"]})
            self.assertIn("lean", manifest["features"])
