"""Cuts data/sonnets.txt into windows of characters: data/train.npz and data/valid.npz, as they are committed.

    python examples/characters/prepare.py

A character is a number: 0 a line end, else its ASCII code less 31. The last tenth of the text is for validation; windows of
training overlap. Imports nothing of Charl.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent / "data"
LENGTH, STEP = 33, 16  # a window predicts 32 characters


def main() -> None:
    """Write both files."""
    text = (DATA / "sonnets.txt").read_text(encoding="ascii")
    codes = np.array([0 if c == "\n" else ord(c) - 31 for c in text], np.uint8)
    cut = len(codes) * 9 // 10
    for name, part, step in (("train", codes[:cut], STEP), ("valid", codes[cut:], LENGTH - 1)):
        windows = np.lib.stride_tricks.sliding_window_view(part, LENGTH)[::step]
        np.savez_compressed(DATA / f"{name}.npz", text=windows)
        print(f"{name}.npz: {len(windows)} windows of {LENGTH} characters")


if __name__ == "__main__":
    main()
