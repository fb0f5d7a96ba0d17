"""template.yaml in a notation that tf.py gives the Terraform module too.

Texts keep their references as `${Table.arn}` or `${param.Vault}`; a choice is `{"if": condition, "then": …,
"else": …}`; what is left out is None and vanishes.
"""

import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What `Ref` gives for a resource of a type.
REF = {
    "AWS::DynamoDB::Table": "name",
    "AWS::S3::Bucket": "name",
    "AWS::SQS::Queue": "url",
    "AWS::SNS::Topic": "arn",
    "AWS::SecretsManager::Secret": "arn",
    "AWS::Serverless::Function": "name",
    "AWS::Logs::LogGroup": "name",
    "AWS::CloudWatch::Alarm": "name",
}
PSEUDO = {"AWS::AccountId": "${account}", "AWS::Region": "${region}", "AWS::Partition": "${partition}"}
ATTRIBUTES = {"Arn": "arn", "QueueName": "name", "Version.Version": "version"}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short tags as their long forms."""


def _tag(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _tag)


class Template:
    """The template, with every value in the common notation."""

    def __init__(self):
        with open(ROOT / "template.yaml", encoding="utf-8") as file:
            self.raw = yaml.load(file, Loader)
        self.parameters = self.raw["Parameters"]
        self.types = {name: resource["Type"] for name, resource in self.raw["Resources"].items()}
        self.globals = self.plain(self.raw["Globals"]["Function"])

    def resource(self, name):
        """The properties of a resource, and under `Condition` when it exists."""
        raw = self.raw["Resources"][name]
        properties = self.plain(raw.get("Properties", {}))
        if "Condition" in raw:
            properties["Condition"] = raw["Condition"]
        return properties

    def of_type(self, kind):
        """The names of all resources of a type."""
        return [name for name, its in self.types.items() if its == kind]

    def outputs(self):
        """Outputs by name: description and value."""
        outputs = {}
        for name, output in self.raw["Outputs"].items():
            value = self.plain(output["Value"])
            if "Condition" in output:
                value = {"if": output["Condition"], "then": value, "else": None}
            outputs[name] = (output["Description"], value)
        return outputs

    def _reference(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return f"${{param.{name}}}"
        if name.endswith(".Alias"):
            return f"${{{name.removesuffix('.Alias')}.alias}}"
        return f"${{{name}.{REF[self.types[name]]}}}"

    def _attribute(self, name, attribute):
        # The ARN of a log group ends with `:*` here and without it in Terraform.
        tail = ":*" if self.types[name] == "AWS::Logs::LogGroup" else ""
        return f"${{{name}.{ATTRIBUTES[attribute]}}}{tail}"

    def plain(self, value):
        """A value in the common notation."""
        if isinstance(value, list):
            return [item for item in map(self.plain, value) if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref":
                return None if argument == "AWS::NoValue" else self._reference(argument)
            if function == "Fn::GetAtt":
                return self._attribute(*argument)
            if function == "Fn::Sub":
                return re.sub(r"\$\{([^}]+)\}", self._substituted, argument)
            if function == "Fn::If":
                then, other = (self.plain(part) for part in argument[1:])
                return {"if": argument[0], "then": then, "else": other}
            if function == "Fn::FindInMap":
                table, row, column = (self.plain(part) for part in argument)
                return {"of": self.raw["Mappings"][table][row], "at": column}
        plain = {key: self.plain(item) for key, item in value.items()}
        return {key: item for key, item in plain.items() if item is not None}

    def _substituted(self, match):
        name = match.group(1)
        if "." in name and name.split(".")[0] in self.types:
            return self._attribute(*name.split(".", 1))
        return self._reference(name)
