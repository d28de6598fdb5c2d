"""The process that interpreters are forked from: clean, with the large libraries imported once.

It travels as source, imports nothing of oros and runs nothing of anybody's: it starts with no
environment, imports what it is told, and forks for each request. Descriptor 0 is its socket, of
whole messages in JSON; a request for an interpreter comes with four descriptors:

    control     the frames of the interpreter (see loop.py)
    out, err    what its cells print
    birth       this child's own socket: {"ready"} with a pidfd of its first process and its outer
                user and mount namespaces, then it waits for one byte; {"armed"} with a pidfd of
                the interpreter; at its end {"status"}; or {"error"} at any time

One to lay a folder copy-on-write in such a sandbox comes with these two namespaces, and a socket
that gets {"laid"} with the upper folder, or {"error"}.

Pid 1 inside is no interpreter: it reaps what is left behind, and tells how the interpreter died,
which as pid 1 could not even be killed by its own signal.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

PR_DEATH_SIGNAL, PR_SUBREAPER = 1, 36
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
REQUEST = 1 << 20

Enter = dict[str, Any]
Run = Callable[[int, int, dict[str, ModuleType]], None]
Show = dict[str, Any]
Request = dict[str, Any]


def load(modules: list[str], packages: list[str], room: str, show: Show) -> dict[str, str]:
    """Import what is there; name -> version. `room`: a folder for what they write."""
    sys.path += packages
    os.environ.update(dict.fromkeys(THREADS, "1"))  # no threads: a fork would lose them
    os.environ |= {"MPLBACKEND": "Agg", "MPLCONFIGDIR": room, "HOME": room}
    found = {}
    for name in modules:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        top = sys.modules[name.partition(".")[0]]
        found[name] = str(getattr(module, "__version__", getattr(top, "__version__", "")))
    rehearse(show)
    os.environ.clear()
    return found


def rehearse(show: Show) -> None:
    """Show a table and a figure once: what they import and build lazily is shared by all then."""
    importlib.invalidate_caches()
    pandas, pyplot = sys.modules.get("pandas"), sys.modules.get("matplotlib.pyplot")
    if pandas is not None:
        table = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
        show["text"](table)
        show["table"](pandas, table)
    if pyplot is not None:
        figure = pyplot.figure()
        figure.gca().plot([1, 2])
        show["drawn"](figure)
        pyplot.close("all")


class Zygote:
    """Forks; `enter` is the module of that name, `run` the loop, `program` the call filter."""

    def __init__(self, enter: Enter, run: Run, program: bytes) -> None:
        self.enter, self.run, self.program = enter, run, program
        self.library = dict(sys.modules)  # here, so that all share its pages
        self.spaces: dict[tuple[int, int], int] = {}

    def serve(self, daemon: socket.socket) -> None:
        """Fork for each request until the daemon is gone."""
        self.enter["libc"].prctl(PR_SUBREAPER, 1, 0, 0, 0)
        while True:
            data, numbers, _, _ = socket.recv_fds(daemon, REQUEST, 4)
            if not data:
                return
            if numbers:
                asked = json.loads(data)
                answer = self.birth(asked, numbers)
                for number in numbers:
                    os.close(number)
                daemon.send(json.dumps({**answer, "id": asked["id"]}).encode())
            reap()

    def birth(self, asked: Request, numbers: list[int]) -> Request:
        """Fork a child that does what is asked; its first process is gone when this returns.

        An interpreter's second process is our own child then.
        """
        try:
            if asked["uid"] is not None:
                self.enter["map_owners"](asked, self.spaces)
        except OSError as e:
            return {"error": str(e)}
        child = os.fork()
        if child == 0:
            try:
                if "places" in asked:
                    self.first(asked, numbers)
                else:
                    self.lay(asked, numbers)
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        return {"gone": child}

    def first(self, asked: Request, numbers: list[int]) -> None:
        """Leave the daemon's world; the child of this process goes on."""
        control, out, err, told = numbers
        nothing = os.open("/dev/null", os.O_RDWR)
        for number, at in ((nothing, 0), (out, 1), (err, 2)):
            os.dup2(number, at)
        with socket.socket(fileno=told) as parent:
            try:
                close_all_but({0, 1, 2, control, told, *self.spaces.values()})
                self.enter["leave"](asked, self.spaces)
                close_all_but({0, 1, 2, control, told})
                if os.fork() == 0:
                    self.second(asked, control, parent)
                os._exit(0)
            except Exception as e:  # noqa: BLE001 - whatever it is, the daemon is told
                why = str(e) if isinstance(e, OSError) else repr(e)
                parent.send(json.dumps({"error": why}).encode())
                os._exit(1)

    def lay(self, asked: Request, numbers: list[int]) -> None:
        """Lay a folder copy-on-write in a sandbox that stands."""
        user, mounts, told = numbers
        with socket.socket(fileno=told) as parent:
            try:
                close_all_but({*numbers, *self.spaces.values()})
                upper = self.enter["lay"](asked, self.spaces, user, mounts)
                socket.send_fds(parent, [b'{"laid": 1}'], [upper])
                os._exit(0)
            except OSError as e:
                parent.send(json.dumps({"error": str(e)}).encode())
                os._exit(1)

    def second(self, asked: Request, control: int, parent: socket.socket) -> None:
        """Be pid 1: build the root, lock it, wait for the daemon, start the interpreter."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # pid 1 gets no signal that it does not handle
        os.setsid()
        outer = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("user", "mnt")]
        self.enter["build"](asked)
        self.enter["lock"](asked, self.program)
        handed = [os.pidfd_open(os.getpid()), *outer]
        socket.send_fds(parent, [b'{"ready": 1}'], handed)
        for number in handed:
            os.close(number)
        if parent.recv(1) != b".":
            os._exit(1)
        self.enter["libc"].prctl(PR_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        child = os.fork()
        if child == 0:
            parent.close()
            interpret(partial(self.run, control, control, self.library), asked["environment"])
        watch(child, control, parent)


def reap() -> None:
    """Bury the dead."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def interpret(run: Callable[[], None], environment: dict[str, str]) -> None:
    """Be the interpreter."""
    os.environ.update(environment)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()  # else all children would draw the same numbers
    try:
        run()
    finally:
        os._exit(1)


