"""The names inside: each granted one has an address of its own that leads to us.

A name is never asked for outside: a program that puts a secret into a name tells it to nobody.
An address of 198.18.0.0/15 stands for one name, so a connection to it says which name was meant.
"""

import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, ip_network

from oros.abi.errors import BadReply, Invalid
from oros.drivers.egress.netns import dns
from oros.drivers.egress.netns.policy import Policy, literal, normal

NET = ip_network("198.18.0.0/15")
FIRST = int(NET.network_address) + 1
ROOM = NET.num_addresses - 2
TOLD = 1000
"""Refused names that are told, each once; more would only fill the log."""


class Names:
    """Remembers which address stands for which name; the least used is forgotten.

    `refused` is told each name that was asked for and is not granted.
    """

    def __init__(
        self, policy: Policy, refused: Callable[[str], None] = lambda _: None, most: int = 4096
    ) -> None:
        self._policy, self._refused, self._most = policy, refused, min(most, ROOM)
        self._addresses: OrderedDict[str, IPv4Address] = OrderedDict()
        self._names: dict[IPv4Address, str] = {}
        self._next = 0
        self._told: set[str] = set()

    def address(self, name: str) -> IPv4Address:
        """The address of a name in normal form; the same again while it is remembered."""
        found = self._addresses.get(name)
        if found is None:
            if len(self._addresses) >= self._most:
                _, old = self._addresses.popitem(last=False)
                del self._names[old]
            found = self._fresh()
            self._addresses[name] = found
            self._names[found] = name
        self._addresses.move_to_end(name)
        return found

    def name(self, address: str) -> str | None:
        """The name that an address stands for."""
        found = self._names.get(IPv4Address(address))
        if found is not None:
            self._addresses.move_to_end(found)
        return found

    def answer(self, packet: bytes) -> bytes | None:
        """The answer to a packet; None: none is due."""
        number = dns.number(packet)
        if number is None:
            return None
        try:
            query = dns.parse(packet)
        except BadReply:
            return dns.malformed(number)
        if query.flags & dns.OPCODE:
            return dns.reply(query, dns.NOT_DONE)
        if query.family != dns.IN:
            return dns.reply(query, dns.REFUSED)
        name = self._granted(query.name)
        if name is None:
            return dns.reply(query, dns.NO_NAME)
        if query.kind != dns.A:
            return dns.reply(query, dns.NO_ERROR)
        return dns.reply(query, dns.NO_ERROR, self.address(name))

    def _granted(self, asked: str) -> str | None:
        try:
            name = normal(asked)
        except Invalid:
            name = asked
        else:
            if self._policy.knows(name) and literal(name) is None:
                return name
        if name not in self._told and len(self._told) < TOLD:
            self._told.add(name)
            self._refused(name)
        return None

    def _fresh(self) -> IPv4Address:
        while True:  # ends: fewer are taken than there are
            found = IPv4Address(FIRST + self._next)
            self._next = (self._next + 1) % ROOM
            if found not in self._names:
                return found


async def serve(names: Names, listener: socket.socket) -> None:
    """Answer on a UDP socket until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(OSError):  # who asked is gone, or its queue is full
            packet, sender = await loop.sock_recvfrom(listener, dns.LONGEST + 1)
            answer = names.answer(packet)
            if answer is not None:
                listener.sendto(answer, sender)
        await asyncio.sleep(0)  # a flood must not keep the loop from the others
