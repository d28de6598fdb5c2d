"""Brings a layer into a folder, whole or not at all, and makes the layer that takes it back.

First everything new is copied into a hidden folder of the same file system, and everything old gets
a second name (or a copy) in the inverse layer. Then the steps are written down; from there on they
are done, after a crash too, by `finish`. Each is a rename or a removal, and can be done again.
What is not as it was looked at any more, whoever changed it, is left alone and named.
"""

import errno
import json
import os
import stat
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from oros.abi.errors import OrosError
from oros.services.files.resolve import FOLDER as HELD
from oros.services.files.resolve import Root
from oros.services.layers.compose import above
from oros.services.layers.inverse import Inverse, linked
from oros.services.layers.plan import Plan, Stamp, Step
from oros.services.layers.tree import (
    MODE,
    Layer,
    copy_file,
    copy_link,
    remove_tree,
    stored,
)

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
STEPS, DRAFT, MISSED = "steps.json", "draft.json", "missed.json"
INVERSE = "inverse"
BATCH = 200
"""Copies that are open until they are synced together: the first one pays for most of them."""

DONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""How a step fails that was done before: its place is gone, or is no folder any more."""

Owner = tuple[int, int] | None
Left = dict[str, Stamp | None]
"""How each path was left: its stamp, None if it is gone."""


class Apply:
    """One application, in a folder `room` of ours that holds all that is known of it."""

    def __init__(self, target: Root, room: Path) -> None:
        self._target = target
        self._room = room
        self._stage = f".oros-{room.name}"
        self.missed: list[str] = []
        """After `finish`: the paths that were not as planned any more, and were left alone."""

    @property
    def inverse(self) -> Path:
        """Where the layer is that takes it back."""
        return self._room / INVERSE

    @property
    def decided(self) -> bool:
        """Whether its steps are written down: then they must be finished."""
        return (self._room / STEPS).exists()

    def prepare(self, layer: Layer, plan: Plan, *, moves: bool = False) -> None:
        """Copy, keep, write down: nothing in the folder's own files is changed.

        `moves`: the layer is gone afterwards, so its files come in as they are.

        Raises: OSError; NoSpace that names the room.
        """
        about = os.fstat(self._target.fd)  # before the hidden folder changes its time
        try:
            with stored(self._room.parent):
                self._room.mkdir(mode=0o700, parents=True)
            self._write(DRAFT, [s.plain() for s in plan.steps])
            self._permitted(plan.steps)
            os.mkdir(self._stage, 0o700, dir_fd=self._target.fd)
            owner = None if moves or os.geteuid() != 0 else (about.st_uid, about.st_gid)
            self._copies(layer, plan.steps, owner, moves=moves)
            with stored(self._room.parent):
                Inverse(self._target, self.inverse, about).make(plan.steps)
            self._write(STEPS, [s.plain() for s in plan.steps])
        except BaseException:
            with suppress(OSError, OrosError):
                self._sweep()
                times = about.st_atime_ns, about.st_mtime_ns
                os.utime(f"/proc/self/fd/{self._target.fd}", ns=times)
            raise

    def _permitted(self, steps: Sequence[Step]) -> None:
        """See that the steps will be let, before one is done. Raises: OSError."""
        if os.geteuid() == 0:
            return
        made = {s.path for s in steps if s.do == "make"}
        for folder in {s.path.rpartition("/")[0] for s in steps if s.do != "set"} - made:
            with self._target.opened(folder, HELD) as fd:
                own = os.fstat(fd).st_uid == os.geteuid()
                if not own and not os.access(f"/proc/self/fd/{fd}", os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)

    def _write(self, name: str, data: object) -> None:
        part = self._room / f"{name}.part"
        with stored(self._room.parent):
            with part.open("w") as file:
                file.write(json.dumps(data))  # `dump` is Python, and slow
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

    def replaced(self) -> dict[str, Stamp]:
        """What its steps took the place of."""
        return {s.path: s.was for s in self._read(STEPS) if s.was is not None}

    def clear(self) -> None:
        """Remove all that is known of it."""
        remove_tree(self._room)

    def finish(self) -> Left:
        """Do the steps, or what is left of them. Raises: OSError; NotFound (the folder is gone)."""
        steps = self._read(STEPS)
        for step in steps:
            try:
                self._do(step)
            except OSError as e:
                if e.errno not in DONE:
                    raise
        missed = self._missed(steps)
        self._sweep()
        for step in steps:  # the sweep touched the folder itself
            if step.do == "set" and not step.path:
                self._set(step)
        left: Left = {}
        for step in steps:
            now = self._stamp(step.path)
            if step.path not in missed or (now and step.was and now.same(step.was)):
                left[step.path] = now
        self.missed = sorted(missed)
        return left

    def _missed(self, steps: Sequence[Step]) -> set[str]:
        """The paths whose last step was not done; kept until the end, as the sweep hides them."""
        with suppress(FileNotFoundError):
            return set(json.loads((self._room / MISSED).read_text()))
        try:
            with self._target.opened(self._stage, FOLDER) as stage:
                unused: set[str] | None = set(os.listdir(stage))  # noqa: PTH208 - it is open
        except FileNotFoundError:
            unused = None
        found: set[str] = set()
        put = {s.path for s in steps if s.do == "put"}
        for step in {s.path: s for s in steps if s.do != "set"}.values():
            if not step.number:
                lost = not self._gone(step.path, put)
            elif unused is None:  # swept before a crash, or the folder was made anew
                lost = self._stamp(step.path) is None
            else:
                lost = str(step.number) in unused
            if lost:
                found.add(step.path)
        if found:
            self._write(MISSED, sorted(found))
        return found

    def _gone(self, path: str, put: Container[str]) -> bool:
        """Whether nothing is there, as far as one can see; behind a link of ours nothing is."""
        try:
            self._target.lstat(path)
        except OSError as e:
            return e.errno != errno.ELOOP or any(p in put for p in above(path))
        return False

    def _copies(self, layer: Layer, steps: Sequence[Step], owner: Owner, *, moves: bool) -> None:
        """Stage all that comes in, and have it on the disk."""
        made: list[int] = []
        with self._target.opened(self._stage, FOLDER) as stage:
            try:
                for step in steps:
                    if step.number:
                        made += _staged(layer, step, stage, owner, moves=moves)
                    if len(made) >= BATCH:
                        _sync(made)
                made.insert(0, os.dup(stage))
                _sync(made)
            finally:
                for fd in made:
                    os.close(fd)

    def _do(self, step: Step) -> None:
        try:
            self._act(step)
        except PermissionError:
            with self._target.opened(step.path.rpartition("/")[0], HELD) as fd, _writable(fd):
                self._act(step)

    def _act(self, step: Step) -> None:
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
            mode = stat.S_IMODE(about.st_mode)
            wanted = step.mode | (mode & ~MODE)  # what no layer of a program has stays
            if mode != wanted:
                held.chmod(wanted)

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


def _staged(layer: Layer, step: Step, stage: int, owner: Owner, *, moves: bool) -> list[int]:
    """Have one thing of a layer under its number in the hidden folder; the copy, open."""
    number = str(step.number)
    with layer.root.parent(step.path) as (folder, name):
        about = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if moves and os.geteuid() == 0:
            owner = about.st_uid, about.st_gid
        if step.do == "make":
            os.mkdir(number, 0o700, dir_fd=stage)
            if owner is not None:
                os.chown(number, *owner, dir_fd=stage, follow_symlinks=False)
        elif moves and linked(folder, stage, name, number):
            pass
        elif stat.S_ISLNK(about.st_mode):
            copy_link((folder, name), (stage, number), owner)
        else:
            with _unlocked(folder, name, about) as fd:
                return [copy_file(fd, stage, number, about, owner)]
    return []


@contextmanager
def _writable(folder: int) -> Iterator[None]:
    """Let its owner change a folder whose mode forbids that, as the maker of a layer could."""
    mode, held = stat.S_IMODE(os.fstat(folder).st_mode), Path(f"/proc/self/fd/{folder}")
    held.chmod(mode | 0o700)
    try:
        yield
    finally:
        held.chmod(mode)


def _sync(made: list[int]) -> None:
    """Have open files on the disk, and close them."""
    while made:
        try:
            os.fsync(made[-1])
        finally:
            os.close(made.pop())


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
