"""Runs kernels on NumPy buffers: what lowering means, without a compiler.

Enters: a `Kernel`, one flat array per buffer, values of its dimensions, and a number of lanes. Leaves: the arrays, written. An
index outside its buffer is an error, never a wrong value. Slow by design: one Python step per statement and iteration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from charl.dtypes import DType, rounded
from charl.errors import InternalError
from charl.graph.scalar import Expr, Size
from charl.graph.scalar_eval import ScalarEvaluator
from charl.loops.ir import (
    Accumulator,
    Buffer,
    Check,
    Debug,
    For,
    Horizontal,
    If,
    Kernel,
    Let,
    Local,
    Prefetch,
    Simd,
    Stmt,
    Store,
    Transpose,
    Update,
)
from charl.loops.sinks import identity
from charl.loops.walk import register_widths
from charl.ops import OPS

Array: TypeAlias = np.ndarray[Any, Any]


class CheckFailed(Exception):
    """A `Check` of a debug build did not hold; says what and where."""


@dataclass
class _Register:
    """Values of a `Let` or accumulator: one, or one per lane; `best` are the extremes of argmax and argmin."""

    values: Array
    dtype: DType
    best: Array | None = None


class _Visible(Mapping[str, Array]):
    """Values of registers as an expression sees them: one, or those of the active lanes."""

    def __init__(self, registers: Mapping[str, _Register], active: Array | None) -> None:
        self._registers = registers
        self._active = active

    def __getitem__(self, name: str) -> Array:
        values = self._registers[name].values
        return values[self._active] if self._active is not None and len(values) > 1 else values[:1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._registers)

    def __len__(self) -> int:
        return len(self._registers)


def evaluate(
    kernel: Kernel,
    arrays: Sequence[Array],
    sizes: Mapping[str, int] | None = None,
    lanes: int = 4,
    checks: bool = False,
) -> None:
    """Run `kernel` once. `lanes` is VL32; VL64 is half of it. Raises InternalError, and CheckFailed with `checks`."""
    _Run(kernel, arrays, dict(sizes or {}), lanes, checks).run()


class _Run:
    def __init__(
        self, kernel: Kernel, arrays: Sequence[Array], sizes: dict[str, int], lanes: int, checks: bool
    ) -> None:
        self.kernel = kernel
        self.arrays: dict[Buffer, Array] = dict(zip(kernel.buffers, arrays, strict=True))
        for b, a in self.arrays.items():
            if a.ndim != 1 or a.dtype != b.dtype.memory:
                raise InternalError("loops.evaluate", f"{b.name} needs a flat array of {b.dtype}")
        self.env: dict[str, Any] = {**sizes, "VL32": lanes, "VL64": max(1, lanes // 2)}
        self.checks = checks
        self.registers: dict[str, _Register] = {}
        self.widths: dict[str, int] = {}  # of registers, in this nest
        self.width = 0  # of the vector region around, 0 outside
        self.active: Array = np.zeros(1, np.int64)

    def run(self) -> None:
        for nest in self.kernel.nests:
            self.registers, self.widths = {}, register_widths(nest)
            self._body(nest)

    # ------------------------------------------------------------ values

    def _fetch(self, source: Any, index: tuple[Array, ...]) -> Array:
        array = self.arrays[source]
        if len(index[0]) and int(index[0].max()) >= len(array):
            raise InternalError(
                "loops.evaluate",
                f"{self.kernel.name} reads {source.name}[{int(index[0].max())}] of {len(array)}",
            )
        return array[index[0]]

    def _values(self, e: Expr) -> Array:
        """One value per active lane (one in all outside a region)."""
        return self._evaluator().values(e, self.env, len(self.active))

    def _evaluator(self) -> ScalarEvaluator:
        return ScalarEvaluator(self._fetch, _Visible(self.registers, self.active if self.width else None))

    def _scalar(self, x: Size) -> int:
        registers = _Visible(self.registers, None)
        return int(ScalarEvaluator(self._fetch, registers).size(x, self.env, 1)[0])

    def _spread(self, values: Array, dtype: DType) -> Array:
        """Values of the active lanes among all lanes, zero elsewhere."""
        if not self.width:
            return values.astype(dtype.numpy)
        out = np.zeros(self.env[f"VL{self.width}"], dtype.numpy)
        out[self.active] = values
        return out

    # ------------------------------------------------------------ statements

    def _body(self, body: tuple[Stmt, ...]) -> None:
        for s in body:
            with np.errstate(all="ignore"):
                self._statement(s)

    def _statement(self, s: Stmt) -> None:
        if isinstance(s, For):
            i, step = self._scalar(s.start), self._scalar(s.step)
            stop = None if s.stop is None else self._scalar(s.stop)
            while (stop is None or i < stop) and (s.condition is None or self._values(s.condition)[0]):
                self.env[s.index] = i
                self._body(s.body)
                i += step
        elif isinstance(s, Simd):
            self._simd(s)
        elif isinstance(s, If):
            self._if(s)
        elif isinstance(s, Let):
            self.registers[s.name] = _Register(
                self._spread(self._values(s.value), s.value.dtype), s.value.dtype
            )
        elif isinstance(s, Local):
            self.arrays[s.buffer] = np.zeros(self._scalar(s.buffer.size), s.buffer.dtype.memory)
        elif isinstance(s, Transpose):
            self._transpose(s)
        elif isinstance(s, Prefetch):
            pass
        elif isinstance(s, Accumulator):
            self._accumulator(s)
        elif isinstance(s, Update):
            self._update(s)
        elif isinstance(s, Horizontal):
            self._horizontal(s)
        elif isinstance(s, Store):
            self._store(s)
        elif isinstance(s, Debug):
            self._body(s.body if self.checks else ())
        else:
            self._check(s)

    def _simd(self, s: Simd) -> None:
        if self.width:
            raise InternalError("loops.evaluate", "a vector region inside another")
        lanes = self.env[f"VL{s.width}"]
        taking_part = lanes if s.count is None else max(0, min(lanes, self._scalar(s.count)))
        self.width, self.active = s.width, np.arange(taking_part)
        self.env[s.lane] = self.active
        self._body(s.body)
        del self.env[s.lane]
        self.width, self.active = 0, np.zeros(1, np.int64)

    def _if(self, s: If) -> None:
        holds = self._values(s.condition)
        if not self.width:
            self._body(s.body if holds[0] else s.otherwise)
            return
        outer = self.active
        lane = next(n for n, v in self.env.items() if v is outer)
        self.active = self.env[lane] = outer[holds]
        self._body(s.body)
        self.active = self.env[lane] = outer

    def _accumulator(self, s: Accumulator) -> None:
        width = self.widths.get(s.name, self.width or 32) if s.dtype.kind == "bool" else s.dtype.bits
        count = self.env[f"VL{width}"] if s.vector else 1
        start = np.full(count, identity(s.fn, s.dtype).value, s.dtype.numpy)
        if s.initial is not None:
            start[: len(self.active)] = self._values(s.initial)
        if s.fn.startswith("arg"):
            self.registers[s.name] = _Register(np.zeros(count, np.int32), s.dtype, start)
        else:
            self.registers[s.name] = _Register(start, s.dtype)

    def _update(self, s: Update) -> None:
        r = self.registers[s.name]
        at = self.active if self.width and len(r.values) > 1 else np.zeros(1, np.int64)
        values = self._values(s.value)
        if r.best is None:
            combined = OPS[s.fn].ref((r.values[at], values), {}, values.shape)
            r.values[at] = combined.astype(r.dtype.numpy)
            return
        assert s.position is not None
        positions, best = self._values(s.position), r.best[at]
        better = values > best if s.fn == "argmax" else values < best
        if r.dtype.is_float:
            better |= np.isnan(values) & ~np.isnan(best)
        r.best[at] = np.where(better, values, best)
        r.values[at] = np.where(better, positions, r.values[at])

    def _horizontal(self, s: Horizontal) -> None:
        r = self.registers[s.source]
        lanes = self.active if self.width else np.arange(len(r.values))
        if r.best is None:
            total = np.full(1, identity(s.fn, r.dtype).value, r.dtype.numpy)
            for lane in lanes:
                total = OPS[s.fn].ref((total, r.values[lane : lane + 1]), {}, (1,))
            self.registers[s.name] = _Register(total.astype(s.dtype.numpy), s.dtype)
            return
        best, values = r.best[lanes], r.values[lanes]
        extreme = np.max(best) if s.fn == "argmax" else np.min(best)
        same = np.isnan(best) if r.dtype.is_float and np.isnan(extreme) else best == extreme
        self.registers[s.name] = _Register(np.asarray([values[same].min()], np.int32), s.dtype)

    def _transpose(self, s: Transpose) -> None:
        rows, columns = np.arange(self._scalar(s.rows))[:, None], np.arange(self._scalar(s.columns))
        to = self._scalar(s.to) + columns * self._scalar(s.to_stride) + rows
        start = self._scalar(s.start) + rows * self._scalar(s.stride) + columns
        for buffer, index in ((s.target, to), (s.source, start)):
            if index.size and (int(index.min()) < 0 or int(index.max()) >= len(self.arrays[buffer])):
                raise InternalError("loops.evaluate", f"{self.kernel.name} transposes outside {buffer.name}")
        self.arrays[s.target][to] = self.arrays[s.source][start]

    def _store(self, s: Store) -> None:
        array = self.arrays[s.buffer]
        values = self._values(s.value)
        index = self._evaluator().size(s.index, self.env, len(self.active))
        if len(index) and (int(index.min()) < 0 or int(index.max()) >= len(array)):
            raise InternalError(
                "loops.evaluate", f"{self.kernel.name} writes {s.buffer.name}[{s.index}] of {len(array)}"
            )
        if s.add:
            np.add.at(array, index, values)
        else:
            array[index] = rounded(values, s.buffer.dtype) if s.buffer.dtype.is_half else values

    def _check(self, s: Check) -> None:
        if not bool(np.all(self._values(s.condition))):
            raise CheckFailed(f"{s.what} ({' or '.join(map(str, s.spans))})")
