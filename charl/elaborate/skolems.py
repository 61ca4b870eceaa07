"""Skolem constants: what stands for anything of its kind while a body is checked once for all of its uses.

Enters: parameters of a signature or a declaration. Leaves: symbols for sizes and hyper-parameters, opaque types for type
parameters. What is proved of them holds for every value; never knows one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from charl import dtypes, ops
from charl.dims import sym
from charl.dtypes import DType
from charl.elaborate import values as v
from charl.elaborate.scope import Scope
from charl.elaborate.types import (
    Matcher,
)
from charl.graph.ir import TensorType
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator


def symbolic(el: Elaborator, p: Any, text: str, scope: Scope) -> Any:
    """A hyper-parameter that may be anything of its type."""
    t = p.type
    name = t.name.name if isinstance(t, ast.NamedType) else ""
    if isinstance(t, ast.FnType) or name == "fn":
        return v.OpaqueFunction(text, t, scope)
    if name == "int":
        return el.worlds.symbol(text)
    if name in ("float", "bool"):
        return unknown(name, text)
    if t is None and p.default is not None:
        default = el.known(p.default, scope)
        if isinstance(default, v.FUNCTIONS):
            return v.OpaqueFunction(text, None, scope)
        if isinstance(default, (bool, float)):
            return unknown("bool" if isinstance(default, bool) else "float", text)
        return el.worlds.symbol(text) if isinstance(default, int) else default
    if p.default is not None:
        return el.known(p.default, scope)
    raise v.Silenced


@cache
def unknown(kind: str, text: str) -> v.Unknown:
    """A compile-time float or bool known by name only: the same one for the same name, as sizes are."""
    return v.Unknown(kind, text, lambda t: ops.parameter(text, TensorType(t, ())))


def opaque(name: str, bound: str | None) -> Any:
    """A type parameter in the check of a generic body."""
    if bound is not None:
        kind = "float" if bound in ("float", "number") else "int"
        like = dtypes.f32 if kind == "float" else dtypes.i32
        return DType(name, kind, like.bytes, like.numpy)
    return v.OpaqueType(name, TensorType(dtypes.f32, (sym(f"{name}.0"), sym(f"{name}.1"))))


def dimensions(
    matcher: Matcher, types: list[Any], prefix: str = "", symbol: Callable[[str], Any] = sym
) -> None:
    """Bind every unbound bare dimension of some parameter types to a symbol of its own name (or what `symbol` makes of it).

    A pack becomes two dimensions: what a body says must hold for any number of them, and is checked for that.
    """
    for t in types:
        for node in _outside_functions(t) if t is not None else ():
            dims = node.dims if isinstance(node, (ast.TensorType, ast.StackType)) else ()
            if isinstance(node, ast.RunType):
                dims = (node.count,)
            if isinstance(node, ast.NamedType) and node.args is not None:
                dims = tuple(a.value for a in node.args)
            for d in dims:
                if isinstance(d, ast.Pack) and matcher.lookup(d.name.name) is None:
                    parts = tuple(symbol(f"{d.name}.{i}") for i in range(2))
                    matcher.scope.bind(d.name.name, v.Run(parts, 2), d.span)
                elif isinstance(d, ast.Name) and matcher.scope.find(d.name) is None:
                    matcher.scope.bind(d.name, symbol(prefix + d.name), d.span)


def _outside_functions(t: Any) -> Iterator[Any]:
    """A type expression and what is below it; the names of function types are their own."""
    if isinstance(t, ast.FnType):
        return
    yield t
    for c in ast.children(t):
        yield from _outside_functions(c)
