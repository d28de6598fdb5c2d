"""Changes as people read them: a unified diff, with a line for what is no text.

A program that means harm may have changed much, or so that it is hard to compare: it is bounded.
"""

import difflib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping

from oros.services.files.names import show
from oros.services.files.resolve import Root
from oros.services.layers.compose import Seen

READ = os.O_RDONLY | os.O_NONBLOCK
NOTHING = "/dev/null"  # as patch(1) and git have it
LARGE = 1 << 20
"""Bytes from which on a file is only named."""
WHOLE = 16 << 20
"""Characters of a diff from which on files are only named."""
HARD = 5_000_000
"""Pairs of equal lines that are looked at for one file; about a second."""


def text_of(base: Root, seen: Mapping[str, Seen]) -> str:
    """All that is seen over a folder, by path."""
    lines: list[str] = []
    size = 0
    for path in sorted(seen):
        if size < WHOLE:
            made = list(_lines(base, path, seen[path]))
            size += sum(map(len, made))
            lines += made
        else:
            lines.append(f"not shown, as this is long: {show(path)}\n")
    return "".join(lines)


def _lines(base: Root, path: str, seen: Seen) -> Iterator[str]:
    try:
        old = base.lstat(path)
    except OSError:
        old = None
    name = show(path)
    match seen.entry.what:
        case "gone":
            yield from _gone(base, path, name, old)
        case "dir":
            yield from _folder(name, seen, path, old)
        case "link":
            with seen.layer.root.parent(path) as (folder, last):
                yield f"link: {name} -> {show(os.readlink(last, dir_fd=folder))}\n"
        case "file":
            new = seen.layer.root.lstat(path)
            was = _content(base, path, old) if old and stat.S_ISREG(old.st_mode) else b""
            yield from _compared(name, was, _content(seen.layer.root, path, new), new=old is None)
            yield from _modes(name, old, new)


def _gone(base: Root, path: str, name: str, old: os.stat_result | None) -> Iterator[str]:
    if old is not None and stat.S_ISREG(old.st_mode):
        yield from _compared(name, _content(base, path, old), b"", gone=True)
    elif old is not None:
        yield f"removed: {name}{'/' if stat.S_ISDIR(old.st_mode) else ''}\n"


def _folder(name: str, seen: Seen, path: str, old: os.stat_result | None) -> Iterator[str]:
    if old is None or not stat.S_ISDIR(old.st_mode):
        yield f"new folder: {name}/\n"
    elif seen.entry.opaque:
        yield f"replaced folder: {name}/\n"
    else:
        yield from _modes(f"{name}/", old, seen.layer.root.lstat(path))


def _modes(name: str, old: os.stat_result | None, new: os.stat_result) -> Iterator[str]:
    if old is None:
        return
    before, after = stat.S_IMODE(old.st_mode), stat.S_IMODE(new.st_mode)
    if before != after:
        yield f"mode {before:o} -> {after:o}: {name}\n"


def _content(root: Root, path: str, about: os.stat_result) -> bytes | None:
    """The bytes of a file; None if it is too large to be shown or can't be read."""
    if about.st_size > LARGE:
        return None
    try:
        with root.opened(path, READ) as fd:
            return os.pread(fd, LARGE, 0)
    except OSError:
        return None


def _pairs(a: list[str], b: list[str]) -> int:
    """How many pairs of equal lines there are: what a comparison goes through."""
    if len(a) * len(b) <= HARD:
        return 0
    before, after = Counter(a), Counter(b)
    return sum(count * after[line] for line, count in before.items())


def _compared(
    name: str, old: bytes | None, now: bytes | None, *, new: bool = False, gone: bool = False
) -> Iterator[str]:
    if old is None or now is None or b"\0" in old[:8000] + now[:8000]:
        yield f"{'new' if new else 'removed' if gone else 'changed'}: {name}, no text or large\n"
        return
    a, b = (x.decode("utf-8", "replace").splitlines(keepends=True) for x in (old, now))
    before, after = NOTHING if new else f"a/{name}", NOTHING if gone else f"b/{name}"
    if _pairs(a, b) > HARD:
        yield f"changed: {name}, {len(a)} lines -> {len(b)} lines, too much to compare\n"
        return
    found = list(difflib.unified_diff(a, b, before, after))
    if not found and old != now:
        yield f"changed: {name}\n"
    if not found and (new or gone):
        yield f"{'new file' if new else 'removed'}, empty: {name}\n"
    for line in found:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
