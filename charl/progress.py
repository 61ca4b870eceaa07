"""A live line that says what is being done, once that has taken longer than a second, on a terminal.

Enters: names of stages. Leaves: nothing but the line, which is gone in the end. Imports its drawing library only when it draws.
"""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

DELAY = 1.0  # seconds before anything is shown


class Progress:
    """Call it with the name of each stage; use it as a context."""

    def __init__(self, delay: float = DELAY) -> None:
        self.stage = ""
        self._lock = threading.Lock()
        self._status: Any = None
        self._timer: threading.Timer | None = None
        self._delay = delay

    def __call__(self, stage: str) -> None:
        with self._lock:
            self.stage = stage
            if self._status is not None:
                self._status.update(stage)

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._timer = threading.Timer(self._delay, self._start)
            self._timer.daemon = True
            self._timer.start()
        return self

    def _start(self) -> None:
        from rich.console import Console

        with self._lock:
            if self._timer is None:
                return
            self._status = Console(stderr=True).status(self.stage or "working")
            self._status.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._status is not None:
                self._status.stop()
                self._status = None
