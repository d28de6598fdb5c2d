"""Labels of the files in a folder, kept beside the folder, in the machine's settings.

A file that nobody labelled is text that others wrote: THIRD, with itself as the origin. A file that
a process wrote has the writer's label as long as it is untouched (same size, mtime and ctime; no
program can set the last). Touched, it keeps only the secrecy: an edit may bring in anything, but
does not make the rest public. The key is the path, not the inode: every write makes a new inode;
and no device number: those change between boots, which would lose the secrecy.
A file that the user moves or copies keeps what its mark says (marks.py); this module opens no file.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from oros.abi.errors import Corrupt
from oros.abi.labels import Integrity, Label, foreign
from oros.services.files import marks
from oros.services.files.names import show

MOST_PATHS = 200
"""Of files with text from outside that are known one by one; of more, only what they hold."""


class Settings(Protocol):
    """The part of ports.Store that is needed here."""

    def get_setting(self, name: str) -> str | None:
        """A small value, None if it was never set."""

    def put_setting(self, name: str, value: str) -> None:
        """Set it; committed when this returns."""


class Known(Protocol):
    """Labels that can be looked at, and set where the files can be written."""

    def of(self, path: str, status: os.stat_result) -> Label:
        """The label of a file with this status."""

    def within(self, path: str = "") -> Label:
        """The label of what may hold anything of any file beneath a folder."""

    def expect(self, path: str, label: Label) -> None:
        """Before a change."""

    def keep(self, path: str, status: os.stat_result, label: Label) -> None:
        """After the change."""

    def drop(self, path: str) -> None:
        """The file is gone."""


class Labels:
    """The labels of what is beneath the folder `root` of the host (where it really is).

    Paths are relative to it and hold no links.
    """

    def __init__(self, settings: Settings, root: Path, scope: str = "") -> None:
        """`scope` keeps the labels of files apart that lie over the folder, not in it."""
        self._settings = settings
        self._root = root
        self._scope = scope
        self._sought: frozenset[str] = frozenset()
        self._lost: frozenset[str] = frozenset()

    def of(self, path: str, status: os.stat_result) -> Label:
        """The label of a file with this status. Raises: Corrupt."""
        default = self._default(path)
        record = self._get(self._file(path))
        if record and record["stamp"] == _stamp(status):
            return _label(record)
        if not self._scope:
            default |= marks.of(self._root / path)
        return _label(record) | default if record else default

    def within(self, path: str = "") -> Label:
        """The label of what may hold anything of any file beneath a folder: names, outputs."""
        origins = self._default(path).origins | self._outside(path)
        return Label(readers=self._ceiling(self._root / path), origins=origins)

    def expect(self, path: str, label: Label) -> None:
        """Before a change: whatever a crash leaves there is read by no more than either allows."""
        record = self._get(self._file(path))
        both = (_label(record) if record else Label()) | label
        if both.readers is not None or foreign(both):
            self._restrict(path, both)
            self._put(self._file(path), replace(both, integrity=Integrity.THIRD))

    def keep(self, path: str, status: os.stat_result, label: Label) -> None:
        """After the change: the file with this status has this label."""
        self._restrict(path, label)
        self._put(self._file(path), label, _stamp(status))

    def drop(self, path: str) -> None:
        """The file is gone."""
        if self._get(self._file(path)):
            self._settings.put_setting(self._file(path), "")
            known, rest = self._known()
            if known.pop(path, None):
                self._settings.put_setting(self._index(), json.dumps([known, rest]))

    def share(self, path: str, status: os.stat_result, to: "Labels") -> None:
        """The file with this status is known by the same label there too."""
        if self._get(self._file(path)):
            to.keep(path, status, self.of(path, status))

    def announce(self, path: str, to: "Labels") -> None:
        """Before what was over the folder comes into it."""
        if record := self._get(self._file(path)):
            to.expect(path, _label(record))

    def hand(self, path: str, status: os.stat_result | None, to: "Labels") -> None:
        """What was over the folder came into it with this status, or went from it (None)."""
        record = self._get(self._file(path))
        if status is None:
            to.drop(path)
        elif record:
            to.keep(path, status, _label(record))
        self.drop(path)

    def _folder(self, folder: Path) -> str:
        return f"readers:{self._scope}{_text(folder)}"

    def _file(self, path: str) -> str:
        return f"label:{self._scope}{_text(self._root / path)}"

    def _default(self, path: str) -> Label:
        return Label(origins=frozenset({f"file:{show(str(self._root / path))}"}))

    def _ceiling(self, folder: Path) -> frozenset[str] | None:
        record = self._get(self._folder(folder))
        return _label(record).readers if record else None

    def _restrict(self, path: str, label: Label) -> None:
        """Note in each folder above that something in it is not for everybody, or from outside."""
        for folder in (self._root / path).parents if label.readers is not None else ():
            known = self._ceiling(folder)
            both = label.readers if known is None else known & (label.readers or known)
            if both != known:
                self._put(self._folder(folder), Label(readers=both))
        origins, (paths, rest) = foreign(label), self._known()
        was = frozenset(paths.pop(path, ()))
        if origins and len(paths) < MOST_PATHS:
            paths[path] = sorted(origins)
        elif not origins <= {*rest}:
            rest, was = sorted({*rest, *origins}), frozenset({""})
        if was != frozenset(paths.get(path, ())):
            self._settings.put_setting(self._index(), json.dumps([paths, rest]))

    def _outside(self, folder: str) -> frozenset[str]:
        """What files beneath a folder have of outside, as far as they are there still."""
        paths, rest = self._known()
        gone = {p for p in paths if not (self._scope or os.path.lexists(self._root / p))}
        if gone - self._sought:
            self._seek(gone, frozenset(o for p in gone for o in paths[p]))
            paths, rest = self._known()
        found = {*rest, *self._lost}
        for path, origins in paths.items():
            if path not in gone and (not folder or path == folder or path.startswith(f"{folder}/")):
                found.update(origins)
        return frozenset(found)

    def _seek(self, gone: set[str], origins: frozenset[str]) -> None:
        """Files with text from outside were moved or removed: find where they are by their marks.

        `origins`: theirs, which count on if there are too many files to look.
        """
        self._sought = frozenset(gone)
        marked = marks.beneath(self._root)
        self._lost = origins if marked is None else frozenset()
        for path, label in (marked or {}).items():
            self._restrict(path, label)

    def _known(self) -> tuple[dict[str, list[str]], list[str]]:
        """Files with text from outside, and what further ones hold. Raises: Corrupt."""
        found = self._settings.get_setting(self._index())
        try:
            paths, rest = json.loads(found) if found else ({}, [])
            return {str(p): [*map(str, o)] for p, o in paths.items()}, [*map(str, rest)]
        except (ValueError, TypeError, AttributeError) as e:
            why = f"what is kept under {self._index()!r} can't be read"
            raise Corrupt(why, "restore a backup") from e

    def _index(self) -> str:
        return f"outside:{self._scope}{_text(self._root)}"

    def _get(self, key: str) -> dict[str, object]:
        found = self._settings.get_setting(key)
        if not found:
            return {}
        try:
            record = json.loads(found)
            _label(record)
        except (ValueError, KeyError, TypeError) as e:
            raise Corrupt(f"the label kept under {key!r} can't be read", "restore a backup") from e
        return dict(record)

    def _put(self, key: str, label: Label, stamp: list[int] | None = None) -> None:
        record = {
            "integrity": int(label.integrity),
            "readers": None if label.readers is None else sorted(label.readers),
            "origins": sorted(label.origins),
            "stamp": stamp,
        }
        self._settings.put_setting(key, json.dumps(record, separators=(",", ":")))


def _label(record: dict[str, object]) -> Label:
    integrity, readers, origins = record["integrity"], record["readers"], record["origins"]
    if not isinstance(integrity, int) or not isinstance(origins, list):
        raise TypeError("no label")
    if readers is not None and not isinstance(readers, list):
        raise TypeError("no label")
    closed = None if readers is None else frozenset(map(str, readers))
    return Label(Integrity(integrity), closed, frozenset(map(str, origins)))


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _text(path: Path) -> str:
    """The path as text that any store can hold, one for each path."""
    return str(path).replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()
