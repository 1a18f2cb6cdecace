# SPDX-License-Identifier: Apache-2.0
"""What Python takes for a number, or a person may type for one, and is none of ours."""

NOT_NUMBERS = ["²", "٣", "1_0", "+1", "-1", " 1", "1 ", "1.0", "0x1", "1e3", "", "9" * 5000, "१", "①", "\x00", "1\n"]
