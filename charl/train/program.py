"""Which export trains, and what each of its parameters is.

Enters a checked program. Leaves the export with its parameters sorted: state (`mut`), what is kept as it is (models and other
records that are not `mut`), data (tensors that files give), numbers (the learning rate
and what `--arg` gives). Knows nothing of files or arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

from charl.errors import fail
from charl.graph.ir import TensorType
from charl.program import Argument, Export, Program, Record, Tree
from charl.train.codes import E_PROGRAM


@dataclass(frozen=True)
class Step:
    """An export that trains, by what its parameters are."""

    export: Export
    states: tuple[Argument, ...]
    kept: tuple[Argument, ...]
    data: tuple[Argument, ...]
    numbers: tuple[Argument, ...]

    @property
    def rate(self) -> Argument | None:
        """The learning rate, where the export takes one."""
        return next((a for a in self.numbers if a.name == "lr"), None)


def training_step(program: Program, name: str | None) -> Step:
    """The export that trains: the one called `name`, or the only one there is. Raises CharlError (E0742)."""
    exports = [e for e in program.exports if e.role == "export"]
    if name is not None:
        found = [e for e in exports if e.name == name]
        if not found:
            known = ", ".join(e.name for e in exports) or "nothing"
            raise fail(E_PROGRAM, f"{program.path} exports no `{name}`", help=f"it exports {known}")
        why = obstacle(found[0])
        if why:
            raise fail(E_PROGRAM, f"`{name}` cannot train: {why}", found[0].span, help=_HELP)
        return _sorted(found[0])
    able = [e for e in exports if not obstacle(e)]
    if not able:
        notes = tuple(f"`{e.name}`: {obstacle(e)}" for e in exports)
        raise fail(E_PROGRAM, f"{program.path} exports nothing that trains", notes=notes, help=_HELP)
    if len(able) > 1:
        names = ", ".join(f"`{e.name}`" for e in able)
        raise fail(
            E_PROGRAM, f"several exports can train: {names}", help=f"choose one: --step {able[0].name}"
        )
    return _sorted(able[0])


_HELP = "an export trains if it takes `mut` state and data (tensors), and returns the loss as a float or first of a tuple"


def obstacle(export: Export) -> str:
    """Why an export cannot train; "" where it can."""
    if not any(a.mut for a in export.arguments):
        return "it changes nothing (no `mut` parameter)"
    if not any(is_data(a) for a in export.arguments):
        return "it takes no data (no tensor that is not `mut`)"
    if loss_type(export.result) is None:
        return "its result is no loss (a float, or a tuple that begins with one)"
    return ""


def is_data(a: Argument) -> bool:
    """Whether files give a parameter."""
    return not a.mut and isinstance(a.type, TensorType) and bool(a.type.shape)


def is_number(a: Argument) -> bool:
    """Whether a parameter is one number."""
    return not a.mut and isinstance(a.type, TensorType) and not a.type.shape


def loss_type(result: Tree | None) -> TensorType | None:
    """The type of the loss in a result."""
    if isinstance(result, Record) and result.kind == "tuple" and result.fields:
        result = result.fields[0].type
    if isinstance(result, TensorType) and not result.shape and result.dtype.kind == "float":
        return result
    return None


def _sorted(e: Export) -> Step:
    states = tuple(a for a in e.arguments if a.mut)
    kept = tuple(a for a in e.arguments if not a.mut and isinstance(a.type, Record))
    return Step(e, states, kept, tuple(filter(is_data, e.arguments)), tuple(filter(is_number, e.arguments)))
