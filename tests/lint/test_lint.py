"""The Python of the project is formatted, linted and typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORMATTED = [d for d in ("charl", "tests", "examples", "benchmarks", "docs") if (ROOT / d).is_dir()]

CHECKS = {
    "black": ["black", "--check", *FORMATTED],
    "ruff": ["ruff", "check", "--quiet", *FORMATTED],
    "mypy": ["mypy"],
}


@pytest.mark.parametrize("tool", CHECKS)
def test_clean(tool: str) -> None:
    ran = subprocess.run([sys.executable, "-m", *CHECKS[tool]], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
