"""What the gate needs of the machine: calls down, facts up, questions, long work, halt."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from oros.abi.ids import START, Pid, Seq
from oros.abi.message import Json
from oros.abi.syscalls import Outcome
from oros.abi.watch import Fact, Token


class Machine(Protocol):
    """One machine. All errors that it raises are `OrosError`s."""

    async def request(self, name: str, args: Mapping[str, Json]) -> Outcome:
        """The person's call, through the one door. Cancelled: the person went away."""

    def watch(
        self, pid: Pid | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Fact | Token]]]:
        """Facts and tokens from now on; ends when the watcher fell too far behind."""

    def history(self, pid: Pid, after: Seq = START) -> Sequence[Fact]:
        """The committed facts of a process. Raises: NoProcess."""

    async def query(self, name: str, args: Mapping[str, Json]) -> Json:
        """Answer what is no system call. Raises: NoCall."""

    def progress(self, name: str, args: Mapping[str, Json]) -> AsyncIterator[Json]:
        """Do something long; yields progress, then `{"result"}` or `{"error"}`. Raises: NoCall."""

    def halt(self) -> None:
        """Stop, in order."""
