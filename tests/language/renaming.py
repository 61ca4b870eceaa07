"""A program whose every own name is a word that some target reserves.

Enters: a source. Leaves: the same program under other names, and the table of them. Names of the library and of the language
stay: `axis`, `relu`, `forward`.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator

from charl import dtypes
from charl.backends.c.words import RESERVED as C
from charl.backends.wgsl.reserved import RESERVED as WGSL
from charl.elaborate.modules import prelude
from charl.elaborate.types import PLAIN
from charl.source import Source
from charl.syntax import ast, declarations, parse
from charl.syntax.tokens import HARD_KEYWORDS, SOFT_KEYWORDS

# What the tables of the backends do not hold, since no C and no shader cares.
OTHERS = {
    "JavaScript": """
        arguments await break case catch class constructor debugger default delete do enum eval extends finally function
        implements instanceof interface new null package private protected prototype public static super switch this throw
        try typeof undefined var void with""",
    "C++": """
        alignas alignof and_eq asm bitand bitor catch char8_t char16_t compl concept consteval constexpr const_cast co_await
        co_return decltype delete dynamic_cast explicit export friend mutable namespace new noexcept not_eq nullptr operator
        or_eq private protected public reinterpret_cast requires static_assert static_cast template this thread_local throw
        try typeid typename using virtual wchar_t xor xor_eq""",
}
KEPT = frozenset({"forward", "init", "main", "self", "rng", "training", "Grad", "_", *PLAIN, *dtypes.ALL})


def words() -> list[str]:
    """Reserved words that Charl does not reserve itself, those of several languages first."""
    lists = [sorted(C), sorted(WGSL), sorted(keyword.kwlist), *(text.split() for text in OTHERS.values())]
    every = sorted({w for names in lists for w in names}, key=lambda w: (-sum(w in x for x in lists), w))
    charl = {*HARD_KEYWORDS, *SOFT_KEYWORDS, *KEPT}
    library = set(prelude().visible())
    return [w for w in every if w.isidentifier() and w.isascii() and w not in charl and w not in library]


def renamed(source: Source) -> tuple[Source, dict[str, str]]:
    """The program with reserved words for names, in the order in which it declares them."""
    module, found = parse(source)
    assert not found
    own = list(dict.fromkeys(n for n in _declared(module) if n not in KEPT))
    table = dict(zip(own, words(), strict=False))
    assert len(table) == len(own), "more names than words"
    functions = {i.name.name: i for i in module.items if isinstance(i, declarations.Function)}
    methods = {m.name.name for i in module.items for m in getattr(i, "methods", ())}
    types = {i.name.name for i in module.items if isinstance(i, (declarations.Struct, declarations.Model))}
    others = {id(n) for n in _foreign(module, {*functions, *methods, *types})}
    text = source.text
    names = (
        n for n in ast.walk(module) if isinstance(n, ast.Name) and n.name in table and id(n) not in others
    )
    places = sorted({(n.span.start, n.span.end) for n in names if n.span.text == n.name}, reverse=True)
    for start, end in places:
        text = text[:start] + table[text[start:end]] + text[end:]
    return Source(source.path, text), table


def _declared(module: declarations.Module) -> Iterator[str]:
    """Names that a file introduces: items, parameters, members, variables, dimensions."""
    imported = {
        (n.alias or n.name).name for i in module.items if isinstance(i, declarations.Import) for n in i.names
    }
    library = set(prelude().visible())
    used = {
        n.callee.name for n in ast.walk(module) if isinstance(n, ast.Call) and isinstance(n.callee, ast.Name)
    }
    for n in ast.walk(module):
        if isinstance(
            n,
            (
                declarations.Function,
                declarations.Struct,
                declarations.Model,
                declarations.Const,
                declarations.TypeAlias,
                declarations.Param,
                declarations.Field,
                declarations.Generic,
            ),
        ):
            if not (n.name.name in library and n.name.name in used):
                yield n.name.name
        elif isinstance(n, ast.NamePattern):
            yield n.name.name
        elif isinstance(n, ast.TensorType):
            yield from (
                d.name for d in n.dims if isinstance(d, ast.Name) and d.name not in imported | library
            )


def _foreign(module: declarations.Module, own: set[str]) -> Iterator[ast.Name]:
    """Names of the language or the library although the file declares the same word: `x.T`, named arguments of functions."""
    data = [i for i in module.items if isinstance(i, (declarations.Struct, declarations.Model))]
    members = {m.name.name for i in data for m in (*i.fields, *i.methods, *i.params)}
    for n in ast.walk(module):
        if isinstance(n, ast.Member) and n.name.name not in members:
            yield n.name
        if isinstance(n, (ast.Call, ast.NamedType)):
            callee = n.callee if isinstance(n, ast.Call) else n.name
            name = callee.name.name if isinstance(callee, ast.Member) else getattr(callee, "name", "")
            if name not in own or (isinstance(callee, ast.Member) and name in ("init", "update")):
                yield from (a.name for a in n.args or () if a.name is not None)
