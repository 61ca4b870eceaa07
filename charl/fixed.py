"""Classes of values that do not change, of which a compilation makes millions.

That nobody changes them is the type checker's to see: a frozen dataclass guards it at run time, which triples the time
to make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

_C = TypeVar("_C", bound=type)


@dataclass_transform(frozen_default=True)
def fixed(cls: _C) -> _C:
    """A dataclass with slots, compared and hashed by its fields."""
    return dataclass(slots=True, unsafe_hash=True)(cls)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True, eq_default=False)
def fixed_self(cls: _C) -> _C:
    """A dataclass with slots that is equal to itself alone."""
    return dataclass(slots=True, eq=False)(cls)  # type: ignore[return-value]
