"""Every entry of the library has a reference among the programs, and says its shapes, its formula and its source.

An entry is what a file of the library declares. What others of the library are made of (a part of a formula, a gradient rule)
is reached through them; everything else is named by a program of `programs`, whose numbers come from elsewhere.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from charl.elaborate import modules
from charl.source import Source
from charl.syntax import ast, declarations, parse

PROGRAMS = Path(__file__).resolve().parent / "programs"
FORMULA = re.compile(r"[=<>|]|\w[(\[]|\w [-+*/] \w|`\w+`")
SOURCE = re.compile(r"\((1[5-9]|20)\d\d\)|\b(torch|torchvision|jax|optax|numpy|sklearn|math)\b|Rng")


def names(node: ast.Node) -> set[str]:
    return {n.name for n in ast.walk(node) if isinstance(n, ast.Name)}


def declared(module: str) -> list[Any]:
    found = modules.library(module)
    assert found is not None
    return [i for i in found.ast.items if hasattr(i, "docs") and hasattr(i, "name")]


LIBRARY = {p.stem: declared(p.stem) for p in sorted(modules.LIBRARY.glob("*.ch"))}


@cache
def called() -> frozenset[str]:
    """Names in the programs that have references."""
    trees = [parse(Source(p.name, p.read_text()))[0] for p in sorted(PROGRAMS.glob("*.ch"))]
    return frozenset(set().union(*map(names, trees)))


def parts(items: list[Any]) -> set[str]:
    """What other entries of the same file are made of, and gradient rules."""
    used = {n for i in items for n in names(i) - {i.name.name}}
    return used | {i.name.name for i in items if getattr(i, "decorators", ())}


def entries(module: str) -> list[Any]:
    """What a program may ask for by name; parts of others that have no reference of their own are left out."""
    inner = parts(LIBRARY[module])
    return [i for i in LIBRARY[module] if i.name.name in called() or i.name.name not in inner]


@pytest.mark.parametrize("module", LIBRARY)
def test_every_entry_has_a_reference(module: str) -> None:
    without = [i.name.name for i in entries(module) if i.name.name not in called() and _is_code(i)]
    assert not without, f"no program of tests/library/programs calls {without}"


def _is_code(item: Any) -> bool:
    return not isinstance(item, declarations.Const)


@pytest.mark.parametrize("module", LIBRARY)
def test_every_entry_says_what_it_is(module: str) -> None:
    for item in LIBRARY[module]:
        assert item.docs, f"{item.name} has no doc comment"
        for method in getattr(item, "methods", ()):
            assert method.docs or method.name.name == "forward", f"{item.name}.{method.name}"
    for item in entries(module):
        text, found, rest = item.docs.partition("Shapes: ")
        shapes, named, source = " ".join(rest.split()).partition(" Source: ")
        assert found and named, f"{item.name} does not say its shapes and its source"
        assert shapes.endswith(".") and len(shapes) > 4, f"{item.name}: shapes {shapes!r}"
        assert source.endswith(".") and SOURCE.search(source), f"{item.name}: source {source!r}"
        formula = text + " ".join(m.docs for m in getattr(item, "methods", ()))
        assert FORMULA.search(formula), f"{item.name} has no formula"


def test_the_checks_can_fail() -> None:
    assert not FORMULA.search("Makes things better.") and not SOURCE.search("Somebody said so.")
    assert "softmax" in called() and "no_such_entry" not in called()