def watch(child: int, control: int, parent: socket.socket) -> None:
    """Reap until the interpreter is dead; with this process all others go."""
    number = os.pidfd_open(child)
    socket.send_fds(parent, [b'{"armed": 1}'], [number])
    for open_one in (number, control, 0, 1, 2):
        os.close(open_one)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            parent.send(b'{"status": %d}' % code)
            os._exit(0)


def close_all_but(kept: set[int]) -> None:
    """Close all descriptors but some."""
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - as the rest
        if number not in kept:
            try:
                os.close(number)
            except OSError:
                continue  # that of the listing itself


def settled() -> int:
    """How many threads there are, once a timer of the fonts' had time to end."""
    count = 0
    for _ in range(100):
        count = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - as the rest
        if count == 1:
            break
        time.sleep(0.01)
    return count


def main(enter: Enter, run: Run, show: Show) -> None:
    """Take the settings, import, serve."""
    with socket.socket(fileno=os.dup(0)) as daemon:
        settings = json.loads(daemon.recv(REQUEST))
        enter["libc"].prctl(PR_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != settings["parent"]:
            os._exit(0)
        try:
            packages = enter["gather"](settings["packages"], settings["stage"])
        except OSError as e:
            daemon.send(json.dumps({"error": str(e)}).encode())
            return
        loaded = load(settings["modules"], packages, f"{settings['stage']}/stage", show)
        enter["libc"].prctl(PR_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # new rights may undo it
        threads = settled()
        zygote = Zygote(enter, run, bytes.fromhex(settings["filter"]))
        gc.collect()
        gc.freeze()
        daemon.send(json.dumps({"loaded": loaded, "threads": threads}).encode())
        zygote.serve(daemon)
