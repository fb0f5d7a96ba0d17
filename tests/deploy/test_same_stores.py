"""Parameters, table, bucket, queues, secrets, logs, outputs: the same in both."""

import re
import unittest

from common import module, only, template
from sam import ROOT
from tf import camel, plain

# The template's property and the argument that means the same.
QUEUE = {
    "QueueName": "name",
    "VisibilityTimeout": "visibility_timeout_seconds",
    "MessageRetentionPeriod": "message_retention_seconds",
    "SqsManagedSseEnabled": "sqs_managed_sse_enabled",
    "KmsMasterKeyId": "kms_master_key_id",
    "RedrivePolicy": "redrive_policy",
}


class Completeness(unittest.TestCase):
    # Terraform's helpers of a resource, and what SAM makes by itself of properties.
    WITHOUT_TWIN = {
        "aws_iam_role_policy",
        "aws_iam_role_policy_attachment",
        "aws_s3_bucket_versioning",
        "aws_s3_bucket_ownership_controls",
        "aws_s3_bucket_public_access_block",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_lifecycle_configuration",
        "aws_sqs_queue_redrive_allow_policy",
        "aws_lambda_alias",
        "aws_lambda_event_source_mapping",
        "aws_lambda_function_event_invoke_config",
        "aws_codedeploy_app",
        "aws_codedeploy_deployment_group",
    }

    def test_every_resource_stands_in_both(self):
        ours = {re.sub(r"^Tick\d$", "Tick", name) for name in template().types}
        theirs = {name for kind, name in module().resources if kind not in self.WITHOUT_TWIN}
        self.assertEqual(theirs - ours, {"CodeDeployRole"}, "SAM makes that one by itself")
        self.assertEqual(ours - theirs, set())


