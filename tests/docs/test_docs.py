"""The documentation is current: the table of codes is complete, programs are accepted, links lead to files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("examples/**/README.md")),
]
PROGRAM = re.compile(r"^```charl\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")

programs = [
    (page, n, text)
    for page in PAGES
    for n, text in enumerate(PROGRAM.findall(page.read_text(encoding="utf-8")))
]


def test_derived_pages_are_current() -> None:
    ran = subprocess.run(
        [sys.executable, "docs/make.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_operation_of_the_guide_is_short() -> None:
    text = (ROOT / "charl/ops/scan.py").read_text(encoding="utf-8")
    assert sum(1 for line in text.splitlines() if line.strip()) < 40


def test_the_reference_runs() -> None:
    """Each program of the reference says in a `test` what it gives, but for those that only a reader sees."""
    texts = [text for page, _, text in programs if page.name == "language.md"]
    assert len(texts) >= 16 and sum("test " in text for text in texts) >= 15


@pytest.mark.parametrize("page, n, text", programs, ids=[f"{p.stem}-{n}" for p, n, _ in programs])
def test_program_is_accepted_and_its_tests_pass(page: Path, n: int, text: str) -> None:
    from charl.elaborate import elaborate
    from charl.graph.evaluate import Evaluator
    from charl.source import Source
    from charl.testing import blocks_of, failure

    source = Source(f"{page.name}-{n}.ch", text)
    elaborate(source)
    for block in blocks_of(source):
        assert not failure(block, [np.asarray(r) for r in Evaluator(block.graph)(list(block.given))])


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_links_lead_to_files(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
