"""The step inside: join a net namespace, make the egress's sockets in it, send them out.

A program of its own, since it changes its user and net namespaces; it imports nothing of oros (and
little else: it starts with every job that has an egress):

    python -ISB inside.py CHANNEL      a descriptor; the namespace comes over it

It asks the net namespace for the user namespace that owns it: bubblewrap nests them. It never
raises loopback itself, only waits for it: bubblewrap would fail at doing it again.
Sources: ioctl_ns(2), setns(2), netdevice(7), rtnetlink(7).
"""

import _socket
import ctypes
import fcntl
import os
import struct
import sys
import time

NS_GET_USERNS, NEW_USER, NEW_NET = 0xB701, 0x10000000, 0x40000000
GET_FLAGS, UP = 0x8913, 1
NET, BITS = "198.18.0.0", 15
NEW_ROUTE, REQUEST_ACK_CREATE = 24, 0x1 | 0x4 | 0x400
LOCAL_TABLE, STATIC, HOST_SCOPE, LOCAL = 255, 4, 254, 2
DESTINATION, OUT_INTERFACE, ERROR = 1, 4, 2
BACKLOG, EXISTS = 128, 17
STEP, SECONDS = 0.0002, 5.0
SOCKETS = (
    ("127.0.0.1", 3128, _socket.SOCK_STREAM),
    ("127.0.0.1", 53, _socket.SOCK_DGRAM),
    ("0.0.0.0", 443, _socket.SOCK_STREAM),  # noqa: S104 - of a namespace without a way in
    ("0.0.0.0", 80, _socket.SOCK_STREAM),  # noqa: S104 - of a namespace without a way in
)

libc = ctypes.CDLL(None, use_errno=True)


def join(space: int) -> None:
    """Enter the net namespace, as root of the user namespace that owns it."""
    owner = fcntl.ioctl(space, NS_GET_USERNS)
    for number, kind in ((owner, NEW_USER), (space, NEW_NET)):
        if libc.setns(number, kind) < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"setns: {os.strerror(error)}")


def wait_for_loopback(probe: _socket.socket) -> None:
    """Wait until the sandbox has raised its loopback."""
    end = time.monotonic() + SECONDS  # noqa: TID251 - a program of its own
    while True:
        answer = fcntl.ioctl(probe.fileno(), GET_FLAGS, struct.pack("16sH14x", b"lo", 0))
        if struct.unpack_from("H", answer, 16)[0] & UP:
            return
        if time.monotonic() > end:  # noqa: TID251 - a program of its own
            raise TimeoutError(110, "loopback did not come up")
        time.sleep(STEP)


def add_route() -> None:
    """Make every address of NET the sandbox's own: `ip route add local NET dev lo`."""
    link = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, 0)
    link.bind((0, 0))
    body = struct.pack("BBBBBBBBI", _socket.AF_INET, BITS, 0, 0, LOCAL_TABLE, STATIC, HOST_SCOPE,
                       LOCAL, 0)  # fmt: skip
    body += struct.pack("HH4s", 8, DESTINATION, _socket.inet_aton(NET))
    body += struct.pack("HHI", 8, OUT_INTERFACE, _socket.if_nametoindex("lo"))
    head = struct.pack("IHHII", 16 + len(body), NEW_ROUTE, REQUEST_ACK_CREATE, 1, 0)
    link.send(head + body)
    answer = link.recv(4096)
    kind, code = struct.unpack_from("H", answer, 4)[0], struct.unpack_from("i", answer, 16)[0]
    if kind != ERROR or code not in (0, -EXISTS):  # an interpreter is served call by call
        raise OSError(-code, f"route: {os.strerror(-code)}")


def listener(host: str, port: int, kind: int) -> _socket.socket:
    """Open a socket that is bound, and listens if it can."""
    made = _socket.socket(_socket.AF_INET, kind, 0)
    if kind == _socket.SOCK_STREAM:  # else what the last call left in TIME-WAIT is in the way
        made.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    if kind == _socket.SOCK_STREAM:
        made.listen(BACKLOG)
    return made


def main(words: list[str]) -> None:
    """Wait, make and send; a failure is sent as words without sockets."""
    channel = _socket.socket(fileno=int(words[0]))
    _, sent, *_ = channel.recvmsg(1, _socket.CMSG_SPACE(4))
    if not sent:
        return  # it is not needed
    try:
        join(struct.unpack("i", sent[0][2])[0])
        wait_for_loopback(_socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM, 0))
        add_route()
        made = [listener(*each) for each in SOCKETS]
    except OSError as e:
        channel.send(str(e.strerror or e).encode())
        return
    numbers = struct.pack(f"{len(made)}i", *(each.fileno() for each in made))
    channel.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)])


if __name__ == "__main__":
    main(sys.argv[1:])
