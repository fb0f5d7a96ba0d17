"""Keeps the answers in samconfig.toml true: what a deployment is given as `--parameter-overrides` is written to them,
since the next deployment would put everything back to what is saved. Prints the other options, each ended by a NUL.

usage: python infra/parameters.py [options of sam deploy…]     (infra/deploy calls it before it deploys)
"""

import argparse
import json
import re
import shlex
import sys
import tomllib

FILE = "samconfig.toml"


def saved():
    """The answers that `sam deploy --guided` saved."""
    try:
        with open(FILE, "rb") as file:
            return tomllib.load(file).get("default", {}).get("deploy", {}).get("parameters", {})
    except FileNotFoundError:
        return {}


def words(text):
    """The parameters of one argument: `Stopped="true"` is quoted for sam, `AlarmEmail=a"b` is not."""
    try:
        return shlex.split(text) or [text]
    except ValueError:
        return [text]


def parsed(text):
    """`Stopped="false" Vault="keyring"` as a map; the long form with ParameterKey is understood too."""
    values = {}
    for word in shlex.split(text) if isinstance(text, str) else text:
        name, _, value = word.partition("=")
        if name == "ParameterKey":
            name, _, value = value.partition(",ParameterValue=")
        values[name] = value
    return values


def written(values):
    """The same as `sam deploy --guided` writes it."""
    quote = lambda value: value.replace('"', r"\"")
    return " ".join(f'{name}="{quote(value)}"' for name, value in values.items())


def options(arguments):
    """The parameters that were given, and all other options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--parameter-overrides", nargs="+", action="extend", default=[])
    given, others = parser.parse_known_args(arguments)
    # A shell has taken the quotes off once; what is quoted all the same is so as sam writes it.
    return parsed([word for text in given.parameter_overrides for word in words(text)]), others


def save(values):
    """Writes the parameters in place of those that are saved; all else in the file stays as it is."""
    with open(FILE, encoding="utf-8") as file:
        text = file.read()
    # A text of TOML is escaped as one of JSON is.
    line = f"parameter_overrides = {json.dumps(written(values), ensure_ascii=False)}"
    replaced, count = re.subn(r"^parameter_overrides *=.*$", lambda _: line, text, flags=re.MULTILINE)
    if count == 0:
        heading = "[default.deploy.parameters]"
        replaced, count = text.replace(heading, f"{heading}\n{line}", 1), text.count(heading)
    if count != 1:
        sys.exit(f"{FILE} does not look as `sam deploy --guided` writes it: put these parameters there by hand")
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(replaced)
    if parsed(saved().get("parameter_overrides", "")) != values:
        sys.exit(f"{FILE}: the parameters could not be saved; look at it")


def main():
    """Writes and prints."""
    given, others = options(sys.argv[1:])
    if given:
        save(parsed(saved().get("parameter_overrides", "")) | given)
        said = ", ".join(f"{name}={value}" for name, value in given.items())
        print(f"saved in {FILE}: {said}", file=sys.stderr)
    sys.stdout.write("".join(f"{other}\0" for other in others))


if __name__ == "__main__":
    main()
