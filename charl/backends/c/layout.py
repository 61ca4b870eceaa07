"""Lines of emitted C, kept to a width.

Enters: one line with its indentation. Leaves: the same text over several lines, broken where it nests least.
Never changes a token.
"""

from __future__ import annotations

from collections.abc import Iterator

WIDTH = 110
_BEFORE = ("? ", ": ", "&& ", "|| ", "+ ", "- ", "* ", "/ ")


def wrapped(line: str, width: int = WIDTH) -> Iterator[str]:
    """`line` in pieces of at most `width` columns where it can be broken; later ones are indented by how deep they nest."""
    indent = len(line) - len(line.lstrip())
    if len(line) <= width or line.lstrip().startswith(("for ", "#")):
        yield line
        return
    depth = 0  # of the brackets that the pieces so far left open
    while len(line) > width:
        at = _break(line, width, depth, len(line) - len(line.lstrip()) + 8)
        if at is None:
            break
        head = line[:at].rstrip()
        depth += _opened(head)
        line = " " * (indent + 8 + 4 * max(0, depth - 1)) + line[at:].lstrip()
        yield head
    yield line


def _break(line: str, width: int, depth: int, first: int) -> int | None:
    """Where to break: the last place of the lowest nesting that leaves a piece of at most `width` columns."""
    found: tuple[int, int] | None = None
    quoted = False
    for i, c in enumerate(line[: width + 1]):
        if c == '"' and line[i - 1] != "\\":
            quoted = not quoted
        if quoted:
            continue
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == " " and i > first and _breaks(line, i) and (found is None or depth <= found[0]):
            found = (depth, i + 1)
    return found[1] if found else None


def _breaks(line: str, i: int) -> bool:
    """Whether the blank at `i` is behind a comma or an assignment, or before an operator."""
    return line[i - 1] in ",=" or line.startswith(_BEFORE, i + 1)


def _opened(text: str) -> int:
    return sum(text.count(c) for c in "([{") - sum(text.count(c) for c in ")]}")
