"""The files of a run: checkpoints, replaced whole or not at all.

Enters tensors and facts about the run. Leaves safetensors files with the facts in their header, so that other tools read the
tensors; the same run gives the same bytes. Never leaves half a file under a name, nor a partial file behind for good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from charl import __version__
from charl.errors import fail
from charl.output import replace_file
from charl.runtime import safetensors
from charl.train.codes import E_CHECKPOINT, E_OTHER

Array = np.ndarray[Any, Any]
FORMAT = "charl-checkpoint-1"


@dataclass
class Position:
    """Where a run is: `step` steps done in all, `batch` of them in epoch `epoch` (from 0), whose losses so far sum to `total`."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    total: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    tensors: dict[str, Array]
    position: Position
    identity: dict[str, Any]  # of program, data and options


def write(path: Path, data: bytes) -> None:
    """Put `data` under `path`: all of it, or nothing. Raises CharlError (E0747)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    except OSError as e:
        kept = "; what was saved before is whole" if path.exists() else ""
        help_ = "make room and pass `--resume`" if e.errno == 28 else "check the folder of `--out`"
        raise fail(E_CHECKPOINT, f"cannot write {path}: {e.strerror or e}{kept}", help=help_) from e


def clear_partial(folder: Path) -> None:
    """Remove what a killed run was writing."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):
            path.unlink()


def pack(tensors: Mapping[str, Array], position: Position, identity: Mapping[str, Any]) -> bytes:
    """The bytes of a checkpoint."""
    facts = {
        "format": FORMAT,
        "version": __version__,
        "position": json.dumps(asdict(position)),
        "identity": json.dumps(identity, sort_keys=True),
    }
    return safetensors.dump(dict(tensors), facts)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises CharlError: E0747 where it is none, E0746 where another version wrote it."""
    try:
        data = path.read_bytes()
        tensors = safetensors.parse(data)
        facts = safetensors.metadata(data)
    except OSError as e:
        raise fail(E_CHECKPOINT, f"cannot read {path}: {e.strerror}") from e
    except ValueError as e:
        raise fail(E_CHECKPOINT, f"{path} is no checkpoint: {e}") from e
    if facts.get("format") != FORMAT:
        raise fail(E_CHECKPOINT, f"{path} is no checkpoint of `charl train`")
    if facts.get("version") != __version__:
        message = f"{path} was written by Charl {facts.get('version')}, this is {__version__}"
        raise fail(E_OTHER, message, help="go on with that version, or begin anew with `--overwrite`")
    position = Position(**json.loads(facts["position"]))
    return Checkpoint(tensors, position, json.loads(facts["identity"]))


def check_identity(path: Path, saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with another program, other data or options. Raises CharlError (E0746) with each difference."""
    notes = []
    for name, value in now.items():
        was = saved.get(name)
        if was == value:
            continue
        if name in ("program", "data"):
            notes.append(f"{'the program is' if name == 'program' else 'the data are'} not the same")
        else:
            notes.append(f"{name}: {_shown(was)} there, {_shown(value)} here")
    if notes:
        help_ = "pass the options of that run, or begin anew with `--overwrite` or another `--out`"
        raise fail(E_OTHER, f"{path} belongs to another run", notes=tuple(notes), help=help_)


def _shown(value: Any) -> str:
    return "none" if value in (None, "", [], {}) else str(value)
