# SPDX-License-Identifier: Apache-2.0
"""
Find why the server of a cluster refuses a name, a label, an image or a quantity, in its own words if it has any.

Each function returns the reason, or None if there is none. Pure; private to the collection.
"""

from __future__ import annotations

import re
from typing import Optional

from ansible_collections.madctl.multinode.plugins.module_utils._request import kubernetes_words

Reason = Optional[str]

_LABEL_LENGTH, _SUBDOMAIN_LENGTH = 63, 253
_LONGEST_IMAGE = 512  # characters
_LEAST_BYTES = 1 << 20
_SUFFIXES = "n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi or Ei"
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_LOWER = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ENDS = ", and must start and end with an alphanumeric character"


def label(text: str) -> Reason:
    """Return why a text is not a DNS label, such as the name of a namespace."""
    if len(text) > _LABEL_LENGTH:
        return "must be no more than %d characters" % _LABEL_LENGTH
    if not re.fullmatch(_LOWER, text):
        return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'" + _ENDS
    return None


def subdomain(text: str) -> Reason:
    """Return why a text is not a DNS subdomain, the form of most objects' names."""
    if len(text) > _SUBDOMAIN_LENGTH:
        return "must be no more than %d characters" % _SUBDOMAIN_LENGTH
    if not re.fullmatch(r"%s(?:\.%s)*" % (_LOWER, _LOWER), text):
        return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'" + _ENDS
    return None


def label_value(text: str) -> Reason:
    """Return why a text is not the value of a label."""
    if len(text) > _LABEL_LENGTH:
        return "must be no more than %d characters" % _LABEL_LENGTH
    if text and not re.fullmatch(_WORD, text):
        allowed = "consist of alphanumeric characters, '-', '_' or '.'"
        return "a valid label must be an empty string or %s%s" % (allowed, _ENDS)
    return None


def label_key(text: str) -> Reason:
    """Return why a text is not the key of a label, or of anything else with a qualified name."""
    prefix, slash, name = text.rpartition("/")
    if slash and subdomain(prefix):
        return "prefix part %s" % subdomain(prefix)
    if len(name) > _LABEL_LENGTH:
        return "name part must be no more than %d characters" % _LABEL_LENGTH
    if not re.fullmatch(_WORD, name):
        return "name part must consist of alphanumeric characters, '-', '_' or '.'" + _ENDS
    return None


def extended_resource(text: str) -> Reason:
    """Return why a text is not the name of a device that a plugin offers."""
    if "/" not in text:
        return "must be fully qualified, with the domain of the plugin that offers it"
    if "kubernetes.io/" in text or text.startswith("requests."):
        return "is a name of Kubernetes' own"
    # Quotas use this name.
    return label_key("requests." + text)


def image(text: str) -> Reason:
    """Return why a text is not the name of a container image."""
    if any(character.isspace() for character in text):
        return "must not contain blanks"
    if len(text) > _LONGEST_IMAGE or not text.isprintable():
        return "must be no more than %d visible characters" % _LONGEST_IMAGE
    return None


def queue(text: str) -> Reason:
    """Return why a text is not the name of a queue, which is also the value of a label."""
    return subdomain(text) or label_value(text)


def quantity(text: str) -> Reason:
    """Return why a text is not a quantity that a pod can have."""
    try:
        found = kubernetes_words.quantity(text)
    except ValueError:
        return "quantities are numbers, perhaps with an exponent, or with %s" % _SUFFIXES
    if not 0 < found < 1 << 63:
        return "must be greater than zero, and less than 2**63"
    return None


def cpu(text: str) -> Reason:
    """Return why a text is not a number of CPUs."""
    reason = quantity(text)
    if not reason and (kubernetes_words.quantity(text) * 1000).denominator != 1:
        return "must not be finer than 1m, a thousandth of a CPU"
    return reason


def memory(text: str) -> Reason:
    """Return why a text is not an amount of memory."""
    reason = quantity(text)
    if reason:
        return reason
    found = kubernetes_words.quantity(text)
    if found.denominator != 1:
        return "must be a whole number of bytes, and m means a thousandth"
    if found < _LEAST_BYTES:
        return "is only %d bytes" % found
    return None
