"""The canonical text of a program: `charl fmt`. Enters a source without syntax errors, leaves text with the same AST and
the same comments."""

from charl.format.text import format_source

__all__ = ["format_source"]
