"""A cancel scope: a block of awaits that somebody else may end, once, with a reason.

Built on `asyncio.timeout`, whose deadline can be moved to now from outside; so it nests with
timeouts and task groups as they do, and a cancellation of the task itself passes through.
"""

import asyncio
from types import TracebackType


class Scope:
    """`with scope:` in the task, `scope.cancel(reason)` from anywhere on the loop.

    After the block `scope.reason` tells why it was ended, "" if it ended by itself; after `seconds`
    it is ended by "time". A scope that was cancelled before it was entered ends at its first await.
    """

    __slots__ = ("_entered", "_timeout", "reason")

    def __init__(self, seconds: float | None = None) -> None:
        self._timeout = asyncio.timeout(seconds)
        self._entered = False
        self.reason = ""

    def cancel(self, reason: str) -> None:
        """End the block; the first reason counts."""
        if not self.reason:
            self.reason = reason
            if self._entered:
                self._timeout.reschedule(0)

    async def __aenter__(self) -> "Scope":
        await self._timeout.__aenter__()
        self._entered = True
        if self.reason:
            self._timeout.reschedule(0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._entered = False
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            if not self._timeout.expired():
                raise
            self.reason = self.reason or "time"
            return True
        return False
