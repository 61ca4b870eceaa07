"""Suggestions for a name that does not exist. Enters: it and the known ones. Leaves: a help line, or None."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# What is called otherwise in other projects.
OTHER_NAMES = {
    **dict.fromkeys(("view", "flatten", "ravel"), "write `x.reshape(…)`"),
    **dict.fromkeys(("permute", "moveaxis"), "write `x.transpose(…)` with all axes in their new order"),
    **dict.fromkeys(
        ("unsqueeze", "expand_dims", "squeeze"),
        "an index makes an axis and takes one: `x[:, None]`, `x[:, 0]`",
    ),
    **dict.fromkeys(
        ("matmul", "mm", "bmm", "dot"), "a product of matrices is written `a @ b`, any other with `einsum`"
    ),
    **dict.fromkeys(("cat", "concatenate", "hstack", "vstack"), "write `concat([a, b], axis: 0)`"),
    **dict.fromkeys(("arange", "linspace"), "write `iota(n)`, scaled: `low + step * (iota(n) as f32)`"),
    **dict.fromkeys(("clamp", "clamp_min", "clip_by_value"), "write `clip(x, low, high)`, `max(x, low)`"),
    **dict.fromkeys(("masked_fill", "nonzero"), "write `where(mask, x, 0.0)`: shapes do not depend on data"),
    **dict.fromkeys(("pow", "power", "square"), "write `x ** 2`"),
    **dict.fromkeys(("randn", "rand", "randint"), "write `normal([n], mut rng)`, `uniform([n], mut rng)`"),
    **dict.fromkeys(
        ("item", "numpy", "detach", "to", "astype"), "`as` converts, `stop_gradient(x)` holds a gradient back"
    ),
    **dict.fromkeys(("tril", "triu"), "write `where(iota(n)[:, None] >= iota(n)[None, :], x, 0.0)`"),
    **dict.fromkeys(("trace",), "write `sum(diag(x))`"),
    **dict.fromkeys(("var", "std"), "write `variance(x, axis: 0)`, and `sqrt` of it"),
    **dict.fromkeys(
        ("expand", "repeat", "tile"), "operators broadcast by themselves; `broadcast(x, shape)` says so"
    ),
    "eye": "write `diag(ones(n))`",
    "numel": "write `size(x)`",
}


def suggest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …?` for the nearest known name."""
    near = closest(name, known)
    return f"did you mean `{near}`?" if near is not None else None


def closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like another; None where none is much like it."""
    names = list(dict.fromkeys(known))
    near = get_close_matches(name, names, n=1, cutoff=cutoff)
    if not near:  # other projects spell it with other capitals: `SGD`
        spelled = {n.lower(): n for n in reversed(names)}
        near = [spelled[n] for n in get_close_matches(name.lower(), list(spelled), n=1, cutoff=0.8)]
    return near[0] if near else None


def suggest_member(name: str, known: Iterable[str]) -> str | None:
    """The nearest member, or all of them."""
    names = list(dict.fromkeys(known))
    every = f"its members are {', '.join(f'`{n}`' for n in names)}" if names else None
    return suggest(name, names) or every


def suggest_parameter(name: str, known: Iterable[str]) -> str:
    """The nearest parameter, and all of them."""
    names = [f"`{n}`" for n in known if n]
    every = f"its parameters are {', '.join(names)}" if names else "it has none"
    near = suggest(name, known)
    return f"{near} {every}" if near else every
