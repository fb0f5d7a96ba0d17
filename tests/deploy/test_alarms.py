"""Alarms and dashboard: the same in both, on metrics that exist, each with a paragraph in the runbook."""

import json
import re
import unittest

from common import module, only, template
from sam import ROOT

# The template's property and the argument that means the same.
ALARM = {
    "AlarmName": "alarm_name",
    "AlarmDescription": "alarm_description",
    "ActionsEnabled": "actions_enabled",
    "Namespace": "namespace",
    "MetricName": "metric_name",
    "Dimensions": "dimensions",
    "Statistic": "statistic",
    "ExtendedStatistic": "extended_statistic",
    "Period": "period",
    "EvaluationPeriods": "evaluation_periods",
    "DatapointsToAlarm": "datapoints_to_alarm",
    "Threshold": "threshold",
    "ComparisonOperator": "comparison_operator",
    "TreatMissingData": "treat_missing_data",
    "AlarmActions": "alarm_actions",
    "OKActions": "ok_actions",
    "Metrics": "metric_query",
}


def dimensions(of):
    """Dimensions as a map. A queue's name is asked of the queue here and there."""
    return {its["Name"]: its["Value"] for its in of}


def metric_query(of):
    """A metric of a formula as the module writes it."""
    if "Expression" in of:
        return {"id": of["Id"], "label": of["Label"], "expression": of["Expression"], "return_data": True}
    metric = of["MetricStat"]["Metric"]
    return {
        "id": of["Id"],
        "metric": [{
            "namespace": metric["Namespace"],
            "metric_name": metric["MetricName"],
            "dimensions": dimensions(metric["Dimensions"]),
            "period": of["MetricStat"]["Period"],
            "stat": of["MetricStat"]["Stat"],
        }],
    }


def of_template(name):
    """An alarm of the template in the module's words."""
    alarm = {ALARM[key]: value for key, value in template().resource(name).items()}
    if "dimensions" in alarm:
        alarm["dimensions"] = dimensions(alarm["dimensions"])
    if "metric_query" in alarm:
        alarm["metric_query"] = [metric_query(its) for its in alarm["metric_query"]]
    return alarm


def of_module(name):
    """An alarm of the module."""
    alarm = module().resource("aws_cloudwatch_metric_alarm", name)
    if isinstance(alarm["threshold"], dict):
        table = alarm["threshold"]["of"].removeprefix("local.")
        alarm["threshold"] = alarm["threshold"] | {"of": module().local(table)}
    return alarm


def names():
    """All alarms."""
    return template().of_type("AWS::CloudWatch::Alarm")


def dashboard():
    """The dashboard as the template has it."""
    return json.loads(template().resource("Dashboard")["DashboardBody"])


def watched():
    """Every metric that an alarm or the dashboard looks at: namespace, name, dimensions."""
    for name in names():
        alarm = of_template(name)
        for its in [alarm] + [only(query["metric"]) for query in alarm.get("metric_query", []) if "metric" in query]:
            if "namespace" in its:
                yield its["namespace"], its["metric_name"], its["dimensions"]
    for widget in dashboard()["widgets"]:
        for namespace, metric, *rest in widget["properties"].get("metrics", []):
            rest = [its for its in rest if not isinstance(its, dict)]
            yield namespace, metric, dict(zip(rest[::2], rest[1::2]))


