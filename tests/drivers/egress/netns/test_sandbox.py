"""The egress for real: in the net namespace of a bubblewrap that waits at its gate."""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oros.abi.errors import NotEnforced
from oros.drivers.egress.netns import ENVIRONMENT, FILES, listen, listeners
from oros.drivers.sandbox.bwrap import BwrapSandbox
from oros.drivers.sandbox.bwrap.driver import UID
from oros.drivers.sandbox.bwrap.pythons import Interpreter

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/net").exists(), reason="Linux only")
CURL = shutil.which("curl", path="/usr/bin")


@pytest.fixture(scope="module")
def setup():
    made = BwrapSandbox()
    assert asyncio.run(made.probe()).works
    found = made._setup()
    if os.geteuid() == 0:  # what only root may read can't be shown to another uid without a stage
        if not Path("/usr/bin/python3").exists():
            pytest.skip("no Python that others may run")
        return replace(found, python=Interpreter("/usr/bin/python3"))
    return found


class Held:
    """A bubblewrap that waits at its gate, its program not started."""

    def __init__(self, setup, command: list[str], environment=None, *, net: bool = True) -> None:
        gate, self._gate = os.pipe()
        status, status_end = os.pipe()
        files = [(self._file(text), path) for path, text in FILES.items()]
        words = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--disable-userns"]
        words += ["--unshare-net"] if net else []
        words += ["--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--die-with-parent"]
        words += ["--json-status-fd", str(status_end), "--block-fd", str(gate)]
        words += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
        words += ["--tmpfs", "/tmp"]
        for root in ("/bin", "/lib", "/lib64"):
            words += ["--symlink", f"usr{root}", root]
        for bind in setup.python.binds:
            words += ["--ro-bind", bind.host, bind.path]
        for number, path in files:
            words += ["--file", str(number), path]
        for name, value in (environment or {}).items():
            words += ["--setenv", name, value]
        user = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
        self.process = subprocess.Popen(
            [setup.bwrap, *words, "--", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=[gate, status_end, *(n for n, _ in files)], env={}, cwd="/", **user,
        )  # fmt: skip
        for number in (gate, status_end, *(n for n, _ in files)):
            os.close(number)
        self._status = os.fdopen(status)  # it writes there again at its end
        self.pid = json.loads(self._status.readline())["child-pid"]

    @staticmethod
    def _file(text: str) -> int:
        number = os.memfd_create("file")
        os.write(number, text.encode())
        os.lseek(number, 0, os.SEEK_SET)
        return number

    async def finish(self) -> tuple[int, str, str]:
        """Open the gate; the end of its program."""
        with contextlib.suppress(BrokenPipeError):  # it fell; its status says so
            os.write(self._gate, b".")
        loop = asyncio.get_running_loop()
        out, err = await loop.run_in_executor(None, self.process.communicate, None, 30)
        return self.process.returncode, out.decode(), err.decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        self._status.close()
        os.close(self._gate)


@contextlib.contextmanager
def held(setup, command: list[str], environment=None, **kw) -> Iterator[Held]:
    made = Held(setup, command, environment, **kw)
    try:
        yield made
    finally:
        made.close()


def run(setup, world, egress, command, environment=None, *servers):
    """Run a command inside behind an egress; its status, output and errors."""

    async def all_of_it():
        async with contextlib.AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            box = stack.enter_context(held(setup, command, environment))
            await stack.enter_async_context(egress.serving(await listen(box.pid)))
            return await box.finish()

    return asyncio.run(asyncio.wait_for(all_of_it(), 60))


def python(setup, source: str) -> list[str]:
    return [*setup.python.argv, "-c", source]


TRY = """
import socket, urllib.request, urllib.error, json, sys
def get(url):
    try:
        return urllib.request.urlopen(url, timeout=5).read().decode()
    except urllib.error.HTTPError as e:
        return f"{e.code} {e.read().decode()}"
    except urllib.error.URLError as e:
        return f"{type(e.reason).__name__} {e.reason}"
    except OSError as e:
        return f"{type(e).__name__} {e}"
print(json.dumps({url: get(url) for url in sys.argv[1:]}))
"""


def test_urllib_without_a_proxy(setup, world, web) -> None:
    urls = ["http://example.com/a?b=c", "http://other.net/", "http://93.184.216.34/",
            "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/"]  # fmt: skip
    status, out, err = run(
        setup, world, world.egress("example.com"), python(setup, TRY) + urls, None,
        world.server(80, web),
    )  # fmt: skip
    assert status == 0, err
    got = json.loads(out)
    assert got[urls[0]].startswith("hello\nGET /a?b=c HTTP/1.1\r\nHost: example.com\r\n")
    assert "Name or service not known" in got[urls[1]] or "gaierror" in got[urls[1]]
    for literal in urls[2:]:
        assert "unreachable" in got[literal]
    allowed, refused = [f for f in world.flows if f.via != "dns"], world.flows
    assert [(f.host, f.port, f.via, f.address, f.decision, f.url) for f in allowed] == [
        ("example.com", 80, "http", "93.184.216.34", "allowed", "http://example.com/a?b=c")
    ]
    assert allowed[0].up > 0
    assert allowed[0].down > 0
    assert ("other.net", "refused") in [(f.host, f.decision) for f in refused]
    assert world.asked == ["example.com"]


def test_urllib_by_the_proxy(setup, world, web) -> None:
    world.hosts["inner.example.com"] = ["10.1.2.3"]
    world.hosts["rebound.example.com"] = ["127.0.0.1"]
    urls = ["http://example.com/", "http://other.net/", "http://93.184.216.34/",
            "http://inner.example.com/", "http://rebound.example.com/"]  # fmt: skip
    status, out, err = run(
        setup, world, world.egress("example.com", "*.example.com"), python(setup, TRY) + urls,
        ENVIRONMENT, world.server(80, web),
    )  # fmt: skip
    assert status == 0, err
    got = json.loads(out)
    assert got[urls[0]].startswith("hello\n")
    assert got[urls[1]] == "403 oros: the host other.net:80 is not granted\n"
    assert got[urls[2]] == "403 oros: the address 93.184.216.34:80 is not granted\n"
    assert "10.1.2.3, which is not on the open internet" in got[urls[3]]
    assert "127.0.0.1, which is not on the open internet" in got[urls[4]]
    assert world.dialled == [("93.184.216.34", 80)]
    assert [f.via for f in world.flows] == ["proxy"] * 5


def test_a_redirect_is_checked_anew(setup, world) -> None:
    async def elsewhere(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://other.net/\r\n")
        writer.write(b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    status, out, err = run(
        setup, world, world.egress("example.com"), [*python(setup, TRY), "http://example.com/"],
        ENVIRONMENT, world.server(80, elsewhere),
    )  # fmt: skip
    assert status == 0, err
    assert "403 oros: the host other.net:80 is not granted" in out
    assert [f.decision for f in world.flows] == ["allowed", "refused"]


@pytest.mark.skipif(CURL is None, reason="no curl")
@pytest.mark.parametrize("environment", [None, ENVIRONMENT])
def test_curl(setup, world, web, environment) -> None:
    status, out, err = run(
        setup, world, world.egress("example.com"),
        [CURL, "-sS", "-m", "9", "http://example.com/"], environment, world.server(80, web),
    )  # fmt: skip
    assert (status, out[:6]) == (0, "hello\n"), err


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=example.com", "-keyout", folder / "key", "-out", folder / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context


@pytest.mark.skipif(CURL is None, reason="no curl")
@pytest.mark.parametrize("environment", [None, ENVIRONMENT])
def test_https(setup, world, web, certificate, environment) -> None:
    status, out, err = run(
        setup, world, world.egress("example.com"),
        [CURL, "-sSk", "-m", "9", "https://example.com/"], environment,
        world.server(443, web, ssl=certificate),
    )  # fmt: skip
    assert (status, out[:6]) == (0, "hello\n"), err
    (flow,) = world.flows
    assert (flow.host, flow.port, flow.decision) == ("example.com", 443, "allowed")
    assert flow.via == ("tls" if environment is None else "connect")


FRONT = """
import socket, ssl
def hand(connection, name):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_socket(connection, server_hostname=name)
        return "open"
    except OSError as e:
        return "cut"
straight = socket.create_connection(("example.com", 443), 5)
print(hand(straight, "evil.example.com"))
tunnel = socket.create_connection(("127.0.0.1", 3128), 5)
tunnel.sendall(b"CONNECT example.com:443 HTTP/1.1\\r\\nHost: example.com:443\\r\\n\\r\\n")
print(tunnel.recv(4096).split(b"\\r\\n")[0].decode())
print(hand(tunnel, "evil.example.com"))
for host in ("127.0.0.1", "198.19.255.1"):
    print(hand(socket.create_connection((host, 443), 5), "example.com"))
plain = socket.create_connection(("example.com", 80), 5)
plain.sendall(b"GET / HTTP/1.1\\r\\nHost: evil.example.com\\r\\n\\r\\n")
print(plain.recv(4096).split(b"\\r\\n")[0].decode())
"""


def test_another_name_inside_is_cut(setup, world, web, certificate) -> None:
    status, out, err = run(
        setup, world, world.egress("example.com"), python(setup, FRONT), None,
        world.server(443, web, ssl=certificate),
    )  # fmt: skip
    assert status == 0, err
    assert out.split("\n") == [
        "cut", "HTTP/1.1 200 Connection established", "cut", "cut", "cut",
        "HTTP/1.1 403 Forbidden", "",
    ]  # fmt: skip
    assert {f.decision for f in world.flows} == {"refused"}
    assert sum("TLS asks for evil.example.com" in f.why for f in world.flows) == 2
    assert not any(f.up or f.down for f in world.flows)


NOWHERE = """
import socket
for host, port in (("10.0.0.1", 53), ("8.8.8.8", 53), ("127.0.0.1", 54), ("198.18.0.1", 53)):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.5)
    try:
        s.connect((host, port))
        s.send(b"x")
        s.recv(10)
        print("open")
    except OSError as e:
        print("closed")
for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    try:
        socket.socket(family, socket.SOCK_STREAM).bind((host, 443))
        print("open")
    except OSError as e:
        print("closed")
try:
    socket.create_connection(("2001:4860:4860::8888", 443), 5)
    print("open")
except OSError as e:
    print("closed")
print([n for _, n in socket.if_nameindex()])
"""


def test_there_is_no_other_way(setup, world) -> None:
    status, out, err = run(setup, world, world.egress("example.com"), python(setup, NOWHERE))
    assert status == 0, err
    assert out.split("\n") == ["closed"] * 7 + ["['lo']", ""]
    assert world.flows == []


def test_nothing_granted_is_nothing_reached(setup, world, web) -> None:
    urls = ["http://example.com/"]
    for environment in (None, ENVIRONMENT):
        status, out, err = run(
            setup, world, world.egress(), python(setup, TRY) + urls, environment,
            world.server(80, web),
        )  # fmt: skip
        assert status == 0, err
        assert "hello" not in out
    assert {f.decision for f in world.flows} == {"refused"}
    assert world.asked == []


def test_a_sandbox_without_its_own_network_is_refused(setup) -> None:
    with held(setup, ["/bin/true"], net=False) as box, pytest.raises(NotEnforced, match="own"):
        asyncio.run(listen(box.pid))


def test_a_process_that_is_gone() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(NotEnforced, match="can't be joined"):
        asyncio.run(listen(child.pid))


def test_twice_in_one_namespace_is_refused(setup) -> None:
    async def twice(pid):
        with await listen(pid):
            await listen(pid)

    with held(setup, ["/bin/true"]) as box, pytest.raises(NotEnforced, match=r"exists|in use"):
        asyncio.run(twice(box.pid))


def test_a_maker_that_fell(setup, monkeypatch) -> None:
    monkeypatch.setattr(listeners, "INSIDE", Path("/nowhere"))
    with held(setup, ["/bin/true"]) as box, pytest.raises(NotEnforced, match="fell"):
        asyncio.run(listen(box.pid))


def test_a_maker_that_is_not_needed() -> None:
    with listeners.maker() as made:
        assert made


def test_it_is_quick(setup, world, web) -> None:
    async def measure():
        times = []
        for _ in range(5):
            with held(setup, ["/bin/true"]) as box:
                start = time.perf_counter()
                (await listen(box.pid)).close()
                times.append(time.perf_counter() - start)
        return min(times)

    assert asyncio.run(measure()) < 1.0
