"""Workers in processes of their own, stopped where they take too long.

Enters: a request. Leaves: the lines that the worker says, as they come, and one for a row that was stopped or whose process died.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from benchmarks.case import Case
from benchmarks.worker import GRACE, Request, row_of

ROOT = Path(__file__).parent.parent
MODULES = {
    "limits": "benchmarks.worker",
    "rows": "benchmarks.worker",
    "kernels": "benchmarks.kernels",
    "costs": "benchmarks.costs",
    "contractions": "benchmarks.sweep",
    "convolutions": "benchmarks.sweep",
}


def rows(cases: list[Case], request: Request) -> Iterator[dict[str, Any]]:
    """The rows of one model. Where its process dies or is stopped, another measures what is left."""
    left = {c.name: c for c in cases}
    while left:
        ended, doing = "", {"doing": "", "at": ""}
        for line in lines("rows", replace(request, only=list(left))):
            if "ended" in line:
                ended = line["ended"]
                break
            if "case" in line:
                left.pop(line["case"], None)
                yield line
            else:
                doing = line
        if not ended:
            return
        case = left.pop(doing["doing"], None)
        if case is None:  # before its first row: no other process would do better
            raise RuntimeError(ended)
        row = row_of(case, request)
        row.failed[doing["at"]] = ended
        yield asdict(row)


def lines(part: str, request: Request) -> Iterator[dict[str, Any]]:
    """Lines of a worker; after one that failed or was stopped, {"ended": why}."""
    command = [sys.executable, "-m", MODULES[part], json.dumps(asdict(request))]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, start_new_session=True
        )
        assert process.stdout is not None
        said: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(process.stdout, said), daemon=True).start()
        try:
            while (text := said.get(timeout=request.row_seconds * 2 + GRACE)) is not None:
                if text.startswith("{"):
                    yield json.loads(text)
        except queue.Empty:
            yield {"ended": f"said nothing for {request.row_seconds * 2 + GRACE:.0f} s and was stopped"}
            return
        finally:
            _end(process)
        if process.returncode != 0:
            errors.seek(0)
            tail = errors.read().strip().splitlines()[-1:] or [""]
            yield {"ended": f"ended with {process.returncode}: {tail[0][:200]}"}


def _read(pipe: IO[str], said: queue.Queue[str | None]) -> None:
    for text in pipe:
        said.put(text)
    said.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for a process that is about to end; stop it where it does not, and what it began and left running."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
