"""What begins with a colon. One table: the name, what it takes, what it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from charl.elaborate import values as v
from charl.elaborate.names import suggest
from charl.errors import fail
from charl.repl.session import E_NOTHING, Session


class Leave(Exception):
    """The session ends."""


class Command(NamedTuple):
    takes: str
    does: str
    run: Callable[[Session, str], list[str]]


def _type(session: Session, text: str) -> list[str]:
    return [v.describe_value(session.value(text))]


def _grad(session: Session, text: str) -> list[str]:
    return [session.gradient(text)]


def _graph(session: Session, text: str) -> list[str]:
    return [session.graph(text)]


def _load(session: Session, text: str) -> list[str]:
    return session.load(Path(text))


def _names(session: Session, text: str) -> list[str]:
    own = {**session.definitions.names, **session.variables.names}
    return [f"{n}: {v.describe_value(b.value)}" for n, b in own.items()] or ["nothing yet"]


def _help(session: Session, text: str) -> list[str]:
    usage = [f"  :{name} {c.takes}".ljust(18) + c.does for name, c in COMMANDS.items()]
    return [
        "Type an expression to see its value, a statement (`let x = [1.0, 2.0]`), or a definition (`fn`, `model`, `struct`,",
        "`const`, `from nn import Dense`). An open bracket goes on in the next line. Tab completes names, also behind a dot.",
        *usage,
    ]


def _quit(session: Session, text: str) -> list[str]:
    raise Leave


COMMANDS: dict[str, Command] = {
    "type": Command("e", "the type of an expression, without computing it", _type),
    "grad": Command("f", "the graph of the derivative of a function; `:grad f(x)`: the gradient at x", _grad),
    "graph": Command("e", "the graph of an expression, or of a function", _graph),
    "load": Command("file", "take over what a file declares", _load),
    "names": Command("", "what has been declared here", _names),
    "help": Command("", "this text", _help),
    "quit": Command("", "leave", _quit),
}


def command(session: Session, text: str) -> list[str]:
    """Run a command, such as `:type x`. Raises CharlError, or Leave."""
    name, _, rest = text[1:].partition(" ")
    found = COMMANDS.get(name) or COMMANDS.get({"q": "quit", "t": "type", "h": "help"}.get(name, ""))
    if found is None:
        help_ = suggest(name, COMMANDS) or f"there are {', '.join(f':{n}' for n in COMMANDS)}"
        raise fail(E_NOTHING, f"there is no command `:{name}`", help=help_)
    if found.takes and not rest.strip():
        raise fail(E_NOTHING, f"`:{name}` takes {found.takes}", help=f":{name} {found.takes}: {found.does}")
    return found.run(session, rest.strip())
