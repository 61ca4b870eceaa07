"""`charl run`: the function `main` of a program, executed.

Enters: a file and the name of a backend. Leaves: what `main` prints and saves. `main` is Charl like any other function, but its
tensors have values: each of its statements is elaborated to a graph, which the backend computes at once. What stands
outside of `main` is checked before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from charl.errors import code, fail

E_NO_MAIN = code("E0620", "a program that is run has no `fn main()`")

Tell = Callable[[str], None]


def run_file(path: Path | str, backend: str = "evaluator", tell: Tell = lambda stage: None) -> None:
    """Run `fn main()` of a file on "evaluator", "c" or "wgpu"; `tell` hears how far it is.

    Raises CharlError for mistakes in the program, in its data, or where the backend cannot run here.
    """
    from charl.compile import read_source
    from charl.elaborate import check, modules
    from charl.elaborate.elaborator import Elaborator
    from charl.elaborate.program import stop
    from charl.elaborate.values import Function
    from charl.run.interpreter import Interpreter
    from charl.run.machine import Machine
    from charl.syntax import ast

    tell("checking")
    el = Elaborator()
    module = modules.load(el, read_source(path), [])
    check.check_module(el, module)
    stop(el)
    found = module.scope.names.get("main")
    main = found.value if found is not None else None
    if not isinstance(main, Function) or main.params or not isinstance(main.body, ast.Block):
        help_ = "add `fn main() { … }`, or use `charl transpile` to make a package"
        span = main.span if isinstance(main, Function) else None
        raise fail(E_NO_MAIN, f"{path} has no `fn main()`", span, help=help_)
    Interpreter(el, module, main, Machine(backend), tell).run()
