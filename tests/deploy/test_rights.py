"""Who may do what: the same in both, no wildcard action, nothing that the function does not use."""

import re
import unittest

from common import module, template
from sam import ROOT

ROLES = ["PollerRole", "SinkRole", "TickRole"]
SECRET = "arn:${partition}:secretsmanager:${region}:${account}:secret:${param.ServiceName}"

# Every resource that a role may touch, and nothing else.
RESOURCES = {
    "PollerRole": {
        "${Table.arn}",
        "${Table.arn}/index/due",
        "${Table.arn}/index/plan",
        f"{SECRET}/source/*",
        "${KeyringSource.arn}",
        "${Jobs.arn}",
        "${param.KmsKeyArn}",
        "${PollerLog.arn}:*",
    },
    "SinkRole": {
        "${Table.arn}",
        f"{SECRET}/sink/*",
        "${KeyringSink.arn}",
        "${Bucket.arn}",
        "${Bucket.arn}/fit/*",
        "${Jobs.arn}",
        "${param.KmsKeyArn}",
        "arn:${partition}:ses:${region}:${account}:identity/* if StringEquals ses:FromAddress ${param.MailSender}",
        "${SinkLog.arn}:*",
    },
    "TickRole": {"${PollerFunction.alias}", "${TickDeadLetters.arn}", "${param.KmsKeyArn}"},
}

# The call in crates/aws that needs an action.
CALLED = {
    "dynamodb:BatchGetItem": ".batch_get_item()",
    "dynamodb:ConditionCheckItem": ".condition_check(",
    "dynamodb:DeleteItem": ".delete_item()",
    "dynamodb:GetItem": ".get_item()",
    "dynamodb:PutItem": ".put_item()",
    "dynamodb:Query": ".query()",
    "secretsmanager:GetSecretValue": ".get_secret_value()",
    "secretsmanager:PutSecretValue": ".put_secret_value()",
    "ses:SendEmail": "/v2/email/outbound-emails",
    "sqs:GetQueueAttributes": ".get_queue_attributes()",
    "sqs:SendMessage": ".send_message_batch()",
}
# What needs an action that no code of ours calls for.
OTHERWISE = {
    "s3:GetObject": "the archive, through object_store",
    "s3:PutObject": "the archive, through object_store",
    "s3:DeleteObject": "forgotten files, through object_store",
    "s3:ListBucket": "lets S3 answer 404",
    "sqs:ChangeMessageVisibility": "the event source mapping",
    "sqs:DeleteMessage": "the event source mapping",
    "sqs:ReceiveMessage": "the event source mapping",
    "kms:Decrypt": "table, bucket, queues and keyrings under a key of one's own",
    "kms:GenerateDataKey": "table, bucket, queues and keyrings under a key of one's own",
    "logs:CreateLogStream": "Lambda",
    "logs:PutLogEvents": "Lambda",
    "lambda:InvokeFunction": "the scheduler",
}


def listed(value):
    """A list, also of one."""
    return value if isinstance(value, list) else [value]


def only(resource, conditions):
    """A resource with the conditions under which it may be touched."""
    return " if ".join([resource, *(" ".join(condition) for condition in conditions)])


def of_template(role):
    """The statements of a role in the template: condition, sid, actions, resources."""
    (policy,) = template().resource(role)["Policies"]
    statements = set()
    for statement in policy["PolicyDocument"]["Statement"]:
        condition = None
        if statement.keys() == {"if", "then", "else"}:
            assert statement["else"] is None, statement
            condition, statement = statement["if"], statement["then"]
        assert statement.keys() - {"Condition"} == {"Sid", "Effect", "Action", "Resource"}, statement
        only_if = [(test, name, value) for test, of in statement.get("Condition", {}).items() for name, value in of.items()]
        assert statement["Effect"] == "Allow", statement
        statements.add((
            condition,
            statement["Sid"],
            frozenset(listed(statement["Action"])),
            frozenset(only(resource, only_if) for resource in listed(statement["Resource"])),
        ))
    return statements


