"""How many bytes of machine code the functions of a package are, as the compiler at hand makes them.

Enters: the files of a package. Leaves: bytes by function, and what compiled them; nothing where there is no compiler. It compiles
with the flags that the package's own build file has, into a folder that is gone afterwards. Never writes into the package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FLAGS = re.compile(r"^cflags = (.*)$", re.MULTILINE)
_WARNINGS = ("-Wall", "-Wextra")
_CODE = "tTwW"  # types of symbols of `nm` that are code


@dataclass(frozen=True)
class CodeSizes:
    """`functions`: bytes by C name; what a compiler inlined into another function counts there. `command`: what compiled."""

    functions: Mapping[str, int]
    command: str


def code_sizes(files: Mapping[str, bytes], name: str) -> CodeSizes | None:
    """The functions of `<name>.c`; None where no compiler or no `nm` is found, or they refuse it."""
    found = (shutil.which(c) for c in (os.environ.get("CC", ""), "cc", "gcc", "clang") if c)
    compiler, nm = next((c for c in found if c), None), shutil.which("nm")
    if compiler is None or nm is None:
        return None
    given = _FLAGS.search(files["build.ninja"].decode())
    flags = [f for f in (given[1].split() if given else ()) if f not in _WARNINGS]
    with tempfile.TemporaryDirectory() as folder:
        for path, data in files.items():
            if path.endswith((".c", ".h")):
                (Path(folder) / path).write_bytes(data)
        made = Path(folder) / f"{name}.o"
        compiled = [compiler, *flags, "-c", f"{name}.c", "-o", str(made)]
        listed = [nm, "-P", "-t", "d", str(made)]
        try:
            subprocess.run(compiled, cwd=folder, check=True, capture_output=True)
            text = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        symbol, kind, *numbers = line.split()
        if kind in _CODE and len(numbers) == 2:
            function = symbol.split(".")[
                0
            ]  # a part or a copy that the compiler made (`f.constprop.0`) is of the function
            sizes[function] = sizes.get(function, 0) + int(numbers[1])
    return CodeSizes(sizes, " ".join([Path(compiler).name, *flags])) if any(sizes.values()) else None
