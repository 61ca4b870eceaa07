"""Definitions of the exported functions, line by line, and what the code of a package holds beside them.

Enters: the `Entry` of a function, and which parts a package needs. Leaves: lines and sections for `package.c.j2`, which only
puts them in order.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from charl import templating
from charl.backends.c import text
from charl.backends.c.api import Api, Function
from charl.backends.c.checks import Check
from charl.backends.c.entry import Entry
from charl.backends.c.quoting import located, plain, quoted
from charl.backends.c.spelling import C_TYPES
from charl.backends.c.timing import Timers
from charl.loops.ir import For
from charl.loops.walk import statements
from charl.plan.ir import loops

# What holds for an element that is NaN; half floats are their bits.
_NAN = {
    "bf16": "(x[i] & 0x7fff) > 0x7f80",
    "f16": "(x[i] & 0x7fff) > 0x7c00",
    **dict.fromkeys(("f32", "f64"), "x[i] != x[i]"),
}


def function(api: Api, e: Entry, flush: bool) -> dict[str, Any]:
    """The definition of an exported function, and of its workspace query. `flush`: subnormal numbers count as zero inside."""
    return {
        "signature": text.signature(api, e.function),
        "workspace_body": _workspace_query(e),
        "lines": list(_lines(api, e, flush)),
    }


def _workspace_query(e: Entry) -> list[str]:
    f = e.function
    if not f.dimensions:
        return []
    unused = [d.name for d in f.dimensions if d.name not in e.workspace_symbols]
    return [
        "",
        text.workspace_head(f),
        "{",
        *(f"    (void){name};" for name in unused),
        f"    return (size_t)({e.workspace});",
        "}",
    ]


def _lines(api: Api, e: Entry, flush: bool) -> Iterator[str]:
    """Everything between the braces."""
    yield f"#ifdef {api.upper}_DEBUG"
    yield f"    const int reports = {api.prefix}_reports;"
    if any(c.nans for c in e.calls):
        yield "    int nan_seen = 0;"
    yield "#endif"
    yield from (f"    (void){name};" for name in e.unused)
    yield from _checks(api, e)
    yield from _overlaps(api, e)
    if "workspace" not in e.unused:
        yield "    unsigned char *const arena = (unsigned char *)workspace;"
        yield from (f"    {line}" for line in e.locals)
        yield ""
    switched = flush and bool(e.calls)
    every = ["    EVERY_THREAD"] if switched and _threads(e.function) else []
    if switched:
        yield "    const uint64_t float_mode = float_mode_get();"
        yield ""
        yield from every
        yield "    float_mode_set(float_mode | FLUSHES_SUBNORMALS);"
    for call in e.calls:
        yield from (f"    {line}" for line in (*call.lines, *call.nans))
    if switched:
        yield from every
        yield "    float_mode_set(float_mode);"
    yield f"#ifdef {api.upper}_DEBUG"
    yield f"    if ({api.prefix}_reports != reports)"
    yield f"        return {api.upper}_CHECK_FAILED;"
    yield "#endif"
    yield f"    return {api.upper}_OK;"


def _checks(api: Api, e: Entry) -> Iterator[str]:
    if e.checks:
        yield f"#ifndef {api.upper}_NO_CHECKS"
        for c in e.checks:
            yield from (f"    {line}" for line in _condition(c))
            yield f"        return {c.status};"
        yield "#endif"


def _condition(c: Check) -> list[str]:
    comment = f" /* {plain(c.comment)} */" if c.comment else ""
    words = f"if ({c.condition}){comment}".replace(" == ", "\0==\0")
    lines = textwrap.wrap(
        words, 102, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\0", " ") for line in lines]


def _overlaps(api: Api, e: Entry) -> Iterator[str]:
    if e.regions:
        yield f"#ifdef {api.upper}_DEBUG"
        yield f"    const struct {api.prefix}_region regions[{len(e.regions)}] = {{"
        for r in e.regions:
            yield f"        {{{r.name}, {r.pointer}, {r.bytes}, {'true' if r.written else 'false'}}},"
        yield "    };"
        where = quoted(located(e.function.export.span))
        yield f"    {api.prefix}_overlaps({where}, regions, {len(e.regions)});"
        yield "#endif"


def _threads(f: Function) -> bool:
    """Whether a kernel of the function may run on several threads."""
    assert f.plan is not None
    nests = (n for c in f.plan.calls for n in c.kernel.nests)
    if any(r.threads is not None for r in loops(f.plan.steps)):
        return True
    return any(isinstance(s, For) and s.kind in ("parallel", "each") for n in nests for s in statements(n))


def reports(api: Api, entries: Iterable[Entry], kernels: list[str]) -> tuple[list[str], list[str]]:
    """What debug builds look for, as sections; and the macros that say nothing in other builds."""
    calls = [n for e in entries for c in e.calls for n in c.nans]
    types = [t for t in _NAN if any(f"_{t.upper()}(" in n for n in calls)]
    macros = [f"{api.upper}_NAN_{t.upper()}(x, count, name, where)" for t in types]
    sections = [_section("nan", api, type=t, macro=t.upper(), c_type=C_TYPES[t], test=_NAN[t]) for t in types]
    if any(e.regions for e in entries):
        sections.insert(0, _section("overlaps", api))
    at_once = f"{api.upper}_AT_ONCE"
    on_threads = any(at_once in line for e in entries for c in e.calls for line in c.lines)
    if on_threads:
        sections.append(f"/* Reports come in order. */\n#define {at_once}(pays) false")
    if any(f"{api.upper}_CHECK(" in k for k in kernels):
        macros.append(f"{api.upper}_CHECK(condition, message, where)")
        report = f'{api.prefix}_report(where, message, "", "")'
        sections.append(f"#define {macros[-1]} ((condition) ? (void)0 : {report})")
    release = [f"#define {macro} ((void)0)" for macro in macros]
    return sections, release + [f"#define {at_once}(pays) (pays)"] * on_threads


def clocks(api: Api, timers: Timers) -> str:
    """The arrays that a profiler reads, and the functions that add to them."""
    return _section("profile", api, count=str(timers.count))


def _section(name: str, api: Api, **values: str) -> str:
    return templating.fill(f"c/{name}.c.j2", p=api.prefix, u=api.upper, **values).rstrip("\n")
