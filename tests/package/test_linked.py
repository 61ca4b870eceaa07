"""Packages that were not made with each other in mind: linked into one program; results without elements."""

from __future__ import annotations

import subprocess
from pathlib import Path

from charl.compile import Options, compile_source
from charl.runtime.native import write
from charl.source import Source
from tests.support import needs_tools

NET = """
from nn import Dense
model Net() { layers { Dense(3, SIZE) } }
export fn predict(net: Net, x: f32[N, 3]) -> f32[N, SIZE] = net(x)
"""
MAIN = """
#include "one/one.h"
#include "two/two.h"
int main(void)
{
    static struct one_net a;
    static struct two_net b;
    static double workspace[512];
    struct one_rng r;
    struct two_rng q;
    float x[3] = {1, 2, 3}, y[3];
    one_rng_init(&r, 1);
    two_rng_init(&q, 1);
    one_net_init(&r, &a, workspace);
    two_net_init(&q, &b, workspace);
    return one_predict(1, &a, x, y, workspace) || two_predict(1, &b, x, y, workspace);
}
"""


def _run(*command: str, cwd: Path) -> None:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert ran.returncode == 0 and not ran.stderr, ran.stderr


@needs_tools("gcc")
def test_two_packages_in_one_program(tmp_path: Path) -> None:
    for prefix, size in (("one", "2"), ("two", "3")):
        source = Source("net.ch", NET.replace("SIZE", size))
        write(compile_source(source, Options(prefix=prefix, targets=("c",))).files, tmp_path / prefix)
    (tmp_path / "main.c").write_text(MAIN)
    flags = ("-std=c99", "-Wall", "-Wextra", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    _run("gcc", *flags, "main.c", "one/one.c", "two/two.c", "-o", "both", "-lm", cwd=tmp_path)
    _run("./both", cwd=tmp_path)


@needs_tools("g++")
def test_an_empty_result_has_nothing_to_compare(tmp_path: Path) -> None:
    text = "export fn f(x: f32[0, 3]) -> (f32[3], f32[0, 3]) = (sum(x, axis: 0), exp(x))\n"
    write(compile_source(Source("none.ch", text), Options(targets=("c",))).files, tmp_path)
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-x", "c++")
    _run("g++", *flags, "none.c", "none_selftest.c", "-o", "test", "-lm", cwd=tmp_path)
    assert subprocess.run(["./test"], cwd=tmp_path, capture_output=True).returncode == 0
