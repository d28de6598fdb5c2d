"""A folder under the changes of a process, to be read as if they were in it. It writes nothing."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from oros.services.files.entry import Entry
from oros.services.files.resolve import Root
from oros.services.layers.compose import Seen


class Union(Root):
    """A Root that shows `seen` over the folder `base`."""

    def __init__(self, base: Root, seen: Mapping[str, Seen]) -> None:
        """Nothing is opened; `base` is kept alive."""
        self.path, self.hidden = base.path, base.hidden
        self._base = base
        self._seen = seen
        self._names: dict[str, list[str]] = {}
        for path in seen:
            above, _, name = path.rpartition("/")
            self._names.setdefault(above, []).append(name)

    @property
    def fd(self) -> int:
        """The folder itself. Raises: NotFound when it is gone."""
        return self._base.fd

    def holder(self, path: str) -> Root:
        """Where a path really is: the folder or a layer. Raises: OSError if it is nowhere."""
        if not path:
            return self._base
        if (seen := self._seen.get(path)) is not None:
            if seen.entry.what == "gone":
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            return seen.layer.root
        if not self._shows(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._base

    def _shows(self, path: str) -> bool:
        """Whether the folder below shows through at a path that no layer has."""
        while path := path.rpartition("/")[0]:
            seen = self._seen.get(path)
            if seen is None:
                continue
            if seen.entry.what == "link":
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if seen.entry.what == "file":
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            return seen.entry.what == "dir" and not seen.entry.opaque
        return True

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """Open what a path is; never to write."""
        return self.holder(path).open(path, flags, mode)

    def lstat(self, path: str) -> os.stat_result:
        """Status of what a path is."""
        return self.holder(path).lstat(path)

    @contextmanager
    def parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder in which `path` really lies, to look at it; nothing is made."""
        if make:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        with self.holder(path).parent(path) as found:
            yield found

    def listing(self, folder: str, *, stats: bool) -> list[Entry]:
        """What is in a folder, its own changes over what is below, sorted by path."""
        holder = self.holder(folder)
        found: dict[str, Entry] = {}
        seen = self._seen.get(folder)
        below = self._shows(f"{folder}/x") if seen is None or seen.entry.what == "dir" else False
        if below:
            try:
                found = {e.path: e for e in self._base.listing(folder, stats=stats)}
            except (FileNotFoundError, NotADirectoryError):
                if holder is self._base:
                    raise
        for name in self._names.get(folder, ()):
            path = f"{folder}/{name}" if folder else name
            at = self._seen[path]
            if at.entry.what == "gone":
                found.pop(path, None)
            else:
                status = at.layer.root.lstat(path)
                found[path] = Entry(path, at.entry.what, status if stats else None)
        return sorted(found.values(), key=lambda e: e.path)
