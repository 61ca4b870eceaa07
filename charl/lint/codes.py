"""The codes of the warnings."""

from __future__ import annotations

from charl.errors import Diagnostic, Label, code
from charl.source import Span

W_VARIABLE = code("W0740", "a variable is never used")
W_PARAMETER = code("W0741", "a parameter is never used")
W_IMPORT = code("W0742", "an import is never used")
W_ITEM = code("W0743", "a declaration is never used")
W_MUT = code("W0744", "a `mut` is never changed")
W_DIMENSION = code("W0745", "a dimension is shadowed")
W_STREAM = code("W0746", "a random stream is used twice")
W_UNREACHABLE = code("W0747", "code that is never reached")


def warning(
    number: str, message: str, span: Span, help_: str | None = None, labels: tuple[Label, ...] = ()
) -> Diagnostic:
    """A warning; `help_` says how to mend it."""
    return Diagnostic(number, message, span, labels, help=help_, severity="warning")
