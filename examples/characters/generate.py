"""Continues a line of text, character by character, with a model that `charl train` has trained.

python examples/characters/generate.py lstm.ch lstm.run/net.safetensors [--start "Shall I "] [--length 300] [--seed 0]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import charl

CONTEXT = 32  # characters that the models were trained on


def main() -> None:
    """Print the text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--start", default="\n\nShall I ")
    parser.add_argument("--length", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=("c", "wgpu", "evaluator"), default="c")
    args = parser.parse_args()
    package = charl.load(args.program, backend=args.backend)
    net = package.Writer.load(args.weights)
    rng = np.random.default_rng(args.seed)
    codes = [0 if c == "\n" else ord(c) - 31 for c in args.start]
    for _ in range(args.length):
        likely = (
            package.follow(net, np.array([codes[-CONTEXT:]], np.int32)).astype(np.float64) ** 1.25
        )  # bolder
        codes.append(int(rng.choice(len(likely), p=likely / likely.sum())))
    print("".join("\n" if c == 0 else chr(c + 31) for c in codes).strip())


if __name__ == "__main__":
    main()
