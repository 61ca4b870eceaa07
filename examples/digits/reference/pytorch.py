"""The yardstick: the network of digits.ch, trained in PyTorch on the same split. Writes pytorch.json beside itself.

Dense(64, 64) and relu, dropout 0.2, Dense(64, 10); Glorot-uniform weights, zero biases; Adam with learning rate 1e-3,
batches of 32, 30 epochs, a new shuffle each epoch, the last 29 images of an epoch left out. Uses nothing of Charl.

    python pytorch.py [--seeds 5]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
TRAIN, EPOCHS, BATCH = 1437, 30, 32


def accuracy_of(seed: int, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of the 360 test images that a network trained from this seed gets right."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    shuffle = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        order = shuffle.permutation(TRAIN)
        for start in range(0, TRAIN - BATCH + 1, BATCH):
            pick = torch.from_numpy(order[start : start + BATCH])
            adam.zero_grad()
            nn.functional.cross_entropy(net(images[pick]), labels[pick]).backward()
            adam.step()
    net.eval()
    with torch.no_grad():
        right = net(images[TRAIN:]).argmax(1) == labels[TRAIN:]
    return float(right.float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    data = np.load(HERE.parent / "data" / "digits.npz")
    images = torch.from_numpy(data["images"].reshape(-1, 64).astype(np.float32) / 16)
    labels = torch.from_numpy(data["labels"].astype(np.int64))
    found = {}
    for seed in range(seeds):
        found[str(seed)] = round(accuracy_of(seed, images, labels), 6)
        print(f"seed {seed}: {found[str(seed)]:.4f}", flush=True)
    mean = round(sum(found.values()) / seeds, 6)
    record = {"torch": torch.__version__, "epochs": EPOCHS, "batch": BATCH, "accuracy": found, "mean": mean}
    (HERE / "pytorch.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"mean of {seeds}: {mean:.4f}")


if __name__ == "__main__":
    main()
