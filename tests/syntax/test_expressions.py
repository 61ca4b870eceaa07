"""Every form of expression, statement and pattern, with the structure it must have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charl.syntax import ast
from charl.syntax.operators import BINDING, LEVELS
from tests.syntax.reading import errors, expression, function, short, statements

EXPRESSIONS = {
    # literals
    "1": "1",
    "1_000": "1000",
    "0x1F": "31",
    "0b101": "5",
    "1.5": "1.5",
    "1e-3": "0.001",
    "2.5E+2": "250.0",
    '"a\\n\\"b\\" \\\\"': "'a\\n\"b\" \\\\'",
    "true": "True",
    "None": "None",
    "[]": "(Array)",
    "[1, 2,]": "(Array 1 2)",
    "[0.0; n]": "(Repeat 0.0 n)",
    "()": "(Tuple)",
    "(a)": "a",
    "(a,)": "(Tuple a)",
    "(a, b)": "(Tuple a b)",
    # precedence
    "a + b * c": "(+ a (* b c))",
    "a - b - c": "(- (- a b) c)",
    "a / b % c @ d": "(@ (% (/ a b) c) d)",
    "a ** b ** c": "(** a (** b c))",
    "-a ** 2": "(- (** a 2))",
    "a ** -b": "(** a (- b))",
    "-a.sum()": "(- ((. a sum)!))",
    "-9.81 / p * q": "(* (/ (- 9.81) p) q)",
    "a * -b": "(* a (- b))",
    "--a": "(- (- a))",
    "not a == b": "(not (== a b))",
    "not not a and b": "(and (not (not a)) b)",
    "a or b and c": "(or a (and b c))",
    "a + b < c * d": "(< (+ a b) (* c d))",
    "(a < b) == c": "(== (< a b) c)",
    "(a) < b": "(< a b)",
    "x as f32 * 2": "(* (as x f32) 2)",
    "-x as f32": "(as (- x) f32)",
    "n as f32 as f64": "(as (as n f32) f64)",
    "a @ b + c": "(+ (@ a b) c)",
    "(a + b) * c": "(* (+ a b) c)",
    # pipes
    "x |> f |> g(a)": "(|> (|> x f) (g! a))",
    "a + b |> f.g": "(|> (+ a b) (. f g))",
    "x |> map(|p| p.y)": "(|> x (map! (Closure (ClosureParam (NamePattern p)) (. p y))))",
    "x + (x |> f)": "(+ x (|> x f))",
    # postfix
    "f()": "(f!)",
    "f(a, mut c, *S, b: 1, d: mut e,)": "(f! a mut c (Pack S) b:1 d:mut e)",
    "value_and_grad(f)(x, mut r)": "((value_and_grad! f)! x mut r)",
    "net.blocks.0.w": "(. (. (. net blocks) 0) w)",
    "p.0.1": "(. (. p 0) 1)",
    "f(x)[0].T": "(. (Index (f! x) 0) T)",
    "x.model.state": "(. (. x model) state)",
    # indices
    "x[i]": "(Index x i)",
    "x[:, 0:n]": "(Index x (Slice) (Slice 0 n))",
    "x[..., ::2]": "(Index x (Dots) (Slice 2))",
    "x[:, None]": "(Index x (Slice) None)",
    "x[a:b:c, :k, k:, 1]": "(Index x (Slice a b c) (Slice k) (Slice k) 1)",
    "x[:, :, t:t+1]": "(Index x (Slice) (Slice) (Slice t (+ t 1)))",
    "x[-1]": "(Index x (- 1))",
    # closures
    "|x| x * 2": "(Closure (ClosureParam (NamePattern x)) (* x 2))",
    "|x, mut y: f32[N]| x": "(Closure (ClosureParam (NamePattern x)) "
    "(ClosureParam (NamePattern y) (TensorType f32 N)) x)",
    "|(a, b)| a": "(Closure (ClosureParam (TuplePattern (NamePattern a) (NamePattern b))) a)",
    "|| 1": "(Closure 1)",
    "|x| { x }": "(Closure (ClosureParam (NamePattern x)) (Block x))",
    "|x| x |> f": "(Closure (ClosureParam (NamePattern x)) (|> x f))",
    # control
    "if c { a } else { b }": "(If c (Block a) (Block b))",
    "if c { a } else if d { b } else { e }": "(If c (Block a) (If d (Block b) (Block e)))",
    "if c { a }": "(If c (Block a))",
    "1 + if c { 2 } else { 3 }": "(+ 1 (If c (Block 2) (Block 3)))",
    "for i in 0..n { yield i }": "(For (NamePattern i) (Range 0 n) (Block (Yield i)))",
    "for (a, b) in zip(x, y) { }": "(For (TuplePattern (NamePattern a) (NamePattern b)) (zip! x y) (Block))",
    "for _ in 0..n while c < 1 { }": "(For (NamePattern _) (Range 0 n) (< c 1) (Block))",
    "for const i in 0..3 { }": "(For (NamePattern i) (Range 0 3) (Block))",
    "while c { x = 1 }": "(While c (Block (Assign x 1)))",
    "match n { 0 => a, 1 | -2 => b, 3..5 => c, _ => d }": "(Match n (MatchArm 0 a) (MatchArm 1 (- 2) b) "
    "(MatchArm (Range 3 5) c) (MatchArm d))",
    "{ let a = 1; a }": "(Block (Let (NamePattern a) 1) a)",
    "{ }": "(Block)",
    # names that are keywords elsewhere
    "where(c, a, b)": "(where! c a b)",
    "model + state * param": "(+ model (* state param))",
    "a > where(c, a, b)": "(> a (where! c a b))",
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expression(text: str) -> None:
    assert short(expression(text)) == EXPRESSIONS[text]


STATEMENTS = {
    "let x = 1": "(Let (NamePattern x) 1)",
    "let x: f32[N] = a": "(Let (NamePattern x) (TensorType f32 N) a)",
    "let (a, (b, _)) = p": "(Let (TuplePattern (NamePattern a) (TuplePattern (NamePattern b) (NamePattern _))) p)",
    "let [q, k, v] = p": "(Let (ArrayPattern (NamePattern q) (NamePattern k) (NamePattern v)) p)",
    "x = 1": "(Assign x 1)",
    "x.y[0, :] += 1": "(Assign (Index (. x y) 0 (Slice)) 1)",
    "(a, b) = p": "(Assign (Tuple a b) p)",
    "yield (a, b)": "(Yield (Tuple a b))",
    "return": "(Return)",
    "return x": "(Return x)",
    "assert close(a, b)": "(Assert (close! a b))",
    'assert a, "why"': "(Assert a 'why')",
    "f(mut x)": "(ExprStatement (f! mut x))",
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_statement(text: str) -> None:
    first, second = statements(f"{text}\n0")
    assert short(first) == STATEMENTS[text]
    assert short(second) == "(ExprStatement 0)"


def test_assignment_operators() -> None:
    ops = ["", "+", "-", "*", "/", "%", "**", "@"]
    found = statements("\n".join(f"x {op}= 1" for op in ops))
    assert [s.op for s in found if isinstance(s, ast.Assign)] == ops


def test_mut_of_a_let_reaches_every_name() -> None:
    (let,) = statements("let mut (a, [b]) = p")
    names = [n for n in ast.walk(let) if isinstance(n, ast.NamePattern)]
    assert [(n.name.name, n.mut) for n in names] == [("a", True), ("b", True)]
    (let,) = statements("let (mut a, b) = p")
    names = [n for n in ast.walk(let) if isinstance(n, ast.NamePattern)]
    assert [(n.name.name, n.mut) for n in names] == [("a", True), ("b", False)]


def test_the_last_expression_is_the_value() -> None:
    body = function("fn f() {\n    g(mut x)\n    let y = 1\n    y\n}\n").body
    assert short(body.value) == "y"
    assert len(body.statements) == 2
    assert function("fn f() { let y = 1 }\n").body.value is None
    assert function("fn f() { }\n").body.value is None


BINARY = [op for level in LEVELS for op in level if op not in ("|>", "not", "as", "negative")]
NON_CHAINING = ("==", "!=", "<", "<=", ">", ">=")


def _written(node: ast.Expr | tuple[object, ...], least: int) -> str:
    """A tree with the fewest parentheses that keep it, by the rule that `**` alone groups to the right."""
    if not isinstance(node, tuple):
        raise TypeError
    if len(node) == 1:
        return str(node[0])
    if len(node) == 2:
        op, inner = node
        binding = BINDING["negative" if op == "-" else str(op)]
        text = ("-" if op == "-" else "not ") + _written(inner, binding)  # type: ignore[arg-type]
        return f"({text})" if binding < least else text
    op, left, right = node
    binding = BINDING[str(op)]
    leftmost = binding + (op in (*NON_CHAINING, "**"))
    text = _written(left, leftmost) + f" {op} " + _written(right, binding + (op != "**"))  # type: ignore[arg-type]
    return f"({text})" if binding < least else text


def _short(node: tuple[object, ...]) -> str:
    parts = [p if isinstance(p, str) else _short(p) for p in node]  # type: ignore[arg-type]
    return parts[0] if len(parts) == 1 else f"({' '.join(parts)})"


TREES = st.recursive(
    st.sampled_from("abcxyz").map(lambda n: (n,)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(BINARY), inner, inner), st.tuples(st.sampled_from(["-", "not"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_expressions_survive_being_written(tree: tuple[object, ...]) -> None:
    text = _written(tree, 0)
    assert not errors(f"fn f() = {text}\n"), text
    assert short(expression(text)) == _short(tree), text
