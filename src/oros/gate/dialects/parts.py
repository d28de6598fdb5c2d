"""What the dialects share: fields read strictly, data URLs as parts, what a stream is made of."""

import base64
import binascii
import hashlib
import json
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from oros.abi.errors import Invalid, OrosError, Unsupported
from oros.abi.ids import BlobId
from oros.abi.message import Ask, AudioPart, FilePart, ImagePart, Json, Part, TextPart
from oros.abi.ports import ToolSpec
from oros.services.doors.wanted import Begun, Said, Step, Wanted

Body = Mapping[str, Json]
EVENTS = "text/event-stream"
OBJECT: Mapping[str, Json] = {"type": "object"}
NAME = 255
"""Characters of a file's name at most."""


class Stream(Protocol):
    """One streamed answer, as bytes of its dialect."""

    def begin(self) -> bytes:
        """What comes first."""

    def take(self, step: Step) -> bytes:
        """A step; b"" if this dialect says nothing of it."""

    def wait(self) -> bytes:
        """Nothing happens yet: the connection lives."""

    def end(self, said: Said) -> bytes:
        """What comes last."""

    def failed(self, error: OrosError) -> bytes:
        """An error amid the stream."""


class Dialect(Protocol):
    """One dialect. `mime`: what its streams are."""

    mime: str

    def asked(self, body: Body) -> Wanted:
        """A request. Raises: Invalid, Unsupported; they name the field."""

    def whole(self, begun: Begun, wanted: Wanted, said: Said) -> Json:
        """An answer in one piece."""

    def stream(self, begun: Begun, wanted: Wanted) -> Stream:
        """An answer as it comes."""

    def error(self, error: OrosError, status: int) -> Json:
        """An error, as the body of an answer."""


@dataclass(slots=True)
class Blobs:
    """The bytes of the parts of a request."""

    found: dict[BlobId, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> BlobId:
        """Keep bytes under their hash."""
        name = BlobId(hashlib.sha256(data).hexdigest())
        self.found[name] = data
        return name

    def image(self, url: Json, where: str) -> ImagePart:
        """A picture out of a data URL. Raises: Invalid, Unsupported."""
        if not isinstance(url, str) or not url.startswith("data:"):
            raise Unsupported(
                f"{where}: a picture comes as a data: URL", "nothing is fetched for a client"
            )
        head, _, rest = url[5:].partition(",")
        mime, _, coding = head.partition(";")
        if not mime.startswith("image/") or coding != "base64":
            raise Invalid(f"{where}: the URL is no base64 picture, such as data:image/png;base64,")
        return self.picture(mime, rest, where)

    def picture(self, mime: str, text: Json, where: str) -> ImagePart:
        """A picture in base64. Raises: Invalid."""
        return ImagePart(self.put(decoded(text, where)), mime, "")

    def sound(self, kind: str, text: Json, where: str) -> AudioPart:
        """A sound in base64; `kind` is wav or mp3. Raises: Invalid."""
        return AudioPart(self.put(decoded(text, where)), f"audio/{kind}", "")

    def file(self, row: Body, where: str) -> FilePart:
        """A file in `file_data`: base64, or a data URL of it. Raises: Invalid, Unsupported."""
        data, mime = row.get("file_data"), ""
        if not isinstance(data, str) or not data:
            hint = "nothing is fetched or kept for a client"
            raise Unsupported(f"{where}: a file comes in base64, as file_data", hint)
        if data.startswith("data:"):
            head, _, data = data[5:].partition(",")
            mime, _, coding = head.partition(";")
            if coding != "base64":
                raise Invalid(f"{where}: the URL is not in base64")
        return self.document(row.get("filename") or "", mime, decoded(data, where), where)

    def document(self, name: Json, mime: str, data: bytes, where: str) -> FilePart:
        """A file; a name without an ending gets that of its type. Raises: Invalid."""
        called = text(name, where)[:NAME] or "file"
        if "." not in called:
            called += mimetypes.guess_extension(mime) or ""
        return FilePart(self.put(data), mime, called, len(data))


def decoded(text: Json, where: str) -> bytes:
    """Bytes of base64. Raises: Invalid."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError) as e:
        raise Invalid(f"{where}: the data is no base64") from e
    if not data:
        raise Invalid(f"{where}: the data is empty")
    return data


# ---- fields ----------------------------------------------------------------------------------


def text(value: Json, where: str) -> str:
    """Raises: Invalid if it is no text."""
    if not isinstance(value, str):
        raise Invalid(f"{where}: a string is needed")
    return value


def mapping(value: Json, where: str) -> Body:
    """Raises: Invalid if it is no object."""
    if not isinstance(value, dict):
        raise Invalid(f"{where}: an object is needed")
    return value


def listed(value: Json, where: str) -> Sequence[Body]:
    """A list of objects, none for null. Raises: Invalid."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Invalid(f"{where}: a list is needed")
    return [mapping(v, f"{where}[{n}]") for n, v in enumerate(value)]


def whole(value: Json, where: str, least: int = 0) -> int:
    """A whole number, 0 for null. Raises: Invalid."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise Invalid(f"{where}: a whole number is needed, at least {least}")
    return value


def number(value: Json, where: str) -> float:
    """A number, 0 for null. Raises: Invalid."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise Invalid(f"{where}: a number from 0 to 2 is needed")
    return float(value)


def stops(value: Json, where: str) -> tuple[str, ...]:
    """Strings that end the answer: one, or a list. Raises: Invalid."""
    found = [value] if isinstance(value, str) else value or []
    if not isinstance(found, list) or len(found) > 16:
        raise Invalid(f"{where}: a string or up to 16 of them are needed")
    return tuple(text(s, where) for s in found if s != "")


def spec(name: Json, about: Json, schema: Json, where: str) -> ToolSpec:
    """A tool of the client's. Raises: Invalid."""
    if not isinstance(name, str) or not name or len(name) > 128:
        raise Invalid(f"{where}: a tool has a name of up to 128 characters")
    return ToolSpec(name, text(about or "", where), mapping(schema or OBJECT, where))


def asks_of(name: Json, ident: Json, args: Json, where: str) -> Ask:
    """A call of an earlier turn; arguments that are no JSON stay text. Raises: Invalid."""
    found = args
    if isinstance(args, str):
        try:
            found = json.loads(args or "{}")
        except ValueError:
            found = args
    return Ask(
        text(ident, where), text(name, where), found if isinstance(found, dict) else str(args)
    )


def chosen(tools: tuple[ToolSpec, ...], name: str, where: str) -> tuple[ToolSpec, ...]:
    """The one tool that is named. Raises: Invalid."""
    found = tuple(t for t in tools if t.name == name)
    if not found:
        raise Invalid(f"{where}: there is no tool {name!r}")
    return found


def refuse(body: Body, plain: Mapping[str, Sequence[Json]]) -> None:
    """Raises: Unsupported, naming a field that would change the answer and is not there."""
    for name, fine in plain.items():
        value = body.get(name)
        if value is not None and value not in fine:
            raise Unsupported(f"{name}: this machine can't do that", "leave it out")


def plain(value: Json, where: str) -> tuple[Part, ...]:
    """A text as parts, none for an empty one. Raises: Invalid."""
    return (TextPart(value),) if text(value, where) else ()


def event(value: Json, name: str = "") -> bytes:
    """A server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()
