"""Many layers as one tree, for a mount: files by further names, folders and whiteouts anew."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from oros.services.files.resolve import Root
from oros.services.layers.compose import Seen
from oros.services.layers.tree import (
    MODE,
    copy_file,
    copy_link,
    make_opaque,
    white_out,
)

FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def squash(seen: Mapping[str, Seen], place: Path) -> None:
    """Make at `place` the tree of what was composed; it must not be there. Raises: OSError."""
    place.mkdir(mode=0o700)
    root = Root(place)
    folders: dict[str, os.stat_result] = {}
    for path in sorted(seen, key=lambda p: p.split("/")):
        at = seen[path]
        _above(root, path, folders, at)
        with root.parent(path) as (folder, name):
            match at.entry.what:
                case "gone":
                    white_out(folder, name)
                case "dir":
                    os.mkdir(name, 0o700, dir_fd=folder)
                    folders[path] = at.layer.root.lstat(path)
                    if at.entry.opaque:
                        with root.opened(path, FOLDER) as made:
                            make_opaque(made)
                case "file" | "link" as what:
                    with at.layer.root.parent(path) as (old, _):
                        _same(old, folder, name, what)
    for path, about in reversed(folders.items()):
        with root.opened(path, FOLDER) as made:
            if os.geteuid() == 0:
                os.fchown(made, about.st_uid, about.st_gid)
            os.fchmod(made, stat.S_IMODE(about.st_mode) & MODE)
            os.utime(made, ns=(about.st_atime_ns, about.st_mtime_ns))


def _above(root: Root, path: str, folders: dict[str, os.stat_result], at: Seen) -> None:
    """Have the folders above a path, as the layer that has it knows them."""
    parts = path.split("/")[:-1]
    for count in range(len(parts) + 1):
        above = "/".join(parts[:count])
        if above in folders:
            continue
        folders[above] = at.layer.root.lstat(above)
        if above:
            with root.parent(above) as (folder, name):
                os.mkdir(name, 0o700, dir_fd=folder)


def _same(old: int, folder: int, name: str, what: str) -> None:
    try:
        os.link(name, name, src_dir_fd=old, dst_dir_fd=folder, follow_symlinks=False)
    except OSError:
        if what == "link":
            copy_link((old, name), (folder, name))
            return
        about = os.stat(name, dir_fd=old, follow_symlinks=False)
        fd = os.open(name, FILE, dir_fd=old)
        try:
            os.close(copy_file(fd, folder, name, about))
        finally:
            os.close(fd)
