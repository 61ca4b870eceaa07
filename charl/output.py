"""Writing a package into a folder: all of it, or nothing.

Enters: files by relative path, and the folder. Leaves: the folder with exactly these bytes at these paths and whatever else was
in it untouched. Everything is written to a temporary folder beside the target first; moving it into place needs no space
and is undone where it fails. Never follows a path out of the folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from charl.errors import CharlError, InternalError, code, fail

E_WRITE = code("E0720", "a file or folder of the output cannot be written")


def write_package(files: Mapping[str, bytes], folder: Path) -> None:
    """Put `files` (paths with `/`) into `folder`, which is made where it is missing.

    Raises CharlError (E0720) where that is impossible: no permission, no space, a file where a folder must be. Then
    nothing has changed: no file is new, none is gone, and no folder that was made for this is left.
    """
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise InternalError("output", f"a package has no file {name!r}")
    made = _make_parents(folder)
    staging: Path | None = None
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(20, "there is a file of that name", str(folder))
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name or 'charl'}-", dir=_beside(folder)))
        for name, data in files.items():
            _write(staging / "new" / name, data)
        _move(staging, files, folder)
        made.clear()
    except OSError as e:
        raise _failure(e, folder) from e
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for parent in reversed(made):
            with suppress(OSError):
                parent.rmdir()


def replace_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` under `path`: beside it first, then in its place, so that a crash or a full disk leaves what was there.

    Raises OSError; then nothing has changed.
    """
    partial: str | None = None
    try:
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, mode)
        os.replace(partial, path)
        partial = None
        folder = os.open(path.parent, os.O_RDONLY)  # the new name must last as well
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        if partial is not None:
            with suppress(OSError):
                os.unlink(partial)


def _beside(folder: Path) -> Path:
    return folder.resolve().parent


def _make_parents(folder: Path) -> list[Path]:
    """The folders above `folder` that had to be made, outermost first."""
    made: list[Path] = []
    try:
        missing = [p for p in folder.absolute().parents if not p.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            made.append(parent)
    except OSError as e:
        for parent in reversed(made):
            with suppress(OSError):
                parent.rmdir()
        raise _failure(e, folder) from e
    return made


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())  # a full or failing disk speaks up now, not after the old files are gone


def _move(staging: Path, files: Mapping[str, bytes], folder: Path) -> None:
    """Move every file into place, keeping what it replaces until all are there."""
    old = staging / "old"
    done: list[str] = []
    saved: list[str] = []
    inner: list[Path] = []
    try:
        for name in files:
            target = folder / name
            for parent in [p for p in reversed(target.parents) if not p.exists()]:
                parent.mkdir()
                inner.append(parent)
            if target.is_dir() and not target.is_symlink():
                raise IsADirectoryError(21, "there is a folder of that name", str(target))
            if target.exists() or target.is_symlink():
                (old / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(target, old / name)
                saved.append(name)
            os.replace(staging / "new" / name, target)
            done.append(name)
    except BaseException:
        for name in done:
            with suppress(OSError):
                os.unlink(folder / name)
        for name in saved:
            with suppress(OSError):
                os.replace(old / name, folder / name)
        for parent in reversed(inner):
            with suppress(OSError):
                parent.rmdir()
        raise


def _failure(e: OSError, folder: Path) -> CharlError:
    where = (
        f" ({e.filename})" if e.filename and not str(e.filename).startswith(f"{_beside(folder)}/.") else ""
    )
    remedy = {
        13: "choose a folder that you may write to with `--out`",
        28: "make room, or choose another disk with `--out`",
    }
    reason = e.strerror or str(e)
    return fail(
        E_WRITE,
        f"cannot write to {folder}: {reason[:1].lower()}{reason[1:]}{where}; nothing was written",
        help=remedy.get(e.errno or 0, "choose another folder with `--out`"),
    )
