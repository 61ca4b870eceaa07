"""What a function knows about having been left by `return`; `returns` decides what follows from it.

Enters: nothing. Leaves: the two variables of a frame that branches choose and loops carry like any others, the exception of a
`return` that is certain, and what stands for a value that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from charl.elaborate.scope import Binding
from charl.graph.ir import Node
from charl.source import Span


class Returned(Exception):
    """A `return` that is certain, on its way to its function."""

    def __init__(self, value: Any, span: Span) -> None:
        super().__init__()
        self.value = value
        self.span = span


class Never:
    """Stands for the value of what has returned: nobody reads it."""


NEVER = Never()


@dataclass
class Early:
    """What a function knows about having been left."""

    done: Binding = field(
        default_factory=lambda: Binding("returned", False)
    )  # False, True or a run-time truth
    value: Binding = field(default_factory=lambda: Binding("result", NEVER))
    left: list[tuple[Span, Any]] = field(default_factory=list)  # the values that leave, and where
    fit: Callable[[Any, Span], Any] | None = None  # to the declared type
    last: dict[int, Any] = field(default_factory=dict)  # the parts of the body that give the function's value
    since: dict[Binding, Any] | None = None  # what a statement has written since it may have returned

    @property
    def pending(self) -> bool:
        """Whether the function may have been left, which is known at run time."""
        return isinstance(self.done.value, Node)

    @property
    def variables(self) -> tuple[Binding, Binding]:
        """Whether it has been left, and with what."""
        return self.done, self.value
