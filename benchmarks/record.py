"""The record of a run: a JSON file that is whole after every line added to it, so that a run that is stopped loses nothing.

Enters: lines of workers. Leaves: the file, and several of them as one. Measures and shows nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]
PARTS = ("rows", "kernels", "costs", "contractions", "convolutions")
SAME = ("cpu", "cpus", "system", "simd", "versions")  # of runs that are told as one


def key(line: Record) -> tuple[Any, ...]:
    """What a line tells of: a later one of the same takes its place."""
    for name in ("case", "shape", "what"):
        if name in line:
            return (name, line[name], line.get("threads"))
    return ("limits", line["threads"])


def where(line: Record) -> str:
    """The part that a line belongs to."""
    if "case" in line:
        return "kernels" if "kernels" in line else "rows"
    if "shape" in line:
        return f"{line['kind']}s"
    return "costs" if "what" in line else "limits"


def add(record: Record, line: Record) -> None:
    """Put a line where it belongs."""
    lines = record[where(line)]
    at = next((i for i, old in enumerate(lines) if key(old) == key(line)), len(lines))
    lines[at : at + 1] = [line]


def names(record: Record, part: str, threads: int) -> list[str]:
    """What a run has measured of a part already, at a number of threads."""
    word = {"rows": "case", "kernels": "case", "costs": "what"}.get(part, "shape")
    return [line[word] for line in record[part] if line.get("threads", threads) == threads]


def done(record: Record, case: str, threads: int) -> bool:
    """Whether a row was measured, or failed by itself: not one that was stopped."""
    row = next((r for r in record["rows"] if r["case"] == case and r["threads"] == threads), None)
    return row is not None and ("Charl" in row["seconds"] or "Charl" in row["failed"])


def save(record: Record, path: Path) -> None:
    """Write the file, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    new.rename(path)


def load(path: Path) -> Record:
    """A record of a file; SystemExit where it is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record.setdefault("kernels", [])  # which earlier runs did not tell
        if not all(isinstance(record[name], list) for name in ("limits", *PARTS)):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise SystemExit(f"{path} holds no benchmark: {type(e).__name__} {e}") from e
    return dict(record)


def merged(records: Sequence[Record]) -> Record:
    """Several runs of one machine as one, later lines in the place of earlier ones. SystemExit where the machines differ."""
    first = records[0]
    for other in records[1:]:
        for name in SAME:
            if other[name] != first[name]:
                raise SystemExit(f"these are runs of two machines: {name} {first[name]} and {other[name]}")
    out: Record = {**first, "limits": [], **{part: [] for part in PARTS}}
    out["peers"] = list(dict.fromkeys(n for r in records for n in r["peers"]))
    out["not_measured"] = [n for n in first["not_measured"] if n not in out["peers"]]
    out["minutes"] = round(sum(r["minutes"] for r in records), 1)
    out["quick"] = any(r["quick"] for r in records)
    for record in records:
        for part in ("limits", *PARTS):
            for line in record[part]:
                add(out, line)
    return out
