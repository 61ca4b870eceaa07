"""Arrays of files as the data of an export: bound by name, checked against its types, cut into batches.

Enters the parameters of an export and arrays by name. Leaves a `Dataset`, or one diagnostic that lists what is wanted beside
what is there. The batch is the dimension that the data share: of the dimension variables of their types the one that most of
them have, the first one where several do. Integers are taken for floats, and one width for another where every value
fits; nothing else is converted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from charl import dims
from charl.data import read_arrays
from charl.dtypes import DType
from charl.errors import CharlError, Diagnostic, fail
from charl.graph.ir import TensorType
from charl.ops.source import threefry2x32
from charl.program import Argument
from charl.train.codes import E_DATA, E_SIZE

Array = np.ndarray[Any, Any]
MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Dataset:
    """Checked arrays. `axes`: where in each array the samples are counted; None for one that every batch gets whole."""

    arrays: Mapping[str, Array]
    axes: Mapping[str, int | None]
    size: int  # samples
    batch: str | int  # the dimension variable of the batch, or its fixed size
    dims: Mapping[str, int]  # the other dimension variables of the data

    def take(self, picked: Array | slice) -> dict[str, Array]:
        """The arrays of the samples that are picked."""
        out: dict[str, Array] = {}
        for name, a in self.arrays.items():
            axis = self.axes[name]
            if axis is None:
                out[name] = a
            elif isinstance(picked, slice):
                out[name] = np.ascontiguousarray(a[(slice(None),) * axis + (picked,)])
            else:
                out[name] = np.take(a, picked, axis)
        return out

    def part(self, start: int, stop: int) -> Dataset:
        """The samples from `start` to `stop`."""
        return replace(self, arrays=self.take(slice(start, stop)), size=stop - start)

    def digest(self) -> str:
        """What tells data from other data."""
        out = sha256()
        for name, a in sorted(self.arrays.items()):
            out.update(f"{name} {a.dtype} {a.shape}\0".encode())
            out.update(np.ascontiguousarray(a).data)
        return out.hexdigest()


def read(given: Sequence[str]) -> dict[str, Array]:
    """Arrays by name of what `--data` says: FILE, NAME=FILE (of one array), NAME=FILE:ARRAY, or NAME=FILE:A,B,C of columns that
    stand side by side. Raises CharlError."""
    out: dict[str, Array] = {}
    for text in given:
        name, equals, where = text.partition("=")
        if not (equals and name.isidentifier()):
            name, where = "", text
        path, _, array = (
            where.rpartition(":") if name and ":" in where and not Path(where).exists() else (where, "", "")
        )
        found = read_arrays(Path(path))
        if name:
            found = {name: _chosen(found, path, array, name)}
        for key, value in found.items():
            if key in out:
                raise fail(
                    E_DATA, f"`{key}` is given twice by `--data`", help=f"rename one: NAME={path}:{key}"
                )
            out[key] = value
    return out


def _chosen(found: Mapping[str, Array], path: str, array: str, name: str) -> Array:
    known = ", ".join(found)
    if array:
        columns = [array] if array in found else [c.strip() for c in array.split(",")]
        for c in columns:
            if c not in found:
                raise fail(E_DATA, f"{path} holds no `{c}`", help=f"it holds {known}")
        return found[array] if array in found else _side_by_side(found, columns, path)
    if len(found) != 1:
        raise fail(
            E_DATA,
            f"{path} holds several arrays: {known}",
            help=f"choose one: {name}={path}:{next(iter(found))}",
        )
    return next(iter(found.values()))


def _side_by_side(found: Mapping[str, Array], columns: Sequence[str], path: str) -> Array:
    """Columns as one array of two dimensions."""
    shapes = {c: found[c].shape for c in columns}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) != 1:
        told = ", ".join(f"`{c}` {list(shape)}" for c, shape in shapes.items())
        raise fail(
            E_DATA, f"columns of {path} that stand side by side have one length each, the same: {told}"
        )
    return np.stack([found[c] for c in columns], axis=-1)


def fit(
    wanted: Sequence[Argument], arrays: Mapping[str, Array], what: str, batch: str | int | None = None
) -> Dataset:
    """The arrays that an export's data parameters ask for. Raises CharlError (E0743) with a table of all that does not fit.

    `batch` is set where another export has decided which dimension it is; `what` says whose parameters these are.
    """
    rows = [_Row(a, arrays.get(a.name)) for a in wanted]
    rank_fits = [r for r in rows if r.array is not None and r.array.ndim == len(r.type.shape)]
    if batch is None:
        batch = _batch_dimension(rank_fits)
    sizes: dict[str, int] = {}
    axes: dict[str, int | None] = {}
    for row in rows:
        axes[row.name] = row.check(batch, sizes)
    if any(row.problem for row in rows) or batch is None:
        unused = [n for n in arrays if n not in {a.name for a in wanted}]
        raise _misfit(rows, unused, arrays, what)
    made = {row.name: row.converted for row in rows}
    counted = [made[n].shape[axis] for n, axis in axes.items() if axis is not None]
    rest = {n: s for n, s in sizes.items() if n != batch}
    return Dataset(made, axes, counted[0] if counted else 0, batch, rest)


def _batch_dimension(rows: Iterable[_Row]) -> str | int | None:
    found: dict[str, list[int]] = {}
    fixed: int | None = None
    for row in rows:
        for axis, size in enumerate(row.type.shape):
            name = _variable(size)
            if name is not None:
                found.setdefault(name, []).append(axis)
        first = row.type.shape[0]
        fixed = first if fixed is None and isinstance(first, int) else fixed
    if found:
        return max(found, key=lambda n: len(found[n]))  # the first of equals
    return fixed


def _variable(size: Any) -> str | None:
    """The name of a size that is a bare dimension variable."""
    names = dims.symbols(size)
    name = next(iter(names)) if len(names) == 1 else None
    return name if name is not None and size == dims.sym(name) else None


class _Row:
    """A parameter beside the array of its name."""

    def __init__(self, wanted: Argument, array: Array | None) -> None:
        assert isinstance(wanted.type, TensorType)
        self.name = wanted.name
        self.type = wanted.type
        self.array = array
        self.problem = ""
        self.converted = np.empty(0)

    def check(self, batch: str | int | None, sizes: dict[str, int]) -> int | None:
        """The axis of the samples. Sets `problem`, or `converted`; fills in `sizes`."""
        if self.array is None:
            self.problem = "missing"
            return None
        if self.array.ndim != len(self.type.shape):
            self.problem = f"{self.array.ndim} axes, not {len(self.type.shape)}"
            return None
        fitting = convert(self.array, self.type.dtype)
        if fitting is None:
            self.problem = f"values that are no {self.type.dtype}"
            return None
        self.converted = fitting
        axis: int | None = None
        for i, (want, have) in enumerate(zip(self.type.shape, self.array.shape)):
            name = _variable(want)
            counts = name == batch if isinstance(batch, str) else (i == 0 and want == batch)
            if counts and axis is None:
                axis = i
                self._agree(str(batch) if name else "samples", have, sizes, i)
            elif name is not None:
                self._agree(name, have, sizes, i)
            elif isinstance(want, int) and want != have:
                self.problem = self.problem or f"axis {i} is {have}, not {want}"
        return axis

    def _agree(self, name: str, have: int, sizes: dict[str, int], axis: int) -> None:
        known = sizes.setdefault(name, have)
        if known != have:
            self.problem = self.problem or f"axis {axis} is {have}, but {name} is {known} above"


def convert(array: Array, dtype: DType) -> Array | None:
    """The array with another element type, where that is the same numbers (floats are rounded to a float's width)."""
    have, want = array.dtype, np.dtype(dtype.memory)
    if have == want:
        return array
    if dtype.is_float:
        return array.astype(want) if have.kind in "fiu" or have.name == "bfloat16" else None
    if want.kind in "iu" and have.kind in "iu":
        limits = np.iinfo(want)
        inside = not array.size or (int(array.min()) >= limits.min and int(array.max()) <= limits.max)
        return array.astype(want) if inside else None
    return None


def _misfit(
    rows: Sequence[_Row], unused: Sequence[str], arrays: Mapping[str, Array], what: str
) -> CharlError:
    table = [("parameter", "wanted", "in the data", "")]
    for row in rows:
        have = _described(row.array) if row.array is not None else "-"
        table.append((row.name, str(row.type), have, row.problem or "fits"))
    table += [(f"({name})", "-", _described(arrays[name]), "not asked for") for name in unused]
    if not any(row.problem for row in rows):
        table[1:] = [(*line[:3], "which dimension is the batch?") for line in table[1:]]
    widths = [max(len(line[i]) for line in table) for i in range(4)]
    notes = tuple("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in table)
    help_ = "`--data NAME=FILE:ARRAY` gives an array another name" if unused else None
    return CharlError(
        [Diagnostic(E_DATA, f"the data do not fit the parameters of {what}", None, (), notes, help_)]
    )


def _described(a: Array) -> str:
    names = {"float": "f", "bfloat": "bf", "int": "i", "uint": "u", "bool": "bool"}
    kind = names[a.dtype.name.rstrip("0123456789")]
    return f"{kind}{'' if kind == 'bool' else 8 * a.dtype.itemsize}[{', '.join(map(str, a.shape))}]"


# ---------------------------------------------------------------- order


def order(seed: int, epoch: int, size: int) -> Array:
    """The samples in the order of an epoch: a permutation that seed, epoch and size alone decide, on every machine."""
    index = np.arange(size, dtype=np.uint32)
    low, high = threefry2x32(
        np.uint32(seed & MASK), np.uint32(seed >> 32 & MASK), index, np.uint32(epoch & MASK)
    )
    return np.argsort((high.astype(np.uint64) << np.uint64(32)) | low, kind="stable")


def check_batch(data: Dataset, batch: int) -> None:
    """Refuse no data, and batches that never fill. Raises CharlError (E0744)."""
    if data.size == 0:
        raise fail(
            E_SIZE, "the data are empty: there is no sample to train on", help="check the files of `--data`"
        )
    if batch > data.size:
        message = f"a batch of {batch} samples cannot be filled: the training data have {data.size}"
        raise fail(E_SIZE, message, help=f"pass `--batch {data.size}` or less")
    if isinstance(data.batch, int) and batch != data.batch:
        message = f"the program's batch has {data.batch} samples, not {batch}"
        raise fail(E_SIZE, message, help=f"pass `--batch {data.batch}`, or name the dimension in the program")
