"""The examples for `charl train` train with it, on the data that are shipped with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from charl.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"


def _history(folder: Path, program: str, *args: object) -> list[dict[str, float]]:
    command = ["train", str(EXAMPLES / program), "--out", str(folder), *map(str, args)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_convolutional_network_learns_digits(tmp_path: Path) -> None:
    """Two epochs; thirty reach 99 %."""
    data = EXAMPLES / "digits" / "data" / "digits.npz"
    history = _history(tmp_path, "cnn/cnn.ch", "--data", data, "--valid", 360, "--epochs", 2, "--lr", "2e-3")
    assert history[-1]["accuracy"] > 0.9


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_the_character_models_learn(name: str, tmp_path: Path) -> None:
    """A few steps on a part of the text are better than nothing: 4.56 is the surprise of 96 equal characters."""
    data = EXAMPLES / "characters" / "data"
    with np.load(data / "train.npz") as file:
        np.savez(tmp_path / "part.npz", text=file["text"][:32])
    options = [
        "--valid",
        data / "valid.npz",
        "--epochs",
        3,
        "--batch",
        16,
        "--lr",
        "4e-3",
        "--backend",
        "evaluator",
    ]
    history = _history(tmp_path / "run", f"characters/{name}.ch", "--data", tmp_path / "part.npz", *options)
    assert history[-1]["loss"] < history[0]["loss"] and history[-1]["valid_loss"] < 4.4


def test_the_windows_are_those_of_the_text() -> None:
    data = EXAMPLES / "characters" / "data"
    text = (data / "sonnets.txt").read_text()
    with np.load(data / "train.npz") as file:
        first = "".join("\n" if c == 0 else chr(c + 31) for c in file["text"][0])
    assert text.startswith(first)
