"""Text of the user inside of C: in comments, in string literals, as places of reports.

Enters: any text, or a span. Leaves: text that ends no comment and no literal.
"""

from charl.source import Span


def plain(text: str) -> str:
    """Text that cannot end a comment."""
    return text.replace("*/", "* /").replace("/*", "/ *")


def quoted(text: str) -> str:
    """A C string literal."""
    out = []
    for byte in text.encode():
        c = chr(byte)
        if c in '"\\':
            out.append("\\" + c)
        elif 32 <= byte < 127 and c != "?":
            out.append(c)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def located(span: Span | None) -> str:
    """File (without its folder), line and column, for reports of debug builds."""
    return "?" if span is None else f"{span.source.name}:{span.line}:{span.column}"
