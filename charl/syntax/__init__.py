"""Text to AST. `parse` reads a source; what it says is in ast.py and declarations.py, what can be wrong with it in codes.py."""

from charl.syntax.parser import parse

__all__ = ["parse"]
