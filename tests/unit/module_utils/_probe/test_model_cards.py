# SPDX-License-Identifier: Apache-2.0
"""What is read of a checkout: the cards that tags select, and whether scripts use the runner."""

import json
import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import fact_answers, fact_shapes
from ansible_collections.madctl.multinode.plugins.module_utils._probe import model_cards

is_model = fact_answers._parts(fact_shapes.Model)

USES = 'run_cmd="$MAD_MULTI_NODE_RUNNER train.py"\neval $run_cmd\n'


@pytest.fixture
def checkout(tmp_path):
    files = {
        "models.json": json.dumps(
            [
                {"name": "uses", "tags": ["all_of"], "scripts": "scripts/uses/run.sh", "timeout": 8},
                {"name": "alone", "tags": ["all_of"], "scripts": "scripts/alone", "timeout": -1},
                {"name": "bare"},
                "no card",
            ]
        ),
        "scripts/uses/run.sh": ". ./common.sh\n",
        "scripts/uses/common.sh": USES,
        "scripts/alone/run.sh": "torchrun --nproc_per_node 8 x.py\n",
        "scripts/deep/models.json": json.dumps([{"name": "m", "tags": "a,b", "scripts": "inner/run.sh"}]),
        "scripts/deep/inner/run.sh": USES,
        "scripts/broken/models.json": "{",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["uses"], {"uses": (True, 8)}),
        (["alone"], {"alone": (False, None)}),
        (["all_of"], {"uses": (True, 8), "alone": (False, None)}),
        (["uses:batch_size=32"], {"uses": (True, 8)}),
        (["uses,bare"], {"uses": (True, 8), "bare": (None, None)}),
        (["deep/m"], {"deep/m": (True, None)}),
        (["deep/b"], {"deep/m": (True, None)}),
        (["a"], {"deep/m": (True, None)}),
        (["all"], {"uses": (True, 8), "alone": (False, None), "bare": (None, None), "deep/m": (True, None)}),
        (["none"], {}),
        ([], {}),
    ],
)
def test_tags_select(checkout, tags, expected):
    found = model_cards.look(str(checkout), tags)

    assert {card["name"]: (card["uses_runner"], card["timeout"]) for card in found} == expected


@pytest.mark.parametrize(
    "text", ["", "{}", "[1, null]", '"x"', "[" * 100_000, '[{"name": 3, "tags": 7, "scripts": []}]']
)
def test_cards_of_any_kind_are_read(tmp_path, text):
    (tmp_path / "models.json").write_text(text)

    assert model_cards.look(str(tmp_path), ["x"]) == []


def test_what_cannot_be_read_completely_is_unknown(checkout, monkeypatch):
    os.mkfifo(checkout / "scripts/alone/fifo")
    assert model_cards.uses_runner(str(checkout / "scripts/alone")) is False
    (checkout / "scripts/alone/big.txt").write_text("x" * (1 << 20) + " ")
    assert model_cards.uses_runner(str(checkout / "scripts/alone")) is None
    monkeypatch.setattr(model_cards, "_FILES", 1)
    assert model_cards.uses_runner(str(checkout / "scripts/uses/run.sh")) in (True, None)
    assert model_cards.uses_runner(str(checkout / "none")) is None


@pytest.mark.parametrize("timeout", ["Infinity", "NaN", "-Infinity", "1e400", "1" + "0" * 400, "true", "-1", "[]"])
def test_an_invalid_time_is_left_out(tmp_path, timeout):
    (tmp_path / "models.json").write_text('[{"name": "a", "tags": ["t"], "timeout": %s}]' % timeout)

    (found,) = model_cards.look(str(tmp_path), ["t"])
    assert found["timeout"] is None
    json.dumps(found, allow_nan=False)
    assert is_model(found)


@pytest.mark.parametrize(("key", "left"), [("name", ["b"]), ("scripts", ["a", "b"])])
@pytest.mark.parametrize("text", ["\ud800", "x\0y", "x" * 9000])
def test_an_invalid_text_is_left_out(tmp_path, key, left, text):
    cards = [{"name": "a", "tags": ["t"], key: text}, {"name": "b", "tags": ["t"]}]
    (tmp_path / "models.json").write_text(json.dumps(cards))

    found = model_cards.look(str(tmp_path), ["t"])
    assert [card["name"] for card in found] == left
    assert [card["scripts"] for card in found] == [None] * len(left)
    assert all(map(is_model, found))
