"""Graphs as text and back.

Enters: a `Graph`, or text that `print_graph` made. Leaves: the other. One value a line, in an order that depends on
the graph alone; values are numbered in that order. What follows `//` is a comment, except `name="…"`, the name hint.
Everything but source spans survives the round trip, constants bit for bit. Never simplifies.

    graph step {
      %0: f32[N, 64] = parameter "x"
      %1: f32[N] = reduce_sum %0 {axes=(1,)}  // digits.ch:12
      return %1
    }
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from charl import dims, dtypes
from charl.dims import Dim
from charl.dtypes import DType
from charl.errors import InternalError
from charl.graph.ir import Graph, Node, TensorType, TupleType
from charl.ops.record import OPS, make

SHORT = 16  # arrays of at most so many elements are spelled as numbers, larger ones as hexadecimal bytes


# ---------------------------------------------------------------- printing


def print_graph(graph: Graph, spans: bool = True, hints: bool = True) -> str:
    """The text of `graph`; `spans` adds file and line of every value as a comment, `hints` its name in the program."""
    return "\n".join(_graph_lines(graph, "", spans, hints)) + "\n"


def _graph_lines(graph: Graph, indent: str, spans: bool, hints: bool) -> list[str]:
    lines = [f"{indent}graph {_quoted(graph.name)} {{"]
    numbers: dict[Node, str] = {}
    for node in graph.nodes():
        numbers[node] = f"%{len(numbers)}"
        text = f"{indent}  {numbers[node]}: {node.type} = {node.op}"
        text += "".join(f"{',' if i else ''} {numbers[x]}" for i, x in enumerate(node.inputs))
        if node.op == "constant":
            text += f" {_data(OPS['constant'].ref([], node.attrs, _fixed(node)))}"
        elif node.op == "parameter":
            text += " " + json.dumps(node.attrs["name"])
        elif node.attrs:
            text += " {" + ", ".join(f"{k}={_value(v)}" for k, v in sorted(node.attrs.items())) + "}"
        notes = []
        if spans and node.span is not None:
            notes.append(f"{node.span.source.path}:{node.span.line}")
        if hints and node.name is not None and node.op != "parameter":
            notes.append(f"name={json.dumps(node.name)}")
        lines.append(text + ("  // " + " ".join(notes) if notes else ""))
        for region in node.regions:
            lines += _graph_lines(region, indent + "    ", spans, hints)
    lines.append(f"{indent}  return {', '.join(numbers[r] for r in graph.results)}".rstrip())
    return [*lines, f"{indent}}}"]


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name)


def _value(v: Any) -> str:
    if v is None or isinstance(v, bool):
        return {None: "#none", True: "#true", False: "#false"}[v]
    if isinstance(v, (int, Dim)):
        return str(v)
    if isinstance(v, float):
        return _float(v)
    if isinstance(v, str):
        return json.dumps(v)
    if isinstance(v, bytes):
        return f"#bytes {json.dumps(v.hex())}"
    if isinstance(v, (DType, TensorType)):
        return f"#type {v}"
    if isinstance(v, tuple):
        return "(" + ", ".join(map(_value, v)) + ("," if len(v) == 1 else "") + ")"
    raise InternalError("printer", f"an attribute of type {type(v).__name__} has no text")


def _float(v: float) -> str:
    if v != v:
        return "#nan"
    return repr(v) if abs(v) != float("inf") else ("#inf" if v > 0 else "-#inf")


def _fixed(node: Node) -> tuple[int, ...]:
    return tuple(dims.evaluate(d, {}) for d in node.shape)


def _data(array: np.ndarray[Any, Any]) -> str:
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.size > SHORT:
        return "#bytes " + json.dumps(_little(flat).tobytes().hex())
    return "[" + ", ".join(_scalar(x) for x in flat) + "]"


def _scalar(x: Any) -> str:
    """The shortest text that `_restore` turns back into the same bits."""
    if x.dtype.kind != "f":
        return _value(x.item())
    if not np.isfinite(x):
        plain = _float(float(x))
        same = np.array(_SPECIAL[plain], x.dtype).tobytes() == x.tobytes()
        return plain if same else f"#bytes {json.dumps(_little(x).tobytes().hex())}"
    short = np.format_float_scientific(x, unique=True, trim="0")
    short = repr(float(short))
    return short if np.array(float(short), x.dtype).tobytes() == x.tobytes() else repr(float(x))


_SPECIAL = {"#nan": float("nan"), "#inf": float("inf"), "-#inf": float("-inf")}


def _little(array: Any) -> np.ndarray[Any, Any]:
    out: np.ndarray[Any, Any] = array.astype(array.dtype.newbyteorder("<"))
    return out


# ---------------------------------------------------------------- parsing

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+) | (?P<comment>//[^\n]*) | (?P<line>\n)
    | (?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?) | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<name>[^\W\d][\w.']*) | (?P<special>\#\w+) | (?P<node>%\d+) | (?P<mark>[][(){}:=,+*/-])""",
    re.VERBOSE,
)


