"""Modules: sources parsed, their names bound, imports resolved, the prelude around everything.

Enters: a source. Leaves: a `Module` with the scope of its names. Library files are parsed only when something imports
them (the prelude always), and stay parsed for the life of the process. Bodies are not looked at here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charl.elaborate import custom, methods
from charl.elaborate import values as v
from charl.elaborate.names import closest, suggest
from charl.elaborate.scope import Scope
from charl.elaborate.types import Alias
from charl.errors import CharlError, Label, code, fail
from charl.source import Source
from charl.syntax import ast, declarations, parse

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

DUPLICATE = code("E0309", "a name is declared twice")
NO_MODULE = code("E0310", "what is imported does not exist")
CYCLE = code("E0317", "files or constants depend on each other")

LIBRARY = Path(__file__).resolve().parent.parent / "lib"
# Modules whose names are in scope without import; each sees those before it.
PRELUDE = ("math", "order", "random", "activation", "loss", "init", "attention")


@dataclass(eq=False)
class Module:
    """One file with its names."""

    name: str
    source: Source
    ast: Any
    scope: Scope
    is_library: bool
    methods: dict[Any, Any] = field(default_factory=dict)


@cache
def _primitives() -> Scope:
    from charl.elaborate import builtins_shape, builtins_windows, einsum
    from charl.elaborate.builtins import BUILTINS

    assert builtins_shape and builtins_windows and einsum  # imported for what they register
    scope = Scope()
    for name, b in BUILTINS.items():
        scope.bind(name, b)
    scope.bind("infinity", float("inf"))
    return scope


@cache
def library(name: str) -> Module | None:
    """A module of the library, without its constants' values checked; None where there is none."""
    path = LIBRARY / f"{name}.ch"
    if not name.isidentifier() or not path.is_file():
        return None
    source = Source(f"{name}.ch", path.read_text(encoding="utf-8"))
    tree, diagnostics = parse(source)
    if diagnostics:
        raise CharlError(diagnostics)
    before = PRELUDE[: PRELUDE.index(name)] if name in PRELUDE else PRELUDE
    return Module(name, source, tree, Scope(_scope(before)), True)


@cache
def _scope(parts: tuple[str, ...]) -> Scope:
    """The names of some modules of the prelude, the last of which sees the others."""
    if not parts:
        return _primitives()
    module = library(parts[-1])
    assert module is not None, parts[-1]
    _bound(module)
    return module.scope


def _bound(module: Module) -> None:
    """Bind the names of a module of the library, and keep its gradient rules for every program."""
    from charl.elaborate.elaborator import LIBRARY_RULES, Elaborator

    el = Elaborator()
    populate(el, module, [])
    LIBRARY_RULES.update(el.rules.maps[0])


@cache
def prelude() -> Scope:
    """The names that are in scope without import, all in one place: nearly every look-up ends there."""
    chain: list[Scope] = []
    scope: Scope | None = _scope(PRELUDE)
    while scope is not None:
        chain.append(scope)
        scope = scope.parent
    return Scope(None, {n: b for s in reversed(chain) for n, b in s.names.items()})


def rng_type() -> v.InstanceType:
    """The type of streams of random numbers."""
    found = prelude().find("Rng")
    assert found is not None
    return v.InstanceType(found.value, ())


def help_for(name: str, visible: Iterable[str]) -> str | None:
    """What may have been meant by a name that stands for nothing: a name of the library to import, or one like it."""
    offered = _offered()
    if name not in offered:
        near = suggest(name, visible)
        if near is not None:
            return near
        likely = closest(name, offered, cutoff=0.75)
        if likely is None:
            return None
        name = likely
    return f"`from {offered[name]} import {name}` brings it in scope"


@cache
def _offered() -> dict[str, str]:
    """The names that a program imports from the library, with their modules: `nn` where it passes them on."""
    out: dict[str, str] = {}
    for stem in ("nn", *sorted(p.stem for p in LIBRARY.glob("*.ch"))):
        module = library(stem) if stem not in PRELUDE else None
        for item in module.ast.items if module is not None else ():
            names = item.names if isinstance(item, declarations.Import) else (item,)
            for n in names:
                if isinstance(n.name, ast.Name):
                    out.setdefault(n.name.name, stem)
    return out


_POPULATED: set[str] = set()


def library_module(name: str) -> Module | None:
    """A module of the library with its names bound."""
    prelude()
    module = library(name)
    if module is not None and name not in _POPULATED and name not in PRELUDE:
        _POPULATED.add(name)
        _bound(module)
    return module


def load(el: Elaborator, source: Source, chain: list[str]) -> Module:
    """A user's file. Syntax errors are reported; what could be read is there."""
    tree, diagnostics = parse(source)
    if diagnostics:
        el.report(CharlError(diagnostics))
    module = Module(Path(source.path).stem, source, tree, Scope(prelude()), False)
    for name in sorted(tree.broken):  # told with the syntax errors: their uses are not errors too
        module.scope.bind(name, v.ERROR)
    populate(el, module, chain)
    return module


