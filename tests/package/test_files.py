"""Weights travel: C, Python and the safetensors package read each other's files, and refuse what is no such file."""

from __future__ import annotations

import ctypes
import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.support import needs_cc, needs_tools

from .conftest import emit, module
from .test_c import build, run

STATUS = {
    "OK": 0, "BUFFER_TOO_SMALL": 4, "TRUNCATED": 5, "BAD_HEADER": 6, "HEADER_TOO_LONG": 7, "DUPLICATE_NAME": 8,
    "UNKNOWN_TENSOR": 9, "MISSING_TENSOR": 10, "WRONG_DTYPE": 11, "WRONG_SHAPE": 12, "WRONG_OFFSETS": 13, "BAD_VALUE": 14,
}  # fmt: skip


def entry(dtype: str, shape: list[int], begin: int, end: int) -> str:
    return f'{{"dtype":"{dtype}","shape":{json.dumps(shape)},"data_offsets":[{begin},{end}]}}'


W, B = entry("F32", [5, 3], 0, 60), entry("F32", [3], 60, 72)
SCALE, ON = entry("F32", [], 72, 76), entry("BOOL", [], 76, 77)
GOOD = [f'"0.w":{W}', f'"0.b":{B}', f'"scale":{SCALE}', f'"on":{ON}']
DATA = bytes(76) + b"\1"


def file(header: str | bytes, data: bytes = DATA, length: int | None = None) -> bytes:
    raw = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def braces(*entries: str) -> str:
    return "{" + ",".join(entries) + "}"


GOOD_FILES = {
    "plain": file(braces(*GOOD)),
    "reversed": file(braces(*reversed(GOOD))),
    "metadata": file(braces('"__metadata__":{"format":"pt","n":"\\u00e9\\n"}', *GOOD)),
    "empty metadata": file(braces(*GOOD, '"__metadata__" : { }')),
    "white space": file(" \n" + braces(*GOOD).replace(":", " : ").replace(",", "\t,\r\n") + "     "),
    "escaped name": file(braces(GOOD[0].replace("0.w", "\\u0030.\\u0077"), *GOOD[1:])),
}

