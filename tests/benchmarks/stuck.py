"""A worker that measures one row, then dies or hangs at another, as its request says."""

from __future__ import annotations

import json
import os
import sys
import time

request = json.loads(sys.argv[1])
for name in request["only"]:
    print(json.dumps({"doing": name, "at": "JAX"}), flush=True)
    if name.startswith("dies"):
        os.abort()
    if name.startswith("hangs"):
        time.sleep(60)
    print(json.dumps({"case": name, "threads": 1, "seconds": {"Charl": 1.0}, "failed": {}}), flush=True)
