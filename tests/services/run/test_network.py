"""A program with a way out: to what was granted, told flow by flow, its words labelled by it."""

import asyncio
from ipaddress import ip_address

import pytest

from oros.abi.errors import Invalid
from oros.abi.labels import Integrity
from oros.drivers.egress.netns.server import Outside
from oros.drivers.egress.netns.way import Way
from oros.services.run.device import Means, RunDevice

SOURCE = """
import urllib.request
for url in ("http://example.com/a", "http://other.net/"):
    try:
        print(urllib.request.urlopen(url, timeout=5).read().decode())
    except OSError as e:
        print("refused:", url)
open("got.txt", "w").write("from the web")
"""


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    await writer.drain()
    writer.close()


def perform(bwrap, space, shelf, who, hosts):
    async def main():
        server = await asyncio.start_server(hello, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def resolve(name, _):
            return [ip_address("93.184.216.34")] if name == "example.com" else []

        async def connect(_, __):
            return await asyncio.open_connection("127.0.0.1", port)

        outside = Outside(resolve=resolve, connect=connect)
        way = (lambda record: Way(hosts, record, outside)) if hosts else None
        device = RunDevice(Means(bwrap, bwrap.python), space, shelf, way=way)
        async with server:
            return await device.perform(who, {"python": SOURCE})

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def reachable(tmp_path):
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)


def test_only_what_was_granted_is_reached_and_all_is_told(bwrap, space, shelf, user, work) -> None:
    found = perform(bwrap, space, shelf, user, ["example.com"])
    value = found.value
    assert value["out"].splitlines() == ["hello", "refused: http://other.net/"], value
    flows = {(f["host"], f["decision"]) for f in value["flows"]}
    assert flows == {("example.com", "allowed"), ("other.net", "refused")}
    assert "web:example.com" in found.label.origins
    assert found.label.integrity is Integrity.THIRD
    # What it wrote may be others' words: it waits for the person.
    assert value["waits"] == "all of it, for a review"
    assert not (work / "got.txt").exists()


def test_without_a_grant_there_is_no_network(bwrap, space, shelf, user, work) -> None:
    found = perform(bwrap, space, shelf, user, [])
    assert found.value["out"].count("refused") == 2
    assert "flows" not in found.value
    assert (work / "got.txt").exists()


def test_what_is_no_host_is_refused_before_anything_runs(bwrap, space, shelf, user) -> None:
    with pytest.raises(Invalid):
        perform(bwrap, space, shelf, user, ["*.com"])
