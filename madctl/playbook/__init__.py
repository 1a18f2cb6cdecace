# SPDX-License-Identifier: Apache-2.0
"""Playbooks of the collection: run with a person in front of them, or to ask nodes once."""
