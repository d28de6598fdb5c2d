"""Trees of files for these tests: to photograph, to change at random, to make layers of."""

import os
import random
import shutil
import stat
from pathlib import Path

from oros.services.files.resolve import Root
from oros.services.files.walk import walk
from oros.services.layers.tree import copy_file, copy_link, make_opaque, white_out

NAMES = ["a", "b", "c.txt", "d e", "f\ng", os.fsdecode(b"h\xff")]


def photo(top: Path) -> dict:
    """Everything about a tree that has to come back, as one value."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files, "."]:
            path = Path(folder) / name
            found[str(path.relative_to(top))] = look(path)
    return found


def look(path: Path):
    about = path.lstat()
    body = b""
    if stat.S_ISLNK(about.st_mode):
        body = os.fsencode(path.readlink())
    elif stat.S_ISREG(about.st_mode):
        body = path.read_bytes()
    return stat.S_IFMT(about.st_mode), stat.S_IMODE(about.st_mode), about.st_mtime_ns, body


def sight(root: Root) -> dict:
    """The same of what a Root shows, without the top."""
    found = {}
    for seen in walk(root, stats=True, skip=frozenset()):
        about = seen.stat
        body = b""
        if seen.kind == "file":
            with root.opened(seen.path, os.O_RDONLY) as fd:
                body = os.pread(fd, about.st_size, 0)
        elif seen.kind == "link":
            with root.parent(seen.path) as (folder, name):
                body = os.fsencode(os.readlink(name, dir_fd=folder))
        mode = about.st_mode
        found[seen.path] = stat.S_IFMT(mode), stat.S_IMODE(mode), about.st_mtime_ns, body
    return found


def copied(root: Root, place: Path) -> Path:
    """A real tree of what a Root shows."""
    place.mkdir()
    there = Root(place)
    folders = []
    for seen in walk(root, stats=True, skip=frozenset()):
        with there.parent(seen.path) as (folder, name), root.parent(seen.path) as (old, _):
            if seen.kind == "dir":
                os.mkdir(name, dir_fd=folder)
                folders.append(seen)
            elif seen.kind == "link":
                copy_link((old, name), (folder, name))
            else:
                fd = os.open(name, os.O_RDONLY, dir_fd=old)
                os.close(copy_file(fd, folder, name, seen.stat))
                os.close(fd)
    for seen in reversed(folders):
        path = place / seen.path
        path.chmod(stat.S_IMODE(seen.stat.st_mode))
        os.utime(path, ns=(seen.stat.st_atime_ns, seen.stat.st_mtime_ns))
    return place


def change(top: Path, chance: random.Random, acts: int) -> None:  # noqa: C901 - a list of acts
    """Do to a tree what programs do."""
    for _ in range(acts):
        places = sorted(top.rglob("*"))
        folders = [top, *[p for p in places if p.is_dir() and not p.is_symlink()]]
        files = [p for p in places if p.is_file() and not p.is_symlink()]
        new = chance.choice(folders) / chance.choice(NAMES)
        what = chance.choice(["write", "edit", "remove", "folder", "link", "mode", "move", "time"])
        if what == "write" and not new.is_dir():
            new.unlink(missing_ok=True)
            new.write_bytes(chance.randbytes(chance.randrange(40)))
        elif what == "edit" and (writable := [p for p in files if p.stat().st_mode & 0o200]):
            with chance.choice(writable).open("ab") as file:
                file.write(chance.randbytes(3))
        elif what == "remove" and places:
            gone = chance.choice(places)
            shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink()
        elif what == "folder" and not os.path.lexists(new):
            new.mkdir()
        elif what == "link" and not os.path.lexists(new):
            new.symlink_to(chance.choice(["nowhere", "../a", "b"]))
        elif what == "mode" and files:
            chance.choice(files).chmod(chance.choice([0o600, 0o644, 0o755, 0o444]))
        elif what == "move" and places and not os.path.lexists(new):
            old = chance.choice(places)
            if not str(new).startswith(f"{old}/"):
                shutil.move(old, new)  # a layer takes no renamed folder (EXDEV), as two disks
        elif what == "time" and files:
            os.utime(chance.choice(files), ns=(10**18, chance.randrange(10**18)))


def layered(before: Path, after: Path, place: Path) -> list[str]:
    """The layer that makes `after` of `before`, as overlayfs would leave it."""
    place.mkdir()
    fd = os.open(place, os.O_RDONLY)
    _layer(before, after, place, fd)
    os.close(fd)
    about = after.stat()
    os.utime(place, ns=(about.st_atime_ns, about.st_mtime_ns))
    return []


def _layer(before: Path, after: Path, place: Path, fd: int) -> None:
    old = {p.name: p for p in before.iterdir()} if before.is_dir() else {}
    new = {p.name: p for p in after.iterdir()}
    for name in sorted(old.keys() - new.keys()):
        white_out(fd, name)
    for name, path in sorted(new.items()):
        was = old.get(name)
        if path.is_dir() and not path.is_symlink():
            same = was is not None and was.is_dir() and not was.is_symlink()
            if same and photo(was) == photo(path):
                continue
            (place / name).mkdir()
            inner = os.open(place / name, os.O_RDONLY)
            if was is not None and not same:
                make_opaque(inner)
            _layer(was if same else Path("/nowhere"), path, place / name, inner)
            os.close(inner)
            about = path.stat()
            (place / name).chmod(stat.S_IMODE(about.st_mode))
            os.utime(place / name, ns=(about.st_atime_ns, about.st_mtime_ns))
        elif was is None or not os.path.lexists(was) or look(was) != look(path):
            parent = os.open(after, os.O_RDONLY)
            parent_of = os.open(path.parent, os.O_RDONLY)
            if path.is_symlink():
                copy_link((parent_of, name), (fd, name))
            else:
                file = os.open(path, os.O_RDONLY)
                os.close(copy_file(file, fd, name, path.stat()))
                os.close(file)
            os.close(parent)
            os.close(parent_of)
