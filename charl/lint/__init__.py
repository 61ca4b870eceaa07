"""What is allowed but hardly meant: `charl check` warns about it. Enters a module's AST, leave warnings in the order of the text.

A name that begins with `_` says that it is meant. Only programs without errors are looked at.
"""

from __future__ import annotations

from charl.errors import Diagnostic
from charl.lint.names import name_warnings
from charl.lint.statements import unreachable
from charl.lint.streams import stream_warnings
from charl.syntax import ast, declarations


def warnings(module: declarations.Module) -> list[Diagnostic]:
    """Every warning about a file, in the order of the text."""
    nodes = list(ast.walk(module))
    found = [*name_warnings(module, nodes), *unreachable(nodes), *stream_warnings(nodes)]
    return sorted(found, key=lambda d: d.span.start if d.span is not None else 0)
