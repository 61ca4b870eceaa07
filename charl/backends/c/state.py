"""Tables that drive `_write` and `_read`: the tensors of each struct as a safetensors file holds them.

Enters: structs. Leaves: one row per tensor, in file order, and the exact size of the file. The format is that of
https://github.com/huggingface/safetensors: 8 bytes of header length (little endian), a JSON header, the data without holes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from charl import dims
from charl.backends.c.structs import FILE_TYPES, Struct


@dataclass(frozen=True)
class Row:
    """One tensor: its name in the file, and where it is in the struct."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    place: str
    bytes: int
    begin: int


@dataclass(frozen=True)
class FileTable:
    """The file of one struct."""

    struct: Struct

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Larger elements first, so that all data in the file is aligned; otherwise in the struct's order."""
        order = sorted(self.struct.leaves(), key=lambda leaf: -leaf.type.dtype.bytes)
        out: list[Row] = []
        begin = 0
        for leaf in order:
            shape = tuple(n for n in leaf.type.shape if isinstance(n, int))
            count = dims.product(shape)
            assert isinstance(count, int) and len(shape) == leaf.type.rank, leaf.path
            size = count * leaf.type.dtype.bytes
            out.append(Row(leaf.path, FILE_TYPES[leaf.type.dtype.name], shape, leaf.place, size, begin))
            begin += size
        return tuple(out)

    @cached_property
    def header(self) -> str:
        """The JSON header, padded so that the data starts at a multiple of eight."""
        entries = {
            r.name: {"dtype": r.dtype, "shape": list(r.shape), "data_offsets": [r.begin, r.begin + r.bytes]}
            for r in self.rows
        }
        text = json.dumps(entries, separators=(",", ":"))
        return text + " " * (-len(text) % 8)

    @property
    def bytes(self) -> int:
        """The size of a written file."""
        return 8 + len(self.header) + sum(r.bytes for r in self.rows)
