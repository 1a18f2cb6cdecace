# SPDX-License-Identifier: Apache-2.0
"""Copies of data in which values are odd, missing, or from another place, for tests of what nodes answer."""

import copy
import math

from tests import hostile

ODD = [
    *(None, True, False, 0, -1, 1, 1 << 70, -(1 << 70), 1e300, -1e300, math.inf, math.nan, 0.5),
    *("", "x", "x" * 5000, "\ud800", "\udcff", "10.0.0.1", "fe80::1%x", "999.0.0.1", "../../x"),
    *([], {}, [[]], [None], [{}], {"": None}, ["x"] * 1100),
    *hostile.LANGUAGES.values(),
]


def places(data, path=()):
    """Yield the place of everything in nested data."""
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*path, key))


def changed(data, source):
    """Return a copy of data in which one to three values are odd, missing, or from another place."""
    data = copy.deepcopy(data)
    for _ in range(source.randint(1, 3)):
        *path, last = source.choice([path for path in places(data) if path])
        place = data
        for key in path:
            place = place[key]
        kind = source.randrange(4)
        if kind == 0:
            del place[last]
        elif kind == 1:
            place[last] = copy.deepcopy(source.choice(list(data.values()) if isinstance(data, dict) else data))
        else:
            place[last] = copy.deepcopy(source.choice(ODD))
        if not data:
            break
    return data
