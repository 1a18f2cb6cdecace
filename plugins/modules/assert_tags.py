#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: assert_tags
short_description: Refuse tags that no task of a playbook has
description:
  - Ansible does nothing for C(--tags) with a misspelled tag, and calls it a success.
  - In a playbook that another one imports, tags may belong to the other, and nothing is refused.
author: The madctl authors
options:
  known:
    description: The tags that tasks of the playbook have.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse tags that do not exist
  madctl.multinode.assert_tags:
    known: [stop]
  tags: [always]
"""

RETURN = r"""
"""
