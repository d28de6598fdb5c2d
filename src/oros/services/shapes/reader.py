"""The shape of a reader: shown a text part by part, it says what was asked as a typed value.

What goes by its place comes first, as the first message; then the paths, read through the reader's
own namespace. Each part is a window of its own, as large as fits: the question, what was found so
far (without its lists) and the part, which begins a little before the last one ended. The model's
answer must fit the schema, and is asked for once more if it does not; what parts gave is merged by
`typed.merged`. The end is a value that fits, or an error in this file's own words: no word of the
text or of the model is in it. The model is offered no call, so it makes none.
"""

import json
from collections.abc import Callable, Mapping

from oros.abi import wire
from oros.abi.actions import Action, Do, Finish, Rest, Think
from oros.abi.errors import BadReply, Invalid, OrosError, TooBig
from oros.abi.events import CallReturned, Event, Evicted, ModelReplied, Received, Spawned
from oros.abi.labels import Label
from oros.abi.message import Ask, Message, TextPart, say
from oros.abi.syscalls import Outcome
from oros.kernel.image import Image
from oros.monitor import typed
from oros.paging.context import Page

MOST = 64
"""Parts of all that one reader reads."""
OVERLAP = 200
"""Bytes of a part that the next one begins with."""
LEAST = 1000
"""Bytes of a part, at least."""
TRIES = 2
"""Answers to one part before it is given up."""
SO_FAR = 2000
"""Characters of what was found so far that the next part is shown with."""
HOT = 0.4
"""The temperature of a second try."""


def absorb(image: Image, event: Event) -> None:
    """Fold what is this shape's own: `phase` goes given, then read and ask in turns, then done."""
    match event:
        case Spawned():
            image.context.add("program", say("system", event.program.prompt))
            asked = f"{event.goal}\n\nThe schema of your answer: {wire.dumps(event.schema)}"
            image.context.add("pinned", say("user", asked, event.label))
            paths = [r for r in event.read if not r.startswith("$")]
            image.notes |= {"paths": paths, "schema": event.schema, "rest": "", "part": 0}
            image.notes["size"] = event.program.page
            image.phase = "given"
        case Received() if image.phase == "given":
            image.held.clear()
            given(image, event.message)
        case CallReturned() if image.phase == "read":
            came(image, event.outcome)
        case ModelReplied() if image.phase == "ask" and is_whole(event):
            said(image, event.message.text)
        case Evicted() if image.phase == "ask":  # what is not shown whole would not be read
            smaller(image)
        case _:
            pass


def is_whole(event: ModelReplied) -> bool:
    """Whether a model said all that it had to say."""
    return event.finish in ("stop", "length", "calls") and not event.error


def given(image: Image, message: Message) -> None:
    """Take in what went by its place."""
    image.notes["rest"], image.notes["label"] = message.text, message.label
    if len(message.text) > image.program.page * MOST:
        fail(image, too_long())
    else:
        go_on(image)


def came(image: Image, outcome: Outcome) -> None:
    """Take in a page of a file."""
    path, value = image.notes["paths"][0], outcome.value
    text = "".join(p.text for p in outcome.parts if isinstance(p, TextPart))
    if outcome.error is not None:
        fail(image, Invalid(f"{path} can't be read: {outcome.error.code}"))
    elif not isinstance(value, dict) or "kind" in value:
        fail(image, Invalid(f"{path} holds no text"))
    elif (value.get("size") or 0) > image.program.page * MOST:
        fail(image, too_long())
    else:
        follow(image, value)
        show(image, text or str(value.get("text") or ""), outcome.label)


def follow(image: Image, page: Mapping[str, object]) -> None:
    """Note where the next page of the file begins, or that the next file comes."""
    end = page.get("next")
    if isinstance(end, int):
        image.notes["offset"] = max(end - OVERLAP, int(image.notes.get("offset", 0)) + 1)
    else:
        image.notes["paths"], image.notes["offset"] = image.notes["paths"][1:], 0


