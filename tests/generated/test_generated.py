"""The packages of generated/ are what the compiler writes now, to the byte, and ninja builds them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from tests.support import needs_cc

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "generated"

_spec = importlib.util.spec_from_file_location("generated_make", GENERATED / "make.py")
assert _spec is not None and _spec.loader is not None
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


def _files(folder: Path) -> dict[str, bytes]:
    """What git would have of a folder: no build products."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."],
        cwd=folder,
        capture_output=True,
        text=True,
    ).stdout.split()
    return {name: (folder / name).read_bytes() for name in listed}


@pytest.mark.parametrize("name", make.PACKAGES)
def test_package_is_current(name: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        make.command(name, tmp_path / name),
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert ran.returncode == 0, ran.stderr
    folder = tmp_path / name
    written = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    committed = _files(GENERATED / name)
    assert sorted(written) == sorted(committed)
    changed = [f for f in written if written[f] != committed[f]]
    assert not changed, "run python generated/make.py"


@needs_cc
def test_ninja_builds_everything(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for part in ("build.ninja", "generated", "examples/digits"):
        for name, content in (
            _files(ROOT / part).items() if (ROOT / part).is_dir() else [("", (ROOT / part).read_bytes())]
        ):
            path = copy / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    ran = subprocess.run(["ninja"], cwd=copy, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (copy / "build" / "digits_train").is_file()
    for name in make.PACKAGES:
        selftest = copy / "generated" / name / f"{name}_selftest"
        assert subprocess.run([selftest]).returncode == 0
