"""Walks a folder in sorted order, one open folder at a time, without recursion or links.

Every folder is opened from the root by the strict way, so a folder that is swapped for a link
during the walk is left out, and a tree of any depth needs one descriptor.
"""

import errno
from collections.abc import Container, Iterator

from oros.services.files.entry import Entry
from oros.services.files.resolve import Root

VCS = frozenset({".git", ".hg", ".svn", ".jj", ".bzr"})
"""Folders that hold a version control system's own records."""


def walk(
    root: Root,
    top: str = "",
    *,
    depth: int | None = None,
    stats: bool = False,
    skip: Container[str] = VCS,
) -> Iterator[Entry]:
    """Yield all beneath `top` in pre-order, sorted by name; folders named in `skip` stay shut.

    What vanishes or can't be entered is left out, but `top` itself: OSError. A path that is longer
    than the system takes ends the walk with ENAMETOOLONG.
    """
    levels = [iter(root.listing(top, stats=stats))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
            continue
        yield entry
        deeper = depth is None or len(levels) < depth
        if entry.kind == "dir" and deeper and entry.path.rpartition("/")[2] not in skip:
            try:
                levels.append(iter(root.listing(entry.path, stats=stats)))
            except OSError as e:
                if e.errno == errno.ENAMETOOLONG:
                    raise
