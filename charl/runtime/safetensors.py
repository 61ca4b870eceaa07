"""Files of weights, read by the very code that emitted loaders carry.

Enters: a path. Leaves: arrays by name. Raises CharlError for what is no safetensors file; never guesses.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from charl import templating
from charl.dtypes import bf16
from charl.errors import code, fail

E_WEIGHTS = code("E0710", "a file of weights cannot be read or is malformed")


class _FileError(ValueError):
    """What the loader's code raises."""


@lru_cache(maxsize=1)
def _loader() -> dict[str, Any]:
    """The functions of the loader's template."""
    space: dict[str, Any] = {"json": json, "math": math, "np": np, "Any": Any, "CharlFileError": _FileError}
    text = "from __future__ import annotations\n" + templating.text("py/_safetensors.py.j2")
    exec(compile(text, "_safetensors.py", "exec"), space)
    return space


def dump(tensors: dict[str, np.ndarray[Any, Any]], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a file that holds these tensors, in their order; the same arrays give the same bytes."""
    kinds = _loader()["_FILE_TYPES"]
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    begin = 0
    for name, a in tensors.items():
        header[name] = {
            "dtype": kinds[a.dtype.name],
            "shape": list(a.shape),
            "data_offsets": [begin, begin + a.nbytes],
        }
        begin += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    little = [np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes() for a in tensors.values()]
    return len(text).to_bytes(8, "little") + text + b"".join(little)


def read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor of a file. Raises CharlError (E0710)."""
    try:
        data = path.read_bytes()
    except OSError as e:
        raise fail(E_WEIGHTS, f"cannot read {path}: {e.strerror}") from e
    try:
        return parse(data)
    except ValueError as e:
        raise fail(E_WEIGHTS, f"{path}: {e}") from e


def parse(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Every tensor of a file's bytes. Raises ValueError with what is wrong."""
    space = _loader()
    names = {v: k for k, v in space["_FILE_TYPES"].items()}

    def array(dtype: str, shape: tuple[int, ...], raw: bytes) -> np.ndarray[Any, Any]:
        kind = bf16.memory if dtype == "BF16" else np.dtype(names[dtype])
        return np.frombuffer(raw, kind.newbyteorder("<")).astype(kind).reshape(shape)

    return {name: array(*found) for name, found in space["_parse"](data).items()}


def metadata(data: bytes) -> dict[str, str]:
    """The notes in a file's header, whose tensors `parse` reads."""
    length = int.from_bytes(data[:8], "little")
    found: dict[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return found