def go_on(image: Image) -> None:
    """To the next part: of what was given, else of a file; else it is done."""
    rest, size = image.notes["rest"], image.notes["size"]
    if rest:
        raw = rest.encode("utf-8", "replace")
        later = raw[size - OVERLAP :] if len(raw) > size else b""
        image.notes["rest"] = later.decode("utf-8", "ignore")
        show(image, raw[:size].decode("utf-8", "ignore"), image.notes["label"])
    elif image.notes["paths"]:
        image.phase = "read"
    elif "value" in image.notes:
        image.phase = "done"
    else:
        fail(image, Invalid("there is no text to read"))


def show(image: Image, text: str, label: Label) -> None:
    """Ask about a part, in a window that holds no other."""
    if not text.strip():
        go_on(image)
        return
    image.notes["part"] += 1
    if image.notes["part"] > MOST:
        fail(image, too_long())
        return
    leave(image, lambda page: page.kind == "turn")
    shown = f"{so_far(image)}Part {image.notes['part']} of the text:\n<text>\n{text}\n</text>"
    image.context.add("turn", say("user", shown, label))
    image.notes |= {"text": text, "label": label}
    image.phase, image.tries = "ask", 0


def smaller(image: Image) -> None:
    """A part is over the model's window: it is shown anew, by halves."""
    image.notes["size"] //= 2
    if image.notes["size"] < LEAST:
        fail(image, TooBig("the question leaves no room for a text", "a shorter one"))
        return
    for page in image.context.pages:
        page.kept = 0
    image.context.changed()
    image.notes["rest"] = image.notes["text"] + image.notes["rest"]
    go_on(image)


def leave(image: Image, which: Callable[[Page], bool]) -> None:
    """Let pages leave the window."""
    gone = (p.id for p in image.context.pages if p.resident and which(p))
    image.context.take(Evicted(tuple(gone)))


def so_far(image: Image) -> str:
    """What earlier parts gave, without lists, if it is short."""
    value = image.notes.get("value", {})
    found = wire.dumps({k: v for k, v in value.items() if not isinstance(v, list)})
    return f"Found so far: {found}\n\n" if value and len(found) <= SO_FAR else ""


def said(image: Image, text: str) -> None:
    """Take in an answer: a value that fits, or another try, or the end."""
    schema = image.notes["schema"]
    try:
        value = typed.merged(schema, image.notes.get("value"), typed.fit(schema, text))
        if len(json.dumps(value)) > typed.WHOLE:
            raise TooBig("the value of all parts is too long", "ask for less")
    except BadReply as e:
        image.tries += 1
        leave(image, lambda page: page.message.role == "assistant")
        if image.tries >= TRIES:
            fail(image, e)
    except TooBig as e:
        fail(image, e)
    else:
        image.notes["value"] = value
        go_on(image)


def too_long() -> TooBig:
    """More than one reader reads."""
    return TooBig(f"there is more to read than {MOST} parts", "give each reader a piece of it")


def fail(image: Image, error: OrosError) -> None:
    """End without a value."""
    image.notes["fault"], image.phase = [error.exit_code, str(error)], "done"


def decide(image: Image) -> Action:
    """Read, ask, and end."""
    match image.phase:
        case "read":
            at = {"offset": image.notes["offset"]} if image.notes.get("offset") else {}
            args = {
                "path": image.notes["paths"][0],
                **at,
                "limit": image.notes.get("size", image.program.page),
            }
            return Do(Ask("read", "read", args))
        case "ask" if image.finish == "interrupted":
            return Rest("message")
        case "ask":
            window = tuple(p.shown for p in image.context.pages if p.resident)
            heat = HOT if image.tries else image.program.temperature
            schema = image.notes["schema"]
            return Think(window, (), (), schema, image.program.max_tokens, heat)
        case "done" if "fault" in image.notes:
            status, why = image.notes["fault"]
            return Finish(status, "", why)
        case "done":
            return Finish(0, json.dumps(image.notes["value"]))
        case _:
            return Rest("message")
