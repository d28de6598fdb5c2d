r"""File names as people and models see them: what can't be printed is escaped, reversibly.

A name on disk is any bytes but `/` and NUL; Python holds bytes that are no UTF-8 as lone surrogates
(PEP 383), which JSON and terminals choke on. Here `b"caf\xe9\n"` is shown as `caf\xe9\n`, and that
very spelling finds the file again. This module opens nothing.
"""

import re

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_LONG = {short: char for char, short in _SHORT.items()}
_ESCAPED = re.compile(r"\\(?:[nrt\\]|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
_RAW = 0xDC00  # PEP 383: the byte b stands as the lone surrogate U+DC00 + b


def show(name: str) -> str:
    """Escape a name or path; one that can be printed stays as it is, backslashes included."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in name)


def spell(shown: str) -> str:
    """Undo `show` of a name that was escaped."""
    return _ESCAPED.sub(_unescape, shown)


def _escape(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if _RAW <= code <= _RAW + 0xFF:
        return f"\\x{code - _RAW:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescape(match: re.Match[str]) -> str:
    found = match.group()
    if match.lastindex is None:
        return _LONG[found]
    code = int(match[match.lastindex], 16)
    if match.lastindex == 1 and code >= 0x80:
        return chr(_RAW + code)
    return chr(code) if code <= 0x10FFFF else found