BAD_FILES = {
    "nothing": (b"", "TRUNCATED"),
    "seven bytes": (b"\1\0\0\0\0\0\0", "TRUNCATED"),
    "header longer than the file": (file(braces(*GOOD), length=1 << 20), "TRUNCATED"),
    "huge header": (file(braces(*GOOD), length=1 << 63), "HEADER_TOO_LONG"),
    "header of 2^64 - 1": (file(braces(*GOOD), length=(1 << 64) - 1), "HEADER_TOO_LONG"),
    "header too short": (file(braces(*GOOD), length=20), "BAD_HEADER"),
    "data cut": (file(braces(*GOOD), DATA[:-1]), "TRUNCATED"),
    "data too long": (file(braces(*GOOD), DATA + b"\0"), "WRONG_OFFSETS"),
    "no JSON": (file("hello"), "BAD_HEADER"),
    "empty header": (file(""), "BAD_HEADER"),
    "list": (file("[]"), "BAD_HEADER"),
    "no tensors": (file("{}"), "MISSING_TENSOR"),
    "trailing comma": (file(braces(*GOOD)[:-1] + ",}"), "BAD_HEADER"),
    "text behind": (file(braces(*GOOD) + "x"), "BAD_HEADER"),
    "zero behind": (file(braces(*GOOD) + "\0"), "BAD_HEADER"),
    "twice the same": (file(braces(*GOOD, GOOD[0])), "DUPLICATE_NAME"),
    "twice by escape": (file(braces(*GOOD, GOOD[0].replace("0", "\\u0030", 1))), "DUPLICATE_NAME"),
    "twice metadata": (file(braces('"__metadata__":{}', '"__metadata__":{}', *GOOD)), "DUPLICATE_NAME"),
    "two dtypes": (file(braces(GOOD[0].replace('"shape"', '"dtype":"F32","shape"'), *GOOD[1:])), "DUPLICATE_NAME"),
    "one missing": (file(braces(*GOOD[:3])), "MISSING_TENSOR"),
    "another model": (file(braces(*GOOD, f'"1.w":{entry("F32", [0], 77, 77)}')), "UNKNOWN_TENSOR"),
    "name and more": (file(braces(GOOD[0].replace("0.w", "0.ww"), *GOOD[1:])), "UNKNOWN_TENSOR"),
    "name cut": (file(braces(GOOD[0].replace("0.w", "0."), *GOOD[1:])), "UNKNOWN_TENSOR"),
    "dtype": (file(braces(GOOD[0].replace("F32", "F16"), *GOOD[1:])), "WRONG_DTYPE"),
    "dtype as number": (file(braces(GOOD[0].replace('"F32"', "32"), *GOOD[1:])), "BAD_HEADER"),
    "shape": (file(braces(GOOD[0].replace("[5, 3]", "[3, 5]"), *GOOD[1:])), "WRONG_SHAPE"),
    "flat shape": (file(braces(GOOD[0].replace("[5, 3]", "[15]"), *GOOD[1:])), "WRONG_SHAPE"),
    "rank": (file(braces(GOOD[0].replace("[5, 3]", "[5, 3, 1]"), *GOOD[1:])), "WRONG_SHAPE"),
    "negative": (file(braces(GOOD[0].replace("[5, 3]", "[-5, 3]"), *GOOD[1:])), "BAD_HEADER"),
    "leading zero": (file(braces(GOOD[0].replace("[5, 3]", "[05, 3]"), *GOOD[1:])), "BAD_HEADER"),
    "exponent": (file(braces(GOOD[0].replace("[5, 3]", "[5e0, 3]"), *GOOD[1:])), "BAD_HEADER"),
    "overflow": (file(braces(GOOD[0].replace("[5, 3]", "[18446744073709551621, 3]"), *GOOD[1:])), "BAD_HEADER"),
    "offsets short": (file(braces(GOOD[0].replace("60]", "59]"), *GOOD[1:])), "WRONG_OFFSETS"),
    "offsets reversed": (file(braces(GOOD[0].replace("[0,60]", "[60,0]"), *GOOD[1:])), "WRONG_OFFSETS"),
    "offsets outside": (file(braces(GOOD[0].replace("[0,60]", "[1000000,1000060]"), *GOOD[1:])), "WRONG_OFFSETS"),
    "overlap": (file(braces(GOOD[0], GOOD[1].replace("[60,72]", "[0,12]"), *GOOD[2:])), "WRONG_OFFSETS"),
    "three offsets": (file(braces(GOOD[0].replace("[0,60]", "[0,60,60]"), *GOOD[1:])), "BAD_HEADER"),
    "no offsets": (file(braces(GOOD[0].replace(',"data_offsets":[0,60]', ""), *GOOD[1:])), "BAD_HEADER"),
    "another key": (file(braces(GOOD[0].replace('{"dtype"', '{"x":1,"dtype"'), *GOOD[1:])), "BAD_HEADER"),
    "line break in a name": (file(braces('"0\nw":' + W, *GOOD[1:])), "BAD_HEADER"),
    "bad escape": (file(braces('"\\q":' + W, *GOOD[1:])), "BAD_HEADER"),
    "half an escape": (file('{"\\u00', b""), "BAD_HEADER"),
    "open string": (file('{"0.w', b""), "BAD_HEADER"),
    "deep nesting": (file('{"__metadata__":' + "[" * 10000, b""), "BAD_HEADER"),
    "bool of 2": (file(braces(*GOOD), DATA[:-1] + b"\2"), "BAD_VALUE"),
}  # fmt: skip


