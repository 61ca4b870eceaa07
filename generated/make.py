"""Writes the committed packages of this folder anew, as `charl transpile` makes them.

One row per package: the program, and the options that a user would give on the command line.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PACKAGES: dict[str, list[str]] = {
    "digits": ["examples/digits/digits.ch"],
}


def command(name: str, out: Path) -> list[str]:
    """The command that makes a package in `out`; run it in the root of the repository."""
    return [sys.executable, "-m", "charl", "transpile", *PACKAGES[name], "--out", str(out)]


def main() -> int:
    return max(
        subprocess.run(command(name, ROOT / "generated" / name), cwd=ROOT).returncode for name in PACKAGES
    )


if __name__ == "__main__":
    sys.exit(main())