def of_module(role):
    """The same in the module."""
    statements = set()
    for condition, statement in module().policy(role):
        assert statement.keys() - {"condition"} == {"sid", "actions", "resources"}, statement
        only_if = [(one["test"], one["variable"], *one["values"]) for one in listed(statement.get("condition", []))]
        statements.add((
            condition,
            statement["sid"],
            frozenset(statement["actions"]),
            frozenset(only(resource, only_if) for resource in statement["resources"]),
        ))
    return statements


class Rights(unittest.TestCase):
    def test_they_are_the_same_in_both(self):
        self.assertEqual(template().of_type("AWS::IAM::Role"), ROLES)
        for role in ROLES:
            with self.subTest(role):
                self.assertEqual(of_template(role), of_module(role))

    def test_the_same_services_may_take_the_roles(self):
        documents = {"PollerRole": "LambdaTrust", "SinkRole": "LambdaTrust", "TickRole": "TickTrust"}
        for role, document in documents.items():
            (ours,) = template().resource(role)["AssumeRolePolicyDocument"]["Statement"]
            ((_, theirs),) = module().policy(document)
            with self.subTest(role):
                self.assertEqual(listed(ours["Action"]), theirs["actions"])
                self.assertEqual([ours["Principal"]["Service"]], theirs["principals"][0]["identifiers"])
                conditions = [{its["test"]: {its["variable"]: its["values"][0]}} for its in theirs.get("condition", [])]
                self.assertEqual(listed(ours["Condition"]) if "Condition" in ours else [], conditions)

    def test_no_action_is_a_wildcard(self):
        for role in ROLES:
            for _, sid, actions, resources in of_template(role):
                with self.subTest(f"{role} {sid}"):
                    self.assertFalse([action for action in actions if "*" in action])
                    self.assertNotIn("*", resources)

    def test_roles_have_nothing_beside_their_policy(self):
        for role in ROLES:
            self.assertEqual(template().resource(role).keys(), {"AssumeRolePolicyDocument", "Policies"})
        attached = [name for kind, name in module().resources if kind == "aws_iam_role_policy_attachment"]
        self.assertEqual(attached, ["CodeDeployRole"])
        for name in template().of_type("AWS::Serverless::Function"):
            self.assertNotIn("Policies", template().resource(name))

    def test_every_resource_is_one_that_the_function_uses(self):
        for role in ROLES:
            touched = set().union(*(resources for _, _, _, resources in of_template(role)))
            self.assertEqual(touched, RESOURCES[role], role)

    def test_every_action_is_called_for(self):
        source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "crates/aws/src").rglob("*.rs"))
        source = re.sub(r"\s+\.", ".", source)
        for role in ROLES:
            for action in set().union(*(actions for _, _, actions, _ in of_template(role))):
                with self.subTest(f"{role} {action}"):
                    if action not in OTHERWISE:
                        self.assertIn(CALLED[action], source)

    def test_each_function_has_the_secrets_of_its_vault_only(self):
        for role in ["PollerRole", "SinkRole"]:
            by_secret = {
                resource: condition
                for condition, _, _, resources in of_template(role)
                for resource in resources
                if "secretsmanager" in resource or "Keyring" in resource
            }
            self.assertEqual(sorted(by_secret.values()), ["UsesKeyring", "UsesSecrets"])

    def test_only_the_sink_reads_files_and_only_the_poller_reads_tokens(self):
        poller, sink = RESOURCES["PollerRole"], RESOURCES["SinkRole"]
        self.assertFalse([its for its in poller if "Bucket" in its or "/sink" in its or "KeyringSink" in its])
        self.assertFalse([its for its in sink if "/source" in its or "KeyringSource" in its or "/index/" in its])


if __name__ == "__main__":
    unittest.main()
