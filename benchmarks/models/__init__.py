"""Cases, a module for each program beside it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from benchmarks.case import Case

HERE = Path(__file__).parent


def all_cases() -> list[Case]:
    """The cases of every model, in the order in which a report shows them."""
    found = [p.stem for p in HERE.glob("*.py") if p.stem != "__init__"]
    modules = [import_module(f"benchmarks.models.{name}") for name in sorted(found)]
    modules.sort(key=lambda m: m.ORDER)
    return [case for module in modules for case in module.CASES]
