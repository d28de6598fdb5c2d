"""What all streaming drivers share: connections that were kept."""

import asyncio

import pytest
from tests.drivers.models.messages import MessagesDialect
from tests.drivers.models.playing import INFO, answer, asking
from tests.drivers.models.served import Fault, Server

from oros.abi.errors import Unreachable
from oros.drivers.models.anthropic.driver import AnthropicModel


class Abrupt(Server):
    """A server that keeps each connection for one answer, and then cuts it at the next request."""

    async def _serve(self, reader, writer) -> None:
        await self._one(reader, writer)
        await reader.readuntil(b"\r\n\r\n")
        self.stats["cut"] += 1
        writer.transport.abort()


def test_a_kept_connection_that_is_cut_is_no_failure() -> None:
    async def main() -> None:
        async with Abrupt(MessagesDialect(None)) as server:
            model = AnthropicModel("m", server.url, "there", info=INFO)
            for _ in range(3):
                assert (await answer(model, asking())).whole == "hello there"
            assert server.stats["requests"] == 3
            assert server.stats["cut"] == 2
            await model.close()

    asyncio.run(main())


def test_a_new_connection_that_is_cut_is_one() -> None:
    async def main() -> None:
        async with Server(MessagesDialect(None)) as server:
            server.turn = Fault("drop")
            model = AnthropicModel("m", server.url, "there", info=INFO)
            with pytest.raises(Unreachable):
                await answer(model, asking())
            assert server.stats["requests"] == 1
            await model.close()

    asyncio.run(main())
