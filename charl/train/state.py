"""The records of a program between steps: the state (its `mut` arguments) and what is kept, as the emitted loader has them.

Enters a loaded package. Leaves values to call exports with, and their tensors by path, to be saved and put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charl.errors import fail
from charl.program import Argument, Export, Program, Record, Tree
from charl.train.codes import E_ARGUMENT

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Loaded:
    """A program, the module of its emitted loader, and its package on a backend."""

    program: Program
    module: Any
    package: Any

    def spec(self, name: str) -> Any:
        """What the loader knows of an export or an initializer; None of an initializer that only makes zeros."""
        kind = self.module._Export
        return next((x for x in vars(self.module).values() if isinstance(x, kind) and x.name == name), None)

    def call(self, spec: Any, values: Mapping[str, Any]) -> Any:
        """Run an export. Changes `mut` values in place."""
        given = tuple(values[a.name] for a in spec.arguments)
        return self.module._call(self.package.backend, spec, given)


def initial(loaded: Loaded, step: Export, seed: int, dims: Mapping[str, int]) -> dict[str, Any]:
    """Every record before the first step: streams of the seed, what has an initializer by that, everything else zero.

    The state comes first, so that its values do not depend on what is kept beside it. Models draw from the
    first stream of the state, or from one of their own where there is none. Raises CharlError where an initializer needs what is
    not there.
    """
    spec = loaded.spec(step.name)
    types = {a.name: a.type for a in spec.arguments}
    initializers = [e for e in loaded.program.exports if e.role == "init"]
    records = [a for a in step.arguments if a.mut or isinstance(a.type, Record)]
    waiting = sorted((a for a in records if a.name in types), key=lambda a: not a.mut)
    made: dict[str, Any] = {}
    known: list[tuple[Tree, Any]] = []
    streams = [a for a in waiting if _is_stream(a)]
    for i, a in enumerate(streams):
        made[a.name] = types[a.name].init((seed & 0xFFFFFFFF) | i << 32)
        known.append((a.type, made[a.name]))
    waiting = [a for a in waiting if a not in streams]
    while waiting:
        later = []
        for a in waiting:
            value = _made(loaded, a, types[a.name], initializers, known, seed, dims)
            if value is None:
                later.append(a)
                continue
            made[a.name] = value
            known.append((a.type, value))
        if len(later) == len(waiting):
            what = f"nothing in the state gives what the initializer of `{later[0].name}` asks for"
            raise fail(E_ARGUMENT, what, later[0].span)
        waiting = later
    return {a.name: made[a.name] for a in step.arguments if a.name in made}


def _is_stream(a: Argument) -> bool:
    return getattr(a.type, "name", "") == "Rng" and getattr(a.type, "kind", "") == "struct"


def _made(
    loaded: Loaded,
    a: Argument,
    type_: Any,
    initializers: Sequence[Export],
    known: list[tuple[Tree, Any]],
    seed: int,
    dims: Mapping[str, int],
) -> Any:
    """The first value of one argument; None where what its initializer needs is not made yet."""
    export = next((e for e in initializers if e.result == a.type), None)
    spec = loaded.spec(export.name) if export is not None else None
    if export is None or spec is None:
        out: list[Any] = []
        loaded.module._make(type_, dict(dims), out)
        for x in out:
            for array in tensors({"": x}).values():
                array[...] = 0
        return loaded.module._take(type_, iter(out)) if isinstance(type_, tuple) else out[0]
    values: dict[str, Any] = {}
    for needed, part in zip(export.arguments, spec.arguments):
        value = next((x for t, x in known if t == needed.type), None)
        if value is None and _is_stream(needed):
            value = part.type.init(seed)
            known.append((needed.type, value))
        if value is None:
            return None
        values[needed.name] = value
    return loaded.call(spec, values)


def tensors(state: Mapping[str, Any]) -> dict[str, Array]:
    """Every tensor of a state under its path (`net.0.w`), in order, in the memory that steps change."""
    return dict(_tensors(state.items()))


def _tensors(parts: Any) -> Iterator[tuple[str, Array]]:
    for name, value in parts:
        if isinstance(value, np.ndarray):
            yield name, value
        elif isinstance(value, (tuple, list)):
            yield from _tensors((f"{name}.{i}" if name else str(i), x) for i, x in enumerate(value))
        else:
            value._memory()  # out of the memory of a GPU, where a change here would not reach
            for path, array in value.leaves().items():
                yield f"{name}.{path}" if name else path, array


def restore(state: Mapping[str, Any], saved: Mapping[str, Array]) -> str:
    """Put saved tensors back. "" where all fit, else what does not; then nothing has changed."""
    places = tensors(state)
    for path, place in places.items():
        a = saved.get(path)
        if a is None:
            return f"it lacks `{path}`"
        if a.shape != place.shape or a.dtype != place.dtype:
            return f"its `{path}` is {a.dtype}{list(a.shape)}, not {place.dtype}{list(place.shape)}"
    odd = next((path for path in saved if path not in places), None)
    if odd is not None:
        return f"it holds `{odd}`, which the program does not have"
    for path, place in places.items():
        place[...] = saved[path]
    return ""
