"""Files of arrays that `main` loads and saves: .npy, .npz, .safetensors.

Enters: paths, values. Leaves: values, files written whole or not at all. Never unpickles, and trusts no file.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from charl import ops
from charl.elaborate import values as v
from charl.elaborate.scope import Scope
from charl.errors import CharlError, Diagnostic, code, fail
from charl.graph.ir import Node
from charl.ops.source import dtype_of
from charl.run.machine import known
from charl.source import Span

E_LOAD = code("E0731", "a data file cannot be read")
E_OTHER = code("E0732", "a data file does not hold what is loaded into")
E_SAVE = code("E0733", "a value cannot be saved in such a file")

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- reading


def read(path: Path, span: Span) -> dict[str, Node]:
    """The tensors of a file by name, "" for the one of an .npy. Raises CharlError (E0731)."""
    try:
        found = _arrays(path)
    except OSError as e:
        raise fail(E_LOAD, f"cannot read {path}: {e.strerror or e}", span, help="check the path") from e
    except CharlError as e:
        raise CharlError([Diagnostic(d.code, d.message, span) for d in e.diagnostics]) from e
    except Exception as e:  # NumPy lets through what its parsers raise: ValueError, EOFError, BadZipFile, …
        raise fail(E_LOAD, f"{path} is no .npy, .npz or .safetensors file: {e}", span) from e
    return {n: _known(a, f"`{n}` of {path}" if n else str(path), n or None, span) for n, a in found.items()}


def _arrays(path: Path) -> dict[str, Array]:
    if path.suffix == ".safetensors":
        from charl.runtime.safetensors import read as read_weights

        return read_weights(path)
    data = np.load(path, allow_pickle=False)
    if isinstance(data, np.ndarray):
        return {"": data}
    with data:
        return dict(data)


def _known(a: Array, where: str, name: str | None, span: Span) -> Node:
    try:
        native = np.ascontiguousarray(a.astype(a.dtype.newbyteorder("="))).reshape(a.shape)
        return known(native, dtype_of(native), name)
    except ops.TypeRuleError as e:
        raise fail(E_LOAD, f"{where} holds {a.dtype}, which is no element type of Charl", span) from e


def members(path: Path, arrays: dict[str, Node], scope: Scope) -> v.Instance:
    """Tensors as the members of one value."""
    nothing = SimpleNamespace(
        methods=(), fields=(), params=(), generics=(), name=SimpleNamespace(name=path.name)
    )
    return v.Instance(v.InstanceType(v.Declaration(path.name, "struct", nothing, None, scope), ()), arrays)


def filled(value: Any, arrays: dict[str, Node], path: Path, span: Span) -> Any:
    """`value` with every tensor from the file, by its path. Raises CharlError (E0732) unless names and types agree."""
    wanted = dict(v.leaves(value))
    head = f"{path} is not of {v.describe_value(value)}:"
    for name in sorted(set(wanted) | set(arrays)):
        if name not in arrays:
            raise fail(E_OTHER, f"{head} it has no `{name}`", span)
        if name not in wanted:
            raise fail(E_OTHER, f"{head} it has `{name}` too", span)
        if arrays[name].type != wanted[name].type:
            raise fail(E_OTHER, f"{head} `{name}` is {arrays[name].type}, not {wanted[name].type}", span)
    return v.rebuild(value, lambda name, node: arrays[name])


# ---------------------------------------------------------------- writing


def write(path: Path, arrays: dict[str, Array], span: Span) -> None:
    """Replace a file, or leave it as it was. Raises CharlError (E0733) where that is impossible."""
    data = _encoded(path, arrays, span)
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)
        with os.fdopen(descriptor, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as e:
        with suppress(OSError):
            os.unlink(temporary)
        raise fail(E_SAVE, f"cannot write {path}: {e.strerror or e}; nothing was written", span) from e


def _encoded(path: Path, arrays: dict[str, Array], span: Span) -> bytes:
    out = io.BytesIO()
    if path.suffix == ".npy" and list(arrays) == [""]:
        np.save(out, arrays[""])
    elif path.suffix == ".npz" and arrays and "" not in arrays:
        np.savez(out, **arrays)  # type: ignore[arg-type]
    elif path.suffix == ".safetensors" and arrays and "" not in arrays:
        return _safetensors(arrays)
    else:
        help_ = '`.safetensors` for models and structs, `.npz` for named tensors (`save("x.npz", a: a)`), `.npy` for one'
        raise fail(E_SAVE, f"this cannot be saved as {path.name}", span, help=help_)
    return out.getvalue()


def _safetensors(arrays: dict[str, Array]) -> bytes:
    """The safetensors format: the length of a JSON header, the header, the tensors (github.com/huggingface/safetensors)."""
    header: dict[str, Any] = {}
    body: list[bytes] = []
    at = 0
    for name, a in arrays.items():
        data = a.astype(a.dtype.newbyteorder("<")).tobytes()
        kind = "BOOL" if a.dtype.kind == "b" else f"{a.dtype.kind.upper()}{8 * a.dtype.itemsize}"
        header[name] = {"dtype": kind, "shape": list(a.shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        body.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(body)
