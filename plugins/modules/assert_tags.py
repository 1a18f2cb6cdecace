#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: assert_tags
short_description: Refuse unknown tags
description:
  - Ansible does nothing for a misspelled tag in C(--tags), and reports success.
  - If another playbook imports this one, tags may belong to the other one, so nothing is refused.
author: The madctl authors
options:
  known:
    description: Tags that the tasks of the playbook have.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse unknown tags
  madctl.multinode.assert_tags:
    known: [stop]
  tags: [always]
"""

RETURN = r"""
"""
