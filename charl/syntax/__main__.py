"""`python -m charl.syntax` writes automaton.json after a change of grammar.lark."""

from charl.syntax.automaton import MADE, made

MADE.write_text(made(), encoding="utf-8")
