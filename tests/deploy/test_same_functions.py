"""Functions, what calls them, and what they are told: the same in both."""

import json
import re
import unittest

from common import module, only, template
from sam import ROOT


class Functions(unittest.TestCase):
    def test_every_function_stands_in_both(self):
        ours = set(template().of_type("AWS::Serverless::Function"))
        theirs = {name for kind, name in module().resources if kind == "aws_lambda_function"}
        self.assertEqual(ours, {"PollerFunction", "SinkFunction"})
        self.assertEqual(ours, theirs)

    def test_they_are_built_and_run_alike(self):
        for name in template().of_type("AWS::Serverless::Function"):
            ours = template().globals | template().resource(name)
            theirs = module().resource("aws_lambda_function", name)
            logging = only(theirs["logging_config"])
            reserved = theirs.get("reserved_concurrent_executions")
            with self.subTest(name):
                self.assertEqual(ours["FunctionName"], theirs["function_name"])
                self.assertEqual(ours["Description"], theirs["description"])
                self.assertEqual(ours["Runtime"], theirs["runtime"])
                self.assertEqual(ours["Architectures"], theirs["architectures"])
                self.assertEqual(ours["Handler"], theirs["handler"])
                self.assertEqual(ours["Role"], theirs["role"])
                self.assertEqual(ours["MemorySize"], theirs["memory_size"])
                self.assertEqual(ours["Timeout"], theirs["timeout"])
                self.assertEqual(
                    ours["LoggingConfig"],
                    {
                        "LogFormat": logging["log_format"],
                        "SystemLogLevel": logging["system_log_level"],
                        "LogGroup": logging["log_group"],
                    },
                )
                # What is left out here is -1 there.
                ours_reserved = ours.get("ReservedConcurrentExecutions")
                if ours_reserved is not None:
                    ours_reserved = ours_reserved | {"else": -1}
                self.assertEqual(ours_reserved, reserved)

    def test_they_are_told_the_same(self):
        ours = template().globals["Environment"]["Variables"]
        self.assertEqual(ours, module().local("environment"))
        for name in template().of_type("AWS::Serverless::Function"):
            self.assertNotIn("Environment", template().resource(name))
            theirs = only(module().resource("aws_lambda_function", name)["environment"])
            self.assertEqual(theirs, {"variables": "${environment}"})

    def test_they_are_told_what_they_understand(self):
        source = (ROOT / "crates/aws/src/context/environment.rs").read_text(encoding="utf-8")
        known = set(re.findall(r'const [A-Z_]+: &str = "(FITBRIDGE_[A-Z_]+)";', source))
        told = {name for name in template().globals["Environment"]["Variables"] if name.startswith("FITBRIDGE_")}
        self.assertEqual(told, known)

    def test_new_versions_take_over_alike(self):
        self.assertEqual(template().globals["AutoPublishAlias"], "live")
        for name in template().of_type("AWS::Serverless::Function"):
            ours = template().resource(name)["DeploymentPreference"]
            group = module().resource("aws_codedeploy_deployment_group", name)
            alias = module().resource("aws_lambda_alias", name)
            alarms = only(group["alarm_configuration"])
            with self.subTest(name):
                self.assertEqual(f"CodeDeployDefault.Lambda{ours['Type']}", group["deployment_config_name"])
                self.assertEqual(ours["Alarms"], alarms["alarms"])
                self.assertTrue(ours["Alarms"] and alarms["enabled"])
                # What the version before does wrong must not take back the one that mends it.
                for alarm in ours["Alarms"]:
                    watched = template().resource(alarm.removeprefix("${").removesuffix(".name}"))["Dimensions"]
                    self.assertIn({"Name": "ExecutedVersion", "Value": f"${{{name}.version}}"}, watched)
                self.assertIn("DEPLOYMENT_STOP_ON_ALARM", only(group["auto_rollback_configuration"])["events"])
                self.assertEqual((alias["name"], alias["function_name"]), ("live", f"${{{name}.name}}"))

    def test_a_failed_tick_is_not_repeated(self):
        ours = template().resource("PollerFunction")["EventInvokeConfig"]
        theirs = module().resource("aws_lambda_function_event_invoke_config", "PollerFunction")
        self.assertEqual(ours, {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60})
        self.assertEqual((theirs["maximum_retry_attempts"], theirs["maximum_event_age_in_seconds"]), (0, 60))

    def test_the_sink_reads_the_queue(self):
        ours = template().resource("SinkFunction")["Events"]["Jobs"]["Properties"]
        theirs = module().resource("aws_lambda_event_source_mapping", "Jobs")
        self.assertEqual(theirs["function_name"], "${SinkFunction.alias}")
        self.assertEqual(
            ours,
            {
                "Queue": theirs["event_source_arn"],
                "Enabled": theirs["enabled"],
                "BatchSize": theirs["batch_size"],
                "FunctionResponseTypes": theirs["function_response_types"],
                "ScalingConfig": {"MaximumConcurrency": only(theirs["scaling_config"])["maximum_concurrency"]},
            },
        )
        self.assertEqual(ours["FunctionResponseTypes"], ["ReportBatchItemFailures"])

    def test_changed_parameters_reach_the_alias(self):
        for name in template().of_type("AWS::Serverless::Function"):
            self.assertTrue(template().resource(name)["AutoPublishAliasAllProperties"])
        script = (ROOT / "infra/deploy").read_text(encoding="utf-8")
        ((tag, value),) = template().globals["Tags"].items()
        self.assertIn(f"s/{tag}: {value}$/", script)

    def test_the_kill_switch_acts_at_once(self):
        off = {"if": "IsStopped", "then": False, "else": True}
        self.assertEqual(template().resource("SinkFunction")["Events"]["Jobs"]["Properties"]["Enabled"], off)
        for name in template().of_type("AWS::Scheduler::Schedule"):
            state = template().resource(name)["State"]
            self.assertEqual(state, {"if": "IsStopped", "then": "DISABLED", "else": "ENABLED"})


