"""What is left behind when Charl itself fails: everything that is needed to see it fail again.

Enters: the program's path, the command line, the exception. Leaves: a folder with all three, and a sentence that names it.
Never raises.
"""

from __future__ import annotations

import platform
import shlex
import shutil
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path


def write_reproducer(file: Path, command: Sequence[str], error: BaseException) -> str:
    """Keep program, command and traceback in a new temporary folder; returns where, as a sentence."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="charl-internal-"))
        if file.is_file():
            shutil.copy(file, folder / file.name)
        lines = [
            f"command: {shlex.join(command)}",
            f"python {platform.python_version()} on {platform.platform()}",
            "",
            *traceback.format_exception(error),
        ]
        (folder / "traceback.txt").write_text("\n".join(lines), encoding="utf-8")
    except OSError as e:
        return f"No reproducer could be written: {e}."
    return f"Please report it with the folder {folder}, which holds a reproducer."
