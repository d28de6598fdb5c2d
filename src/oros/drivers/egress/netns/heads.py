"""Heads of HTTP/1.1 requests: read strictly, written anew (RFC 9110, RFC 9112). Pure.

What two servers could read differently is refused: that is how a request for another host would
be smuggled past us. So there is one Host, one framing of the body, no folded or bare lines.
"""

import re
from dataclasses import dataclass

from oros.abi.errors import Invalid
from oros.drivers.egress.netns.policy import split

END = b"\r\n\r\n"
MOST_FIELDS = 128
LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
     "te", "trailer", "upgrade"}
)  # fmt: skip
KEPT = frozenset({"host", "content-length", "transfer-encoding"})
CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[\t\x20-\x7e]*)?\r\n")
PLAIN = "http://"
PLAIN_PORT = 80


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body; names of fields are lower case."""

    method: str
    target: str
    minor: str
    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """The values of a field, in order."""
        return [value for key, value in self.fields if key == name]


@dataclass(frozen=True, slots=True)
class Where:
    """What a request is for. `absolute`: the target itself says so, not only Host."""

    host: str
    port: int
    path: str
    absolute: bool

    @property
    def authority(self) -> str:
        """As it stands in Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PLAIN_PORT else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address."""
        return PLAIN + self.authority + self.path


def parse(raw: bytes) -> Head:
    """Read a head that ends with an empty line. Raises: Invalid."""
    first, *lines = raw.removesuffix(END).decode("latin-1").split("\r\n")
    request = LINE.fullmatch(first)
    if request is None:
        raise Invalid("this is no HTTP/1 request")
    if len(lines) > MOST_FIELDS:
        raise Invalid("the request has too many header fields")
    fields: list[tuple[str, str]] = []
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None:
            raise Invalid("a header field of the request is malformed")
        fields.append((field[1].lower(), field[2].rstrip(" \t")))
    return Head(request[1], request[2], request[3], tuple(fields))


def where(head: Head) -> Where:
    """What a plain request is for. Raises: Invalid (no single Host, or one that contradicts)."""
    hosts = head.all("host")
    if len(hosts) != 1:
        raise Invalid("the request has not exactly one Host")
    host, port = split(hosts[0], PLAIN_PORT)
    if head.target.startswith("/"):
        return Where(host, port, head.target, absolute=False)
    if not head.target.lower().startswith(PLAIN):
        raise Invalid(f"{head.target[:100]!r} is no http:// address", "use CONNECT for https")
    rest = head.target[len(PLAIN) :]
    end = min(at for mark in "/?#" if (at := (rest + mark).find(mark)) >= 0)
    if split(rest[:end], PLAIN_PORT) != (host, port):
        raise Invalid("the address and the Host of the request differ")
    path = rest[end:].partition("#")[0]
    return Where(host, port, path if path.startswith("/") else "/" + path, absolute=True)


def length(head: Head) -> int | None:
    """Bytes of the body; None: it comes in chunks. Raises: Invalid, if it can be read two ways."""
    codings, sizes = head.all("transfer-encoding"), head.all("content-length")
    if codings:
        if sizes or head.minor == "0" or [c.lower() for c in codings] != ["chunked"]:
            raise Invalid("the length of the request's body is said in two ways, or oddly")
        return None
    if not sizes:
        return 0
    if len(sizes) != 1 or not re.fullmatch(r"[0-9]{1,18}", sizes[0]):
        raise Invalid("the length of the request's body is said in two ways, or oddly")
    return int(sizes[0])


def forward(head: Head, target: Where) -> bytes:
    """The head as the server gets it: without what was for us, and one request to a connection."""
    named = {name.strip().lower() for value in head.all("connection") for name in value.split(",")}
    gone = (HOP | named | {"host"}) - (KEPT - {"host"})
    lines = [f"{head.method} {target.path} HTTP/1.{head.minor}", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in head.fields if name not in gone]
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunk(line: bytes) -> int:
    """The size that a chunk's first line says. Raises: Invalid."""
    found = CHUNK.fullmatch(line)
    if found is None:
        raise Invalid("a chunk of the request's body is malformed")
    return int(found[1], 16)


def refusal(status: int, why: str) -> bytes:
    """A short answer that says why."""
    body = f"oros: {why}\n".encode(errors="replace")
    names = {400: "Bad Request", 403: "Forbidden", 408: "Request Timeout", 429: "Over Budget",
             431: "Request Header Fields Too Large", 502: "Bad Gateway"}  # fmt: skip
    return (
        f"HTTP/1.1 {status} {names[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
