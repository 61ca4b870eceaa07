"""Arrays by name from a file: .npz, .npy, .csv, .tsv, .safetensors and idx, each also gzipped (`.gz`).

Enters a path, leave arrays in the byte order of this machine. What kind of file it is, its name says; idx is also known by
its first bytes. A file that holds one array calls it `data`. Nothing is guessed where a file is malformed.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from charl.errors import CharlError, code, fail
from charl.source import Span

Array = np.ndarray[Any, Any]

E_FILE = code("E0731", "a data file cannot be read or written")

KINDS = ".npz, .npy, .csv, .tsv, .safetensors or idx"
_IDX = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


class _Malformed(ValueError):
    """What is wrong with the contents."""


def read_arrays(path: Path, span: Span | None = None) -> dict[str, Array]:
    """Every array of a file. Raises CharlError (E0731) with the reason; `span` is where the program asks for it."""
    try:
        data = path.read_bytes()
        name = path.name.lower()
        if name.endswith(".gz"):
            data, name = gzip.decompress(data), name[: -len(".gz")]
        found = _reader(name, data)(data)
    except CharlError:
        raise
    except OSError as e:
        why = e.strerror or str(e)
        raise fail(E_FILE, f"cannot read {path}: {why}", span, help="check the path") from e
    except (_Malformed, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as e:
        raise fail(E_FILE, f"cannot read {path}: {e}", span) from e
    for key, a in found.items():
        if a.dtype.kind not in "fiub" and a.dtype.name != "bfloat16":
            raise fail(E_FILE, f"`{key}` of {path} holds {a.dtype}, which is no element type", span)
    return {n: np.asarray(a, a.dtype.newbyteorder("="), order="C") for n, a in found.items()}


def _reader(name: str, data: bytes) -> Callable[[bytes], dict[str, Array]]:
    suffix = Path(name).suffix
    readers = {
        ".npz": _numpy,
        ".npy": _numpy,
        ".csv": lambda d: _table(d, ","),
        ".tsv": lambda d: _table(d, "\t"),
        ".safetensors": _safetensors,
    }
    if suffix in readers:
        return readers[suffix]
    if data[:2] == b"\0\0" and len(data) > 3 and data[2] in _IDX:
        return _idx
    raise _Malformed(f"it is no {KINDS} file")


def _numpy(data: bytes) -> dict[str, Array]:
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"data": found}
        return {n: found[n] for n in found.files}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as e:
        raise _Malformed(f"it is no whole .npz or .npy file of numbers ({e})") from e


def _safetensors(data: bytes) -> dict[str, Array]:
    from charl.runtime import safetensors

    return safetensors.parse(data)


def _idx(data: bytes) -> dict[str, Array]:
    """The format of the MNIST files: two zeros, a type, the rank, the sizes as big-endian u32, the elements."""
    kind, rank = np.dtype(_IDX[data[2]]), data[3]
    head = 4 + 4 * rank
    if len(data) < head:
        raise _Malformed("the idx file ends inside its header")
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if len(data) - head != size:
        have = f"{len(data) - head} bytes follow"
        raise _Malformed(f"the idx header says {' x '.join(map(str, shape))} elements, {size} bytes; {have}")
    return {"data": np.frombuffer(data, kind, offset=head).reshape(shape)}


# ---------------------------------------------------------------- tables


def _table(data: bytes, comma: str) -> dict[str, Array]:
    """Columns by the names of the first line; columns `x.0`, `x.1`, … are one array `x` of two dimensions. A file whose
    first line is numbers is one array `data`. A column is integers where each of its cells is one, else f64.
    """
    import csv

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _Malformed("it is not UTF-8 text") from None
    rows = [
        (number, row)
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=comma), 1)
        if any(row)
    ]
    if not rows:
        raise _Malformed("it is empty")
    head = [cell.strip() for cell in rows[0][1]]
    named = not all(map(_is_number, head))
    body = rows[1:] if named else rows
    for number, row in body:
        if len(row) != len(head):
            raise _Malformed(f"line {number} has {len(row)} cells, the first has {len(head)}")
    columns = [_column(i, head[i] if named else str(i), body) for i in range(len(head))]
    if not named:
        return {"data": np.stack(columns, 1)}
    twice = sorted({n for n in head if head.count(n) > 1})
    if twice:
        raise _Malformed(f"the column `{twice[0]}` occurs twice")
    return _grouped(dict(zip(head, columns)))


def _column(index: int, name: str, rows: list[tuple[int, list[str]]]) -> Array:
    cells = [row[index].strip() for _, row in rows]
    for (number, _), cell in zip(rows, cells):
        if not _is_number(cell):
            raise _Malformed(f"`{cell}` in line {number}, column `{name}`, is no number")
    try:
        return np.array([int(cell) for cell in cells], np.int64)
    except (ValueError, OverflowError):
        return np.array([float(cell) for cell in cells], np.float64)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _grouped(columns: dict[str, Array]) -> dict[str, Array]:
    out: dict[str, Any] = {}
    for name, column in columns.items():
        base, dot, index = name.rpartition(".")
        if dot and index.isdigit() and base:
            out.setdefault(base, {})[int(index)] = column
        else:
            out[name] = column
    for name, parts in out.items():
        if isinstance(parts, dict):
            if sorted(parts) != list(range(len(parts))):
                raise _Malformed(f"the columns of `{name}` are not `{name}.0` to `{name}.{len(parts) - 1}`")
            out[name] = np.stack([parts[i] for i in range(len(parts))], 1)
    return out