class Parameters(unittest.TestCase):
    TERRAFORM_ONLY = {"PollerZip", "SinkZip", "Emulated"}

    def test_they_are_the_same(self):
        theirs = {camel(name): plain({k: v for k, v in body.items() if k in ("description", "type", "default")})
                  for name, body in module().variables.items()}
        self.assertEqual(set(theirs) - self.TERRAFORM_ONLY, set(template().parameters))
        for name, parameter in template().parameters.items():
            with self.subTest(name):
                self.assertEqual(parameter["Description"], theirs[name]["description"])
                default = theirs[name].get("default")
                if isinstance(default, bool):
                    default = str(default).lower()
                if parameter["Type"] == "String" and isinstance(default, int):
                    default = str(default)
                self.assertEqual(parameter.get("Default"), default)

    def test_what_is_refused_is_refused_in_both(self):
        names = {camel(name): name for name in module().variables}
        for name, parameter in template().parameters.items():
            bounds = [parameter[key] for key in ("AllowedValues", "AllowedPattern", "MinValue", "MaxValue") if key in parameter]
            body = module().variables[names[name]]
            if not bounds or "bool" in body["type"]:
                continue
            with self.subTest(name):
                condition = only(body["validation"])["condition"]
                for bound in bounds:
                    for part in bound if isinstance(bound, list) else [bound]:
                        self.assertIn(str(part), condition)

    def test_what_deploys_also_starts(self):
        # The same as crates/aws/src/context/environment.rs accepts.
        for name, good, bad in [
            ("RequestsPerSecond", ["0", "0.01", "0.05", "0.5", "5", "12.75", "9999.5", "10000"],
             ["", "0.001", "0.00", "-1", ".5", "5.", "1e3", "10001", "fast"]),
            ("TrustedHosts", ["", "sim:1", "10.0.0.1:8080", "a:9999,b:59999,c:65535"],
             ["sim", "sim:0", "sim:65536", "sim:70000", "sim:99999", "sim:080", "a:1,", "http://a:1", "a:1, b:2"]),
        ]:
            pattern = template().parameters[name]["AllowedPattern"]
            for value in good + bad:
                with self.subTest(f"{name}={value}"):
                    self.assertEqual(bool(re.fullmatch(pattern, value)), value in good)

    def test_pollers_are_at_least_two_per_shard(self):
        reserved = template().parameters["PollerReservedConcurrency"]["AllowedValues"]
        rules = template().raw["Rules"].values()
        for shards in template().parameters["Shards"]["AllowedValues"]:
            allowed = set(map(str, reserved))
            for rule in rules:
                if rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Shards"}, shards]}:
                    listed, of = only(rule["Assertions"])["Assert"]["Fn::Contains"]
                    self.assertEqual(of, {"Ref": "PollerReservedConcurrency"})
                    allowed &= set(listed)
            self.assertEqual(allowed, {str(its) for its in reserved if its == 0 or its >= 2 * shards}, shards)
        text = (ROOT / "infra/functions.tf").read_text(encoding="utf-8")
        self.assertIn("!local.ReservesPollers || var.poller_reserved_concurrency >= 2 * var.shards", text)

    def test_where_alarms_go_has_to_be_said(self):
        # Without a default CloudFormation refuses a stack before it makes anything.
        self.assertEqual([name for name, its in template().parameters.items() if "Default" not in its], ["AlarmEmail"])

    def test_each_is_grouped_and_described(self):
        groups = template().raw["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        grouped = [name for group in groups for name in group["Parameters"]]
        self.assertEqual(sorted(grouped), sorted(template().parameters))
        self.assertEqual([name for name, its in template().parameters.items() if not its.get("Description")], [])


class Stores(unittest.TestCase):
    def test_the_table(self):
        ours = template().resource("Table")
        theirs = module().resource("aws_dynamodb_table", "Table")
        self.assertEqual(ours["TableName"], theirs["name"])
        self.assertEqual(ours["BillingMode"], theirs["billing_mode"])
        self.assertEqual(ours["DeletionProtectionEnabled"], theirs["deletion_protection_enabled"])
        self.assertTrue(ours["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"])
        self.assertTrue(only(theirs["point_in_time_recovery"])["enabled"])
        self.assertEqual(ours["SSESpecification"]["if"], "HasKey")
        self.assertEqual(theirs["dynamic"][0]["server_side_encryption"]["for_each"]["if"], "HasKey")
        attributes = {its["AttributeName"]: its["AttributeType"] for its in ours["AttributeDefinitions"]}
        self.assertEqual(attributes, {its["name"]: its["type"] for its in theirs["attribute"]})
        self.assertEqual(keys(ours), [theirs["hash_key"], theirs["range_key"]])
        indexes = {its["IndexName"]: (*keys(its), its["Projection"]["ProjectionType"]) for its in ours["GlobalSecondaryIndexes"]}
        self.assertEqual(indexes, {
            its["name"]: (its["hash_key"], its["range_key"], its["projection_type"])
            for its in theirs["global_secondary_index"]
        })
        self.assertEqual(indexes, {"due": ("d", "da", "KEYS_ONLY"), "plan": ("p", "sk", "KEYS_ONLY")})

    def test_the_table_is_the_one_that_the_ledger_uses(self):
        source = (ROOT / "crates/aws/src/ledger/table.rs").read_text(encoding="utf-8")
        constants = dict(re.findall(r'const (\w+): &str = "(\w+)";', source))
        ours = template().resource("Table")
        self.assertEqual(keys(ours), [constants["PK"], constants["SK"]])
        indexes = {its["IndexName"]: keys(its) for its in ours["GlobalSecondaryIndexes"]}
        self.assertEqual(indexes, {
            constants["DUE_INDEX"]: [constants["DUE"], constants["DUE_AT"]],
            constants["PLAN_INDEX"]: [constants["PLAN"], constants["SK"]],
        })

    def test_the_bucket(self):
        ours = template().resource("Bucket")

        def theirs(kind):
            return module().resource(f"aws_s3_bucket_{kind}", "Bucket")

        self.assertEqual(ours["BucketName"], module().resource("aws_s3_bucket", "Bucket")["bucket"])
        versioning = only(theirs("versioning")["versioning_configuration"])
        self.assertEqual((ours["VersioningConfiguration"]["Status"], versioning["status"]), ("Enabled", "Enabled"))
        owner = only(theirs("ownership_controls")["rule"])["object_ownership"]
        self.assertEqual(only(ours["OwnershipControls"]["Rules"])["ObjectOwnership"], owner)
        access = theirs("public_access_block")
        for ours_name, value in ours["PublicAccessBlockConfiguration"].items():
            self.assertTrue(value and access[re.sub(r"(?<!^)([A-Z])", r"_\1", ours_name).lower()])
        rule = only(theirs("lifecycle_configuration")["rule"])
        ours_rule = only(ours["LifecycleConfiguration"]["Rules"])
        self.assertEqual(ours_rule["NoncurrentVersionExpiration"]["NoncurrentDays"],
                         only(rule["noncurrent_version_expiration"])["noncurrent_days"])
        self.assertEqual(ours_rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"],
                         only(rule["abort_incomplete_multipart_upload"])["days_after_initiation"])
        sealed = only(only(theirs("server_side_encryption_configuration")["rule"])["apply_server_side_encryption_by_default"])
        ours_sealed = only(ours["BucketEncryption"]["ServerSideEncryptionConfiguration"])["ServerSideEncryptionByDefault"]
        self.assertEqual(sealed["sse_algorithm"], {
            "if": "HasKey", "then": ours_sealed["then"]["SSEAlgorithm"], "else": ours_sealed["else"]["SSEAlgorithm"],
        })

    def test_only_tls(self):
        ours = only(template().resource("BucketPolicy")["PolicyDocument"]["Statement"])
        _, theirs = only(module().policy("BucketPolicy"))
        self.assertEqual((ours["Effect"], ours["Resource"]), (theirs["effect"], theirs["resources"]))
        self.assertEqual(ours["Condition"], {"Bool": {"aws:SecureTransport": "false"}})
        self.assertEqual(only(theirs["condition"])["variable"], "aws:SecureTransport")

    def test_the_queues(self):
        for name in template().of_type("AWS::SQS::Queue"):
            ours = template().resource(name)
            allowed = ours.pop("RedriveAllowPolicy", None)
            theirs = module().resource("aws_sqs_queue", name)
            with self.subTest(name):
                self.assertEqual({QUEUE[key]: value for key, value in ours.items()}, theirs)
                if allowed:
                    policy = module().resource("aws_sqs_queue_redrive_allow_policy", name)["redrive_allow_policy"]
                    self.assertEqual(allowed["redrivePermission"], policy["redrivePermission"])
        self.assertGreaterEqual(template().resource("Jobs")["VisibilityTimeout"],
                                6 * template().resource("SinkFunction")["Timeout"])

    def test_the_keyrings(self):
        for name in template().of_type("AWS::SecretsManager::Secret"):
            ours = template().resource(name)
            theirs = module().resource("aws_secretsmanager_secret", name)
            with self.subTest(name):
                self.assertEqual((ours["Name"], ours["Description"]), (theirs["name"], theirs["description"]))
                # A switch of the vault, there or back, neither deletes one nor makes one whose name is taken.
                self.assertNotIn("Condition", ours)
                self.assertNotIn("count", theirs)
                # Nor does taking everything down: in the template that is DeletionPolicy.
                raw = module().resources["aws_secretsmanager_secret", name]
                self.assertEqual(only(raw["lifecycle"])["prevent_destroy"], True)
                self.assertFalse({"SecretString", "GenerateSecretString"} & ours.keys(), "a template holds no secret")

    def test_the_logs(self):
        for name in template().of_type("AWS::Logs::LogGroup"):
            ours = template().resource(name)
            theirs = module().resource("aws_cloudwatch_log_group", name)
            self.assertEqual(ours, {"LogGroupName": theirs["name"], "RetentionInDays": theirs["retention_in_days"]})

    def test_what_holds_data_outlives_the_stack(self):
        for name in ["Table", "Bucket", "KeyringSource", "KeyringSink"]:
            raw = template().raw["Resources"][name]
            self.assertEqual((raw["DeletionPolicy"], raw["UpdateReplacePolicy"]), ("RetainExceptOnCreate", "Retain"))


class Outputs(unittest.TestCase):
    def test_they_are_the_same(self):
        self.assertEqual(template().outputs(), module().outputs())


def keys(schema):
    """The key attributes of a table or an index: hash, then range."""
    return [its["AttributeName"] for its in sorted(schema["KeySchema"], key=lambda its: its["KeyType"])]


if __name__ == "__main__":
    unittest.main()