@pytest.fixture(scope="module")
def library(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The compiled package by ctypes, without the loader."""
    out = tmp_path_factory.mktemp("lib") / "linear.so"
    ran = run("gcc", "-std=c99", "-O1", "-shared", "-fPIC", package / "linear.c", "-lm", "-o", out)
    assert ran.returncode == 0, ran.stderr
    return ctypes.CDLL(str(out))


def read(library: Any, data: bytes) -> tuple[int, bytes]:
    """Status, and the struct afterwards; it was full of sevens before."""
    target = ctypes.create_string_buffer(b"\7" * 80, 80)
    status = library.linear_linear_read(target, data, ctypes.c_size_t(len(data)))
    return status, target.raw


@needs_tools("gcc")
@pytest.mark.parametrize("name", GOOD_FILES)
def test_c_and_python_read_what_is_right(library: Any, loader: Any, name: str) -> None:
    status, content = read(library, GOOD_FILES[name])
    assert status == STATUS["OK"] and content[:77] == DATA
    net = loader.Linear.from_bytes(GOOD_FILES[name])
    assert bool(net.on) and not net.layer0.w.any()


@needs_tools("gcc")
@pytest.mark.parametrize("name", BAD_FILES)
def test_c_and_python_refuse_what_is_wrong(library: Any, loader: Any, name: str) -> None:
    data, expected = BAD_FILES[name]
    status, content = read(library, data)
    assert status == STATUS[expected]
    assert content == b"\7" * 80  # untouched
    with pytest.raises(loader.CharlFileError):
        loader.Linear.from_bytes(data)


@needs_tools("gcc")
def test_c_writes_the_bytes_that_python_writes(library: Any, loader: Any) -> None:
    net = loader.Linear()
    net.layer0.w = np.arange(15).reshape(5, 3)
    net.on = True
    memory = net._memory()
    size = ctypes.c_size_t()
    buffer = ctypes.create_string_buffer(1000)
    pointer = ctypes.c_void_p(memory.ctypes.data)
    assert (
        library.linear_linear_write(pointer, None, ctypes.c_size_t(0), ctypes.byref(size))
        == STATUS["BUFFER_TOO_SMALL"]
    )
    needed = size.value
    status = library.linear_linear_write(pointer, buffer, ctypes.c_size_t(needed - 1), ctypes.byref(size))
    assert status == STATUS["BUFFER_TOO_SMALL"] and buffer.raw == bytes(1000)
    status = library.linear_linear_write(pointer, buffer, ctypes.c_size_t(needed), ctypes.byref(size))
    assert status == STATUS["OK"] and size.value == needed
    assert buffer.raw[:needed] == net.to_bytes()
    assert buffer.raw[needed:] == bytes(1000 - needed)


@needs_tools("gcc")
def test_the_safetensors_package_reads_ours_and_we_its(loader: Any, library: Any, tmp_path: Path) -> None:
    state = loader.State()
    rng = np.random.default_rng(3)
    for leaf in state.leaves().values():
        leaf[...] = rng.integers(0, 100, leaf.shape)
    state.save(tmp_path / "ours.safetensors")
    theirs = load_file(tmp_path / "ours.safetensors")
    assert set(theirs) == set(state.leaves())
    for path, leaf in state.leaves().items():
        assert theirs[path].dtype == leaf.dtype and np.array_equal(theirs[path], leaf)
    save_file(theirs, tmp_path / "theirs.safetensors", metadata={"made": "elsewhere"})
    again = loader.State.load(tmp_path / "theirs.safetensors")
    assert np.array_equal(again._bytes, state._bytes)
    data = (tmp_path / "theirs.safetensors").read_bytes()
    target = ctypes.create_string_buffer(len(state._bytes))
    assert library.linear_state_read(target, data, ctypes.c_size_t(len(data))) == STATUS["OK"]
    assert target.raw == state._bytes.tobytes()


@needs_tools("gcc")
def test_no_mutation_of_a_file_breaks_the_reader(package: Path, loader: Any, tmp_path: Path) -> None:
    """Every truncation and thousands of flipped, inserted and removed bytes, under ASan, from memory of exactly that size."""
    main = tmp_path / "main.c"
    main.write_text("""
#include "linear.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
    FILE *file = fopen(argv[1], "rb");
    unsigned size;
    long accepted = 0, refused = 0;
    (void)argc;
    while (fread(&size, sizeof size, 1, file) == 1) {
        struct linear_linear net;
        unsigned char *data = (unsigned char *)malloc(size);
        if (size > 0 && fread(data, size, 1, file) != 1)
            return 1;
        memset(&net, 7, sizeof net);
        if (linear_linear_read(&net, data, size) == LINEAR_OK)
            ++accepted;
        else if (++refused && ((unsigned char *)&net)[0] != 7)
            return 1;
        free(data);
    }
    printf("%ld %ld", accepted, refused);
    return 0;
}
""")
    good = loader.Linear().to_bytes()
    rng = random.Random(1)
    cases = [good[:i] for i in range(len(good))]
    for _ in range(20000):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(max(len(good) - len(DATA), 1))
            kind = rng.randrange(3)
            if kind == 0:
                data[at] = rng.choice(b'0123456789{}[]":,\\u \x00\xff')
            elif kind == 1:
                data.insert(at, rng.choice(b'0123456789{}[]":,\\u'))
            else:
                del data[at]
        if rng.random() < 0.5:
            data[:8] = struct.pack("<Q", len(data) - 8 - len(DATA))
        cases.append(bytes(data))
    (tmp_path / "cases").write_bytes(b"".join(struct.pack("<I", len(c)) + c for c in cases))
    program = build(package, tmp_path / "fuzz", "-fsanitize=address,undefined", "-O1", main=main)
    ran = run(program, tmp_path / "cases")
    assert ran.returncode == 0, ran.stderr
    accepted, refused = map(int, ran.stdout.split())
    assert accepted + refused == len(cases) and refused > 15000


@needs_cc
def test_weights_in_the_code(loader: Any, tmp_path: Path) -> None:
    net = loader.Linear.init(5)
    net.scale = 2.5
    net.layer0.b = [np.inf, -0.0, 1e-42]
    net.save(tmp_path / "trained.safetensors")
    folder = emit(tmp_path / "package", embed=tmp_path / "trained.safetensors")
    main = tmp_path / "main.c"
    main.write_text("""
