"""The terminal: results on stdout, progress on stderr, nothing that text could make it do.

What processes, models and files say is text that others wrote: on a terminal, control characters
in it are shown, not obeyed. Colour only on a terminal and without NO_COLOR (no-color.org).
"""

import os
import sys
import threading
from typing import TextIO

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

_SHOWN = {n: chr(0x2400 + n) for n in range(32) if chr(n) not in "\n\t"} | {0x7F: "\u2421"}
_SHOWN |= dict.fromkeys(range(0x80, 0xA0), "\ufffd")
_SHOWN |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd")
_ASCII = str.maketrans(
    {"→": "->", "←": "<-", "·": "-", "…": "...", "└": "`", "─": "-", "█": "#", "░": "."}
)


def harmless(text: str) -> str:
    """Text without what would steer a terminal: escapes, carriage returns, bidi overrides."""
    return text.translate(_SHOWN)


class Terminal:
    """Standard output and standard error, and one line on the latter that comes and goes."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.is_tty = self._out.isatty()
        self.err_tty = self._err.isatty()
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self._colours = {id(self._out): self.is_tty and not plain}
        self._colours[id(self._err)] = self.err_tty and not plain
        self._lock = threading.RLock()
        self._shown = ""
        for stream in (self._out, self._err):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")

    @property
    def width(self) -> int:
        """Columns; 80 where there is no terminal and COLUMNS is not set."""
        if os.environ.get("COLUMNS", "").isdecimal():
            return max(20, int(os.environ["COLUMNS"]))
        for stream in (self._out, self._err):
            try:
                return max(20, os.get_terminal_size(stream.fileno()).columns or 80)
            except (OSError, ValueError):
                continue
        return 80

    @property
    def height(self) -> int:
        """Lines; 24 where there is no terminal."""
        try:
            return os.get_terminal_size(self._out.fileno()).lines or 24
        except (OSError, ValueError):
            return 24

    def out(self, text: str, style: str = "", end: str = "\n") -> None:
        """Write a result."""
        with self._lock:
            self.clear()
            self._write(self._out, text, style, end, clean=self.is_tty)

    def raw(self, codes: str) -> None:
        """Write control codes of our own to the screen."""
        with self._lock:
            self._out.write(codes)
            self._out.flush()

    def note(self, text: str, style: str = "", end: str = "\n") -> None:
        """Write what is not a result: progress, a hint, an error."""
        with self._lock:
            self.clear()
            self._write(self._err, text, style, end, clean=self.err_tty)

    def status(self, text: str) -> None:
        """Show a line that is replaced by the next; without a terminal nothing is shown."""
        if not self.err_tty:
            return
        with self._lock:
            text = harmless(text).replace("\n", " ")[: self.width - 1]
            if text != self._shown:
                self._write(self._err, "\r\x1b[K" if self._shown else "", "", "", clean=False)
                self._write(self._err, text, "dim", "", clean=False)
                self._shown = text

    def clear(self) -> None:
        """Take the status line away."""
        if self._shown:
            self._shown = ""
            self._write(self._err, "\r\x1b[K", "", "", clean=False)

    def _write(self, stream: TextIO, text: str, style: str, end: str, *, clean: bool) -> None:
        if clean:
            text = harmless(text)
        if "utf" not in (stream.encoding or "").lower():
            text = text.translate(_ASCII)
        if style and text and self._colours[id(stream)]:
            text = f"\x1b[{STYLES[style]}m{text}\x1b[0m"
        stream.write(text + end)
        stream.flush()
