"""From an AST to a checked program: types, compile-time evaluation, generics, graphs. See `elaborate`."""

from charl.elaborate.program import elaborate

__all__ = ["elaborate"]
