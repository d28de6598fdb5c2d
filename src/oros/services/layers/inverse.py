"""The layer that takes an application back: what its steps replace, under the same paths."""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from oros.services.files.resolve import Root
from oros.services.layers.plan import Stamp, Step
from oros.services.layers.tree import copy_file, copy_link, white_out

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Inverse:
    """The layer that restores what the steps replace."""

    def __init__(self, target: Root, place: Path, top: os.stat_result) -> None:
        self._target = target
        self._place = place
        place.mkdir(mode=0o700)
        self._root = Root(place)
        self._folders: dict[str, os.stat_result] = {"": top}

    def make(self, steps: Sequence[Step]) -> None:
        """Keep everything old under the same paths."""
        new: set[str] = set()
        for step in steps:
            inside_new = step.path.rpartition("/")[0] in new
            if step.do == "make" or (step.do == "put" and inside_new):
                new.add(step.path)
            if not inside_new:
                self._step(step)
        for path, about in sorted(self._folders.items(), reverse=True):
            with self._root.opened(path, FOLDER) as fd:
                if os.geteuid() == 0:
                    os.fchown(fd, about.st_uid, about.st_gid)
                os.fchmod(fd, stat.S_IMODE(about.st_mode))
                os.utime(fd, ns=(about.st_atime_ns, about.st_mtime_ns))

    def _step(self, step: Step) -> None:
        if step.do == "drop" or (step.do == "put" and step.was is not None):
            self._keep(step.path, step.was)
        elif step.do in ("put", "make"):
            self._absent(step.path)
        elif step.do == "rmdir" or step.was is not None:
            self._folder(step.path)

    def _folder(self, path: str) -> None:
        """Have a folder, and those above it, as the target has them."""
        made = ""
        for part in ["", *path.split("/")] if path else [""]:
            made = f"{made}/{part}" if made and part else part or made
            if made in self._folders:
                continue
            self._folders[made] = self._target.lstat(made)
            if made:
                with self._root.parent(made) as (folder, name):
                    os.mkdir(name, 0o700, dir_fd=folder)

    def _absent(self, path: str) -> None:
        """Note that nothing is there, unless what was there is kept (a folder of that name)."""
        if path in self._folders:
            return
        self._folder(path.rpartition("/")[0])
        with self._root.parent(path) as (folder, name), suppress(FileExistsError):
            white_out(folder, name)

    def _keep(self, path: str, was: Stamp | None) -> None:
        """A second name for a file; a copy where that can't be, or where it has further names."""
        self._folder(path.rpartition("/")[0])
        with self._target.parent(path) as (old, name), self._root.parent(path) as (new, _):
            about = os.stat(name, dir_fd=old, follow_symlinks=False)
            if was is None or not Stamp.of(about).same(was):  # changed since it was looked at
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
            if about.st_nlink == 1 and linked(old, new, name):
                return
            owner = (about.st_uid, about.st_gid) if os.geteuid() == 0 else None
            if stat.S_ISLNK(about.st_mode):
                copy_link((old, name), (new, name), owner)
                return
            fd = os.open(name, READ, dir_fd=old)
            try:
                os.close(copy_file(fd, new, name, about, owner))
            finally:
                os.close(fd)


def linked(old: int, new: int, name: str, as_name: str = "") -> bool:
    """Give a file a second name in another folder; whether that could be."""
    try:
        os.link(name, as_name or name, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
    except OSError:
        return False
    return True
