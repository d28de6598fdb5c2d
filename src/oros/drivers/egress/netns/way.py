"""The `Egress` of the ports: to the granted hosts of one sandbox, by sockets in its namespace."""

import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

from oros.abi.jobs import Flow
from oros.drivers.egress.netns.listeners import ENVIRONMENT, FILES, listen
from oros.drivers.egress.netns.policy import Address, Policy, dialled, public
from oros.drivers.egress.netns.secrets import Secrets, none
from oros.drivers.egress.netns.server import BOUNDS, Egress, Outside


def own(address: Address) -> bool:
    """Whether an address is this machine's: one that can be bound. In doubt it is."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as e:
        return e.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def elsewhere(address: Address) -> bool:
    """Whether an address is somebody else's on the open internet."""
    return public(address) and not own(dialled(address))


OUTSIDE = Outside(accept=elsewhere)


class Way:
    """To `hosts` and nowhere else; `record` is told each flow when it is over."""

    files: Mapping[str, str] = FILES
    env: Mapping[str, str] = ENVIRONMENT

    def __init__(
        self,
        hosts: Iterable[str],
        record: Callable[[Flow], None],
        outside: Outside = OUTSIDE,
        secrets: Secrets = none,
    ) -> None:
        """`secrets`: what a host may be sent in place of a mark. Raises: Invalid for no host."""
        self._egress = Egress(Policy.of(*hosts), record, BOUNDS, outside, secrets)

    @contextlib.asynccontextmanager
    async def serving(self, pid: int) -> AsyncIterator[None]:
        """Serve the namespace of a process that waits at its gate. Raises: NotEnforced."""
        async with self._egress.serving(await listen(pid)):
            yield
