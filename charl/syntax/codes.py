"""The codes of syntax errors. What can be wrong with the text of a file, whatever it means, is listed here."""

from __future__ import annotations

from charl.errors import code

UNEXPECTED = code("E0101", "the text does not continue as the grammar allows")
UNCLOSED = code("E0102", "a bracket is never closed")
UNTERMINATED_STRING = code("E0103", "a string does not end on its line")
UNTERMINATED_COMMENT = code("E0104", "a block comment is never closed")
BAD_CHARACTER = code("E0105", "a character that has no meaning in Charl")
BAD_NUMBER = code("E0106", "a malformed number")
OPERATOR_AT_LINE_START = code("E0107", "a line begins with a binary operator")
CHAINED_COMPARISON = code("E0108", "comparisons do not chain")
NOT_A_PLACE = code("E0109", "the left of an assignment is no place")
PIPE_TARGET = code("E0110", "the right of `|>` is not a postfix expression")
NO_SUCH_STATEMENT = code("E0111", "a statement that Charl does not have")
TOO_DEEP = code("E0112", "nested too deeply")
BAD_ESCAPE = code("E0113", "an unknown escape sequence in a string")
MISPLACED_MEMBER = code("E0114", "a member that cannot stand here")
STRAY_BRACKET = code("E0115", "a closing bracket that nothing opened")
SAME_LINE = code("E0116", "two statements on one line")
KEYWORD_AS_NAME = code("E0117", "a keyword where a name is needed")
ARGUMENT_ORDER = code("E0118", "a positional argument after a named one")
ASSIGNMENT_AS_VALUE = code("E0119", "`=` where a value is needed")
NO_SUCH_ITEM = code("E0120", "an item that Charl does not have")