class Alarms(unittest.TestCase):
    def test_they_are_the_same(self):
        theirs = [name for kind, name in module().resources if kind == "aws_cloudwatch_metric_alarm"]
        self.assertEqual(sorted(names()), sorted(theirs))
        for name in names():
            with self.subTest(name):
                self.assertEqual(of_template(name), of_module(name))

    def test_each_tells_somebody_when_it_rings_and_when_it_ends(self):
        for name in names():
            alarm = of_template(name)
            self.assertEqual((alarm["alarm_actions"], alarm["ok_actions"]), (["${Alarms.arn}"], ["${Alarms.arn}"]), name)
            self.assertEqual(alarm["alarm_name"], f"${{param.ServiceName}}-{name}")

    def test_silence_is_an_alarm(self):
        silent = [name for name in names() if of_template(name)["treat_missing_data"] == "breaching"]
        self.assertEqual(silent, ["Heartbeat"])
        fewest = template().raw["Mappings"]["Ticks"]["FewestInFiveMinutes"]
        self.assertEqual(list(map(int, fewest)), template().parameters["Shards"]["AllowedValues"])
        for shards, least in fewest.items():
            whole, one_silent = 5 * int(shards), 5 * (int(shards) - 1)
            self.assertTrue(one_silent < least <= whole - 2, "rings when one shard is silent, not when a tick is late")

    def test_a_stopped_service_may_be_silent(self):
        quiet = {name: of_template(name)["actions_enabled"] for name in names() if "actions_enabled" in of_template(name)}
        self.assertEqual(quiet, {"Heartbeat": {"if": "IsStopped", "then": False, "else": True}})

    def test_our_metrics_exist(self):
        source = (ROOT / "crates/aws/src/metrics/emf.rs").read_text(encoding="utf-8")
        known = set(re.findall(r"^    (\w+) (?:Count|Seconds|Milliseconds);$", source, re.MULTILINE))
        self.assertIn("TicksDone", known)
        functions = {"${param.ServiceName}-poller", "${param.ServiceName}-sink"}
        for namespace, metric, its in watched():
            if namespace == "FitBridge":
                with self.subTest(metric):
                    self.assertIn(metric, known)
                    self.assertEqual(its.keys(), {"Function"})
                    self.assertIn(its["Function"], functions)

    def test_the_functions_go_by_their_whole_names(self):
        # Alarms are set on `<service>-poller`, so that two services of one account are told apart. The
        # end-to-end tests see it printed; this one sees that it is read at all.
        source = (ROOT / "crates/aws/src/context/environment.rs").read_text(encoding="utf-8")
        self.assertIn('"AWS_LAMBDA_FUNCTION_NAME"', source)

    def test_names_in_dimensions_are_those_of_the_resources(self):
        named = {
            "QueueName": {template().resource(its)["QueueName"] for its in template().of_type("AWS::SQS::Queue")},
            "FunctionName": {template().resource(its)["FunctionName"] for its in ["PollerFunction", "SinkFunction"]},
            "TableName": {template().resource("Table")["TableName"]},
            "GlobalSecondaryIndexName": {"due", "plan"},
        }
        named["QueueName"] |= {f"${{{its}.name}}" for its in template().of_type("AWS::SQS::Queue")}
        named["Resource"] = {f"{name}:live" for name in named["FunctionName"]}
        named["ExecutedVersion"] = {f"${{{its}.version}}" for its in ["PollerFunction", "SinkFunction"]}
        for namespace, metric, its in watched():
            if namespace != "FitBridge":
                for dimension, value in its.items():
                    self.assertIn(value, named[dimension], metric)

    def test_a_service_of_one_rider_can_ring(self):
        # Its polls and deliveries are hours apart: what asks for several periods in a row must be able to miss one, and
        # look at periods in which something happens at all.
        for name in ["LagTooLong", "NothingDelivered", "PollsFailing"]:
            alarm = of_template(name)
            of_formula = [only(query["metric"])["period"] for query in alarm.get("metric_query", []) if "metric" in query]
            for period in of_formula or [alarm["period"]]:
                self.assertGreaterEqual(period, 1800, name)
            self.assertLess(alarm["datapoints_to_alarm"], alarm["evaluation_periods"], name)

    def test_what_both_functions_count_is_watched_of_both(self):
        for name, metric in [("ReconnectsNeeded", "ReauthRequired"), ("RidesDeadLettered", "DeadLetters")]:
            parts = [only(query["metric"]) for query in of_template(name)["metric_query"] if "metric" in query]
            self.assertEqual({its["dimensions"]["Function"] for its in parts},
                             {"${param.ServiceName}-poller", "${param.ServiceName}-sink"})
            self.assertEqual({its["metric_name"] for its in parts}, {metric})

    def test_every_index_of_the_table_is_watched(self):
        indexes = {its["IndexName"] for its in template().resource("Table")["GlobalSecondaryIndexes"]}
        parts = [only(query["metric"]) for query in of_template("TableThrottled")["metric_query"] if "metric" in query]
        self.assertEqual({its["dimensions"].get("GlobalSecondaryIndexName") for its in parts} - {None}, indexes)

    def test_each_metric_is_charged_for_in_the_table_of_costs(self):
        count = sum(len([query for query in of_template(name).get("metric_query", [None]) if not query or "metric" in query])
                    for name in names())
        model = (ROOT / "tests/src/costs/model.rs").read_text(encoding="utf-8")
        self.assertIn(f"ALARM_METRICS: f64 = {count}.0;", model)

    def test_the_runbook_has_a_paragraph_for_each(self):
        runbook = (ROOT / "infra/RUNBOOK.md").read_text(encoding="utf-8")
        headings = set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE))
        self.assertEqual(headings & set(names()), set(names()))


class Dashboard(unittest.TestCase):
    def test_it_is_the_same(self):
        theirs = (ROOT / "infra/dashboard.json").read_text(encoding="utf-8")
        arguments = module().resource("aws_cloudwatch_dashboard", "Dashboard")["dashboard_body"]["templatefile"][1]
        for name, value in arguments.items():
            theirs = theirs.replace(f"${{{name}}}", value)
        self.assertEqual(dashboard(), json.loads(theirs))

    def test_it_shows_every_alarm(self):
        shown = dashboard()["widgets"][0]["properties"]["alarms"]
        prefix = "arn:${partition}:cloudwatch:${region}:${account}:alarm:${param.ServiceName}-"
        self.assertEqual(sorted(shown), sorted(prefix + name for name in names()))


if __name__ == "__main__":
    unittest.main()
