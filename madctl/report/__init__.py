# SPDX-License-Identifier: Apache-2.0
"""One run as a page: facts about it are gathered, laid out, and written as one file."""
