"""Errors of the functions in the SIMD headers, in units in the last place: writes docs/accuracy.md.

    python -m benchmarks.accuracy [--stride 1] [--rounds 4000]

Enters: the headers of `templates/c`. Leaves: the table. Functions of one float are measured at every `stride`th of all 2^32
floats against the C library in double precision, the others at random operands and special values; doubles against long double.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from charl.backends.c import headers

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "accuracy.md"
ONE = ("exp", "exp2", "expm1", "log", "log2", "log1p", "sin", "cos", "tan", "tanh", "erf")
ONE += ("asin", "acos", "atan", "sinh", "cosh")
TWO = ("pow", "atan2")
LEVELS = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
}
TYPES = {"f32": ("float", 32, ""), "f64": ("double", 64, "l")}

HEAD = """# Accuracy of functions

Largest errors of the functions in the SIMD headers, in units in the last place (0.5: correctly rounded). Functions of one `f32`
were computed for {share} of all 2^32 floats, subnormal numbers, infinities and NaN among them, and compared with the C library
in double precision; functions of two, and those of `f64`, for {count} random operands in several ranges and
special values, `f64` against long double. Special values and signs of zero are right everywhere, or the figure would be infinite.

`python -m benchmarks.accuracy --stride {stride} --rounds {rounds}` wrote this page. Code without vectors calls the C library.
In `f32`, `pow`, `tan`, `atan2` and those below `erf` are computed in double precision, half a vector at a time; `pow` and `erf`
of `f64` are those of the C library, lane by lane; arguments of `sin` and `cos` above 1e5 (`f64`: 1e8) go to the C library too.

| function | {heads} |
|---|{rule}
"""


def loops() -> str:
    """Each function over an array."""
    out = []
    for t, (c, bits, _) in TYPES.items():
        for fn, count in [*((f, 1) for f in ONE), *((f, 2) for f in TWO)]:
            names = ("a", "b")[:count]
            parameters = ", ".join(f"const {c} *{n}" for n in names)
            values = ", ".join(f"v{t}_load({n} + i)" for n in names)
            out.append(
                f"static void all_{fn}_{t}({c} *y, {parameters}) {{\n    for (int i = 0; i < COUNT; i += VL{bits})\n"
                f"        v{t}_store(y + i, v{t}_{fn}({values}));\n}}\n"
            )
    return "\n".join(out)


def calls(stride: int, rounds: int) -> str:
    """The body of `main`."""
    lines = []
    for t, (_, _, suffix) in TYPES.items():
        lines += [
            f'    measure_{t}("{f}", all_{f}_{t}, {f}{suffix}, {stride if t == "f32" else rounds});'
            for f in ONE
        ]
        lines += [f'    measure_two_{t}("{f}", all_{f}_{t}, {f}{suffix}, {rounds});' for f in TWO]
    return "int main(void) {\n" + "\n".join(lines) + "\n    return 0;\n}\n"


def measure(level: str, stride: int, rounds: int) -> dict[tuple[str, str], str]:
    """The largest error by function and type."""
    code = loops()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in headers.files(code, (level,)).items():
            (folder / file).write_text(text, encoding="utf-8")
        source = (HERE / "accuracy.c").read_text(encoding="utf-8")
        text = '#include "simd.h"\n' + source + code + calls(stride, rounds)
        (folder / "accuracy.c").write_text(text, encoding="utf-8")
        program = str(folder / "accuracy")
        files = [str(folder / "accuracy.c"), "-o", program, "-lm"]
        subprocess.run(["gcc", "-std=gnu11", "-O2", *LEVELS[level], f"-I{folder}", *files], check=True)
        lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    return {(fn, t): worst for fn, t, worst, *_ in (line.split() for line in lines)}


def main() -> None:
    """Measure both instruction sets and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4000)
    options = parser.parse_args()
    found = {level: measure(level, options.stride, options.rounds) for level in LEVELS}
    columns = [(t, level) for t in TYPES for level in LEVELS]
    page = HEAD.format(
        share="every one" if options.stride == 1 else f"every {options.stride}th",
        count=f"{options.rounds * 4096 / 1e6:.0f} million",
        stride=options.stride,
        rounds=options.rounds,
        heads=" | ".join(f"{t}, {level}" for t, level in columns),
        rule="---|" * len(columns),
    )
    for fn in (*ONE, *TWO):
        page += f"| {fn} | " + " | ".join(found[level][fn, t] for t, level in columns) + " |\n"
    PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
