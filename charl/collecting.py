"""When Python looks for cycles of objects that nobody needs.

Compiling makes millions of small objects and hardly a cycle. Looking for cycles every so often costs a sixth of its time,
and looking through all that is left at its end another twentieth.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """No cycles are looked for inside; also a decorator. Inside another one it changes nothing.

    What was made inside counts as old afterwards: only a full search looks at it.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            if gc.get_freeze_count() == 0:  # else unfreezing would give up what somebody else has frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def ending() -> None:
    """From now on the process ends: nobody looks for cycles in what the system takes back anyway."""
    gc.freeze()
