"""Ctrl-C while a process is followed: the first stops its turn, the second leaves it to itself.

The signal handler only counts and wakes: what is done about it is done in a thread, so that nothing
is written, and no connection used, in the middle of somebody else's write.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Detached(BaseException):
    """The person left; the process goes on."""


class Interrupts:
    """A block in which Ctrl-C calls `first`, then raises Detached; `tick` is called meanwhile.

    `tick` runs in the same thread as `first`, some times a second.
    """

    def __init__(self, first: Callable[[], None], tick: Callable[[], None]) -> None:
        self.count = 0
        self.asking = False
        self._first, self._tick = first, tick
        self._wake = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._old: object = None

    def __enter__(self) -> "Interrupts":
        self._old = signal.signal(signal.SIGINT, self._struck)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._over = True
        self._wake.set()
        self._thread.join()
        signal.signal(signal.SIGINT, self._old)  # type: ignore[arg-type]  # what signal() returned

    def _struck(self, _: int, __: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise Detached
        self._wake.set()
        if self.asking:
            raise KeyboardInterrupt

    def _run(self) -> None:
        told = False
        while not self._over:
            self._wake.wait(0.2)
            if self.count and not told:
                told = True
                self._first()
            if not self._over:
                self._tick()
                if told:
                    self._wake.clear()
