"""Contractions: one sum of products (or of anything) whose operands are read again for other elements.

`form` says what a contraction is; `choice` chooses lanes, tile and packing, by what tiles cost in `cycles`, and `depth` the
blocks of the sum; a `schedule` is what they leave. `tiles` writes register tiles, `limits` leaves out of them what masks hide,
`packing` fills packed operands, `ahead` asks for what is read later, and `blocks` writes the loops around all of it. Others do
so for what is not a plain product: `flipped` for results that leave transposed, `windows` for copied windows, `panels` and
`planes` for tiles over several axes. `remainder` says which lanes fill no vector and run along the sum.
"""
