"""From what the user asked for to a run that is ready: program, data, state, schedule, checkpoint.

Enters a `Request`. Leaves a `Run`. Everything that can be wrong is found here, before the first step, in the order in which a
person would mend it: program, data, options, folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charl.console import show
from charl.data import read_arrays
from charl.errors import fail
from charl.program import Argument, Program
from charl.train import checkpoint, dataset
from charl.train import state as states
from charl.train.codes import E_ARGUMENT, E_METRICS, E_RUN, E_SCHEDULE, E_SIZE, E_STEP
from charl.train.dataset import Dataset
from charl.train.indices import outside
from charl.train.loop import LAST, Run
from charl.train.metrics import Metric, metrics_of
from charl.train.program import Step, training_step
from charl.train.schedule import Schedule, schedule

if TYPE_CHECKING:
    from charl.train.command import Request

Array = np.ndarray[Any, Any]


def prepare(request: Request, tell: Callable[[str], None]) -> Run:
    """Everything before the first step. Raises CharlError."""
    from charl.compile import Options, elaborated, read_source

    tell("checking")
    source = read_source(request.file)
    targets = {"c": ("c",), "wgpu": ("wgsl",)}.get(request.backend, ("c",))
    options = Options(dims=request.dims, sets=request.sets, targets=targets, flush=request.flush)
    program = elaborated(source, options)
    step = training_step(program, request.step)
    tell("reading data")
    arrays = dataset.read(request.data)
    data = dataset.fit(step.data, arrays, f"`{step.export.name}`")
    data, found = _validation(request, program, step, data, arrays)
    dataset.check_batch(data, request.batch)
    show(outside(step.export, data))
    rates = _schedule(request, step, data.size // request.batch)
    numbers = _numbers(request, step)
    _check_folder(request)
    tell("compiling")
    loaded = _load(request, source, options)
    sizes = {**data.dims, **({data.batch: request.batch} if isinstance(data.batch, str) else {})}
    records = states.initial(loaded, step.export, request.seed, sizes)
    _begin_with(request, records)
    kept = {a.name: records.pop(a.name) for a in step.kept if a.name in records}
    identity = _identity(request, program, step, data, rates, kept)
    run = Run(
        loaded, step, data, found, records, kept, numbers, rates, request.epochs, request.batch, request.seed, request.out,
        identity, request.save_every, request.valid_batch, _best(request, found), request.quiet,
    )  # fmt: skip
    if request.resume:
        _resume(run)
    return run


# ---------------------------------------------------------------- data


def _validation(
    request: Request, program: Program, step: Step, data: Dataset, arrays: Mapping[str, Array]
) -> tuple[Dataset, list[Metric]]:
    """The training data without what is set aside, and the metrics of what is."""
    if not request.valid:
        if request.metrics:
            raise fail(E_METRICS, "`--metrics` needs data to run on", help="pass `--valid 0.1`, or files")
        return data, []
    share = _share(request.valid)
    if share is None:
        return data, metrics_of(program, step, request.metrics, dataset.read(request.valid))
    count = int(share) if share >= 1 else round(share * data.size)
    if not 0 < count < data.size:
        message = f"`--valid {request.valid[0]}` sets {count} of {data.size} samples aside"
        raise fail(E_SIZE, message, help="leave some for training, and some for validation")
    held: dict[str, Array] = {}
    for name, a in arrays.items():
        axis = data.axes.get(name, 0 if a.ndim and len(a) == data.size else None)
        held[name] = a if axis is None else a[(slice(None),) * axis + (slice(data.size - count, None),)]
    return data.part(0, data.size - count), metrics_of(program, step, request.metrics, held)


def _share(valid: tuple[str, ...]) -> float | None:
    """`0.1` or `360`; None for files."""
    try:
        value = float(valid[0])
    except ValueError:
        return None
    return value if len(valid) == 1 and value >= 0 and (value < 1 or value == int(value)) else None


# ---------------------------------------------------------------- numbers


def _schedule(request: Request, step: Step, per_epoch: int) -> Schedule | None:
    name = step.export.name
    if step.rate is None or "lr" in request.numbers:
        if request.lr is not None or request.schedule != "constant":
            message = f"`{name}` takes no learning rate"
            raise fail(
                E_SCHEDULE,
                message,
                step.export.span,
                help="give it a parameter `lr: f32`, or leave `--lr` out",
            )
        return None
    lr = _rate(request, step)
    if lr is None:
        raise fail(
            E_SCHEDULE, f"`{name}` takes a learning rate `lr`", step.rate.span, help="pass `--lr 1e-3`"
        )
    return schedule(request.schedule, lr, per_epoch, per_epoch * request.epochs)


def _rate(request: Request, step: Step) -> float | None:
    """The learning rate that was asked for, else the program's own."""
    return request.lr if request.lr is not None or step.rate is None else step.rate.default


def _numbers(request: Request, step: Step) -> dict[str, Any]:
    """Values of the numbers that the export takes beside the learning rate."""
    out: dict[str, Any] = {}
    taken = [a.name for a in step.numbers]
    for name in request.numbers:
        if name not in taken:
            known = ", ".join(taken) or "none"
            raise fail(
                E_ARGUMENT, f"`{step.export.name}` takes no number `{name}`", help=f"its numbers: {known}"
            )
    for a in step.numbers:
        if a is step.rate and a.name not in request.numbers:
            continue
        if a.name not in request.numbers and a.default is not None:
            out[a.name] = a.default
            continue
        if a.name not in request.numbers:
            help_ = f"pass `--arg {a.name}=VALUE`"
            raise fail(
                E_ARGUMENT, f"nothing gives `{a.name}` of `{step.export.name}` a value", a.span, help=help_
            )
        out[a.name] = _number(a, request.numbers[a.name])
    return out


