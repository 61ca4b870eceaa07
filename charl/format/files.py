"""`charl fmt` over files and folders.

Enters paths, leaves formatted files, or what would change. A file is replaced whole or left as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from charl.errors import code, fail
from charl.output import replace_file

E_NO_PROGRAMS = code("E0740", "a folder holds no program")
E_REPLACE = code("E0741", "a file cannot be replaced")


def programs(paths: Sequence[Path]) -> Iterator[Path]:
    """The files that are meant: files as given, and every `.ch` below a folder, hidden folders aside.

    Raises CharlError (E0740) for a folder without one.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in path.rglob("*.ch") if not _hidden(p.relative_to(path)))
        if not found:
            raise fail(E_NO_PROGRAMS, f"{path} holds no `.ch` file", help="check the path")
        yield from found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def difference(before: str, after: str, name: str) -> str:
    """A unified difference."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (formatted)"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def rewrite(path: Path, data: bytes) -> None:
    """Put `data` into a file that exists, keeping its mode and what links to it; all of it, or nothing.

    Raises CharlError (E0741) where that is impossible.
    """
    target = path.resolve()
    try:
        replace_file(target, data, target.stat().st_mode & 0o7777)
    except OSError as e:
        reason = e.strerror or str(e)
        raise fail(
            E_REPLACE, f"cannot replace {path}: {reason}; it is as it was", help="check permissions and space"
        ) from e
