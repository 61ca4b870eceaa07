"""Compiles and runs the self-test of a package."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from charl.runtime.native import write
from tests.support import compiler


def compiled_selftest(folder: Path, files: Mapping[str, bytes]) -> tuple[int, str]:
    """Exit status and output of the self-test of a package, built in `folder`."""
    write(files, folder)
    program = folder / "selftest"
    sources = sorted(str(p) for p in folder.glob("*.c"))
    command = [
        str(compiler()),
        "-std=c99",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Wshadow",
        "-Werror",
        *sources,
        "-o",
        str(program),
        "-lm",
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], capture_output=True, text=True)
    return ran.returncode, ran.stdout
