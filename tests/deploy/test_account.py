"""Before a deployment builds anything, it says what it lacks."""

import http.server
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).parents[2]


class Answering:
    """An AWS that knows who asks, and one stack with these parameters."""

    def __init__(self, parameters):
        members = "".join(
            f"<member><ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
            for name, value in parameters.items()
        )
        stack = f"<member><StackName>fitbridge</StackName><Parameters>{members}</Parameters></member>"
        answers = {
            "GetCallerIdentity": "<Account>111122223333</Account>",
            "DescribeStacks": f"<Stacks>{stack}</Stacks>",
        }

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
                (action,) = (action for action in answers if f"Action={action}" in asked)
                body = f"<{action}Response><{action}Result>{answers[action]}</{action}Result></{action}Response>".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Nothing is told."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def account(*options, saved="", **environment):
    """What infra/account says in this environment, with no configuration of its own but these saved answers."""
    with tempfile.TemporaryDirectory() as home:
        (pathlib.Path(home) / "samconfig.toml").write_text(saved, encoding="utf-8")
        inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        said = subprocess.run(
            [sys.executable, ROOT / "infra/account", *options],
            env={**inherited, "HOME": home, "AWS_EC2_METADATA_DISABLED": "true",
                 "PYTHONDONTWRITEBYTECODE": "1", **environment},
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

    def test_what_was_changed_on_the_running_stack_is_not_put_back_unasked(self):
        saved = (
            '[default.deploy.parameters]\nstack_name = "fitbridge"\nregion = "eu-central-1"\n'
            'parameter_overrides = "Stopped=\\"false\\" Vault=\\"keyring\\" Shards=\\"1\\""\n'
        )
        with Answering({"Stopped": "true", "Vault": "keyring", "Shards": "2"}) as endpoint:
            keys = dict(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_ENDPOINT_URL=endpoint)
            code, said = account(saved=saved, **keys)
            self.assertEqual(code, 1, said)
            self.assertIn("runs with Stopped=true, and samconfig.toml has false", said)
            self.assertNotIn("Vault=", said)
            for choice in ["true", "false"]:
                code, said = account("--parameter-overrides", f"Stopped={choice}", saved=saved, **keys)
                self.assertEqual((code, said.strip()), (0, "deploying to account 111122223333, region eu-central-1"))

    def test_the_region_is_taken_as_the_aws_cli_takes_it(self):
        text = (ROOT / "infra/deploy").read_text()
        self.assertLess(text.index("export AWS_DEFAULT_REGION=$AWS_REGION"), text.index("infra/account"))

    def test_it_is_asked_before_anything_is_built(self):
        text = (ROOT / "infra/deploy").read_text()
        self.assertLess(text.index("infra/account"), text.index("build --beta-features"))


if __name__ == "__main__":
    unittest.main()
