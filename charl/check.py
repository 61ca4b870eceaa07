"""`charl check`: what is wrong with a file, and what in it is hardly meant.

Enters a path. Leaves the names of its exports and its warnings, or raises CharlError with its mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from charl.collecting import collecting_later
from charl.errors import Diagnostic


@dataclass(frozen=True)
class Checked:
    """A file without mistakes."""

    exports: list[str]
    warnings: list[Diagnostic]


@collecting_later()
def check_file(path: Path) -> Checked:
    """Check every body for all its instances, and every export at its defaults."""
    from charl.compile import read_source
    from charl.elaborate import elaborate
    from charl.lint import warnings
    from charl.syntax import parse

    source = read_source(path)
    program = elaborate(source)
    exports = [e.name for e in program.exports if e.role == "export"]
    return Checked(exports, warnings(parse(source)[0]))
