"""Secrets: sent to their own host, over TLS, in a header; masked in answers; else nowhere."""

import asyncio
import base64
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.egress.netns.test_traffic import one

from oros.drivers.egress.netns import Bounds, Egress, Outside, Policy
from oros.drivers.egress.netns.secrets import LEAST, Mask

PEM = Path(__file__).with_name("example.com.pem")
VALUE = "ghp_0123456789abcdef"
OURS = {"example.com": {"github": VALUE}}
BEARER = "Authorization: Bearer {{secret:github}}"


def trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(PEM))


def shown() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(PEM)
    return made


class Known(dict):
    """The secrets of hosts, as the way out asks for them."""

    def __call__(self, host: str) -> dict:
        return self.get(host, {})


@pytest.fixture
def egress(world):
    def make(*grants: str, known=OURS, context=None):
        outside = Outside(resolve=world.resolve, connect=world.connect, trust=context or trust())
        return Egress(Policy.of(*grants), world.flows.append, Bounds(), outside, Known(known))

    return make


def test_it_is_sent_over_tls_and_comes_back_masked(world, go, web, egress) -> None:
    ask = one("GET http://example.com/x HTTP/1.1", "Host: example.com", BEARER,
              "Accept-Encoding: gzip")  # fmt: skip
    found = go(egress("example.com"), ask, world.server(443, web, ssl=shown()))
    assert b"authorization: Bearer " + b"*" * len(VALUE) in found
    assert VALUE.encode() not in found
    assert b"accept-encoding: identity" in found
    assert b"gzip" not in found
    (flow,) = world.flows
    assert (flow.secrets, flow.port, flow.decision) == (("github",), 443, "allowed")
    assert VALUE not in repr(flow)


def test_in_clear_it_goes_nowhere(world, go, web, egress) -> None:
    async def clear(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    ask = one("GET http://example.com/ HTTP/1.1", "Host: example.com", BEARER)
    found = go(egress("example.com"), ask, world.server(443, clear), world.server(80, web))
    assert b"502" in found
    assert b"speaks no TLS" in found
    assert world.flows[0].up == 0


def test_to_whom_is_not_who_it_says_it_goes_nowhere(world, go, web, egress) -> None:
    ask = one("GET http://example.com/ HTTP/1.1", "Host: example.com", BEARER)
    made = egress("example.com", context=ssl.create_default_context())
    found = go(made, ask, world.server(443, web, ssl=shown()))
    assert b"is not who it says" in found
    assert world.flows[0].up == 0


BAD = [
    (("GET http://www.example.com/ HTTP/1.1", "Host: www.example.com", BEARER), b"secret github"),
    (("GET http://example.com/ HTTP/1.1", "Host: example.com", "X: {{secret:other}}"),
     b"no secret other for example.com"),
    (("GET http://example.com/?k={{secret:github}} HTTP/1.1", "Host: example.com"),
     b"never in an address"),
    (("GET http://evil.example/ HTTP/1.1", "Host: evil.example", BEARER), b"is not granted"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "why"), BAD)
def test_else_it_is_refused(world, go, egress, lines, why) -> None:
    found = go(egress("example.com", "www.example.com"), one(*lines))
    assert b"403" in found
    assert why in found
    assert world.dialled == []
    assert VALUE.encode() not in found


def test_a_mark_in_a_body_is_text(world, go, web, egress) -> None:
    body = b"{{secret:github}}"
    size = f"Content-Length: {len(body)}"
    ask = one("POST http://example.com/ HTTP/1.1", "Host: example.com", size, body=body)
    go(egress("example.com"), ask, world.server(80, web))
    assert world.flows[0].secrets == ()


def test_an_echo_in_pieces_and_in_base64_is_masked(world, go, egress) -> None:
    coded = base64.b64encode(VALUE.encode())

    async def parrot(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for byte in b"<" + VALUE.encode() + b"|" + coded + b">":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    ask = one("GET http://example.com/ HTTP/1.1", "Host: example.com", BEARER)
    found = go(egress("example.com"), ask, world.server(443, parrot, ssl=shown()))
    stars = b"*" * len(VALUE) + b"|" + b"*" * len(coded)
    assert found.endswith(b"<" + stars + b">")


@given(st.lists(st.binary(max_size=9)), st.integers(LEAST, 12), st.data())
def test_however_it_is_cut_nothing_of_it_passes_and_the_rest_is_as_it_was(
    pieces, size, data
) -> None:
    secret = "S" * (size - 1) + "x"
    text = b"".join([*pieces, secret.encode(), *pieces])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    mask = Mask({"a": secret})
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    out = b"".join(mask.feed(p) for p in parts) + mask.feed(b"", last=True)
    assert len(out) == len(text)
    assert secret.encode() not in out
    assert out == text.replace(secret.encode(), b"*" * len(secret))
