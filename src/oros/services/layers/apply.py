"""Brings a layer into a folder, whole or not at all, and makes the layer that takes it back.

First everything new is copied into a hidden folder of the same file system, and everything old gets
a second name (or a copy) in the inverse layer. Then the steps are written down; from there on they
are done, after a crash too, by `finish`. Each is a rename or a removal, and can be done again.
"""

import errno
import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from oros.services.files.resolve import FOLDER as HELD
from oros.services.files.resolve import Root
from oros.services.layers.plan import Plan, Stamp, Step
from oros.services.layers.tree import (
    MODE,
    Layer,
    copy_file,
    copy_link,
    remove_tree,
    white_out,
)

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
STEPS, DRAFT = "steps.json", "draft.json"
INVERSE = "inverse"

DONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""How a step fails that was done before: its place is gone, or is no folder any more."""

Left = dict[str, Stamp | None]
"""How each path was left: its stamp, None if it is gone."""


class Apply:
    """One application, in a folder `room` of ours that holds all that is known of it."""

    def __init__(self, target: Root, room: Path) -> None:
        self._target = target
        self._room = room
        self._stage = f".oros-{room.name}"

    @property
    def inverse(self) -> Path:
        """Where the layer is that takes it back."""
        return self._room / INVERSE

    @property
    def decided(self) -> bool:
        """Whether its steps are written down: then they must be finished."""
        return (self._room / STEPS).exists()

    def prepare(self, layer: Layer, plan: Plan) -> None:
        """Copy, keep, write down: nothing in the folder's own files is changed. Raises: OSError."""
        try:
            self._room.mkdir(mode=0o700, parents=True)
            self._write(DRAFT, plan.steps)
            about = os.fstat(self._target.fd)  # before the hidden folder changes its time
            os.mkdir(self._stage, 0o700, dir_fd=self._target.fd)
            owner = (about.st_uid, about.st_gid) if os.geteuid() == 0 else None
            with self._target.opened(self._stage, FOLDER) as stage:
                for step in plan.steps:
                    if step.number:
                        self._copy(layer, step, stage, owner)
            _Inverse(self._target, self.inverse, about).make(plan.steps, owner)
            self._write(STEPS, plan.steps)
        except BaseException:
            self._sweep()
            raise

    def _write(self, name: str, steps: Sequence[Step]) -> None:
        part = self._room / f"{name}.part"
        with part.open("w") as file:
            json.dump([s.plain() for s in steps], file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._room / name)

    def _read(self, name: str) -> list[Step]:
        try:
            return [Step.read(s) for s in json.loads((self._room / name).read_text())]
        except FileNotFoundError:
            return []

    def forget(self) -> Left:
        """Take back what was prepared and not decided; `clear` ends it. Raises: OSError.

        Second names that came and went have given files a new ctime: how they are now is returned,
        lest it be taken for the user's doing.
        """
        self._sweep()
        remove_tree(self.inverse)
        found = ((s, self._stamp(s.path)) for s in self._read(DRAFT) if s.was is not None)
        return {s.path: now for s, now in found if s.was and now and now.same(s.was)}

    def clear(self) -> None:
        """Remove all that is known of it."""
        remove_tree(self._room)

    def finish(self) -> Left:
        """Do the steps, or what is left of them. Raises: OSError."""
        steps = self._read(STEPS)
        for step in steps:
            try:
                self._do(step)
            except OSError as e:
                if e.errno not in DONE:
                    raise
        self._sweep()
        for step in steps:  # the sweep touched the folder itself
            if step.do == "set" and not step.path:
                self._set(step)
        return {s.path: self._stamp(s.path) for s in steps}

    def _copy(self, layer: Layer, step: Step, stage: int, owner: tuple[int, int] | None) -> None:
        name, entry = str(step.number), layer.entries[step.path]
        if step.do == "make":
            os.mkdir(name, 0o700, dir_fd=stage)
            if owner is not None:
                os.chown(name, *owner, dir_fd=stage, follow_symlinks=False)
            return
        with layer.root.parent(step.path) as (folder, old):
            if entry.what == "link":
                copy_link((folder, old), (stage, name), owner)
                return
            about = os.stat(old, dir_fd=folder, follow_symlinks=False)
            with _unlocked(folder, old, about) as fd:
                made = copy_file(fd, stage, name, about, owner)
            os.fsync(made)
            os.close(made)

    def _do(self, step: Step) -> None:
        match step.do:
            case "put" | "make":
                self._put(step)
            case "drop":
                with self._target.parent(step.path) as (folder, name):
                    if self._still(folder, name, step):
                        os.unlink(name, dir_fd=folder)
            case "rmdir":
                with self._target.parent(step.path) as (folder, name), suppress(OSError):
                    os.rmdir(name, dir_fd=folder)  # not empty: something came in meanwhile
            case "set":
                self._set(step)

    def _put(self, step: Step) -> None:
        with self._target.opened(self._stage, FOLDER) as stage:
            name = str(step.number)
            os.stat(name, dir_fd=stage, follow_symlinks=False)  # gone: it was done
            with self._target.parent(step.path) as (folder, place):
                if self._still(folder, place, step):
                    os.rename(name, place, src_dir_fd=stage, dst_dir_fd=folder)

    def _still(self, folder: int, name: str, step: Step) -> bool:
        """Whether what is there is what the plan saw: the last look before it goes."""
        try:
            now = Stamp.of(os.stat(name, dir_fd=folder, follow_symlinks=False))
        except FileNotFoundError:
            return step.was is None or step.do != "put"
        return step.was is not None and now.same(step.was)

    def _set(self, step: Step) -> None:
        """Set a folder's mode and time, through a descriptor that needs no right to read it."""
        with self._target.opened(step.path, HELD) as fd:
            about, held = os.fstat(fd), Path(f"/proc/self/fd/{fd}")
            os.utime(held, ns=(about.st_atime_ns, step.mtime))
            if stat.S_IMODE(about.st_mode) & MODE != step.mode:
                held.chmod(step.mode)

    def _stamp(self, path: str) -> Stamp | None:
        try:
            return Stamp.of(self._target.lstat(path))
        except OSError:
            return None

    def _sweep(self) -> None:
        """Remove the hidden folder, and all that was not used of it."""
        with suppress(FileNotFoundError):
            with self._target.opened(self._stage, FOLDER) as stage:
                for name in os.listdir(stage):  # noqa: PTH208 - an open folder has no path
                    about = os.stat(name, dir_fd=stage, follow_symlinks=False)
                    gone = os.rmdir if stat.S_ISDIR(about.st_mode) else os.unlink
                    gone(name, dir_fd=stage)
            os.rmdir(self._stage, dir_fd=self._target.fd)


