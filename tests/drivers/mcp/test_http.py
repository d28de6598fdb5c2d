"""A server of tools over HTTP: all ways to answer, and all ways to fail."""

import asyncio

import pytest
from tests.drivers.mcp.server import Server

from oros.abi.errors import OrosError
from oros.abi.ids import Pid
from oros.abi.labels import SYSTEM
from oros.abi.ports import Caller
from oros.drivers.mcp import http
from oros.drivers.mcp.http import McpServer

WHO = Caller(Pid(2), "node:2:7", SYSTEM)


def tried(server: Server, use, socket=None):
    async def main():
        async with server.serving(socket) as url:
            client = McpServer("mail", url, str(socket or ""))
            try:
                return await use(client)
            finally:
                await client.close()

    return asyncio.run(main())


@pytest.mark.parametrize("how", ["json", "stream", "stateless"])
@pytest.mark.parametrize("session", ["", "s1"])
@pytest.mark.parametrize("unix", [False, True])
def test_tools_are_listed_and_called(how, session, unix, tmp_path) -> None:
    server = Server(how)
    server.session = session if how != "stateless" else ""

    async def use(client):
        names = [t["name"] for t in await client.tools()]
        mail = await client.call("inbox", {"box": "in"}, WHO)
        sent = await client.call("send", {"to": "ann@b.example"}, WHO)
        return names, mail.value, sent.value

    socket = tmp_path / "s" if unix else None
    assert tried(server, use, socket) == (["inbox", "send"], server.mail, "sent")
    assert server.calls == [("inbox", {"box": "in"}), ("send", {"to": "ann@b.example"})]


def test_what_a_tool_says_of_its_failure_is_the_error() -> None:
    async def use(client):
        await client.call("send", {"to": "nobody"}, WHO)

    with pytest.raises(OrosError, match="no such address") as caught:
        tried(Server(), use)
    assert caught.value.code == "EIO"


FAULTS = [("html", "EPROTO"), ("500", "EPROTO"), ("401", "EAUTH"), ("huge", "EPROTO"),
          ("endless", "EPROTO"), ("hang", "ETIMEDOUT")]  # fmt: skip


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_each_fault_is_one_clear_error(fault, code, monkeypatch) -> None:
    monkeypatch.setattr(http, "ANSWER", 2.0)
    server = Server()
    server.fault = fault

    async def use(client):
        await client.tools()

    with pytest.raises(OrosError) as caught:
        tried(server, use)
    assert caught.value.code == code


def test_nobody_is_there(tmp_path) -> None:
    async def main():
        client = McpServer("mail", "http://localhost/mcp", str(tmp_path / "none"))
        try:
            await client.tools()
        finally:
            await client.close()

    with pytest.raises(OrosError, match="is its server running") as caught:
        asyncio.run(main())
    assert caught.value.code == "ECONN"


def test_a_server_that_was_started_anew_is_greeted_again() -> None:
    server = Server()
    server.session = "one"

    async def use(client):
        await client.tools()
        server.session = "two"
        return await client.tools()

    assert len(tried(server, use)) == 2
