"""Files that come with a client's request, as the text that any model is shown of them."""

import tempfile
from dataclasses import replace

from oros.abi.errors import TooBig, Unsupported
from oros.abi.ids import BlobId
from oros.abi.labels import THIRD
from oros.abi.message import AudioPart, FilePart, ImagePart, Message, Part, TextPart
from oros.services.doors.wanted import Wanted
from oros.services.files.folder import DOCUMENTS, Texts
from oros.services.files.names import show
from oros.services.files.text import SAMPLE, decode, sniff
from oros.services.threads import threaded

MOST = 4 << 20
"""Bytes of a file's text at most: more than any window holds."""
PAGE = 1 << 20


async def read(texts: Texts | None, wanted: Wanted) -> Wanted:
    """A request whose files are text. A message that holds one is others' text, whoever sends it.

    Raises: Unsupported for a file that no text can be had of; TooBig.
    """
    if not any(isinstance(p, FilePart) for m in wanted.messages for p in m.parts):
        return wanted
    blobs, messages = dict(wanted.blobs), list[Message]()
    for message in wanted.messages:
        parts = list[Part]()
        for part in message.parts:
            parts.append(await _text(texts, part, blobs) if isinstance(part, FilePart) else part)
        held = any(isinstance(p, FilePart) for p in message.parts)
        label = message.label | THIRD if held else message.label
        messages.append(replace(message, parts=tuple(parts), label=label))
    used = {p.blob for m in messages for p in m.parts if isinstance(p, ImagePart | AudioPart)}
    left = {name: data for name, data in blobs.items() if name in used}
    goal = next((m.text for m in reversed(wanted.messages) if m.role == "user"), "")
    return replace(wanted, messages=tuple(messages), blobs=left, goal=goal)


async def _text(texts: Texts | None, part: FilePart, blobs: dict[BlobId, bytes]) -> TextPart:
    """A file as a part of text, under its name."""
    name, data = show(part.name), blobs[part.blob]
    nature = sniff(data[:SAMPLE])
    if nature.kind == "text":
        found, _ = decode(data, nature.encoding)
    elif texts is None or nature.kind not in DOCUMENTS:
        raise Unsupported(f"{name}: no text can be had of a file of this kind ({nature.kind})")
    else:
        found = await _document(texts, name, data)
    if len(found) > MOST:
        raise TooBig(f"{name} has over {MOST >> 20} MiB of text", "send a part of it")
    return TextPart(f"[the file {name}]\n{found}\n[end of {name}]\n")


async def _document(texts: Texts, name: str, data: bytes) -> str:
    """The text of a document, read in the sandbox. Raises: Unsupported."""
    found, at = "", 0
    with tempfile.TemporaryFile() as file:
        await threaded(lambda: file.write(data))
        file.flush()
        while len(found) <= MOST:
            page = await texts.page(name, file.fileno(), at, PAGE)
            if page is None or "why" in page[0]:
                why = f": {page[0]['why']}" if page else ""
                raise Unsupported(f"{name}: no text can be had of it{why}")
            found += page[1]
            if page[0]["next"] is None:
                break
            at = page[0]["next"]
    return found
