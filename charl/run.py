"""`charl run`: a file's `fn main()` executed, on NumPy or on emitted code.

Enters: a path and a backend. Leaves: what the program prints and saves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from charl.elaborate import check, modules
from charl.elaborate.elaborator import Elaborator
from charl.elaborate.host import Host, run_main
from charl.elaborate.program import prepare, stop

if TYPE_CHECKING:
    from charl.elaborate.host import Executor


def run_file(
    file: Path,
    backend: str,
    tell: Callable[[str], None],
    out: Callable[[str], None] | None = None,
    flush: bool = False,
) -> None:
    """Check FILE and execute its `main`. Lines go to `out` (standard output). Raises CharlError.

    `flush`: C code takes subnormal numbers for zero.
    """
    from charl.compile import read_source

    tell("checking")
    prepare()
    el = Elaborator()
    module = modules.load(el, read_source(file), [])
    check.check_module(el, module)
    stop(el)
    executor: Executor | None = None
    if backend != "evaluator":
        from charl.runtime.execute import executor_of

        executor = executor_of(backend, flush)
    tell("running")
    run_main(el, module, Host(executor, out or _print))


def _print(line: str) -> None:
    print(line, flush=True)
