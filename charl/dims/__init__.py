"""Sizes and indices: integers, or Laurent polynomials over named symbols.

Enters: Python integers and symbols (dimension variables, loop indices). Leaves: the same in normal
form, so that two sizes are equal exactly when their polynomials are. A constant is always a plain
`int`; `Dim` stands only for what is not known yet. Never guesses: what cannot be proved is not equal.

The same class serves as shape entry (`N`, `d / heads`), as loop extent and as array index
(`64 * i + j`): a stride is a coefficient, and index simplification is arithmetic.
"""

from charl.dims.functions import (
    KNOWN,
    Known,
    ceildiv,
    evaluate,
    floordiv,
    learn_multiple,
    maximum,
    minimum,
    mod,
    nonnegative,
    recombined,
    rounded_down,
    sampled,
    simplify,
    substitute,
)
from charl.dims.polynomial import (
    Atom,
    Dim,
    Func,
    Monomial,
    Size,
    Sym,
    Value,
    atom,
    content,
    exact_div,
    integral,
    plain,
    product,
    sym,
)
from charl.dims.text import render
from charl.dims.walk import atoms, coefficient, symbols, values

__all__ = [
    "KNOWN",
    "Atom",
    "Dim",
    "Func",
    "Known",
    "Monomial",
    "Size",
    "Sym",
    "Value",
    "atom",
    "atoms",
    "ceildiv",
    "coefficient",
    "content",
    "evaluate",
    "exact_div",
    "floordiv",
    "integral",
    "learn_multiple",
    "maximum",
    "minimum",
    "mod",
    "nonnegative",
    "plain",
    "product",
    "recombined",
    "render",
    "rounded_down",
    "sampled",
    "simplify",
    "substitute",
    "sym",
    "symbols",
    "values",
]
