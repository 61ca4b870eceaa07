"""The LALR automaton of grammar.lark.

Enters: the grammar. Leaves: what to do in each state. Lark makes it, which takes longer than to parse most files; so it stands
beside the grammar as automaton.json, which `python -m charl.syntax` writes. A file that was made of another grammar
is not used. Never parses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

GRAMMAR = Path(__file__).with_name("grammar.lark")
MADE = Path(__file__).with_name("automaton.json")


class Reduction(NamedTuple):
    """To take the last `size` parts for a `symbol`, by what the builder calls `alias`."""

    size: int
    symbol: str
    alias: str


class Tables(NamedTuple):
    """What an LALR parser needs to know: per state and symbol, to shift to a state (or to go there) or to reduce."""

    states: list[Mapping[str, int | Reduction]]
    start: int
    end: int
    terminals: Mapping[str, str]  # spelling -> terminal
    aliases: frozenset[str]  # what the alternatives are called


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The automaton of the grammar, read once in a process."""
    found = json.loads(MADE.read_text(encoding="utf-8"))
    if found["grammar"] != _digest():
        found = json.loads(made())
    reductions = [Reduction(*r) for r in found["reductions"]]
    states: list[Mapping[str, int | Reduction]] = [
        {symbol: to if to >= 0 else reductions[-to - 1] for symbol, to in state.items()}
        for state in found["states"]
    ]
    aliases = frozenset(r.alias for r in reductions)
    return Tables(states, 0, found["end"], found["terminals"], aliases)


def made() -> str:
    """The text of automaton.json: per state and symbol the next state, or below zero the reduction, counted from -1 on."""
    from lark.parsers.lalr_analysis import Shift

    parser = construct()
    automaton = parser.parse_interactive().parser_state.parse_conf
    rules = sorted({(len(r.expansion), str(r.origin.name), str(r.alias)) for r in parser.rules})
    number = {rule: -k - 1 for k, rule in enumerate(rules)}
    numbers = {automaton.start_state: 0}  # as they are met: Lark's own depend on the order of sets
    waiting = [automaton.start_state]
    states: list[dict[str, int]] = []
    for state in waiting:
        states.append({})
        for symbol, (action, to) in sorted(automaton.states[state].items(), key=lambda item: str(item[0])):
            if action is not Shift:
                states[-1][str(symbol)] = number[len(to.expansion), str(to.origin.name), str(to.alias)]
                continue
            if to not in numbers:
                numbers[to] = len(waiting)
                waiting.append(to)
            states[-1][str(symbol)] = numbers[to]
    terminals = {str(t.pattern.value): str(t.name) for t in parser.terminals if t.pattern is not None}
    parts = {
        "grammar": _digest(),
        "end": numbers[automaton.end_state],
        "terminals": terminals,
        "reductions": rules,
        "states": states,
    }
    return _lines(parts)


def _lines(parts: Mapping[str, Any]) -> str:
    """JSON with a line for each rule and state, so that a change of the grammar can be read."""
    out = []
    for name, part in parts.items():
        if isinstance(part, list):
            text = "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in part) + "\n]"
        else:
            text = json.dumps(part)
        out.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(out) + "\n}\n"


def construct(debug: bool = False) -> Any:
    """Lark's parser of the grammar; with `debug` it logs conflicts."""
    import lark
    from lark.lexer import Lexer

    class NoLexer(Lexer):
        """Lark is asked for the automaton only."""

        def __init__(self, conf: object) -> None:
            pass

        def lex(self, lexer_state: object, parser_state: object) -> Any:
            return iter(())

    return lark.Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        lexer=NoLexer,
        start="module",
        keep_all_tokens=True,
        maybe_placeholders=False,
        debug=debug,
    )


def _digest() -> str:
    return sha256(GRAMMAR.read_bytes()).hexdigest()
