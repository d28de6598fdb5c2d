"""What is mounted below a folder of the host."""

import os
import re
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
ESCAPED = re.compile(rb"\\([0-7]{3})")


def below(folder: str) -> list[str]:
    """Where something is mounted below a folder, which is not counted; the outer ones first.

    Source: proc(5), /proc/pid/mountinfo.
    """
    top = os.path.realpath(os.fsencode(folder)).rstrip(b"/") + b"/"
    places = {line.split(b" ")[4] for line in TABLE.read_bytes().splitlines()}
    named = {ESCAPED.sub(lambda m: bytes([int(m[1], 8)]), place) for place in places}
    return sorted(os.fsdecode(place) for place in named if place.startswith(top))
