"""Sets the traps of probes.py on the host, then runs it bare and in the sandbox; prints both.

python host.py BACKEND    prints {"bare": {...}, "sandbox": {...}, "report": {...}}, or the report
                          alone where folders can't be laid by that backend
"""

import asyncio
import contextlib
import ctypes
import dataclasses
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from oros.abi.jobs import Job, Overlay
from oros.drivers.sandbox.bwrap import BwrapSandbox, survey

PROBES = Path(__file__).with_name("probes.py")


@contextlib.contextmanager
def traps(folder: Path):
    """Things on the host that a program inside must not reach."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    shm = libc.shmget(0, 4096, 0o1666)
    ctypes.memmove(libc.shmat(shm, None, 0), b"CANARY", 6)
    (folder / "canary").write_text("CANARY")
    name = "oros-" + secrets.token_hex(8)
    with contextlib.ExitStack() as stack:

        def open_socket(*kind):
            return stack.enter_context(socket.socket(*kind))

        tcp = open_socket()
        udp = open_socket(socket.AF_INET, socket.SOCK_DGRAM)
        for s in (tcp, udp):
            s.bind(("127.0.0.1", 0))
        tcp.listen()
        path, abstract = open_socket(socket.AF_UNIX), open_socket(socket.AF_UNIX)
        path.bind(str(folder / "socket"))
        path.listen()
        abstract.bind("\0" + name)
        abstract.listen()
        for serve in (answer_tcp, answer_udp):
            threading.Thread(target=serve, args=(tcp, udp), daemon=True).start()
        bystander = subprocess.Popen(["sleep", "4242"], env={"SECRET": name})
        try:
            yield {
                "canary": str(folder / "canary"), "tcp": tcp.getsockname()[1],
                "udp": udp.getsockname()[1], "unix": str(folder / "socket"), "abstract": name,
                "secret": name, "pid": bystander.pid, "cmdline": "sleep\x004242\x00", "shm": shm,
            }  # fmt: skip
        finally:
            bystander.kill()
            bystander.wait()
            libc.shmctl(shm, 0, None)


def answer_tcp(tcp, udp):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = tcp.accept()
            connection.sendall(b"CANARY")
            connection.close()


def answer_udp(tcp, udp):
    with contextlib.suppress(OSError):
        while True:
            _, sender = udp.recvfrom(10)
            udp.sendto(b"CANARY", sender)


def bare(work: Path, told: dict) -> dict:
    """The negative control: the same program, with a descriptor left open and no sandbox."""
    leak = os.open(told["canary"], os.O_RDONLY)
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    done = subprocess.run(
        [python, str(PROBES), json.dumps({**told, "work": str(work)})],
        pass_fds=[leak], capture_output=True, text=True, check=False,
    )  # fmt: skip
    os.close(leak)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def inside(sandbox: BwrapSandbox, work: Path, told: dict) -> dict:
    leak = os.open(told["canary"], os.O_RDONLY)
    os.set_inheritable(leak, True)
    os.environ["SECRET"] = told["secret"]
    told = json.dumps({**told, "work": "/work"})
    result = await sandbox.run(
        Job((*sandbox.python(), "-", told), stdin=PROBES.read_bytes(),
            overlay=Overlay("/work", str(work)))
    )  # fmt: skip
    os.close(result.upper)
    os.close(leak)
    assert result.exit == 0, result
    return json.loads(result.out)


def main(backend):
    survey.BACKENDS = (backend,)
    sandbox = BwrapSandbox()
    report = asyncio.run(sandbox.probe())
    if not report.works:
        print(json.dumps({"report": dataclasses.asdict(report)}))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works = [folder / "bare", folder / "inside"]
        for work in works:
            work.mkdir(mode=0o700)
        with traps(folder) as told:
            free = bare(works[0], told)
            held = asyncio.run(inside(sandbox, works[1], told))
    shown = dataclasses.asdict(report)
    print(json.dumps({"bare": free, "sandbox": held, "report": shown}))


if __name__ == "__main__":
    main(sys.argv[1])
