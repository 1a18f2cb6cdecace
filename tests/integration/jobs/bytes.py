"""Print what no terminal and no decoder likes."""

import os

os.write(1, b"nul \x00 end\n\xff\xfe invalid\n\x1b[2J\x1b[31mred\n10%\r50%\r100%\n")
os.write(1, b"z" * 50_000_000 + b"\n")
os.write(2, b"no newline at the end")
