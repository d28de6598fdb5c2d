"""Who may come in: the machine's own user, and no program of theirs that sits in a sandbox.

The socket lies in a folder that is closed to others; this asks the kernel who is at the other end
(unix(7), SO_PEERCRED). A sandboxed program has our user id too, and may see the socket where a
work folder contains the machine's home: what gives it away is its user namespace.
"""

import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oros.abi.errors import AccessDenied


@dataclass(frozen=True, slots=True)
class Peer:
    """A process at the other end. `space` names its user namespace; "" if it can't be told."""

    pid: int
    uid: int
    space: str


Who = Callable[[socket.socket], Peer]


def peer_of(link: socket.socket) -> Peer:
    """Ask the system who connected."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return Peer(pid, uid, space_of(pid))


def space_of(pid: int | str) -> str:
    """The user namespace of a process, as the system names it (user_namespaces(7))."""
    try:
        return str(Path(f"/proc/{pid}/ns/user").readlink())
    except OSError:
        return ""


def admit(link: socket.socket, who: Who = peer_of) -> None:
    """Let the machine's own user in. Raises: AccessDenied."""
    peer = who(link)
    if peer.uid != os.getuid():
        raise AccessDenied(
            f"this machine belongs to user {os.getuid()}, you are user {peer.uid}",
            "set OROS_HOME to a folder of yours",
        )
    if peer.space != space_of("self"):
        raise AccessDenied("a sandboxed program may not use the machine's door")
