import json
import os
import sys

print(
    "REPORT "
    + json.dumps(
        {"rank": os.environ["RANK"], "argv": [os.fsencode(a).hex() for a in sys.argv], "env": dict(os.environ)}
    )
)
