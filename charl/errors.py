"""Errors as values with spans, from the first token to the last kernel, and how they are rendered.

A `Diagnostic` is one mistake; `CharlError` carries all that were found and is the only exception that
user-facing entry points raise for bad input. Codes: E01xx syntax, E02xx shapes and types, E03xx names
and bindings, E04xx models and structs, E05xx differentiation, E06xx exports, dimensions and options,
E07xx files and environment, E08xx arrays given to a loader, E09xx targets. `CODES` lists every one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from charl.source import Span

CODES: dict[str, str] = {}


def code(number: str, title: str) -> str:
    """Register a diagnostic code with its general meaning (docs/errors.md is made from these)."""
    assert number not in CODES or CODES[number] == title, number
    CODES[number] = title
    return number


@dataclass(frozen=True)
class Label:
    """A secondary place and what to say there."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One mistake: a code, a sentence, where, what else is involved, and how to mend it."""

    code: str
    message: str
    span: Span | None = None
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    severity: str = "error"  # or "warning"
    primary: str = ""  # text beside the caret


@dataclass(eq=False)
class CharlError(Exception):
    """Everything that was wrong with one input."""

    diagnostics: list[Diagnostic] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n\n".join(render(d) for d in self.diagnostics)


class InternalError(Exception):
    """A defect of Charl itself: which stage, and what it was given."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(f"internal error in {stage}: {message}")
        self.stage = stage


def fail(code_: str, message: str, span: Span | None = None, **more: object) -> CharlError:
    """A `CharlError` of one diagnostic, to be raised."""
    return CharlError([Diagnostic(code_, message, span, **more)])  # type: ignore[arg-type]


def render(d: Diagnostic, colour: bool = False) -> str:
    """Text of a diagnostic in the style of Rust's compiler, in the colours of a terminal when asked."""
    from charl import render as rendering

    return rendering.coloured(d) if colour else rendering.plain(d)
