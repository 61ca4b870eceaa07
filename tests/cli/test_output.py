"""A package is written whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from charl import output
from charl.errors import CharlError, InternalError
from charl.output import write_package

FILES = {"a.h": b"header", "wgsl/one.wgsl": b"shader", "wgsl/deep/two.wgsl": b"another"}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_new_folder(tmp_path: Path) -> None:
    write_package(FILES, tmp_path / "x" / "y" / "out")
    assert tree(tmp_path / "x" / "y" / "out") == FILES
    assert everything(tmp_path / "x" / "y") == [
        "out",
        *(f"out/{n}" for n in everything(tmp_path / "x/y/out")),
    ]


def test_files_are_as_open_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write_package(FILES, tmp_path / "out")
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "wgsl").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out" / "a.h").stat().st_mode & 0o777 == 0o644


def test_earlier_files_are_replaced_and_foreign_ones_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_package(FILES, out)
    (out / "mine.c").write_bytes(b"mine")
    (out / "wgsl" / "notes").write_bytes(b"notes")
    write_package({**FILES, "a.h": b"newer"}, out)
    assert tree(out) == {**FILES, "a.h": b"newer", "mine.c": b"mine", "wgsl/notes": b"notes"}
    assert everything(tmp_path)[0] == "out" and len(list(tmp_path.iterdir())) == 1


def test_relative_folder_and_the_present_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_package(FILES, Path("out"))
    assert tree(tmp_path / "out") == FILES
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_package(FILES, Path("."))
    assert tree(tmp_path / "here") == FILES


def test_a_link_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_package(FILES, tmp_path / "link")
    assert tree(tmp_path / "real") == FILES and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", ""])
def test_no_file_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(InternalError):
        write_package({name: b""}, tmp_path / "out")
    assert everything(tmp_path) == []


def refused(files: dict[str, bytes], out: Path) -> str:
    with pytest.raises(CharlError) as e:
        write_package(files, out)
    (d,) = e.value.diagnostics
    assert d.code == "E0720" and "nothing was written" in d.message and d.help
    return d.message


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"precious")
    assert "there is a file of that name" in refused(FILES, tmp_path / "out")
    assert tree(tmp_path) == {"out": b"precious"}


def test_a_file_above_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"precious")
    refused(FILES, tmp_path / "x" / "y" / "out")
    assert tree(tmp_path) == {"x": b"precious"}


def test_a_folder_where_a_file_must_go_restores_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_package({"a.h": b"old", "z": b"old z"}, out)
    (out / "wgsl").mkdir()
    (out / "wgsl" / "one.wgsl").mkdir()
    before = everything(tmp_path)
    assert "one.wgsl" in refused(FILES, out)
    assert everything(tmp_path) == before and tree(out) == {"a.h": b"old", "z": b"old z"}


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_package({"a.h": b"old"}, out)
    synced = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(output.os, "fsync", full)
    assert "no space left on device" in refused(FILES, out)
    assert tree(tmp_path) == {"out/a.h": b"old"} and everything(tmp_path) == ["out", "out/a.h"]


def test_parents_made_for_nothing_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(output.os, "fsync", full)
    refused(FILES, tmp_path / "x" / "y" / "out")
    assert everything(tmp_path) == []


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may write anywhere; as nobody, permissions mean something."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_no_permission(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    with ordinary_user():
        assert "permission denied" in refused(FILES, closed / "out")
    assert everything(tmp_path) == ["closed"]


LIMITED = """
import sys
from pathlib import Path
from charl.errors import CharlError
from charl.output import write_package
try:
    write_package({"small": b"x", "large": b"x" * 100_000}, Path(sys.argv[1]))
except CharlError as e:
    print(e)
    sys.exit(7)
"""


def test_a_limit_of_file_size_that_the_system_enforces(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "out")],
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 7, done.stderr
    assert "E0720" in done.stdout and "too large" in done.stdout
    assert everything(tmp_path) == []


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=32k tmpfs {small} && exec {sys.executable} -c '{LIMITED}' {small}/out; code=$?"
    script = f"{mount}; ls -A {small}; exit $code"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.xfail("mounting a file system is not permitted here")
    assert "No space left".lower() in done.stdout.lower(), done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("--out`"), "nothing is left on the disk"
