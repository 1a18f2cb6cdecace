# SPDX-License-Identifier: Apache-2.0
"""
Hostile inputs for every door: texts in the languages that something might take them for, and mutated bytes.

A text that is executed or expanded leaves a file CANARY in the current directory, or a mark that shows.
"""

import random

# What creates CANARY, or shows itself, if anything takes the text for a line of that language.
LANGUAGES = {
    "shell": "x;touch CANARY;x",
    "shell, no blank": "x';touch${IFS}CANARY;echo'",
    "substitution": "$(touch CANARY)",
    "backquotes": "`touch CANARY`",
    "Jinja": "{{ lookup('pipe', 'touch CANARY') }}",
    "Jinja block": "{% set x = lookup('pipe', 'touch CANARY') %}",
    "ClusterShell": "@x';touch${IFS}CANARY;echo'",
    "ClusterShell source": "@x:y';touch${IFS}CANARY;'",
    "Python": "__import__('os').system('touch CANARY')",
    "Python format": "{0.__class__.__mro__}",
    "percent format": "%(x)s %n %s",
    "terminal": "\x1b]0;pwned\x07\x1b[2J",
    "terminal, C1": "\x9b2J\x9d0;pwned\x9c",
    "second line": "x\nmadctl: node1: forged [FORGED]",
    "carriage return": "x\rmadctl: node1: forged [FORGED]",
    "reversed": "\u202egnp.exe\u2066",
    "line separator": "x\u2028madctl: forged [FORGED]",
}


def is_harmless(text):
    """Return whether a text may go to a terminal as one line."""
    return text.isprintable() and not any(
        character in text for character in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
    )


def mutated(samples, rounds, seed=1):
    """
    Yield mutated copies of byte strings, the same ones every time.

    Args:
        samples: Valid inputs.
        rounds: How many to yield.
    """
    source = random.Random(seed)
    junk = [
        b"\x00",
        b"\xff\xfe",
        b"{",
        b"[" * 2000,
        b'"',
        b"\n",
        b"null",
        b"-1",
        b"1e999",
        b"9" * 400,
        b"\xed\xa0\x80",
        b"\x1b[",
    ]
    for _ in range(rounds):
        data = bytearray(source.choice(samples))
        for _ in range(source.randint(1, 4)):
            at = source.randrange(len(data) + 1)
            kind = source.randrange(5)
            if kind == 0 and data:
                data[at % len(data)] = source.randrange(256)
            elif kind == 1:
                data[at:at] = source.choice(junk)
            elif kind == 2:
                del data[at : at + source.randint(1, 20)]
            elif kind == 3:
                other = source.choice(samples)
                begin = source.randrange(len(other) + 1)
                data[at:at] = other[begin : begin + source.randint(1, 60)]
            else:
                del data[at:]
        yield bytes(data)
