"""The headers beside emitted code: only the functions that it calls.

Enters: the text of a package's C code. Leaves: the headers it needs, each a file of `templates/c` without the functions
that nothing reaches. A block below `//: i8 i16` stands for one copy per type named. Never changes a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from charl import dtypes, templating
from charl.backends.c.spelling import C_TYPES

LEVELS = ("scalar", "avx2", "avx512")
_SHARED = (
    "simd_common.h",
    "simd_half.h",
    "simd_double.h",
    "simd_math.h",
)  # left out where none of their functions is reached
# What each level includes, in the order in which its functions may call one another.
_PARTS = {
    "scalar": ("scalar.h", "simd_scalar.h"),
    "avx2": ("scalar.h", "simd_avx2.h", *_SHARED),
    "avx512": ("scalar.h", "simd_avx512.h", *_SHARED),
}
_INCLUDE = re.compile(r'#include "(\w+\.h)"')
_MACRO = re.compile(r"//! (\w+)\n")  # above a macro that stays only where it is used
_WORD = re.compile(r"[A-Za-z_]\w*")
_DEFINED = re.compile(r"^static inline [^(]*?\b(\w+)\(", re.M)


@dataclass(frozen=True)
class Piece:
    """A function (with its name and the words it uses) or text that always stays."""

    text: str
    name: str = ""
    words: frozenset[str] = frozenset()


_PLACEHOLDER = re.compile(r"\$(HIGH|LOW|MAX|MIN|[A-Z])")
# How intrinsics name element types: sign-blind ($E) and with the sign ($I).
_SUFFIXES = {"f32": ("ps", "ps"), "f64": ("pd", "pd"), "f16": ("ph", "ph"), "bf16": ("pbh", "pbh")} | {
    f"{k}{b}": (f"epi{b}", f"ep{k}{b}") for k in "iu" for b in (8, 16, 32, 64)
}


def _values(t: dtypes.DType) -> dict[str, str]:
    """What the placeholders of a block stand for."""
    values = {"$HIGH": "", "$LOW": "", "$MAX": "", "$MIN": ""}
    if t.is_integer:
        signed = t.kind == "int"
        values = {
            "$HIGH": f"{2.0 ** (t.bits - signed):.1f}",
            "$LOW": f"-{2.0 ** (t.bits - 1):.1f}" if signed else "0.0",
            "$MAX": f"{'' if signed else 'U'}INT{t.bits}_MAX",
            "$MIN": f"INT{t.bits}_MIN" if signed else "0",
        }
    return values | {
        "$T": t.name,
        "$C": C_TYPES[t.name],
        "$W": "uint64_t" if t.bits == 64 else "uint32_t",
        "$N": str(t.bits),
        "$F": "f" if t.bits == 32 else "",
        "$E": _SUFFIXES[t.name][0],
        "$I": _SUFFIXES[t.name][1],
    }


def _from(values: dict[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda m: values[m[0]]


def _expand(text: str, head: str) -> Iterator[str]:
    """Copies of a block. `i32 f32 | add:+` gives each type each word as $S and what follows as $X, $Y, $Z;
    `i32:f32:x` gives one type its own. $D is the C type of $S, a tilde stands for a space."""
    types, bar, words = head.partition("|")
    entries = [f"{t}:{w}" for w in words.split() for t in types.split()] if bar else types.split()
    for entry in entries:
        name, *rest = entry.replace("~", " ").split(":")
        values = _values(dtypes.ALL[name]) | dict(zip(("$S", "$X", "$Y", "$Z"), rest))
        if rest and rest[0] in C_TYPES:
            values["$D"] = C_TYPES[rest[0]]
        yield _PLACEHOLDER.sub(_from(values), text)


@lru_cache(maxsize=8)
def pieces(name: str) -> tuple[Piece, ...]:
    """A header of `templates/c` in pieces, split at blank lines."""
    out: list[Piece] = []
    for chunk in templating.text(f"c/{name}").split("\n\n"):
        texts: Iterable[str] = (chunk,)
        if chunk.startswith("//: "):
            types, _, body = chunk.partition("\n")
            texts = _expand(body, types[4:])
        for text in texts:
            defined = _DEFINED.search(text) or _MACRO.match(text)
            text = _MACRO.sub("", text)
            words = frozenset(_WORD.findall(text))
            out.append(Piece(text, defined[1], words) if defined else Piece(text))
    return tuple(out)


def _reached(level: str, roots: frozenset[str]) -> frozenset[str]:
    """Names of the functions of a level that `roots` need."""
    table = {p.name: p for part in _PARTS[level] for p in pieces(part) if p.name}
    todo = [n for n in table if n in roots]
    found = set(todo)
    while todo:
        for word in table[todo.pop()].words:
            if word in table and word not in found:
                found.add(word)
                todo.append(word)
    return frozenset(found)


def files(code: str, levels: tuple[str, ...] = LEVELS) -> dict[str, str]:
    """Headers that `code` needs, by file name; it includes `simd.h` (and that the others).

    `levels`: the instruction sets to carry. With more than one the compiler's own macros choose.
    """
    roots = frozenset(_WORD.findall(code))
    kept: dict[str, set[str]] = {}
    for level in levels:
        names = _reached(level, roots)
        for part in _PARTS[level]:
            kept.setdefault(part, set()).update(names)
    parts = {part: _kept(part, names) for part, names in sorted(kept.items())}
    empty = {part for part in _SHARED if not any(p.name for p in parts.get(part, ()))}
    out = {"simd.h": _chooser(levels)}
    for part in (part for part in parts if part not in empty):
        text = [p.text for p in parts[part] if not empty.intersection(_INCLUDE.findall(p.text))]
        out[part] = "\n\n".join(text).rstrip("\n") + "\n"
    return out


def _kept(part: str, names: set[str]) -> list[Piece]:
    """The pieces of a header that stay: those of `names`, and what is no function."""
    return [p for p in pieces(part) if not p.name or p.name in names]


_MACROS = {
    "avx512": "defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512BW__)",
    "avx2": "defined(__AVX2__) && defined(__FMA__)",
}


def _chooser(levels: tuple[str, ...]) -> str:
    """`simd.h`: the widest of the levels for which the compiler generates code."""
    lines = ["/* Vectors of the widest instruction set that the compiler may use. */"]
    lines += ["#ifndef CHARL_SIMD_H", "#define CHARL_SIMD_H", ""]
    word = "#if"
    for level in ("avx512", "avx2"):
        if level in levels:
            lines += [f"{word} {_MACROS[level]}", f'#include "simd_{level}.h"']
            word = "#elif"
    if "scalar" in levels:
        lines += ["#else"] * (word != "#if") + ['#include "simd_scalar.h"'] + ["#endif"] * (word != "#if")
    else:
        lines += ["#else", f'#error "this package needs {levels[-1]}: see its README"', "#endif"]
    return "\n".join([*lines, "", "#endif", ""])