def _number(a: Argument, value: float) -> Any:
    kind = a.type.dtype.kind  # type: ignore[union-attr]  # numbers are tensors of rank 0
    if kind == "float":
        return value
    if value != int(value) or (kind == "bool" and value not in (0, 1)):
        raise fail(
            E_ARGUMENT, f"`{a.name}` is {a.type}, and {value:g} is none", a.span, help="pass a whole number"
        )
    return bool(value) if kind == "bool" else int(value)


_LESS = ("loss", "error", "mse", "mae", "entropy", "perplexity")
_MORE = ("acc", "precision", "recall", "f1", "r2", "auc", "right", "correct", "hits")


def _best(request: Request, found: list[Metric]) -> tuple[str, bool]:
    """What makes an epoch the best, and whether more of it is better."""
    names = ["loss", *(n for m in found for n in m.names)]
    if request.best is None:
        measured = next((n for n in names[1:] if "loss" in n), None)
        name = measured or next((n for n in names[1:] if _says(n, _LESS + _MORE)), "loss")
        return name, not _says(name, _LESS)
    name, _, way = request.best.partition(":")
    if name not in names or way not in ("", "max", "min"):
        help_ = f"there are {', '.join(names)}; behind a colon `max` or `min`"
        raise fail(E_METRICS, f"`--best {request.best}` names no number of an epoch", help=help_)
    return name, way == "max" or (way == "" and not _says(name, _LESS))


def _says(name: str, words: Sequence[str]) -> bool:
    """Whether the name of a number says what it is."""
    return any(word in name.lower() for word in words)


# ---------------------------------------------------------------- package, state, checkpoint


def _load(request: Request, source: Any, options: Any) -> states.Loaded:
    from charl.runtime.native import load_program

    program, module, package = load_program(source, options, request.backend)
    return states.Loaded(program, module, package)


def _begin_with(request: Request, records: dict[str, Any]) -> None:
    """Initial values from files."""
    for name, path in request.initial.items():
        if name not in records:
            known = ", ".join(records)
            raise fail(E_ARGUMENT, f"there is no `{name}` to begin with a file", help=f"there are {known}")
        problem = states.restore({"": records[name]}, read_arrays(path))
        if problem:
            raise fail(E_ARGUMENT, f"{path} does not fit `{name}`: {problem}")


def _identity(
    request: Request,
    program: Program,
    step: Step,
    data: Dataset,
    rates: Schedule | None,
    kept: Mapping[str, Any],
) -> dict[str, Any]:
    """What a run must have in common with the one that it goes on with."""
    from charl.graph.text import print_graph

    # what is computed: comments, lines and the names of values may change on the way
    asked = [e for e in program.exports if e is step.export or e.role == "init"]
    graphs = [print_graph(e.graph, spans=False, hints=False) for e in asked]
    return {
        "program": sha256("\0".join(graphs).encode()).hexdigest(),
        "step": step.export.name,
        "data": data.digest(),
        "samples": data.size,
        "batch": request.batch,
        "seed": request.seed,
        "backend": request.backend,
        "flush-subnormals": request.flush,
        "lr": _rate(request, step) if rates is not None else None,
        "schedule": request.schedule,
        "epochs": request.epochs if rates is not None and rates.needs_total else None,
        "numbers": {a.name: a.default for a in step.numbers if a.default is not None and a is not step.rate}
        | dict(request.numbers),
        "best": request.best,
        "valid": list(request.valid),
        **{f"`{name}`": _digest(value) for name, value in kept.items()},
    }


def _digest(value: Any) -> str:
    """What tells one kept record from another: it is in no checkpoint."""
    found = sha256()
    for path, array in states.tensors({"": value}).items():
        found.update(f"{path} {array.dtype} {array.shape}\0".encode() + array.tobytes())
    return f"values {found.hexdigest()[:12]}"


def _check_folder(request: Request) -> None:
    last = request.out / LAST
    if request.resume and request.overwrite:
        raise fail(E_RUN, "`--resume` goes on, `--overwrite` begins anew", help="pass one of them")
    if last.exists() and not (request.resume or request.overwrite):
        raise fail(
            E_RUN,
            f"{request.out} holds a run",
            help="go on with `--resume`, or begin anew with `--overwrite`",
        )
    if request.out.exists() and not request.out.is_dir():
        raise fail(E_RUN, f"{request.out} is a file", help="choose another folder with `--out`")
    checkpoint.clear_partial(request.out)
    if request.overwrite:
        for path in (last, request.out / "best.safetensors"):
            path.unlink(missing_ok=True)


def _resume(run: Run) -> None:
    """Put back what the last checkpoint holds, where there is one."""
    path: Path = run.out / LAST
    if not path.exists():
        return
    saved = checkpoint.load(path)
    checkpoint.check_identity(path, saved.identity, run.identity)
    problem = states.restore(run.state, saved.tensors)
    if problem:
        raise fail(E_STEP, f"{path} does not fit the program: {problem}")
    run.position = saved.position
