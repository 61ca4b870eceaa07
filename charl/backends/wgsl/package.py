"""The WGSL half of a package: one module per kernel, and a manifest from which a loader runs every export.

Enters: a `Lowered` made for a grid. Leaves: files by name. The manifest needs no Charl to be understood: sizes are
JSON expressions over dimension variables (see `encode`), arguments are lists of leaves, and an export is a list of
dispatches over buffers. Every value between kernels has a buffer of its own, since WebGPU refuses one buffer bound twice
where one binding writes; buffers of equal size are used again once their value is dead. Never decides what runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np

from charl import dims
from charl.backends.names import Names
from charl.backends.wgsl.printer import WORKGROUP, grid, print_kernel
from charl.backends.wgsl.scalar import memory
from charl.dims import Func, Size, Sym
from charl.errors import InternalError, code
from charl.loops.ir import Kernel
from charl.plan.ir import Call, Choose, Lowered, Place, Plan, Repeat, Step, every, inside
from charl.program import Argument, Export, Tree, leaves

VERSION = 1
ALIGNMENT = 256  # of constants in their file, so that they may be bound at their offset

# What the loader raises: templates/py/_wgpu.py.j2.
E_MISSING = code("E0831", "there is no wgpu, or no GPU adapter")
E_LIMIT = code("E0832", "the limits of a GPU adapter are too small")

Json = Any


def files(lowered: Lowered, options: object = None) -> dict[str, bytes]:
    """`wgsl/manifest.json`, `wgsl/<kernel>.wgsl`, and `wgsl/constants.bin` where tables are needed.

    Nothing where the target could hold no export.
    """
    if not lowered.plans:
        return {}
    names = Names()
    modules = {id(kernel): names.allocate(kernel.name, "kernel") for kernel in lowered.kernels}
    out = {f"wgsl/{modules[id(k)]}.wgsl": print_kernel(k).encode() for k in lowered.kernels}
    constants = _Constants()
    manifest = {
        "format": "charl-wgsl",
        "version": VERSION,
        "name": lowered.program.name,
        "digest": lowered.program.digest,
        "workgroup": WORKGROUP,
        "limits": {"storage_buffers": max((len(k.buffers) for k in lowered.kernels), default=0)},
        "features": [],
        "kernels": {modules[id(k)]: _kernel(k, modules[id(k)]) for k in lowered.kernels},
        "exports": {plan.export.name: _export(plan, modules, constants) for plan in lowered.plans},
    }
    if constants.data:
        manifest["constants"] = "constants.bin"
        out["wgsl/constants.bin"] = bytes(constants.data)
    out["wgsl/manifest.json"] = (_layout(manifest) + "\n").encode()
    return out


def encode(size: Size) -> Json:
    """A size as JSON: an integer, a name, or [function, arguments...].

    Functions: "+" and "*" of any number, "/" (exact), "floordiv", "ceildiv", "mod", "min", "max" of two.
    """
    if isinstance(size, int):
        return size
    denominator = lcm(*(Fraction(c).denominator for _, c in size.terms))
    below: dict[Any, int] = {}
    for monomial, _ in size.terms:
        for atom, power in monomial:
            below[atom] = max(below.get(atom, 0), -power)
    terms = []
    for monomial, c in size.terms:
        powers = dict(monomial)
        factors = [a for a in {**powers, **below} for _ in range(powers.get(a, 0) + below.get(a, 0))]
        terms.append(_operation("*", int(c * denominator), map(_atom, sorted(factors, key=lambda a: a.key))))
    bottom = [a for a in sorted(below, key=lambda a: a.key) for _ in range(below[a])]
    top = terms[0] if len(terms) == 1 else ["+", *terms]
    divisor = _operation("*", denominator, map(_atom, bottom))
    return top if divisor == 1 else ["/", top, divisor]


def _operation(fn: str, factor: int, rest: Iterable[Json]) -> Json:
    parts = list(rest)
    if factor != 1 or not parts:
        parts.insert(0, factor)
    return parts[0] if len(parts) == 1 else [fn, *parts]


def _atom(atom: Any) -> Json:
    if isinstance(atom, Sym):
        return atom.name
    if isinstance(atom, Func):
        return [atom.name, *map(encode, atom.args)]
    raise InternalError("wgsl", f"the size {atom} depends on data")


def _kernel(kernel: Kernel, name: str) -> Json:
    bindings = [
        {"name": b.name, "dtype": b.dtype.name, "access": "read" if b.role == "input" else "read_write"}
        for b in kernel.buffers
    ]
    return {"file": f"{name}.wgsl", "entry": "main", "bindings": bindings, "sizes": list(kernel.dims)}


def _leaves(tree: Tree | None) -> list[Json]:
    if tree is None:
        return []
    return [
        {"path": path, "dtype": t.dtype.name, "shape": [encode(s) for s in t.shape]}
        for path, t in leaves(tree)
    ]


def _argument(argument: Argument) -> Json:
    return {"name": argument.name, "mut": argument.mut, "leaves": _leaves(argument.type)}


def _export(plan: Plan, modules: dict[int, str], constants: _Constants) -> Json:
    export: Export = plan.export
    buffers = _Buffers(plan.steps, constants)
    calls = _steps(plan.steps, modules, buffers)
    return {
        "role": export.role,
        "dims": [
            {"name": d.name, "low": d.low, "high": d.high, "multiple_of": d.multiple_of} for d in export.dims
        ],
        "constraints": [
            {"text": text, "left": encode(left), "relation": relation, "right": encode(right)}
            for text, left, relation, right, _ in export.constraints
        ],
        "arguments": [_argument(a) for a in export.arguments],
        "result": _leaves(export.result),
        "buffers": buffers.entries,
        "calls": calls,
    }


def _steps(steps: Sequence[Step], modules: dict[int, str], buffers: _Buffers) -> list[Json]:
    """Dispatches in order; a loop is {"repeat": index, "extent": how often, "while": a buffer, "calls": what}.

    A branch is {"if": a buffer, "then": what, "else": what}.
    """
    out: list[Json] = []
    for step in steps:
        if isinstance(step, Choose):
            condition = buffers.number(step.condition)
            then, otherwise = (_steps(side, modules, buffers) for side in (step.then, step.otherwise))
            out.append({"if": condition, "then": then, "else": otherwise})
            continue
        if isinstance(step, Repeat):
            out.append(
                {
                    "repeat": step.index,
                    "extent": None if step.extent is None else encode(step.extent),
                    "while": None if step.condition is None else buffers.number(step.condition),
                    "calls": _steps(step.body, modules, buffers),
                }
            )
            continue
        sizes = dict(zip(step.kernel.dims, step.dims, strict=True))
        out.append(
            {
                "kernel": modules[id(step.kernel)],
                "buffers": [buffers.number(p) for p in step.places],
                "sizes": [encode(s) for s in step.dims],
                "points": encode(dims.substitute(grid(step.kernel), sizes)),
            }
        )
        buffers.release()
    return out


class _Constants:
    """Tables of all exports in one file, each once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, int] = {}

    def add(self, place: Place) -> tuple[int, int]:
        """(offset, bytes) of a table."""
        assert place.data is not None, place.name
        kind = memory(place.dtype).numpy.newbyteorder("<")
        raw = np.ascontiguousarray(place.data).astype(kind).tobytes()
        if raw not in self._known:
            self.data.extend(bytes(-len(self.data) % ALIGNMENT))
            self._known[raw] = len(self.data)
            self.data.extend(raw)
        return self._known[raw], len(raw)


