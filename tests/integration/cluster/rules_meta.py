# SPDX-License-Identifier: Apache-2.0
"""What the API server refuses in names, labels and annotations, with its sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_OLD_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_NAME})?"
_ANY_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    f"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_ANY_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    f"with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_ANY_OLD_LABEL = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and "
    f"end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{_OLD_LABEL}')"
)
_ANY_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    f"with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_VALUE}')"
)
_ANY_NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
MOST_OF_ANNOTATIONS = 256 * 1024
# Names that become names in a DNS at once.
_OLD_NAMES = ("Service",)
_LABELS = ("Namespace",)


def shown(value: Any) -> str:
    """Return a value as errors show it."""
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def invalid(path: str, value: Any, why: str) -> str:
    """Return the problem of a value."""
    return f"{path}: Invalid value: {shown(value)}: {why}"


def required(path: str, why: str = "") -> str:
    """Return the problem of a field that is not there."""
    return f"{path}: Required value" + (f": {why}" if why else "")


def unsupported(path: str, value: Any, known: tuple[str, ...]) -> str:
    """Return the problem of a value that is none of those that there are."""
    return f"{path}: Unsupported value: {shown(value)}: supported values: " + ", ".join(f'"{one}"' for one in known)


def label_problems(text: str) -> list[str]:
    """Return why a text is not a DNS label."""
    return _problems(text, _LABEL, 63, _ANY_LABEL)


def subdomain_problems(text: str) -> list[str]:
    """Return why a text is not a DNS name."""
    return _problems(text, _SUBDOMAIN, 253, _ANY_SUBDOMAIN)


def _problems(text: str, expression: str, longest: int, sentence: str) -> list[str]:
    long = [f"must be no more than {longest} characters"] if len(text) > longest else []
    return long + ([] if re.fullmatch(expression, text) else [sentence])


def qualified_name_problems(text: str) -> list[str]:
    """Return why a text is not a key of a label, of an annotation or of a resource."""
    prefix, slash, name = text.rpartition("/")
    if text.count("/") > 1:
        return [f"a qualified name {_ANY_NAME[len('name part ') :]} with an optional DNS subdomain prefix and '/'"]
    found = [f"prefix part {why}" for why in subdomain_problems(prefix)] if slash else []
    if not name:
        return [*found, "name part must be non-empty"]
    return found + [why if why == _ANY_NAME else f"name part {why}" for why in _problems(name, _NAME, 63, _ANY_NAME)]


def labels(found: Any, path: str) -> Iterator[str]:
    """Yield the problems of labels."""
    for key, value in (found or {}).items():
        yield from (invalid(path, key, why) for why in qualified_name_problems(key))
        yield from (invalid(path, value, why) for why in _problems(value or "", _VALUE, 63, _ANY_VALUE))


def annotations(found: Any, path: str) -> Iterator[str]:
    """Yield the problems of annotations: their keys, and their size in all."""
    for key in found or {}:
        yield from (invalid(path, key, why) for why in qualified_name_problems(key.lower()))
    size = sum(len(key.encode()) + len((value or "").encode()) for key, value in (found or {}).items())
    if size > MOST_OF_ANNOTATIONS:
        yield f"{path}: Too long: may not be more than {MOST_OF_ANNOTATIONS} bytes"


def metadata(kind: str, meta: Object) -> Iterator[str]:
    """Yield the problems of an object's metadata."""
    name = meta.get("name") or ""
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif kind in _OLD_NAMES:
        yield from (invalid("metadata.name", name, why) for why in _problems(name, _OLD_LABEL, 63, _ANY_OLD_LABEL))
    else:
        check = label_problems if kind in _LABELS else subdomain_problems
        yield from (invalid("metadata.name", name, why) for why in check(name))
    yield from labels(meta.get("labels"), "metadata.labels")
    yield from annotations(meta.get("annotations"), "metadata.annotations")
