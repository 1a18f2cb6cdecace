# SPDX-License-Identifier: Apache-2.0
"""The Python interface behind ``import madctl``: keywords in, runs and results out. Nothing here prints."""
