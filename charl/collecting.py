"""When Python looks for cycles of objects that nobody needs.

Compiling makes millions of small objects and hardly a cycle. Looking for cycles every so often costs a sixth of its time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """No cycles are looked for inside; also a decorator. Inside another one it changes nothing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
