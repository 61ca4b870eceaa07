"""What a call is checked for before anything runs, and the memory that its arguments cover.

Enters: a function of the API with its plan. Leaves: conditions in C with the status that each returns, and regions for the
overlap check of debug builds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from charl import dims
from charl.backends.c.api import Api, Function
from charl.backends.c.quoting import quoted
from charl.backends.c.scalars import c_size, factor
from charl.graph.ir import Size


@dataclass(frozen=True)
class Check:
    """Return `status` where `condition` holds. `comment` says which rule of the program it is."""

    condition: str
    status: str
    comment: str = ""


@dataclass(frozen=True)
class Memory:
    """Memory that one argument covers, for the overlap check of debug builds."""

    name: str
    pointer: str
    bytes: str
    written: bool


def null_checks(api: Api, f: Function) -> tuple[Check, ...]:
    """Pointers that are NULL."""
    pointers = [p.name for p in f.parameters if p.kind != "value"]
    pointers += [
        leaf.pointer(f"{p.name}->")
        for p in f.parameters
        if p.struct is not None and p.struct.dynamic
        for leaf in p.struct.leaves()
        if not isinstance(dims.product(leaf.type.shape), int)
    ]
    status = f"{api.upper}_NULL_POINTER"
    return (Check(" || ".join(f"{p} == NULL" for p in pointers), status),) if pointers else ()


def dimension_checks(api: Api, f: Function) -> tuple[Check, ...]:
    """Dimensions out of their bounds, and what the signature and its `where` say of them."""
    status = f"{api.upper}_BAD_DIMENSION"
    names = f.dim_names()
    out: list[Check] = []
    for d in f.dimensions:
        high = f" || {d.name} > {d.high}" if d.high is not None else ""
        out.append(Check(f"{d.name} < {d.low}{high}", status))
        if d.multiple_of > 1:
            out.append(Check(f"{d.name} % {d.multiple_of} != 0", status))
    for text, left, relation, right, _ in f.export.constraints:
        a, b = c_size(left, names), c_size(right, names)
        zero = "" if isinstance(left, int) else f"({a}) == 0 || "
        broken = f"{zero}({b}) % ({a}) != 0" if relation == "divides" else f"!({a} {relation} {b})"
        out.append(Check(broken, status, text))
    if any(d.high is None for d in f.dimensions):
        out.append(Check(_too_large(f), status))
    return tuple(out)


def _too_large(f: Function) -> str:
    """Whether the memory that a call touches could exceed the address space, computed without overflow."""
    assert f.plan is not None
    total: Size = f.plan.arena_bytes
    for p in f.parameters:
        for t in p.types():
            total = total + dims.product(t.shape) * t.dtype.bytes
    terms = {m: ceil(c) for m, c in _majorant(total).items()}
    constant = terms.pop((), 0)
    names = f.dim_names()
    if len(terms) == 1 and [p for m in terms for _, p in m] == [1]:
        ((monomial, slope),) = terms.items()
        assert isinstance(monomial[0][0], dims.Sym)
        return f"{names[monomial[0][0].name]} > (PTRDIFF_MAX - {constant}) / {slope}"
    products = [
        " * ".join(
            [
                f"{c}.0",
                *(f"(double){names[a.name]}" for a, p in m if isinstance(a, dims.Sym) for _ in range(p)),
            ]
        )
        for m, c in terms.items()
    ]
    return f"{' + '.join([*products, f'{constant}.0'])} > (double)PTRDIFF_MAX"


def _majorant(size: Size) -> dict[dims.Monomial, Fraction]:
    """A polynomial over dimension variables, without functions and negative terms, that is nowhere less than `size`."""
    if isinstance(size, int):
        return {(): Fraction(max(size, 0))}
    total: dict[dims.Monomial, Fraction] = {}
    for monomial, c in size.terms:
        if c < 0:
            continue
        product: dict[dims.Monomial, Fraction] = {(): Fraction(c)}
        for atom, power in monomial:
            for _ in range(power):  # a divisor of at least 1 only makes it smaller
                product = _times(product, _atom_majorant(atom))
        for m, k in product.items():
            total[m] = total.get(m, Fraction(0)) + k
    return total


def _atom_majorant(atom: dims.Atom) -> dict[dims.Monomial, Fraction]:
    if isinstance(atom, dims.Sym):
        return {((atom, 1),): Fraction(1)}
    assert isinstance(atom, dims.Func), atom
    x, y = (_majorant(arg) for arg in atom.args)
    if atom.name in ("floordiv", "ceildiv"):
        divisor = atom.args[1] if isinstance(atom.args[1], int) else 1
        out = {m: c / max(divisor, 1) for m, c in x.items()}
        return {**out, (): out.get((), Fraction(0)) + (atom.name == "ceildiv")}
    if atom.name in ("min", "mod"):
        return x
    return {m: x.get(m, Fraction(0)) + y.get(m, Fraction(0)) for m in {**x, **y}}


def _times(
    x: dict[dims.Monomial, Fraction], y: dict[dims.Monomial, Fraction]
) -> dict[dims.Monomial, Fraction]:
    out: dict[dims.Monomial, Fraction] = {}
    for m, c in x.items():
        for n, d in y.items():
            powers = dict(m)
            for atom, p in n:
                powers[atom] = powers.get(atom, 0) + p
            key = tuple(sorted(powers.items(), key=lambda t: t[0].key))
            out[key] = out.get(key, Fraction(0)) + c * d
    return out


def workspace_checks(api: Api, f: Function) -> tuple[Check, ...]:
    """A workspace that is missing or not aligned."""
    assert f.plan is not None
    if f.workspace == 0:
        return ()
    size = f.plan.arena_bytes
    empty = (
        ""
        if isinstance(size, int)
        else f"{f.workspace_name}({', '.join(d.name for d in f.dimensions)}) > 0 && "
    )
    status = f"{api.upper}_BAD_WORKSPACE"
    return (
        Check(f"{empty}workspace == NULL", status),
        Check("(uintptr_t)workspace % 8 != 0", status),
    )


def regions(f: Function) -> tuple[Memory, ...]:
    """The memory of every argument; nothing where none is written or only one is there."""
    names = f.dim_names()
    found = []
    for p in f.parameters:
        if p.struct is not None:
            found.append(Memory(quoted(p.source), p.name, f"sizeof *{p.name}", p.written))
            found += [
                Memory(
                    quoted(f"{p.source}.{leaf.path}"),
                    pointer,
                    f"{_size_t(factor(dims.product(leaf.type.shape), names))} * sizeof *{pointer}",
                    p.written,
                )
                for leaf, pointer in zip(p.struct.leaves(), p.pointers())
                if not isinstance(dims.product(leaf.type.shape), int)
            ]
        elif p.kind == "tensor":
            assert p.tensor is not None
            count = factor(dims.product(p.tensor.shape), names)
            found.append(Memory(quoted(p.source), p.name, f"{_size_t(count)} * sizeof *{p.name}", p.written))
    if f.needs_workspace:
        assert f.plan is not None
        size = factor(f.plan.arena_bytes, names)
        found.append(Memory(quoted("workspace"), "workspace", _size_t(size), True))
    return tuple(found) if len(found) > 1 else ()


def _size_t(text: str) -> str:
    return f"(size_t){text}" if re.fullmatch(r"\w+|\(.*\)", text) else f"(size_t)({text})"
