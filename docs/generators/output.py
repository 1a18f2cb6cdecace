# SPDX-License-Identifier: Apache-2.0
"""The reference page for JSON, from its schema, and the schema as the site publishes it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "madctl" / "output.schema.json"
INTRODUCTION = """\
# JSON

With `--output json`, a command prints one object on one line on standard output, also when it fails. Text for people
goes to standard error. The object has the same properties for every command:

{envelope}

The data of a command that failed is null, unless it found something out before.

```console
$ madctl launch --hosts gpu[01-02] --output json --command -- true > result.json
$ python3 -c 'import json; print(json.load(open("result.json"))["data"]["nodes"][1]["exit_code"])'
0
```

`--on-end` gives the same object to its command on standard input, and `--notify` sends it as `result`.

## JSON Schema

[madctl-output.schema.json](madctl-output.schema.json) describes all of it, in JSON Schema 2020-12. The installed
package contains it, too:

```console
$ python3 -c 'import madctl, pathlib; print(pathlib.Path(madctl.__file__).with_name("output.schema.json"))'
/…/madctl/output.schema.json
```

Properties without a mark are always there. Those with a question mark may be missing. While `schema` is 1, [no property
is removed or changes its type](compatibility.md#json); new ones may be added, so ignore what you do not know. Every
result that madctl's own integration tests read is held against this schema.

## Data of each command

| command | `data` |
|---|---|
{commands}

`rerun` prints the result of `launch`. The data of `lab` is that of `lab status`. `madctl logs --output jsonl` prints
one [log_line](#log_line) per line, and nothing around them. `make docs` generates this page from the schema.
"""
_TYPES = {"integer": "whole number", "null": "null", "boolean": "true, false", "string": "text"}


def schema() -> str:
    """Return the schema from the package."""
    return SOURCE.read_text(encoding="utf-8")


def page() -> str:
    """Return the page."""
    whole = json.loads(schema())
    parts: dict[str, Any] = dict(whole["$defs"])
    result = parts.pop("result")
    envelope = {**result, "properties": {**whole["properties"], **result["properties"]}}
    envelope["required"] = [*whole["required"], *result["required"]]
    kinds = {rule["if"]["properties"]["command"]["const"]: _alternatives(rule) for rule in result["allOf"]}
    commands = [f"| `{name}` | {', or '.join(map(_link, kinds[name]))} |" for name in kinds]
    head = INTRODUCTION.format(envelope=_table(envelope), commands="\n".join(commands))
    return "\n".join([head, *(_section(name, part) for name, part in parts.items())])


def _alternatives(rule: dict[str, Any]) -> list[str]:
    return [_name(one) for one in rule["then"]["properties"]["data"]["anyOf"] if "$ref" in one]


def _section(name: str, part: dict[str, Any]) -> str:
    table = f"\n{_table(part)}\n" if "properties" in part else ""
    return f"## {name}\n\n{part['description']}\n{table}"


def _table(part: dict[str, Any]) -> str:
    rows = ["| property | type | meaning |", "|---|---|---|"]
    for name, value in part["properties"].items():
        mark = "" if name in part["required"] else "?"
        rows.append(f"| `{name}`{mark} | {type_of(value, _link)} | {_meaning(value)} |")
    return "\n".join(rows)


def _meaning(value: dict[str, Any]) -> str:
    """Return the meaning of a property, including the parts of an object that has no section of its own."""
    inner = value.get("items", value)
    parts = [f"`{name}` {_meaning(part)}" for name, part in inner.get("properties", {}).items()]
    listed = f": {', '.join(parts)}" if parts else ""
    known = [f"`{one}`" for one in value.get("enum", [])]
    values = f": {', '.join(known)}" if known and known[0] not in value["description"] else ""
    return f"{value.get('description', '')}{listed}{values}"


def type_of(value: dict[str, Any], named: Callable[[str], str]) -> str:
    """
    Write a type in a few words.

    Args:
        named: Writes the name of a part of the schema.
    """
    if "$ref" in value:
        return named(_name(value))
    if "anyOf" in value:
        return ", ".join(type_of(one, named) for one in value["anyOf"])
    if "const" in value:
        return f"`{value['const']}`"
    kinds = value.get("type", "string" if "enum" in value else "anything")
    return ", ".join(_one(kind, value, named) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _one(kind: str, value: dict[str, Any], named: Callable[[str], str]) -> str:
    inner = value.get("additionalProperties")
    if kind == "array":
        return f"list of {type_of(value['items'], named)}"
    if kind == "object" and isinstance(inner, dict):
        return f"object, values: {type_of(inner, named)}"
    return _TYPES.get(kind, kind)


def _name(value: dict[str, Any]) -> str:
    return str(value["$ref"]).rpartition("/")[2]


def _link(name: str) -> str:
    # The result itself is the table at the top.
    return f"[{name}](#{'json' if name == 'result' else name})"
