# SPDX-License-Identifier: Apache-2.0
"""Write the measured figures into the page about scale; ``make bench`` measures them again."""

from pathlib import Path

from docs.generators import figures

PAGE = Path(__file__).parent / "explanation/scale.md"

if __name__ == "__main__":
    PAGE.write_text(figures.filled(PAGE.read_text(encoding="utf-8"), figures.COST.read_text(encoding="utf-8")))
