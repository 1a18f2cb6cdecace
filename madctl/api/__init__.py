# SPDX-License-Identifier: Apache-2.0
"""The Python interface, which ``import madctl`` offers: keywords in, runs and results out. Nothing here prints."""
