"""Reads a plan made right after an apply: nothing may change but what the emulator forgets or writes otherwise."""

import json
import sys


def is_forgotten(before, after, unknown):
    """moto does not keep it at all."""
    return not before and after


def is_made_up(before, after, unknown):
    """moto answers with an empty block that nobody set."""
    return not after and not any(any(block.values()) for block in before)


def is_the_same_json(before, after, unknown):
    """moto puts other blanks between the words."""
    return json.loads(before) == json.loads(after)


def follows(before, after, unknown):
    """It is not known before another change of this list is made."""
    return unknown


def is_an_alias_resolved(before, after, unknown):
    """moto keeps the version that the alias pointed to instead of the alias."""
    return before.rsplit(":", 1)[0] == after.rsplit(":", 1)[0]


EMULATED = {
    ("aws_codedeploy_deployment_group", "alarm_configuration"): is_forgotten,
    ("aws_codedeploy_deployment_group", "load_balancer_info"): is_made_up,
    ("aws_lambda_function", "logging_config"): is_forgotten,
    ("aws_lambda_function", "version"): follows,
    ("aws_lambda_function", "qualified_arn"): follows,
    ("aws_lambda_function", "qualified_invoke_arn"): follows,
    ("aws_lambda_event_source_mapping", "function_name"): is_an_alias_resolved,
    ("aws_sqs_queue", "redrive_policy"): is_the_same_json,
    ("aws_iam_role_policy", "policy"): follows,
    # Those of a function's newest version.
    ("aws_cloudwatch_metric_alarm", "dimensions"): follows,
}


def wrong(resource):
    """What of a resource would change although nobody changed it."""
    change = resource["change"]
    if change["actions"] in (["no-op"], ["read"]):
        return []
    if change["actions"] != ["update"]:
        return ["/".join(change["actions"])]
    before, after, unknown = change["before"], change["after"], change["after_unknown"]
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [
        name
        for name in differing
        if not EMULATED.get((resource["type"], name), lambda *_: False)(
            before.get(name), after.get(name), unknown.get(name)
        )
    ]


def main():
    """Fails with a list of what is wrong."""
    resources = json.load(sys.stdin).get("resource_changes", [])
    problems = [f"{its['address']}: {', '.join(wrong(its))}" for its in resources if wrong(its)]
    if not resources or problems:
        sys.exit("the second plan changes something:\n" + "\n".join(problems))
    print(f"second plan: {len(resources)} resources, nothing to change beyond what the emulator forgets")


if __name__ == "__main__":
    main()
