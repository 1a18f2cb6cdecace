# SPDX-License-Identifier: Apache-2.0
"""One run as a page: what is known of it is gathered, laid out, and written as one file."""
