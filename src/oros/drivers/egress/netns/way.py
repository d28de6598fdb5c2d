"""The `Egress` of the ports: to the granted hosts of one sandbox, by sockets in its namespace."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

from oros.abi.jobs import Flow
from oros.drivers.egress.netns.listeners import ENVIRONMENT, FILES, listen
from oros.drivers.egress.netns.policy import Policy
from oros.drivers.egress.netns.server import BOUNDS, OUTSIDE, Egress, Outside


class Way:
    """To `hosts` and nowhere else; `record` is told each flow when it is over."""

    files: Mapping[str, str] = FILES
    env: Mapping[str, str] = ENVIRONMENT

    def __init__(
        self, hosts: Iterable[str], record: Callable[[Flow], None], outside: Outside = OUTSIDE
    ) -> None:
        """Raises: Invalid for what is no host."""
        self._egress = Egress(Policy.of(*hosts), record, BOUNDS, outside)

    @contextlib.asynccontextmanager
    async def serving(self, pid: int) -> AsyncIterator[None]:
        """Serve the namespace of a process that waits at its gate. Raises: NotEnforced."""
        async with self._egress.serving(await listen(pid)):
            yield
