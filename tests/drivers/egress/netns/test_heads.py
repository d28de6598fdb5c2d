"""Heads of requests: what is read, what is refused, what the server gets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oros.abi.errors import Invalid
from oros.drivers.egress.netns import heads


def head(*lines: str) -> heads.Head:
    return heads.parse("\r\n".join([*lines, "", ""]).encode("latin-1"))


def test_a_plain_one() -> None:
    found = head("GET /a?b HTTP/1.1", "Host: Example.com", "Accept:*/*  ", "X:")
    assert (found.method, found.target, found.minor) == ("GET", "/a?b", "1")
    assert found.fields == (("host", "Example.com"), ("accept", "*/*"), ("x", ""))
    where = heads.where(found)
    assert (where.host, where.port, where.url) == ("example.com", 80, "http://example.com/a?b")


@pytest.mark.parametrize(
    "raw",
    [b"", b"GET", b"GET / HTTP/2.0", b"GET / HTTP/1.2", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ",
     b"\r\nGET / HTTP/1.1", b"GET /\x00 HTTP/1.1", b"\x16\x03\x01\x02\x00", b"GET /\nX: y HTTP/1.1",
     b"GET / HTTP/1.1\r\n X: y", b"GET / HTTP/1.1\r\nX : y", b"GET / HTTP/1.1\r\nX: a\r\n b",
     b"GET / HTTP/1.1\r\nX: a\nHost: b", b"GET / HTTP/1.1\r\nX: a\rb", b"GET / HTTP/1.1\r\n: a",
     b"GET / HTTP/1.1\r\nX: a\x00", b"GET / HTTP/1.1\r\nnonsense",
     b"GET / HTTP/1.1" + b"\r\nX: y" * 129],
)  # fmt: skip
def test_malformed(raw: bytes) -> None:
    with pytest.raises(Invalid):
        heads.parse(raw + b"\r\n\r\n")


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/1.1",),
        ("GET / HTTP/1.1", "Host: a.com", "Host: a.com"),
        ("GET / HTTP/1.1", "Host: a.com, b.com"),
        ("GET / HTTP/1.1", "Host: "),
        ("GET * HTTP/1.1", "Host: a.com"),
        ("GET https://a.com/ HTTP/1.1", "Host: a.com"),
        ("GET http://b.com/ HTTP/1.1", "Host: a.com"),
        ("GET http://a.com:81/ HTTP/1.1", "Host: a.com"),
        ("GET http://u:p@a.com/ HTTP/1.1", "Host: a.com"),
        ("GET http://a.com\\@b.com/ HTTP/1.1", "Host: a.com"),
        ("GET http:///x HTTP/1.1", "Host: a.com"),
        ("GET a.com HTTP/1.1", "Host: a.com"),
    ],
)
def test_for_whom_is_not_clear(lines) -> None:
    with pytest.raises(Invalid):
        heads.where(head(*lines))


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://a.com", "/"), ("HTTP://A.com/x#y", "/x"), ("http://a.com?q", "/?q"),
     ("http://a.com:80/x?q", "/x?q"), ("http://a.com#f/x", "/")],
)  # fmt: skip
def test_whole_addresses(target: str, path: str) -> None:
    where = heads.where(head(f"GET {target} HTTP/1.1", "Host: a.com"))
    assert (where.host, where.port, where.path, where.absolute) == ("a.com", 80, path, True)


@pytest.mark.parametrize(
    ("fields", "length"),
    [((), 0), (("Content-Length: 7",), 7), (("Transfer-Encoding: Chunked",), None)],
)
def test_bodies(fields, length) -> None:
    assert heads.length(head("POST / HTTP/1.1", *fields)) == length


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Length: 7", "Content-Length: 7"),
        ("Content-Length: 7, 7",),
        ("Content-Length: +7",),
        ("Content-Length: -1",),
        ("Content-Length: 0x7",),
        ("Content-Length: ",),
        ("Content-Length: 7", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: \x0bchunked",),
    ],
)
def test_bodies_that_could_be_read_two_ways(fields) -> None:
    with pytest.raises(Invalid):
        heads.length(head("POST / HTTP/1.1", *fields))


def test_an_old_client_has_no_chunks() -> None:
    with pytest.raises(Invalid):
        heads.length(head("POST / HTTP/1.0", "Transfer-Encoding: chunked"))


def test_what_the_server_gets() -> None:
    found = head(
        "POST http://a.com/x HTTP/1.1", "Host: a.com", "Connection: close, X-Mine, Host",
        "Connection: content-length", "X-Mine: 1", "Proxy-Connection: keep-alive", "TE: trailers",
        "Proxy-Authorization: Basic x", "Upgrade: h2c", "Keep-Alive: 5", "Trailer: x",
        "Content-Length: 3", "Accept: */*",
    )  # fmt: skip
    assert heads.forward(found, heads.where(found)).split(b"\r\n") == [
        b"POST /x HTTP/1.1", b"Host: a.com", b"content-length: 3", b"accept: */*",
        b"Connection: close", b"", b"",
    ]  # fmt: skip


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_any_bytes(raw: bytes) -> None:
    for sent in (raw, b"GET / HTTP/1.1\r\nHost: a.com\r\n" + raw):
        try:
            found = heads.parse(sent)
            where = heads.where(found)
            heads.length(found)
        except Invalid:
            continue
        again = heads.parse(heads.forward(found, where))
        assert heads.where(again).host == where.host
        assert heads.length(again) == heads.length(found)


@pytest.mark.parametrize(("line", "size"), [(b"0\r\n", 0), (b"1F;x=y\r\n", 31), (b"a \r\n", 10)])
def test_chunks(line: bytes, size: int) -> None:
    assert heads.chunk(line) == size


@pytest.mark.parametrize(
    "line", [b"\r\n", b"-1\r\n", b"0x1\r\n", b" 1\r\n", b"g\r\n", b"1\n", b"123456789\r\n"]
)
def test_chunks_that_are_none(line: bytes) -> None:
    with pytest.raises(Invalid):
        heads.chunk(line)
