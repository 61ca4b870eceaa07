"""Differentiation of graphs, in reverse (`vjp`) and forward (`jvp`) mode: graph in, ordinary graph nodes out."""

from charl.grad.forward import Dual, jvp, pushed
from charl.grad.reverse import vjp

__all__ = ["Dual", "jvp", "pushed", "vjp"]
