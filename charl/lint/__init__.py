"""What is allowed but hardly meant: `charl check` warns about it. Enters a module's AST, leave warnings in the order of the text.

A name that begins with `_` says that it is meant. Only programs without errors are looked at.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from charl.errors import Diagnostic
from charl.lint.names import name_warnings
from charl.lint.statements import unreachable
from charl.lint.streams import stream_warnings
from charl.syntax import ast, declarations


def warnings(module: declarations.Module) -> list[Diagnostic]:
    """Every warning about a file, in the order of the text."""
    nodes: dict[type[ast.Node], list[Any]] = defaultdict(list)  # by class: each warning is about few of them
    for node in ast.walk(module):
        nodes[type(node)].append(node)
    bodies = [*nodes[declarations.Function], *nodes[declarations.Test]]
    found = [*name_warnings(module, nodes), *unreachable(nodes[ast.Block]), *stream_warnings(bodies)]
    return sorted(found, key=lambda d: d.span.start if d.span is not None else 0)
