"""Writes the committed packages of this folder anew, as `charl transpile` makes them.

One row per package: the program, and the options that a user would give on the command line.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PACKAGES: dict[str, list[str]] = {
    "digits": ["examples/digits/digits.ch"],
}


def command(name: str, out: Path) -> list[str]:
    """The command that makes the package `out`; run it in the root of the repository."""
    return [sys.executable, "-m", "charl", "transpile", *PACKAGES[name], "--out", str(out.parent)]


def main() -> int:
    status = 0
    for name in PACKAGES:
        out = ROOT / "generated" / name
        if out.exists():
            shutil.rmtree(out)  # so that nothing stays which the compiler no longer writes
        status = max(status, subprocess.run(command(name, out), cwd=ROOT).returncode)
    return status


if __name__ == "__main__":
    sys.exit(main())