class Schedules(unittest.TestCase):
    def test_one_tick_per_shard(self):
        most = max(template().parameters["Shards"]["AllowedValues"])
        theirs = module().resource("aws_scheduler_schedule", "Tick")
        target = only(theirs["target"])
        retry = only(target["retry_policy"])
        self.assertEqual(theirs["count"], "${param.Shards}")
        self.assertEqual(template().of_type("AWS::Scheduler::Schedule"), [f"Tick{shard}" for shard in range(most)])
        for shard in range(most):
            ours = template().resource(f"Tick{shard}")
            ours.pop("Condition", None)
            with self.subTest(shard):
                self.assertEqual(
                    ours,
                    {
                        "Name": theirs["name"].replace("${index}", str(shard)),
                        "ScheduleExpression": theirs["schedule_expression"],
                        "State": theirs["state"],
                        "FlexibleTimeWindow": {"Mode": only(theirs["flexible_time_window"])["mode"]},
                        "Target": {
                            "Arn": target["arn"],
                            "RoleArn": target["role_arn"],
                            "Input": target["input"].replace("${index}", str(shard)),
                            "RetryPolicy": {
                                "MaximumRetryAttempts": retry["maximum_retry_attempts"],
                                "MaximumEventAgeInSeconds": retry["maximum_event_age_in_seconds"],
                            },
                            "DeadLetterConfig": {"Arn": only(target["dead_letter_config"])["arn"]},
                        },
                    },
                )
                self.assertEqual(json.loads(ours["Target"]["Input"])["shard"], shard)
                self.assertEqual(ours["Target"]["RetryPolicy"]["MaximumRetryAttempts"], 0)

    def test_a_shard_ticks_exactly_when_it_exists(self):
        raw = template().raw
        for shards in template().parameters["Shards"]["AllowedValues"]:
            ticking = [
                name
                for name in template().of_type("AWS::Scheduler::Schedule")
                if holds(raw["Resources"][name].get("Condition"), raw["Conditions"], {"Shards": shards})
            ]
            self.assertEqual(ticking, [f"Tick{shard}" for shard in range(shards)])


def holds(condition, conditions, parameters):
    """Whether a condition of the template holds for these parameters."""
    if condition is None:
        return True
    formula = conditions[condition] if isinstance(condition, str) else condition
    ((function, arguments),) = formula.items()
    if function == "Fn::Equals":
        left, right = (parameters[side["Ref"]] if isinstance(side, dict) else side for side in arguments)
        return left == right
    if function == "Fn::Not":
        return not holds(arguments[0], conditions, parameters)
    if function == "Fn::Or":
        return any(holds(argument, conditions, parameters) for argument in arguments)
    raise AssertionError(f"a condition that this test does not understand: {formula}")


if __name__ == "__main__":
    unittest.main()