#include "linear.h"
#include <stdio.h>
int main(void) {
    fwrite(&linear_weights, sizeof linear_weights, 1, stdout);
    return 0;
}
""")
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-std=c99", f"-I{folder}", "-lm"]
    sources = [main, folder / "linear.c", folder / "linear_weights.c"]
    assert (ran := run("gcc", *flags, *sources, "-o", tmp_path / "main")).returncode == 0, ran.stderr
    import subprocess

    out = subprocess.run([tmp_path / "main"], capture_output=True).stdout
    assert out[:77] == net._bytes.tobytes()[:77]
    assert "trained.safetensors" in (folder / "linear.h").read_text()


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"junk", "E0710", "too short"),
        (None, "E0710", "cannot read"),
        (GOOD_FILES["plain"].replace(b"scale", b"slope"), "E0711", "lacks scale; has slope too"),
        (
            GOOD_FILES["plain"].replace(b"[5, 3]", b"[3, 5]"),
            "E0711",
            "0.w is float32[3, 5], wanted float32[5, 3]",
        ),
    ],
)
def test_weights_that_do_not_fit_the_program(
    tmp_path: Path, content: bytes | None, code: str, said: str
) -> None:
    from charl.errors import CharlError

    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CharlError) as caught:
        emit(tmp_path / "package", embed=path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert said in diagnostic.message + " ".join(diagnostic.notes)
    assert not (tmp_path / "package").exists()


def test_saving_replaces_a_file_only_when_it_is_complete(loader: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    loader.Linear().save(path)
    before = path.read_bytes()
    with pytest.raises(loader.CharlFileError, match="cannot write"):
        loader.Linear().save(tmp_path / "missing" / "net.safetensors")
    with pytest.raises(loader.CharlFileError, match="cannot read"):
        loader.Linear.load(tmp_path / "none.safetensors")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_a_file_of_another_record_is_told_apart(loader: Any, tmp_path: Path) -> None:
    loader.State().save(tmp_path / "state.safetensors")
    with pytest.raises(
        loader.CharlFileError, match=r"state.safetensors: the file holds 'taps.0', which Linear does not have"
    ) as caught:
        loader.Linear.load(tmp_path / "state.safetensors")
    assert caught.value.code == "E0829" and isinstance(caught.value, ValueError)


def test_module_is_importable_twice(package: Path) -> None:
    assert module(package).SOURCE_HASH == module(package).SOURCE_HASH == "0123abcd"