class _Buffers:
    """The buffers of one export. Temporaries of equal size share a buffer where their lives do not overlap."""

    def __init__(self, steps: Sequence[Step], constants: _Constants) -> None:
        self.entries: list[Json] = []
        self._constants = constants
        self._numbers: dict[Any, int] = {}
        self._free: dict[Size, list[int]] = {}
        self._last: dict[Any, int] = {}
        self._seen(steps, 0)
        self._ending: dict[int, list[tuple[Size, int]]] = {}
        self._call = 0

    def _seen(self, steps: Sequence[Step], at: int) -> int:
        """Note the last call that uses each place. What a loop's turn may find from before it is kept to its end."""
        for step in steps:
            if isinstance(step, Call):
                for place in step.places:
                    self._last[_key(place)] = at
                at += 1
                continue
            for body in inside(step):
                at = self._seen(body, at)
                for call in every(body) if isinstance(step, Repeat) else ():
                    self._last |= {_key(p): at - 1 for p in call.places}
        return at

    def number(self, place: Place) -> int:
        """The buffer that `place` has, or gets at this call."""
        key = _key(place)
        if key not in self._numbers:
            self._numbers[key] = self._make(place)
            if place.kind == "arena":
                self._ending.setdefault(self._last[key], []).append((_bytes(place), self._numbers[key]))
        return self._numbers[key]

    def release(self) -> None:
        """Temporaries whose last use was this call may serve again; the next call is next."""
        for size, number in self._ending.pop(self._call, []):
            self._free.setdefault(size, []).append(number)
        self._call += 1

    def _make(self, place: Place) -> int:
        if place.kind == "arena" and self._free.get(_bytes(place)):
            return self._free[_bytes(place)].pop()
        self.entries.append(self._entry(place))
        return len(self.entries) - 1

    def _entry(self, place: Place) -> Json:
        if place.kind in ("parameter", "result"):
            return {"kind": place.kind, "leaf": place.position}
        if place.kind == "constant":
            offset, size = self._constants.add(place)
            return {"kind": "constant", "offset": offset, "bytes": size}
        return {"kind": "temporary", "name": place.name, "bytes": encode(_bytes(place))}


def _bytes(place: Place) -> Size:
    return memory(place.dtype).bytes * place.size


def _key(place: Place) -> Any:
    return place if place.kind == "arena" else (place.kind, place.position, id(place.data))


def _layout(manifest: Json) -> str:
    """JSON with a line for every kernel, buffer and dispatch: readable, and small in a diff."""
    return "\n".join(_lines(manifest, 0, 6))


def _lines(value: Json, indent: int, depth: int) -> list[str]:
    compact = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or depth == 0 or len(compact) + 2 * indent <= 100:
        return [compact]
    inner = []
    items = value.items() if isinstance(value, dict) else ((None, v) for v in value)
    for key, item in items:
        lines = _lines(item, indent + 1, depth - 1)
        lines[0] = (f"{json.dumps(key)}: " if key is not None else "") + lines[0]
        inner.append(lines)
    pad = "  "
    out = ["{" if isinstance(value, dict) else "["]
    for number, lines in enumerate(inner):
        lines[-1] += "," if number + 1 < len(inner) else ""
        out += [pad + line for line in lines]
    return [*out, "}" if isinstance(value, dict) else "]"]
