# SPDX-License-Identifier: Apache-2.0
"""One playbook of the collection, run with a person in front of it."""
