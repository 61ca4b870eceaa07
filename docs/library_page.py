"""The page of the library, from the doc comments of its files.

Enters: the modules of `charl/lib`. Leaves: Markdown with every declaration's signature and comment, by file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from charl.elaborate import modules
from charl.syntax import declarations

HEAD = """# The library

Everything here is Charl code, in `charl/lib`: read it, copy it, change it. The compiler knows none of it by name, and what
you write yourself works and is compiled the same way: [your own layer](your-own-layer.md), [your own
optimizer](your-own-optimizer.md), [your own schedule](your-own-schedule.md).

Every entry says its shapes, its formula and its source, and is tested against numbers of PyTorch, JAX, optax, torchmetrics or
scikit-learn, values and gradients: within 1e-9 in float64 (`f32="f64"` of `charl.load`, `--f32 f64` of `charl transpile`),
within 1e-5 in float32, in NumPy, C and WGSL. What draws is tested against the same bits from JAX's Threefry. `tests/library`
holds the programs, the numbers and the scripts that made them. `python docs/make.py` writes this page from the comments in
the files.

"""

TITLES = {
    "nn": "Layers",
    "conv": "Convolutions and pools",
    "norm": "Normalisation",
    "recurrent": "Recurrent layers",
    "transformer": "Attention and transformers",
    "resnet": "Residual networks",
    "optim": "Optimizers",
    "schedule": "Schedules",
    "metrics": "Metrics",
    "data": "Data",
    "loss": "Losses",
    "activation": "Activations",
    "attention": "The attention function",
    "init": "Initializers",
    "random": "Random numbers",
    "order": "Order",
    "math": "Reductions, matrices and functions",
}


def library_page() -> str:
    """The text of library.md."""
    names = [*TITLES, *sorted({p.stem for p in modules.LIBRARY.glob("*.ch")} - TITLES.keys())]
    return HEAD + "\n".join("\n".join(_module(n)) for n in names).rstrip() + "\n"


def _module(name: str) -> Iterator[str]:
    module = modules.library(name)
    assert module is not None, name
    where = "in scope without import" if name in modules.PRELUDE else f"`from {name} import …`"
    yield f"## {TITLES.get(name, name)}\n\n`{name}.ch`, {where}. {_text(module.ast.docs)}\n"
    for item in module.ast.items:
        if isinstance(item, declarations.Import):
            continue
        yield f"**`{_signature(item)}`**\n\n{_text(item.docs)}\n"
        for method in getattr(item, "methods", ()):
            if method.docs and method.name.name != "init":
                yield f"- `{_signature(method)}`: {_text(method.docs)}\n"


def _text(docs: str) -> str:
    """A comment as paragraphs; what Markdown would take for markup is escaped."""
    paragraphs = re.split(r"\n\s*\n", docs.strip())
    joined = (" ".join(line.strip() for line in p.splitlines()) for p in paragraphs)
    return "\n\n".join(_escaped(p) for p in joined)


def _escaped(text: str) -> str:
    """Stars, angle brackets and brackets outside of code."""
    parts = text.split("`")
    return "`".join(re.sub(r"([*<>\[\]_|])", r"\\\1", p) if i % 2 == 0 else p for i, p in enumerate(parts))


def _signature(item: Any) -> str:
    """The head of a declaration on one line."""
    text: str = item.span.text
    if isinstance(item, declarations.Function):
        text = text[: item.body.span.start - item.span.start].rstrip().removesuffix("=").removesuffix("{")
    elif not isinstance(item, declarations.Const):
        text = text[: text.index("{")]
    elif len(text) > 60:
        text = text.split("=")[0]
    text = re.sub(r"^(///[^\n]*\n|\s)+", "", text)
    text = re.sub(r"\s+", " ", text).strip()
    return text.replace("( ", "(").replace(", )", ")").replace(" )", ")")
