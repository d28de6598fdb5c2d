"""What a program said, made fit to show: no escapes, nothing invisible, cut in its middle."""

import re
import unicodedata

SHOWN = 4000
"""Characters of a stream that a model is shown."""
MAX_ERROR = 600

_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # strings for the terminal
    r"|\x1b[ -/]*[0-~]"
)
# Controls, and what hides or turns round text: bidi, zero width, tags. Joiners of emoji stay.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\U000e0000-\U000e007f]"
)
_NETWORK = re.compile(
    "Temporary failure in name resolution|Name or service not known|Could not resolve host"
    "|Network is unreachable|No matching distribution found for|getaddrinfo (?:ENOTFOUND|EAI_AGAIN)"
)
_OWN = re.compile(r'File "(job|cell\d+)\.py"')
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)')


def readable(raw: bytes) -> str:
    """Decode output; terminal escapes go, other control characters are made visible."""
    text = _ANSI.sub("", raw.decode("utf-8", "replace"))
    if "\r" in text:
        text = "\n".join(map(_redrawn, text.split("\n")))
    return _HIDDEN.sub(_visible, text)


def cut(text: str, left_out: int = 0, limit: int = SHOWN) -> str:
    """Keep the two ends of a text that is longer than `limit`.

    `left_out`: bytes that are missing from its middle already.
    """
    if len(text) <= limit and not left_out:
        return text
    half = min(limit, len(text)) // 2
    gone = len(text) - 2 * half
    missing = f"{gone} characters" if gone or not left_out else ""
    lost = f"{left_out} bytes lost" if left_out else ""
    note = ", ".join(filter(None, (missing, lost)))
    return f"{text[:half]}\n[... {note} ...]\n{text[len(text) - half :]}"


def python_error(err: str) -> str:
    """The job's own line and the exception, out of the last traceback; "" if there is none."""
    lines = err.rstrip().split("\n")
    frames = [i for i, line in enumerate(lines) if _FRAME.match(line)]
    if not frames:
        return ""
    said = next((i for i in range(frames[-1], len(lines)) if not lines[i].startswith(" ")), 0)
    if not said:
        return ""
    begin = max((i for i, s in enumerate(lines) if s.startswith("Traceback (")), default=0)
    own = [i for i in frames if i >= begin and _OWN.search(lines[i])]
    where = []
    if own and (frame := _FRAME.match(lines[own[-1]])):
        source = lines[own[-1] + 1].strip() if own[-1] + 1 < said else ""
        where = [f"{frame['file']} line {frame['line']}: {source[:200]}".rstrip(": ")]
    return "\n".join([*where, *lines[said:]])[:MAX_ERROR]


def wants_network(text: str) -> bool:
    """Whether a program says, in the words of usual libraries, that it did not reach a host."""
    return _NETWORK.search(text) is not None


def last_words(text: str) -> str:
    """The end of a text, whole lines where possible."""
    text = text.strip()
    if len(text) <= MAX_ERROR:
        return text
    tail = text[-MAX_ERROR:]
    return tail.partition("\n")[2] or tail


def _redrawn(line: str) -> str:
    """Of a progress bar only the last state counts. A pattern would take hours for a long line."""
    return line.rstrip("\r").rpartition("\r")[2]


def _visible(match: re.Match[str]) -> str:
    char = match.group()
    if ord(char) < 0x20:
        return chr(0x2400 + ord(char))
    return f"<{unicodedata.name(char, f'U+{ord(char):04X}')}>"
