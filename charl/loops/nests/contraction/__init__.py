"""Contractions: one sum of products (or of anything) whose operands are read again for other elements.

`form` says what a contraction is, `schedule` chooses lanes, tile, packing and blocks by one cost model, `tiles` writes register
tiles, `blocks` the loops around them, `flipped` those of results that leave transposed, `windows` those of copied windows.
"""