def parse_graph(text: str) -> Graph:
    """The graph that `text` spells. Raises InternalError with the line where it cannot be read."""
    parser = _Parser(text)
    graph = parser.graph()
    parser.skip_lines()
    if parser.kind != "end":
        raise parser.error("expected the end")
    return graph


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, int]] = []
        at, line = 0, 1
        while at < len(text):
            m = _TOKEN.match(text, at)
            if m is None:
                raise InternalError("parser", f"line {line}: cannot read {text[at : at + 20]!r}")
            kind = str(m.lastgroup)
            if kind != "space":
                self.tokens.append((kind, m.group(), line))
            line += kind == "line"
            at = m.end()
        self.tokens.append(("end", "", line))
        self.i = 0

    @property
    def kind(self) -> str:
        return self.tokens[self.i][0]

    @property
    def word(self) -> str:
        return self.tokens[self.i][1]

    def error(self, message: str) -> InternalError:
        return InternalError("parser", f"line {self.tokens[self.i][2]}: {message}, not {self.word!r}")

    def take(self, kind: str) -> str:
        if self.kind != kind:
            raise self.error(f"expected a {kind}")
        self.i += 1
        return self.tokens[self.i - 1][1]

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.error(f"expected {word!r}")

    def accept(self, word: str) -> bool:
        if self.word != word or self.kind == "string":
            return False
        self.i += 1
        return True

    def skip_lines(self) -> None:
        while self.kind in ("line", "comment"):
            self.i += 1

    def listed(self, end: str, item: Callable[[], Any]) -> list[Any]:
        """Items between commas, up to and with `end`."""
        out = []
        while not self.accept(end):
            out.append(item())
            if not self.accept(","):
                self.expect(end)
                break
        return out

    def graph(self) -> Graph:
        self.skip_lines()
        self.expect("graph")
        name = json.loads(self.take("string")) if self.kind == "string" else self.take("name")
        self.expect("{")
        nodes: dict[str, Node] = {}
        while True:
            self.skip_lines()
            if self.accept("return"):
                break
            number = self.take("node")
            nodes[number] = self.node(nodes)
        results = self.listed("\n", lambda: self.use(nodes))
        self.skip_lines()
        self.expect("}")
        return Graph(name, [n for n in nodes.values() if n.op == "parameter"], results)

    def use(self, nodes: dict[str, Node]) -> Node:
        number = self.take("node")
        if number not in nodes:
            raise InternalError("parser", f"{number} is used before it is made")
        return nodes[number]

    def node(self, nodes: dict[str, Node]) -> Node:
        self.expect(":")
        type_ = self.type()
        self.expect("=")
        op = self.take("name")
        if op == "parameter":
            name = json.loads(self.take("string"))
            self.hint()
            return make(op, hint=name, name=name, dtype=type_.dtype, shape=type_.shape)
        if op == "constant":
            made = self.constant(type_)
            made.name = self.hint()
            return made
        inputs: list[Node] = []
        while self.kind == "node":
            inputs.append(self.use(nodes))
            self.accept(",")
        attrs = dict(self.listed("}", self.attribute)) if self.accept("{") else {}
        hint = self.hint()
        regions = self.regions()
        return Node(op, tuple(inputs), attrs, type_, regions, name=hint)

    def hint(self) -> str | None:
        found = (
            re.search(r"\bname=(\"(?:[^\"\\]|\\.)*\")$", self.take("comment"))
            if self.kind == "comment"
            else None
        )
        self.expect("\n")
        return str(json.loads(found.group(1))) if found else None

    def regions(self) -> tuple[Graph, ...]:
        out = []
        while self.word == "graph":
            out.append(self.graph())
            self.skip_lines()
        return tuple(out)

    def attribute(self) -> tuple[str, Any]:
        key = self.take("name")
        self.expect("=")
        return key, self.value()

    def type(self) -> TensorType:
        if self.accept("("):
            return TupleType(tuple(self.listed(")", self.type)))  # type: ignore[return-value]
        name = self.take("name")
        if name not in dtypes.ALL:
            raise self.error(f"{name} is no element type")
        self.expect("[")
        return TensorType(dtypes.ALL[name], tuple(self.listed("]", self.value)))

    def value(self) -> Any:
        """A sum of products of sizes, or a literal."""
        total = self.product()
        while self.word in ("+", "-") and self.kind == "mark":
            sign = self.take("mark")
            term = self.product()
            total = total + term if sign == "+" else total - term
        return total

    def product(self) -> Any:
        if self.accept("-"):
            return -self.product()
        out = self.factor()
        while self.word in ("*", "/") and self.kind == "mark":
            times = self.take("mark") == "*"
            right = self.factor()
            out = out * right if times else dims.exact_div(out, right)
        return out

    def factor(self) -> Any:
        if self.kind == "number":
            word = self.take("number")
            return float(word) if "." in word or "e" in word else int(word)
        if self.kind == "string":
            return json.loads(self.take("string"))
        if self.kind == "special":
            return self.special()
        if self.accept("("):
            start = self.i
            items = self.listed(")", self.value)
            group = len(items) == 1 and self.tokens[self.i - 2][1] != "," and self.i > start
            return items[0] if group else tuple(items)
        name = self.take("name")
        if not self.accept("("):
            return dims.sym(name)
        function = {"div": "floordiv", "ceil_div": "ceildiv"}.get(name, name)
        return dims.atom(dims.Func(function, tuple(self.listed(")", self.value))))

    def special(self) -> Any:
        word = self.take("special")
        if word == "#bytes":
            return bytes.fromhex(json.loads(self.take("string")))
        if word == "#type":
            if self.tokens[self.i + 1][1] == "[":
                return self.type()
            return dtypes.ALL[self.take("name")]
        table = {"#none": None, "#true": True, "#false": False, "#nan": float("nan"), "#inf": float("inf")}
        if word not in table:
            raise self.error(f"{word} means nothing")
        return table[word]

    def constant(self, type_: TensorType) -> Node:
        from charl.ops import constant

        shape = tuple(dims.evaluate(d, {}) for d in type_.shape)
        number = type_.dtype.numpy
        if self.accept("["):
            flat = np.array([_restore(x, number) for x in self.listed("]", self.value)], number)
        else:
            flat = np.frombuffer(self.value(), number.newbyteorder("<")).astype(number)
        return constant(flat.reshape(shape), type_.dtype)


def _restore(x: Any, number: Any) -> Any:
    if isinstance(x, bytes):
        return np.frombuffer(x, number.newbyteorder("<")).astype(number)[0]
    return np.array(x, number)[()]
