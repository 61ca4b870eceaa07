"""Makes digits.npz and digits.bin from the copy of the data set in scikit-learn. Run once; both files are committed.

digits.npz  images uint8[1797, 8, 8] (0..16), labels uint8[1797]; rows 0..1436 are for training, the rest for testing.
digits.bin  for C: the training rows, then the test rows, each 64 bytes of pixels and one byte of label.

Needs scikit-learn, which nothing else here does.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
TRAIN = 1437


def main() -> None:
    digits = load_digits()
    order = np.random.Generator(np.random.Philox(20240229)).permutation(len(digits.target))
    images = digits.images[order].astype(np.uint8)
    labels = digits.target[order].astype(np.uint8)
    np.savez_compressed(HERE / "digits.npz", images=images, labels=labels)
    rows = np.concatenate([images.reshape(-1, 64), labels[:, None]], axis=1)
    (HERE / "digits.bin").write_bytes(rows.tobytes())
    print(f"{TRAIN} images for training, {len(rows) - TRAIN} for testing, labels {np.bincount(labels)}")


if __name__ == "__main__":
    main()
