"""Packages that the tests of this folder share, written once per session."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charl.backends.capabilities import WGSL
from charl.backends.package import files
from charl.compile import Options
from charl.plan.build import plan_program
from charl.runtime.native import write

from .programs import N, linear, lowered

Written = Callable[..., Path]


def emit(folder: Path, n: Any = N, gpu: bool = False, **options: Any) -> Path:
    """The linear program as a package in `folder`."""
    targets = {"c": lowered(n)}
    if gpu:
        targets["wgsl"] = plan_program(linear(n), WGSL)
    write(files(targets, Options(**options)), folder)
    return folder


def module(folder: Path, name: str = "linear") -> ModuleType:
    """The loader of a package, imported under a name of its own."""
    unique = f"_test_{abs(hash(folder))}_{name}"
    spec = importlib.util.spec_from_file_location(unique, folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[unique] = found
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The linear program for every N."""
    return emit(tmp_path_factory.mktemp("linear"))


@pytest.fixture(scope="session")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The linear program for N = 4."""
    return emit(tmp_path_factory.mktemp("fixed"), 4)


@pytest.fixture(scope="session")
def loader(package: Path) -> Any:
    """The loader of the linear program."""
    return module(package)
