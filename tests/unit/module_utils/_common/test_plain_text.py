# SPDX-License-Identifier: Apache-2.0
"""Causes in the middle of a sentence."""

import errno
import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import plain_text


def test_a_reason_has_neither_the_number_of_an_error_nor_a_capital_letter(tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(OSError) as caught:  # noqa: PT011  any error of the system
        missing.read_text()

    assert plain_text.reason(caught.value) == "no such file or directory"
    assert plain_text.reason(caught.value, is_named=True) == f"{missing}: no such file or directory"
    assert plain_text.reason(ValueError("NCCL is missing")) == "NCCL is missing"


def test_the_name_of_an_error_number_is_said_in_words():
    assert plain_text.of_errno("EADDRNOTAVAIL") == plain_text.clause(os.strerror(errno.EADDRNOTAVAIL))
    assert plain_text.of_errno("it gave no reason") == "it gave no reason"
