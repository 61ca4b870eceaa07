"""Words that no identifier of emitted C may be: keywords of C and C++, library names, the words of our own headers.

Enters: hints of names. Leaves: identifiers, unique in a scope and its parents. Never hands out a name
that the emitted headers or <math.h>, <stdint.h>, <string.h> give a meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from charl.backends.names import identifier, stem

_KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
alignas alignof and and_eq asm bitand bitor bool catch char8_t char16_t char32_t class compl concept consteval
constexpr constinit const_cast co_await co_return co_yield decltype delete dynamic_cast explicit export false
friend module mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
reinterpret_cast requires static_assert static_cast template this thread_local throw true try typeid typename
typeof typeof_unqual using virtual wchar_t xor xor_eq import
"""

_LIBRARY = """
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma
fmax fmin fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan
nearbyint nextafter nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh tgamma
trunc j0 j1 jn y0 y1 yn gamma signgam drem significand isnan isinf isfinite isnormal signbit fpclassify
memcpy memset memmove memcmp memchr strlen strcpy index rindex bcmp bcopy bzero ffs main assert errno abs labs
div ldiv exit abort free malloc calloc realloc stdin stdout stderr printf time clock select signal
ptrdiff_t size_t ssize_t offsetof NULL INFINITY NAN HUGE_VAL EOF near far small min max
linux unix i386 arm mips vax sun environ
"""

RESERVED = frozenset(
    [*_KEYWORDS.split(), *_LIBRARY.split()]
    + [f"{word}{tail}" for word in _LIBRARY.split()[:66] for tail in "fl"]
)

# Names of the emitted headers (`vf32_add`, `i32_div`, `size_min`, VL32, CHARL_X), of <stdint.h>, and those
# that C reserves for itself.
_PATTERN = re.compile(
    r"v[fium](32|64)(_\w+)?|b?[fiu](8|16|32|64)_\w+|size_\w+|bool_\w+|bits_\w+|threefry\w*|float_mode\w*|VL(32|64)|CHARL_\w*"
    r"|u?int\w*_t|U?INT\w*_(MAX|MIN|C)|[A-Z]+_(MAX|MIN)|M_\w+|_[A-Z_]\w*|\w*__\w*|_mm\w*|_MM\w*"
)


def reserved(word: str) -> bool:
    """Whether `word` has a meaning in C, C++, their libraries or our headers."""
    return word in RESERVED or _PATTERN.fullmatch(word) is not None


def permitted(word: str, default: str = "value") -> str:
    """`word`, changed as little as makes it free of meaning: an underscore behind it, else a word before it."""
    if not reserved(word):
        return word
    return f"{default}_{word}" if reserved(f"{word}_") else f"{word}_"


class Scope:
    """Identifiers of one block. Inner blocks see outer names and never shadow them; siblings may use equal ones."""

    def __init__(self, parent: Scope | None = None, taken: Iterable[str] = ()) -> None:
        self._parent = parent
        self._taken = set(taken)

    def _used(self, name: str) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if name in scope._taken:
                return True
            scope = scope._parent
        return False

    def allocate(self, hint: str, default: str = "value") -> str:
        """A free identifier that reads like `hint` without its compiler-made number."""
        return self._claim(permitted(identifier(stem(hint), default), default))

    def index(self, hint: str) -> str:
        """A free name for a loop index: `hint` where it is a word, else i, j, k, l, m, n, …"""
        base = identifier(stem(hint), "i")
        if len(base) > 1 and not reserved(base):
            return self._claim(base)
        for letter in "ijklmnpqrstuvw":
            if not self._used(letter):
                self._taken.add(letter)
                return letter
        return self._claim(base)

    def _claim(self, base: str) -> str:
        name, number = base, 2
        join = "_" if base[-1].isdigit() else ""
        while self._used(name) or reserved(name):
            name = f"{base}{join}{number}"
            number += 1
        self._taken.add(name)
        return name
