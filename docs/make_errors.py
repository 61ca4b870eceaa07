"""Writes errors.md from the codes that the modules register. `--check` only says whether the file is current.

Enters: `charl.errors.CODES`, filled by importing every module of the package. Leaves: docs/errors.md.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import charl
from charl.errors import CODES

PAGE = Path(__file__).parent / "errors.md"

GROUPS = {
    "E01": "Syntax",
    "E02": "Shapes and types",
    "E03": "Names and bindings",
    "E04": "Models and structs",
    "E05": "Differentiation",
    "E06": "Exports, dimensions and options",
    "E07": "Files and environment",
    "E08": "Arrays given to a loader",
    "E09": "Targets",
}

HEAD = """# Diagnostics

Every mistake that Charl reports has a code. One run reports all mistakes of a file, each with the source line, the
shapes under the names that the program gave them, and a help line where there is a likely fix. Exit status 1.

`python docs/make_errors.py` writes this page from the codes that the compiler registers.
"""


def page() -> str:
    """The text of errors.md."""
    for module in pkgutil.walk_packages(charl.__path__, "charl."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    lines = [HEAD]
    for group, title in GROUPS.items():
        codes = sorted(code for code in CODES if code.startswith(group))
        if codes:
            lines += [f"## {title}", "", "| code | meaning |", "|---|---|"]
            lines += [f"| {code} | {CODES[code].replace('|', chr(92) + '|')} |" for code in codes] + [""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
