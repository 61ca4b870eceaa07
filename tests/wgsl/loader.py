"""The GPU part of a loader as a module of its own, over a package written to a folder."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charl import templating

HEAD = """from __future__ import annotations
import json, math, os, pathlib, weakref
from collections.abc import Mapping, Sequence
from typing import Any
import numpy as np
"""


def module() -> Any:
    """The classes of the template."""
    found = types.ModuleType("loader")
    exec(compile(HEAD + templating.load("py/_wgpu.py.j2").render(), "loader.py", "exec"), found.__dict__)
    return found


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Puts the files of a package into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
