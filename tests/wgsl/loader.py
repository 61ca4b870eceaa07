"""The GPU part of a loader as a module of its own, over a package written to a folder."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charl import templating

HEAD = """from __future__ import annotations
import math, operator, os, threading, weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, overload
import numpy as np
from numpy.typing import NDArray
_NAME = "test"
"""
PARTS = ("py/_errors.py.j2", "py/_core.py.j2", "py/_sizes.py.j2", "py/_wgpu.py.j2")


def module() -> Any:
    """The classes of the template."""
    found = types.ModuleType("loader")
    sys.modules["loader"] = found
    text = HEAD + "\n".join(templating.load(part).render() for part in PARTS)
    exec(compile(text, "loader.py", "exec"), found.__dict__)
    return found


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Puts the files of a package into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
