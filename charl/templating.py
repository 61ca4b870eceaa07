"""Where templates live and how they are filled.

Enters: a name below `templates/` ("c/package.c.j2") and a context. Leaves: text. Templates frame files; they
never decide what a program computes, and an undefined name is an error rather than an empty string.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment, Template


@lru_cache(maxsize=1)
def directory() -> Path:
    """The folder of templates: inside the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "templates"
    return installed if installed.is_dir() else here.parent / "templates"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(str(directory())),
        undefined=StrictUndefined,
        autoescape=False,  # the output is source code, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def load(name: str) -> Template:
    """The template `name`. Raises jinja2.TemplateNotFound."""
    return _environment().get_template(name)


def fill(name: str, /, **values: str) -> str:
    """A template that holds names only (`{{ p }}`), filled: a hundredth of the time that Jinja needs to compile it.

    Raises KeyError for a name that has no value.
    """
    return _NAME.sub(lambda m: values[m[1]], text(name))


_NAME = re.compile(r"\{\{ (\w+) \}\}")


def text(name: str) -> str:
    """A file below `templates/` as it stands, for what needs no filling (SIMD headers, the licence)."""
    return (directory() / name).read_text(encoding="utf-8")
