"""Operations: one record each, and the functions that build graphs of them.

Every module of this folder registers its operations when imported, in order of file name; what it lists in
`__all__` can be had here. Adding a module adds its operations everywhere: nothing else lists them.
"""

# ruff: noqa: F403, F405 (what is imported here is what this package offers)

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from charl.graph.ir import Node
from charl.ops.contraction import *
from charl.ops.conversion import *
from charl.ops.custom import *
from charl.ops.cutting import *
from charl.ops.dynamic import *
from charl.ops.elementwise import *
from charl.ops.indexing import *
from charl.ops.record import OPS as OPS
from charl.ops.record import Op as Op
from charl.ops.record import TypeRuleError as TypeRuleError
from charl.ops.record import make as make
from charl.ops.reduction import *
from charl.ops.scattering import *
from charl.ops.sliding import *
from charl.ops.source import *
from charl.ops.structural import *

for _found in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    _module = importlib.import_module(f"{__name__}.{_found}")
    _offered = getattr(_module, "__all__", [n for n in vars(_module) if not n.startswith("_")])
    for _name in _offered:
        _value = getattr(_module, _name)
        if callable(_value) and getattr(_value, "__module__", "") == _module.__name__:
            globals()[_name] = _value


def __getattr__(name: str) -> Callable[..., Node]:
    raise AttributeError(
        f"no operation is called {name!r}"
    )  # typed for checkers: modules found above add names
