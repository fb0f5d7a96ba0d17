"""infra/*.tf in the notation of sam.py, without Terraform.

Understands as much of the expression language as the module uses, and fails on the rest.
"""

import json
import re

import hcl2

from sam import ROOT

# What an attribute gives, by resource type; `arn` is the same everywhere.
ATTRIBUTES = {
    ("aws_dynamodb_table", "name"): "name",
    ("aws_s3_bucket", "id"): "name",
    ("aws_sqs_queue", "name"): "name",
    ("aws_sqs_queue", "url"): "url",
    ("aws_sqs_queue", "id"): "url",
    ("aws_lambda_function", "function_name"): "name",
    ("aws_lambda_alias", "arn"): "alias",
    ("aws_cloudwatch_log_group", "name"): "name",
    ("aws_cloudwatch_metric_alarm", "alarm_name"): "name",
}
TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\w-]+(?:\.[\w]+|\[[^\]]*\])*|[?:,(){}\[\]=])')


def camel(name):
    """A variable's name as the template spells it."""
    return "".join(part.capitalize() for part in name.split("_"))


def reference(path):
    """`aws_sqs_queue.Jobs.arn`, `var.vault`, … in the common notation."""
    if re.fullmatch(r"-?\d+", path):
        return int(path)
    if path in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[path]
    if match := re.fullmatch(r"local\.(\w+)\[var\.(\w+)\]", path):
        return {"of": f"local.{match[1]}", "at": f"${{param.{camel(match[2])}}}"}
    parts = re.sub(r"\[0\]", "", path).split(".")
    if parts[0] == "var":
        return f"${{param.{camel(parts[1])}}}"
    if parts[0] == "local":
        return f"${{{parts[1]}}}"
    if parts[0] == "count":
        return "${index}"
    if parts[0] == "data":
        return f"${{data.{parts[2]}}}"
    if len(parts) < 3:
        # A whole resource (`depends_on`), `path.module`.
        return f"${{{parts[-1]}}}"
    kind, name, attribute = parts
    return f"${{{name}.{ATTRIBUTES.get((kind, attribute), attribute)}}}"


def text(literal):
    """A quoted text with its interpolations."""
    inner = json.loads(literal)
    return re.sub(r"\$\{([^}]+)\}", lambda match: str(reference(match[1])), inner)


class Expression:
    """A small parser: choices, references, texts, lists, objects, calls."""

    def __init__(self, source):
        self.tokens = []
        position = 0
        while position < len(source.rstrip()):
            match = TOKEN.match(source, position)
            if not match:
                raise ValueError(f"an expression that this test does not understand: {source}")
            self.tokens.append(match[1])
            position = match.end()

    def take(self, expected=None):
        token = self.tokens.pop(0)
        if expected and token != expected:
            raise ValueError(f"{expected} expected, not {token}")
        return token

    def value(self):
        first = self.single()
        if self.tokens[:1] == ["?"]:
            self.take("?")
            then = self.value()
            self.take(":")
            return {"if": first.removeprefix("${").removesuffix("}"), "then": then, "else": self.value()}
        return first

    def single(self):
        token = self.take()
        if token.startswith('"'):
            return text(token)
        if token == "[":
            return self.listed("]", self.value)
        if token == "{":
            return dict(self.listed("}", self.pair))
        if self.tokens[:1] == ["("]:
            self.take("(")
            arguments = self.listed(")", self.value)
            return arguments[0] if token == "jsonencode" else {token: arguments}
        return reference(token)

    def pair(self):
        key = self.take()
        key = text(key) if key.startswith('"') else key
        if self.take() not in ("=", ":"):
            raise ValueError(f"no value for {key}")
        return key, self.value()

    def listed(self, end, item):
        items = []
        while self.tokens[0] != end:
            items.append(item())
            if self.tokens[0] == ",":
                self.take()
        self.take(end)
        return items


def plain(value):
    """A value as hcl2 gives it, in the common notation."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        # What Terraform does with a resource has no twin in the template.
        items = {key: item for key, item in value.items() if key not in ("__is_block__", "__comments__", "lifecycle")}
        return {(text(key) if key.startswith('"') else key): plain(item) for key, item in items.items()}
    if isinstance(value, str):
        if value.startswith('"'):
            return text(value)
        if value.startswith("${") and value.endswith("}"):
            return Expression(value[2:-1]).value()
        return reference(value)
    return value


class Module:
    """The module's blocks, read raw and turned into the common notation when asked for."""

    def __init__(self):
        self.resources, self.data, self.variables, self.locals, self._outputs = {}, {}, {}, {}, {}
        for path in sorted((ROOT / "infra").glob("*.tf")):
            with open(path, encoding="utf-8") as file:
                parsed = hcl2.load(file)
            for kind, into in (("resource", self.resources), ("data", self.data)):
                for block in parsed.get(kind, []):
                    (its, named), = ((its, named) for its, named in block.items() if its.startswith('"'))
                    (name, body), = ((name, body) for name, body in named.items() if name.startswith('"'))
                    into[its.strip('"'), name.strip('"')] = body
            for kind, into in (("variable", self.variables), ("output", self._outputs)):
                for block in parsed.get(kind, []):
                    (name, body), = ((name, body) for name, body in block.items() if name.startswith('"'))
                    into[name.strip('"')] = body
            for block in parsed.get("locals", []):
                self.locals.update(block)

    def resource(self, kind, name):
        """The arguments of a resource."""
        return plain(self.resources[kind, name])

    def local(self, name):
        """A local value."""
        return plain(self.locals[name])

    def outputs(self):
        """Outputs by the template's name: description and value."""
        return {camel(name): (text(body["description"]), plain(body["value"])) for name, body in self._outputs.items()}

    def policy(self, name):
        """The statements of a policy document, each with the condition under which it stands."""
        body = self.data["aws_iam_policy_document", name]
        statements = [(None, statement) for statement in body.get("statement", [])]
        for block in body.get("dynamic", []):
            dynamic = block['"statement"']
            choice = plain(dynamic["for_each"])
            assert (choice["then"], choice["else"]) == ([1], []), choice
            statements += [(choice["if"], content) for content in dynamic["content"]]
        return [(condition, plain(statement)) for condition, statement in statements]
