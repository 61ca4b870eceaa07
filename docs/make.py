"""Writes what is derived in the documentation: the table of codes, the library's comments, files quoted in pages.

Enters: `charl.errors.CODES`, filled by importing every module of the package; pages with `<!-- quote: path -->` before a
code block. Leaves: errors.md, library.md, and the pages with the block holding the file as it is now. `--check` writes
nothing, names what is out of date, and fails where anything is.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from pathlib import Path

import charl
from charl.errors import CODES

sys.path.insert(0, str(Path(__file__).resolve().parent))
from library_page import library_page

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

GROUPS = {
    "01": "Syntax",
    "02": "Shapes and types",
    "03": "Names and bindings",
    "04": "Models and structs",
    "05": "Differentiation",
    "06": "Exports, dimensions and options",
    "07": "Files and environment",
    "08": "Arrays given to a loader",
    "09": "Targets",
}

HEAD = """# Diagnostics

Every mistake that Charl reports has a code. One run reports all mistakes of a file, each with the source line, the shapes
under the names that the program gave them, and a help line where there is a likely fix. The exit status is then 1.

`python docs/make.py` writes this page from the codes that the compiler registers.
"""

QUOTE = re.compile(r"(<!-- quote: (\S+) -->\n)(?:```(\w*)\n.*?^```\n|\n)", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".ch": "charl", ".c": "c"}


def errors_page() -> str:
    """The text of errors.md."""
    for module in pkgutil.walk_packages(charl.__path__, "charl."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    lines = [HEAD]
    for group, title in GROUPS.items():
        codes = sorted(code for code in CODES if code[1:3] == group)
        if codes:
            lines += [f"## {title}", "", "| code | meaning |", "|---|---|"]
            lines += [f"| {code} | {CODES[code].replace('|', chr(92) + '|')} |" for code in codes] + [""]
    return "\n".join(lines).rstrip() + "\n"


def with_quotes(text: str) -> str:
    """A page with every quoted file as it is now."""

    def block(found: re.Match[str]) -> str:
        path = ROOT / found[2]
        quoted = path.read_text(encoding="utf-8").rstrip("\n")
        return f"{found[1]}```{LANGUAGES.get(path.suffix, '')}\n{quoted}\n```\n"

    return QUOTE.sub(block, text)


def main() -> int:
    wanted = {DOCS / "errors.md": errors_page(), DOCS / "library.md": library_page()}
    for page in (ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("examples/**/README.md"))):
        if page not in wanted:
            wanted[page] = with_quotes(page.read_text(encoding="utf-8"))
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for page in stale:
            print(f"{page.relative_to(ROOT)} is out of date: run python docs/make.py")
        return 1 if stale else 0
    for page in stale:
        page.write_text(wanted[page], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
