"""What only `fn main()` may do: load, save, print, start a stream, and go through data in batches.

Enters: calls of `main`. Leaves: effects and run-time values of the host. In the check of `main`, where there is no host, the
same names give values about which nothing is known.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charl import ops
from charl.data.files import E_FILE, read_arrays
from charl.dtypes import stored
from charl.elaborate import values as v
from charl.elaborate.builtins import Missing, bind, constant
from charl.elaborate.initial import seeded, stream
from charl.elaborate.parameters import Argument, Call
from charl.elaborate.scope import Scope
from charl.errors import code, fail
from charl.graph.ir import Node

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator
    from charl.elaborate.host import Host

WEIGHTS = code("E0732", "a data file does not hold what is loaded into")
BATCHES = code("E0622", "tensors cannot be taken in batches together")


def scope(outer: Scope, host: Host | None) -> Scope:
    """The scope of `main`: its module's names, and these."""
    out = Scope(outer)
    bodies = {"load": _load, "save": _save, "print": _print, "batches": _batches, "seeded": _seeded}
    for name, body in bodies.items():
        if outer.names.get(name) is None:
            out.bind(name, v.Builtin(name, _hosted(body, host)))
    return out


def _hosted(body: Any, host: Host | None) -> Any:
    def call(el: Elaborator, c: Call) -> Any:
        if host is None:
            raise v.Silenced  # the check of main: what a file holds is not known
        return body(el, host, c)

    return call


def _path(p: Any) -> Path:
    return Path(constant(p, "str", "path"))


def _seeded(el: Elaborator, host: Host, c: Call) -> Any:
    """`seeded(42)`: the stream of a seed."""
    p = bind("seeded", {"seed": Missing}, c)
    return seeded(el, c.scope, constant(p["seed"], "int", "seed"))


# ---------------------------------------------------------------- files


def _load(el: Elaborator, host: Host, c: Call) -> Any:
    """`load("x.npz")`: its arrays by name. `load(mut net, "net.safetensors")`: every tensor of `net` from the file.

    Read are .npz, .npy, .csv, .tsv, .safetensors and idx files, each also gzipped.
    """
    if c.arguments and c.arguments[0].place is not None:
        return _restore(host, c)
    path = _path(bind("load", {"path": Missing}, c)["path"])
    return v.Named({n: host.value(a, n) for n, a in read_arrays(path, c.span).items()})


def _restore(host: Host, c: Call) -> None:
    p = bind("load", {"value": Missing, "path": Missing}, c)
    place, path = p["value"].place, _path(p["path"])
    found = read_arrays(path, c.span)

    def leaf(name: str, n: Node) -> Node:
        a = found.get(name or "value")
        if a is None:
            raise fail(WEIGHTS, f"{path} holds no `{name}`", c.span)
        if a.shape != n.shape or a.dtype != n.dtype.memory:
            raise fail(WEIGHTS, f"`{name}` of {path} is {a.dtype}{list(a.shape)}, not {n.type}", c.span)
        return host.value(a, n.name or name)

    place.set(v.rebuild(host.settle(place.get()), leaf))


def _save(el: Elaborator, host: Host, c: Call) -> None:
    """`save(net, "net.safetensors")`: the tensors of a value under their paths, or an .npz of them."""
    from charl.runtime import safetensors

    p = bind("save", {"value": Missing, "path": Missing}, c)
    path = _path(p["path"])
    held = {name or "value": n for name, n in v.leaves(host.settle(p["value"].value))}
    partial = path.with_name(path.name + ".part")  # a failure leaves nothing half-written under the name
    try:
        if path.suffix == ".npz":
            with open(partial, "wb") as file:
                kept = {name: host.arrays[n] for name, n in held.items()}  # .npz has no bfloat16, but float32
                np.savez(file, **kept)  # type: ignore[arg-type]  # names are no options here
        else:
            tensors = {name: stored(host.arrays[n], n.dtype) for name, n in held.items()}
            partial.write_bytes(safetensors.dump(tensors))
        partial.replace(path)
    except OSError as e:
        partial.unlink(missing_ok=True)
        raise fail(E_FILE, f"cannot write {path}: {e.strerror}", c.span) from None


# ---------------------------------------------------------------- lines and batches


def _print(el: Elaborator, host: Host, c: Call) -> None:
    """Its arguments on a line, with blanks between."""
    host.out(" ".join((f"{a.name} " if a.name else "") + text_of(host, a.value) for a in c.arguments))


def text_of(host: Host, value: Any) -> str:
    """A value as `print` shows it."""
    value = host.settle(value)
    if isinstance(value, Node):
        array = host.arrays[value]
        return f"{array.item():.6g}" if array.ndim == 0 and array.dtype.kind == "f" else str(array)
    if isinstance(value, (v.Tuple, v.Run)):
        inner = ", ".join(text_of(host, x) for x in value.items)
        return (
            f"[{inner}]"
            if isinstance(value, v.Run)
            else f"({inner},)" if len(value.items) == 1 else f"({inner})"
        )
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (str, int, float)) else v.describe_value(value)


def _batches(el: Elaborator, host: Host, c: Call) -> Any:
    """`batches(x, y, size: 32, rng: mut r)`: equal parts in a new order; what is left of an uneven division is left out."""
    data = [a for a in c.arguments if a.name is None]
    named = {a.name: a for a in c.arguments if a.name is not None}
    size = constant(named["size"], "int", "size") if "size" in named else 0
    arrays = [host.array(a.value) for a in data if isinstance(a.value, Node) and a.value.rank]
    if size < 1 or not arrays or len(arrays) != len(data) or len({len(a) for a in arrays}) != 1:
        raise fail(BATCHES, "`batches` takes tensors of one first dimension and a positive `size:`", c.span)
    n = len(arrays[0])
    order = _shuffled(host, named["rng"], n) if "rng" in named else np.arange(n)
    out = []
    for i in range(0, n - size + 1, size):
        part = tuple(host.value(a[order[i : i + size]], "batch") for a in arrays)
        out.append(v.Tuple(part) if len(part) > 1 else part[0])
    return v.Run(tuple(out), len(out))


def _shuffled(host: Host, rng: Argument, n: int) -> Any:
    """A permutation: the order of n random words."""
    stream(rng, "rng: mut r")
    assert rng.place is not None
    members = host.settle(rng.value).members
    bits = ops.random_bits(members["key"], members["counter"], (n,), 0)
    order = np.argsort(host.array(bits), kind="stable")
    counter = host.value(host.arrays[members["counter"]] + np.uint32(1), "counter")
    rng.place.set(rng.value.replace("counter", counter))
    return order
