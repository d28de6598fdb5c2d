"""A program with a way out: to what was granted, told flow by flow, its words labelled by it."""

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from oros.abi.errors import Invalid
from oros.abi.labels import Integrity
from oros.drivers.egress.netns.server import Outside
from oros.drivers.egress.netns.way import Way
from oros.drivers.sandbox.zygote.warm import Zygote
from oros.services.run.cells import Cells
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


@pytest.fixture(params=["cold", "warm"])
def perform(request, bwrap, space, shelf):
    """Runs of one process, one after another; their outcomes. "warm": in its own interpreter."""

    async def make() -> Zygote:
        return Zygote(await bwrap.walls(), modules=())

    async def main(who, hosts, sources):
        server = await asyncio.start_server(hello, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def resolve(name, _):
            return [ip_address("93.184.216.34")] if name == "example.com" else []

        async def connect(_, __):
            return await asyncio.open_connection("127.0.0.1", port)

        outside = Outside(resolve=resolve, connect=connect)
        way = (lambda record: Way(hosts, record, outside)) if hosts else None
        cells = Cells(make, lambda _: [], lambda _: True) if request.param == "warm" else None
        device = RunDevice(Means(bwrap, bwrap.python, cells), space, shelf, way=way)
        async with server:
            try:
                return [
                    await device.perform(replace(who, key=f"k{n}"), {"python": source})
                    for n, source in enumerate(sources)
                ]
            finally:
                if cells is not None:
                    await cells.close()

    def perform(who, hosts, *sources):
        found = asyncio.run(main(who, hosts, sources))
        warm = request.param == "warm"
        assert all(("cell" in o.value) is warm and "note" not in o.value for o in found), found
        return found

    perform.warm = request.param == "warm"
    return perform


@pytest.fixture(autouse=True)
def reachable(tmp_path):
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)


def test_only_what_was_granted_is_reached_and_all_is_told(perform, user, work) -> None:
    (found,) = perform(user, ["example.com"], SOURCE)
    value = found.value
    assert value["out"].splitlines() == ["hello", "refused: http://other.net/"], value
    flows = {(f["host"], f["decision"]) for f in value["flows"]}
    assert flows == {("example.com", "allowed"), ("other.net", "refused")}
    assert "web:example.com" in found.label.origins
    assert found.label.integrity is Integrity.THIRD
    # What it wrote may be others' words: it waits for the person.
    assert value["waits"] == "all of it, for a review"
    assert not (work / "got.txt").exists()


def test_each_cell_has_the_flows_that_it_made(perform, user) -> None:
    """What one leaves open is closed and told at its end, and the next one finds the way again."""
    if not perform.warm:
        pytest.skip("a program of its own leaves nothing open")
    left = (
        "import http.client\nc = http.client.HTTPConnection('example.com', 80)\n"
        "c.request('GET', '/'); r = c.getresponse(); r.read(2)"
    )
    first, second, third = perform(user, ["example.com"], left, "1 + 1", SOURCE + "r.read()")
    assert first.value["value"] == "b'he'"
    assert [f["host"] for f in first.value["flows"]] == ["example.com"]
    assert "web:example.com" in first.label.origins
    assert "flows" not in second.value
    assert third.value["out"].splitlines()[0] == "hello"


def test_without_a_grant_there_is_no_network(perform, user, work) -> None:
    (found,) = perform(user, [], SOURCE)
    assert found.value["out"].count("refused") == 2
    assert "flows" not in found.value
    assert (work / "got.txt").exists()


def test_what_is_no_host_is_refused_before_anything_runs(perform, user) -> None:
    with pytest.raises(Invalid):
        perform(user, ["*.com"], SOURCE)