class _Inverse:
    """The layer that restores what the steps replace."""

    def __init__(self, target: Root, place: Path, top: os.stat_result) -> None:
        self._target = target
        self._place = place
        place.mkdir(mode=0o700)
        self._root = Root(place)
        self._folders: dict[str, os.stat_result] = {"": top}

    def make(self, steps: Sequence[Step], owner: tuple[int, int] | None) -> None:
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
                if owner is not None:
                    os.fchown(fd, about.st_uid, about.st_gid)
                os.fchmod(fd, stat.S_IMODE(about.st_mode) & MODE)
                os.utime(fd, ns=(about.st_atime_ns, about.st_mtime_ns))

    def _step(self, step: Step) -> None:
        if step.do == "drop" or (step.do == "put" and step.was is not None):
            self._keep(step.path)
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

    def _keep(self, path: str) -> None:
        """A second name for a file; a copy where that can't be, or where it has further names."""
        self._folder(path.rpartition("/")[0])
        with self._target.parent(path) as (old, name), self._root.parent(path) as (new, _):
            about = os.stat(name, dir_fd=old, follow_symlinks=False)
            if about.st_nlink == 1 and _linked(old, new, name):
                return
            if stat.S_ISLNK(about.st_mode):
                copy_link((old, name), (new, name))
                return
            fd = os.open(name, READ, dir_fd=old)
            try:
                os.close(copy_file(fd, new, name, about))
            finally:
                os.close(fd)


def _linked(old: int, new: int, name: str) -> bool:
    try:
        os.link(name, name, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
    except OSError:
        return False
    return True


class _unlocked:  # noqa: N801 - used as a block
    """Open a file of a layer to read, also one whose mode forbids it to its owner."""

    def __init__(self, folder: int, name: str, about: os.stat_result) -> None:
        self._place = folder, name
        self._about = about

    def __enter__(self) -> int:
        folder, name = self._place
        locked = not self._about.st_mode & 0o400
        if locked:
            os.chmod(name, 0o600, dir_fd=folder)
        try:
            self._fd = os.open(name, READ, dir_fd=folder)
        finally:
            if locked:
                os.chmod(name, stat.S_IMODE(self._about.st_mode), dir_fd=folder)
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
