"""Trained weights as constants of the C code (`--embed`), so that they stay in read-only memory.

Enters: an `Api` and a safetensors file. Leaves: a C file that defines one `const` struct. Raises CharlError where the file does
not hold exactly the tensors of one of the program's structs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charl import templating
from charl.backends.c.api import Api
from charl.backends.c.spelling import literal
from charl.backends.c.structs import Member, Struct
from charl.dtypes import DType
from charl.errors import code, fail

Array = np.ndarray[Any, Any]

E_EMBED = code("E0711", "a file of weights does not fit any struct of the program")


@dataclass(frozen=True)
class Embedded:
    """The constant: its name, type and definition."""

    name: str
    struct: str
    bytes: int
    file: str
    text: str


def weights(api: Api, path: Path) -> Embedded:
    """The constant for a file of weights."""
    from charl.runtime.safetensors import read

    arrays = read(path)
    struct = _matching(api, arrays, path)
    name = f"{api.prefix}_weights"
    lines = _struct(struct, "", arrays, 0)
    size = sum(a.nbytes for a in arrays.values())
    text = templating.load("c/weights.c.j2").render(
        api=api, name=name, struct=struct.name, file=path.name, lines=[*lines[:-1], lines[-1].rstrip(",")]
    )
    return Embedded(name, struct.name, size, path.name, text)


def _matching(api: Api, arrays: Mapping[str, Array], path: Path) -> Struct:
    notes = []
    for s in sorted(api.stored, key=lambda s: s.record.kind != "model"):
        wanted = {leaf.path: leaf.type for leaf in s.leaves()}
        missing = [n for n in wanted if n not in arrays]
        extra = [n for n in arrays if n not in wanted]
        other = [
            f"{n} is {arrays[n].dtype.name}{list(arrays[n].shape)}, wanted {t.dtype.memory.name}{list(t.shape)}"
            for n, t in wanted.items()
            if n in arrays and (arrays[n].shape != t.shape or arrays[n].dtype != t.dtype.memory)
        ]
        if not (missing or extra or other):
            return s
        said = [f"lacks {', '.join(missing[:4])}"] * bool(missing) + [
            f"has {', '.join(extra[:4])} too"
        ] * bool(extra)
        notes.append(f"{s.record.name}: the file {'; '.join([*said, *other[:2]])}")
    raise fail(E_EMBED, f"{path} does not hold the tensors of any struct of `{api.name}`", notes=tuple(notes))


def _struct(s: Struct, path: str, arrays: Mapping[str, Array], depth: int) -> list[str]:
    pad = "    " * depth
    out = [f"{pad}{'{'}"]
    for m in s.members:
        out += _member(m, f"{path}{m.source}", arrays, depth + 1)
    return [*out, f"{pad}{'}'},"]


def _member(m: Member, path: str, arrays: Mapping[str, Array], depth: int) -> list[str]:
    pad = "    " * depth
    paths = [path] if m.count is None else [f"{path}.{i}" for i in range(m.count)]
    if m.struct is not None:
        inner = [
            line for p in paths for line in _struct(m.struct, f"{p}.", arrays, depth + (m.count is not None))
        ]
        return inner if m.count is None else [f"{pad}{'{'}", *inner, f"{pad}{'}'},"]
    assert m.tensor is not None
    words = [w for p in paths for w in _literals(arrays[p], m.tensor.dtype)]
    if m.count is None and m.tensor.rank == 0:
        return [f"{pad}{words[0]}, /* {path} */"]
    lines = textwrap.wrap(
        ", ".join(words or ["0"]), 104 - len(pad), break_long_words=False, break_on_hyphens=False
    )
    return [f"{pad}{'{'} /* {path} */", *(f"{pad}    {line}" for line in lines), f"{pad}{'}'},"]


def _literals(array: Array, t: DType) -> list[str]:
    return [literal(x, t).text for x in array.reshape(-1).tolist()]
