"""Runs every export of a program, compiled with clocks around its kernels.

Enters: a compiled package with timers, arrays for some arguments. Leaves: seconds, calls, operations and bytes of every kernel.
Arguments that are not given are random, or what the program's initializers draw. Never prints.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from charl import dims
from charl.compile import Compiled
from charl.dims import Size
from charl.errors import code, fail
from charl.plan.ir import Call, Plan
from charl.source import Span

Array = np.ndarray[Any, Any]

E_RUN = code("E0850", "a profiled export cannot run")
E_DATA = code("E0851", "data for a profile do not fit an argument")
E_NAME = code("E0852", "there is no such export to profile")

SECONDS = 0.3  # of one export, where no number of calls is asked for
FEWEST, MOST = 3, 100_000  # calls
ANY_SIZE = 32  # of a dimension that nothing fixes


@dataclass
class KernelTime:
    """One kernel in one export; all its calls together, for one call of the export."""

    name: str
    span: Span | None
    calls: float = 0.0
    seconds: float = 0.0
    underflows: float = 0.0  # calls in which a result was rounded below the normal numbers
    flops: float | None = 0.0  # None where they depend on run-time values
    bytes: float | None = 0.0  # of the buffers that the calls touch, each once a call


@dataclass
class ExportTime:
    """One export: seconds of a call as a caller sees them, and where they went."""

    name: str
    sizes: dict[str, int]
    repeats: int
    seconds: float
    kernels: list[KernelTime] = field(default_factory=list)


class Clocks:
    """The clocks of a library compiled with `Options(profile=True)`: seconds, calls and underflows of every kernel call."""

    def __init__(self, compiled: Compiled, library: ctypes.CDLL) -> None:
        self._plans = compiled.lowered["c"].plans
        count = max(sum(len(p.calls) for p in self._plans), 1)
        self._seconds = (ctypes.c_double * count).in_dll(library, f"{compiled.name}_profile_seconds")
        self._calls = (ctypes.c_uint64 * count).in_dll(library, f"{compiled.name}_profile_calls")
        self._underflows = (ctypes.c_uint64 * count).in_dll(library, f"{compiled.name}_profile_underflows")

    def clear(self) -> None:
        """Set all of them to zero."""
        for i in range(len(self._seconds)):
            self._seconds[i], self._calls[i], self._underflows[i] = 0.0, 0, 0

    def kernels(self, export: str, repeats: int, sizes: Mapping[str, int]) -> list[KernelTime]:
        """Times of one call of an export that was called so many times; calls of one kernel together, the slowest first."""
        at = next(i for i, p in enumerate(self._plans) if p.export.name == export)
        first = sum(len(p.calls) for p in self._plans[:at])
        found: dict[int, KernelTime] = {}
        for number, call in enumerate(self._plans[at].calls, first):
            kernel = found.setdefault(id(call.kernel), KernelTime(call.kernel.name, call.kernel.span))
            each = self._calls[number] / repeats
            kernel.calls += each
            kernel.seconds += self._seconds[number] / repeats
            kernel.underflows += self._underflows[number] / repeats
            kernel.flops = _plus(kernel.flops, _number(call.kernel.flops, sizes), each)
            kernel.bytes = _plus(kernel.bytes, _number(_touched(call), sizes), each)
        return sorted((k for k in found.values() if k.calls), key=lambda k: -k.seconds)


def _touched(call: Call) -> Size:
    """Bytes of the buffers of a call, each once."""
    out: Size = 0
    for place in {id(p): p for p in call.places}.values():
        out = out + place.size * place.dtype.bytes
    return out


def profile(
    compiled: Compiled,
    package: Any,
    module: Any,
    data: Mapping[str, Array],
    only: tuple[str, ...],
    repeat: int | None,
) -> Iterator[ExportTime]:
    """Time the exports named in `only` (all where empty), one after the other."""
    plans = compiled.lowered["c"].plans
    names = [p.export.name for p in plans if p.export.role == "export"]
    for name in only:
        if name not in names:
            raise fail(E_NAME, f"no export is called `{name}`", help=f"there are {', '.join(names)}")
    clocks = Clocks(compiled, ctypes.CDLL(str(package.backend.path)))
    specs = {v.name: v for v in vars(module).values() if isinstance(v, module._Export)}
    used: set[str] = set()
    for plan in plans:
        name = plan.export.name
        if plan.export.role != "export" or (only and name not in only):
            continue
        make = _Arguments(module, package, data, plan)
        values = [make(a.name, a.type) for a in specs[name].arguments]
        used |= make.used
        sizes = make.sizes
        call = partial(getattr(package, name), *values)
        repeats, seconds = _repeat(call, clocks, repeat, module, plan)
        yield ExportTime(name, sizes, repeats, seconds, clocks.kernels(name, repeats, sizes))
    unused = sorted(set(data) - used)
    if unused:
        raise fail(
            E_DATA, f"no argument is called `{unused[0]}`", help="name arrays as arguments, or `net.0.w`"
        )


def _repeat(call: Any, clocks: Clocks, repeat: int | None, module: Any, plan: Plan) -> tuple[int, float]:
    """Calls made, and seconds of one; the clocks hold those of all of them."""
    try:
        began = time.perf_counter()
        call()
        once = max(time.perf_counter() - began, 1e-9)
    except module.CharlError as e:
        raise fail(
            E_RUN, f"`{plan.export.name}`: {e}", plan.export.span, help="give data with `--data`"
        ) from e
    repeats = repeat or min(MOST, max(FEWEST, round(SECONDS / once)))
    clocks.clear()
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return repeats, (time.perf_counter() - began) / repeats


def _plus(total: float | None, value: int | None, times: float) -> float | None:
    return None if total is None or value is None else total + value * times


def _number(size: Size, sizes: Mapping[str, int]) -> int | None:
    """A size at the sizes of a run; None where it depends on more."""
    known = dims.substitute(size, dict(sizes))
    return known if isinstance(known, int) else None


class _Arguments:
    """Values for the arguments of one export: what was given, else what initializers draw, else random numbers."""

    def __init__(self, module: Any, package: Any, data: Mapping[str, Array], plan: Plan) -> None:
        self._module, self._package, self._data = module, package, data
        self._rng = np.random.default_rng(0)
        self._plan = plan
        self.used: set[str] = set()
        self.sizes = {d.name: _any_size(d) for d in plan.export.dims}

    def __call__(self, name: str, type_: Any) -> Any:
        if isinstance(type_, tuple):
            return tuple(self(f"{name}.{i}", t) for i, t in enumerate(type_))
        if isinstance(type_, self._module._Tensor):
            return self._tensor(name, type_)
        known = getattr(self._package, type_.__name__)
        record = known.init() if hasattr(known, "init") else self._filled(known)
        for path, target in record.leaves().items():
            given = self._given(f"{name}.{path}", target.shape)
            if given is not None:
                target[...] = given
        return record

    def _filled(self, type_: Any) -> Any:
        """A struct without initializer: small random numbers."""
        record = type_()
        for path, pointer, _ in record._pointers():
            shape = tuple(self._module._evaluate(s, self.sizes) for s in pointer.type.shape)
            record._arrays[path] = np.zeros(shape, pointer.type.numpy)
        for target in record.leaves().values():
            target[...] = self._random(target.shape, target.dtype)
        return record

    def _tensor(self, name: str, type_: Any) -> Any:
        given = self._data.get(name)
        if given is not None:
            self.used.add(name)
            for want, have in zip(type_.shape, given.shape):
                if isinstance(want, str):
                    self.sizes[want] = have
            return np.ascontiguousarray(given, type_.numpy)
        shape = tuple(self._module._evaluate(s, self.sizes) for s in type_.shape)
        return self._random(shape, type_.numpy)

    def _given(self, name: str, shape: tuple[int, ...]) -> Array | None:
        given = self._data.get(name)
        if given is None:
            return None
        self.used.add(name)
        if given.shape != shape:
            text = f"`{name}` is {list(shape)}, the data have {list(given.shape)}"
            raise fail(E_DATA, text, self._plan.export.span, help="give an array of that shape")
        return given

    def _random(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Normal floats; integers 0 to 9, which reads of tables limit to what there is."""
        if np.dtype(dtype).kind == "f" or dtype.name == "bfloat16":
            return np.asarray(0.5 * self._rng.standard_normal(shape)).astype(dtype)
        high = 2 if np.dtype(dtype).kind == "b" else 10
        return np.asarray(self._rng.integers(0, high, shape)).astype(dtype)


def _any_size(d: Any) -> int:
    """A size within the bounds of a dimension variable."""
    step = d.multiple_of
    size = max(ANY_SIZE, d.low) if d.high is None else max(d.low, min(ANY_SIZE, d.high))
    return int(-(-size // step) * step)
