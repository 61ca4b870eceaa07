"""Lines from a person: history, completion, definitions of several lines; or from a pipe, as they come.

Enters a session, leaves what it says. The line editing is prompt_toolkit's.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charl.errors import CharlError, InternalError, render
from charl.repl.commands import COMMANDS, Leave, command
from charl.repl.reading import incomplete
from charl.repl.session import Session
from charl.syntax.tokens import HARD_KEYWORDS, SOFT_KEYWORDS

PROMPT, MORE = "charl> ", "   ... "
_BEFORE = re.compile(r"(?:([A-Za-z_][\w.]*)\.)?(\w*)$")


def interact(session: Session) -> None:
    """Read and answer until the end."""
    if not sys.stdin.isatty():
        for text in _piped(sys.stdin):
            if not answer(session, text):
                return
        return
    from charl import __version__

    print(f"Charl {__version__}. `:help` says what there is, `:quit` or Ctrl-D leaves.")
    prompt = _prompt(session)
    while True:
        try:
            text = prompt.prompt(PROMPT)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if not answer(session, text):
            return


def answer(session: Session, text: str) -> bool:
    """Evaluate and show; whether the session goes on. No mistake ends it."""
    if not text.strip():
        return True
    try:
        lines = command(session, text.strip()) if text.lstrip().startswith(":") else session.run(text)
        for line in lines:
            print(line)
    except Leave:
        return False
    except CharlError as e:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print("\n\n".join(render(d, colour) for d in e.diagnostics))
    except KeyboardInterrupt:
        print("interrupted")
    except RecursionError:
        print("this nests too deeply")
    except Exception as e:
        if os.environ.get("CHARL_DEBUG") == "1":
            raise
        what = e if isinstance(e, InternalError) else f"{type(e).__name__}: {e}"
        print(f"internal error: {what}\nThis is a defect of Charl, not of your program; the session goes on.")
    sys.stdout.flush()
    return True


def _piped(lines: Any) -> Iterator[str]:
    """Inputs of one or several lines."""
    text = ""
    for line in lines:
        text += line
        if text.lstrip().startswith(":") or not incomplete(text):
            yield text
            text = ""
    if text.strip():
        yield text


def history_file() -> Path | None:
    """Where the history is kept; None where no folder can be made for it."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = Path(state) / "charl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "history"
        path.touch(0o600)
    except OSError:
        return None
    return path


def _prompt(session: Session) -> Any:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings

    class Names(Completer):
        def get_completions(self, document: Any, event: Any) -> Iterator[Completion]:
            for name, typed in completions(session, document.text_before_cursor):
                yield Completion(name, start_position=-typed)

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: Any) -> None:
        buffer = event.current_buffer
        text = buffer.document.text
        if buffer.document.is_cursor_at_the_end and incomplete(text) and not text.lstrip().startswith(":"):
            buffer.insert_text("\n" + "    " * max(_depth(text), 0))
        else:
            buffer.validate_and_handle()

    @keys.add("}")
    def _(event: Any) -> None:
        buffer = event.current_buffer
        before = buffer.document.current_line_before_cursor
        if before and not before.strip():  # the closing brace of a body stands as its first line does
            buffer.delete_before_cursor(min(4, len(before)))
        buffer.insert_text("}")

    path = history_file()
    history = FileHistory(str(path)) if path is not None else InMemoryHistory()
    return PromptSession(
        history=history,
        completer=Names(),
        complete_while_typing=False,
        key_bindings=keys,
        multiline=True,
        prompt_continuation=MORE,
        enable_history_search=False,
    )


def _depth(text: str) -> int:
    return sum(text.count(c) for c in "([{") - sum(text.count(c) for c in ")]}")


def completions(session: Session, text: str) -> list[tuple[str, int]]:
    """What may stand at the end of `text`, and how much of it is typed already."""
    if text.startswith(":") and " " not in text:
        return [(f":{name}", len(text)) for name in COMMANDS if name.startswith(text[1:])]
    found = _BEFORE.search(text)
    assert found is not None
    base, word = found.groups()
    if base is None:
        names = {*session.names(), *HARD_KEYWORDS, *SOFT_KEYWORDS}
        known = sorted(n for n in names if word or not n.startswith("_"))
    else:
        known = session.members(base)
    return [(n, len(word)) for n in dict.fromkeys(known) if n.startswith(word)]