def populate(el: Elaborator, module: Module, chain: list[str]) -> None:
    """Bind the names of a module: imports, declarations, functions, then constants in order."""
    for item in module.ast.items:
        if isinstance(item, declarations.Import):
            with el.guarded():
                _import(el, module, item, chain)
    for item in module.ast.items:
        with el.guarded():
            _declare(module, item)
    _constants(el, module)
    for item in module.ast.items:
        for m in getattr(item, "methods", ()):
            with el.guarded():
                custom.refuse(m)
        binding = module.scope.names.get(item.name.name) if isinstance(item, declarations.Function) else None
        if binding is not None and binding.span == item.name.span:
            with el.guarded():
                custom.declare(el, module, item, binding.value)


def _declare(module: Module, item: Any) -> None:
    scope = module.scope
    value: Any
    if isinstance(item, declarations.Function):
        value = methods.make_function(item, scope, module)
    elif isinstance(item, (declarations.Struct, declarations.Model)):
        kind = "model" if isinstance(item, declarations.Model) else "struct"
        value = v.Declaration(item.name.name, kind, item, module, scope)
    elif isinstance(item, declarations.TypeAlias):
        value = Alias(item, scope)
    elif isinstance(item, declarations.Const):
        value = v.ERROR
    else:
        return
    _bind(module, item.name, value)
    for m in (item, *getattr(item, "methods", ())):
        _once([p.name for p in getattr(m, "params", ())])
    _once([f.name for f in (*getattr(item, "fields", ()), *getattr(item, "methods", ()))])


def _once(names: list[ast.Name]) -> None:
    """Refuses a name that stands twice among parameters or members."""
    first: dict[str, ast.Name] = {}
    for n in names:
        if n.name in first:
            labels = (Label(first[n.name].span, "declared here first"),)
            raise fail(DUPLICATE, f"`{n}` is declared twice", n.span, labels=labels)
        first[n.name] = n


def _bind(module: Module, name: ast.Name, value: Any) -> None:
    old = module.scope.names.get(name.name)
    if old is not None:
        labels = (Label(old.span, "declared here first"),) if old.span is not None else ()
        raise fail(DUPLICATE, f"`{name}` is declared twice", name.span, labels=labels)
    module.scope.bind(name.name, value, name.span)


def _constants(el: Elaborator, module: Module) -> None:
    """Constants in any order: those that need others wait for them."""
    waiting = [i for i in module.ast.items if isinstance(i, declarations.Const)]
    failed = False
    while waiting:
        later = []
        for item in waiting:
            try:
                _constant(el, module, item)
            except v.Silenced:
                later.append(item)
            except CharlError as e:
                el.report(e)
                failed = True
        if len(later) == len(waiting):
            if not failed and not el.diagnostics:
                names = ", ".join(f"`{i.name}`" for i in later)
                el.report(fail(CYCLE, f"constants depend on each other: {names}", later[0].name.span))
            return
        waiting = later


def _constant(el: Elaborator, module: Module, item: declarations.Const) -> None:
    from charl.elaborate.statements import annotated

    binding = module.scope.names[item.name.name]
    if binding.span != item.name.span:
        return
    value = el.known(item.value, module.scope)
    if item.type is not None:
        value = annotated(el, item.type, value, item.value.span, module.scope)
    binding.value = value


def _import(el: Elaborator, module: Module, item: declarations.Import, chain: list[str]) -> None:
    found = None
    try:
        found = _file(el, module, item, chain) if item.is_path else library_module(item.module)
    finally:
        if found is None:  # told once: their uses are not errors too
            for n in item.names:
                module.scope.bind((n.alias or n.name).name, v.ERROR, n.span)
    if found is None:
        names = sorted(p.stem for p in LIBRARY.glob("*.ch"))
        raise fail(
            NO_MODULE,
            f"the library has no module `{item.module}`",
            item.module_span,
            help=suggest(item.module, names),
        )
    for n in item.names:
        binding = found.scope.names.get(n.name.name)
        with el.guarded():
            _bind(module, n.alias or n.name, binding.value if binding is not None else v.ERROR)
            if binding is None:
                known = found.scope.names
                help_ = suggest(n.name.name, known)
                raise fail(NO_MODULE, f"`{item.module}` has no `{n.name}`", n.name.span, help=help_)


def _file(el: Elaborator, module: Module, item: declarations.Import, chain: list[str]) -> Module:
    """A file by its path relative to the one that imports it; whoever imports it, it is one module."""
    path = os.path.normpath(Path(module.source.path).parent / item.module)
    key = os.path.realpath(path)
    chain = [*chain, module.source.path]
    same = [i for i, p in enumerate(chain) if os.path.realpath(p) == key]
    if same:
        circle = " → ".join([*chain[same[0] :], path])
        message = (
            "this file imports itself" if len(chain) - same[0] == 1 else f"files import each other: {circle}"
        )
        raise fail(
            CYCLE, message, item.module_span, help="move what both need into a file that imports neither"
        )
    if key not in el.files:
        el.files[key] = load(el, _read(path, item), chain)
    found: Module = el.files[key]
    return found


def _read(path: str, item: declarations.Import) -> Source:
    try:
        return Source(path, Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) and e.strerror else "it is not UTF-8 text"
        raise fail(
            NO_MODULE,
            f"cannot read {path}: {why}",
            item.module_span,
            help="a path is relative to the file that imports it",
        ) from None
