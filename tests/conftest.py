"""Marks for what the machine must have, and the rule of continuous integration: there, a skipped test is a failure.

With CHARL_CI=1 the header names the adapter, the CPU features and the compilers, so that a log says what was tested.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests import support

CI = os.environ.get("CHARL_CI") == "1"
os.environ.setdefault("CHARL_VERIFY", "1")  # graphs are verified after every pass

MARKS = {
    "needs_cc": (support.missing_cc, "needs_cc: calls a C compiler"),
    "needs_vulkan": (support.missing_vulkan, "needs_vulkan: runs shaders on a Vulkan adapter"),
    "needs_tools": (support.missing_tools, "needs_tools(*names): calls these programs"),
    "needs_cpu": (support.missing_cpu, "needs_cpu(*features): executes instructions that not every CPU has"),
}


def pytest_configure(config: pytest.Config) -> None:
    support.ensure_runtime_dir()
    support.ensure_path()
    for _, line in MARKS.values():
        config.addinivalue_line("markers", line)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return support.machine_report() if CI else []


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, (missing, _) in MARKS.items():
        for mark in item.iter_markers(name):
            if reason := missing(*mark.args):
                pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CHARL_CI=1 forbids: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped, which CHARL_CI=1 forbids: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def cc() -> str:
    """The C compiler, for tests marked `needs_cc`."""
    found = support.compiler()
    if found is None:
        pytest.skip(str(support.missing_cc()))
    return found


@pytest.fixture(scope="session")
def vulkan() -> dict[str, str]:
    """The adapter's description; skips where there is none."""
    if reason := support.missing_vulkan():
        pytest.skip(reason)
    return support.adapter()
