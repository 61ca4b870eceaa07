"""The registry: everything found, documented, sampled, in the same order everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from charl import ops
from charl.graph.scalar import FUNCTIONS
from charl.ops import OPS

ROOT = Path(__file__).resolve().parents[2]
SUFFIXED = {"abs", "and", "max", "min", "not", "or", "pow", "round", "slice"}


def test_every_record_is_complete() -> None:
    for name, op in OPS.items():
        assert op.name == name and op.doc.endswith("."), name
        # "parallel" is answered by the target, so that no two need agree
        unsampled = name in ("parameter", "loop", "branch", "item", "custom", "parallel")
        assert op.samples is not None or unsampled, name
        assert callable(getattr(ops, f"{name}_" if name in SUFFIXED else name)), name


def test_every_scalar_function_is_an_operation() -> None:
    assert {f for f in FUNCTIONS if not f.startswith("threefry")} <= set(OPS)


def test_what_gives_floats_has_a_gradient_rule() -> None:
    for name, op in OPS.items():
        logical = name in (
            "reduce_and",
            "reduce_or",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "and",
            "or",
            "not",
            "parallel",
        )
        integral = name.startswith(("bit", "sh"))
        region = name in ("loop", "branch", "item", "custom")  # reverse mode treats them itself
        assert op.vjp is not None or logical or region or (integral and name != "bitcast"), name


SCRIPT = """
import sys
from charl.graph.text import print_graph
from charl.ops import OPS
from tests.ops import cases, odd
print(*OPS)
for case in cases.merged([2], ["reduce_prod", "gather", "contract", "slice"]):
    print(print_graph(case.graph))
print(print_graph(odd.case("attention", (3, 5, 7), 2).graph))
"""


def test_order_does_not_depend_on_hash_seeds() -> None:
    def said(seed: str) -> str:
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        ).stdout

    first = said("1")
    assert len(first) > 5000 and first == said("2")


def test_an_operation_that_is_not_there_says_so() -> None:
    try:
        ops.no_such_operation  # noqa: B018
    except AttributeError as e:
        assert "no_such_operation" in str(e)
    else:
        raise AssertionError("found an operation that does not exist")


MORE = """
import shutil, sys
from pathlib import Path
shutil.copytree("charl", Path(sys.argv[1]) / "charl", ignore=shutil.ignore_patterns("__pycache__"))
text = Path("charl/ops/scan.py").read_text().replace("cumsum", "running").replace("np.running", "np.cumsum")
(Path(sys.argv[1]) / "charl/ops/another.py").write_text(text)
sys.path.insert(0, sys.argv[1])
import charl.ops
assert charl.ops.__file__.startswith(sys.argv[1])
from charl.graph.evaluate import evaluate
from tests.ops import cases
found = list(cases.graphs(only=["running"]))
for case in found:
    evaluate(case.graph, case.arrays)
print(charl.ops.running.__name__, {c.order for c in found})
"""


def test_one_more_file_is_one_more_operation_with_its_cases(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", MORE, str(tmp_path)], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "running {0, 1, 2}\n"
