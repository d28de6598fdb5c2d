"""The greeting of TLS: real ones of OpenSSL, broken ones, any bytes."""

import asyncio
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oros.abi.errors import AccessDenied, BadReply, OrosError, TimedOut, TooBig
from oros.drivers.egress.netns import hello
from oros.drivers.egress.netns.flows import Bounds, Peer
from oros.drivers.egress.netns.transparent import greeting


def real(name: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What OpenSSL says first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.maximum_version = version
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def split(greeting: bytes, size: int) -> bytes:
    """The same in records of at most so many bytes."""
    message = greeting[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(p).to_bytes(2, "big") + p for p in parts)


def check(data: bytes, host: str = "example.com", *, ended: bool = True, **bounds) -> bytes:
    async def main() -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        if ended:
            reader.feed_eof()
        return await greeting(Peer(reader, None), host, Bounds(**bounds))

    return asyncio.run(main())


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def made(extensions: bytes | None, tail: bytes = b"") -> bytes:
    body = b"\3\3" + b"r" * 32 + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0")
    if extensions is not None:
        body += vector(2, extensions)
    return record(b"\1" + vector(3, body + tail))


def record(message: bytes) -> bytes:
    return b"\x16\x03\x01" + vector(2, message)


def sni(*names: bytes, kind: int = 0) -> bytes:
    entries = b"".join(bytes([kind]) + vector(2, name) for name in names)
    return b"\0\0" + vector(2, vector(2, entries))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_real_one(version) -> None:
    sent = real("example.com", version)
    assert check(sent) == sent
    assert check(sent + b"\x14\x03\x03\0\1\1") == sent
    with pytest.raises(AccessDenied, match=r"TLS asks for example\.com, not for"):
        check(sent, "example.org")


@pytest.mark.parametrize("size", [1, 3, 4, 100, 511])
def test_in_fragments(size: int) -> None:
    sent = split(real("example.com"), size)
    assert check(sent) == sent


def test_without_a_name() -> None:
    with pytest.raises(AccessDenied, match="no host"):
        check(real(None))
    assert check(real(None), "93.184.216.34")
    assert check(made(None), "93.184.216.34")
    with pytest.raises(AccessDenied):
        check(real("example.com"), "93.184.216.34")


def test_by_hand() -> None:
    assert check(made(sni(b"Example.COM")))
    assert check(made(b"\0\x17\0\0" + sni(b"example.com") + b"\xff\1\0\1\0"))


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\1\3\1" + b"x" * 50,
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\x40\x01" + b"\1" * 0x4001,
        b"\x15\x03\x01\0\2\2\x28",
        record(b"\2" + vector(3, b"x")),
        made(sni(b"example.com"))[:-1],
        made(sni(b"example.com"), tail=b"x"),
        record(made(sni(b"example.com"))[5:] + b"\1\0\0\0"),
        made(sni(b"example.com") + sni(b"example.com")),
        made(sni(b"example.com", b"evil.com")),
        made(sni(b"example.com", kind=1)),
        made(sni(b"")),
        made(sni()),
        made(sni(b"example.com\0")),
        made(sni(b"example.com:443")),
        made(sni(b"93.184.216.34")),
        made(sni("bücher.de".encode())),
        made(b"\0\0" + vector(2, vector(2, b"\0" + vector(2, b"example.com")) + b"x")),
        made(sni(b"example.com") + b"\0"),
        made(b"\0\x05\0\x09x"),
    ],
)
def test_broken(sent: bytes) -> None:
    with pytest.raises(AccessDenied):
        check(sent)


def test_it_is_bounded() -> None:
    endless = b"\x16\x03\x01\x40\x00\1\xff\xff\xff" + b"x" * 16380
    with pytest.raises(TooBig):
        check(endless * 3)
    with pytest.raises(TooBig):
        check(split(real("example.com"), 1), head=1000)
    with pytest.raises(TimedOut):
        check(real("example.com")[:40], ended=False, head_seconds=0.02)


@given(st.binary(max_size=400))
@settings(max_examples=500)
def test_any_bytes(data: bytes) -> None:
    for message in (data, b"\1" + vector(3, data), made(data)[5:]):
        try:
            found = hello.server_name(message)
        except BadReply:
            continue
        assert found is None or found.isascii()


SENT = real("example.com")


@given(st.integers(0, len(SENT) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_a_changed_byte(at: int, by: int) -> None:
    changed = bytearray(SENT)
    changed[at] ^= by
    try:
        assert check(bytes(changed)) == changed
    except OrosError:
        return
    assert b"example.com" in bytes(changed).lower()
