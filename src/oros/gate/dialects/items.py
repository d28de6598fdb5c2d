"""The items of a response, whole and as they come: thoughts, a message, calls."""

from collections.abc import Callable, Sequence

from oros.abi.errors import OrosError
from oros.abi.message import Json
from oros.abi.ports import ReasoningDelta, TextDelta
from oros.gate.dialects.parts import event
from oros.services.doors.wanted import Begun, Said, Step, arguments, packed

DONE = b"data: [DONE]\n\n"
"""What Open Responses ends a stream with."""

Made = Callable[[Said | None, Sequence[Json], Json], Json]
"""The response object of an answer (None: it goes on), its items and its error."""


def reasoning(name: str, thought: str, by: str = "", opaque: str = "") -> Json:
    """What was thought; what the platform wants back of it, sealed."""
    summary = [{"type": "summary_text", "text": thought}] if thought else []
    sealed = {"encrypted_content": packed(by, opaque)} if opaque else {}
    return {"id": name, "type": "reasoning", "summary": summary, **sealed}


def message(name: str, said: str, status: str) -> Json:
    """What was said."""
    head = {"id": name, "type": "message", "status": status, "role": "assistant"}
    return {**head, "content": [worded(said)] if said or status != "in_progress" else []}


def worded(said: str) -> Json:
    """A text as a part of a message."""
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": []}


def call(name: str, ident: str, tool: str, args: str, status: str = "completed") -> Json:
    """A call for the client to make."""
    head = {"id": name, "type": "function_call", "status": status, "call_id": ident}
    return {**head, "name": tool, "arguments": args}


def packed_items(begun: Begun, said: Said) -> list[Json]:
    """The items of a whole answer."""
    found = [
        reasoning(f"rs_{begun.pid}_{n}", t.thought, t.by, t.opaque)
        for n, t in enumerate(said.thoughts)
    ]
    if said.text or not said.asks:
        found.append(message(f"msg_{begun.pid}", said.text, ended(said)))
    for number, ask in enumerate(said.asks):
        found.append(call(f"fc_{begun.pid}_{number}", ask.id, ask.name, arguments(ask)))
    return found


def ended(said: Said) -> str:
    """How the message ended."""
    return "incomplete" if said.finish == "length" else "completed"


class ItemStream:
    """The events of one response, in order and numbered."""

    def __init__(self, begun: Begun, made: Made) -> None:
        self._begun, self._made = begun, made
        self._number = 0
        self._items: list[Json] = []
        self._open: tuple[str, int] | None = None
        self._text: list[str] = []
        self._last: ReasoningDelta | None = None

    def _event(self, kind: str, **fields: Json) -> bytes:
        number, self._number = self._number, self._number + 1
        return event({"type": kind, "sequence_number": number, **fields}, kind)

    def begin(self) -> bytes:
        """The response, before anything of it is there."""
        made = self._made(None, [], None)
        return self._event("response.created", response=made) + self._event(
            "response.in_progress", response=made
        )

    def take(self, step: Step) -> bytes:
        """Text, and thoughts."""
        match step:
            case TextDelta(text=said) if said:
                found = self._enter("message", 0)
                self._text.append(said)
                return found + self._event(
                    "response.output_text.delta", **self._at(), delta=said, logprobs=[]
                )
            case ReasoningDelta(index=index, thought=thought):
                found = self._enter("reasoning", index)
                self._last = step
                if not thought:
                    return found
                self._text.append(thought)
                return found + self._event(
                    "response.reasoning_summary_text.delta", **self._at(), delta=thought
                )
            case _:
                return b""

    def wait(self) -> bytes:
        """A comment."""
        return b": wait\n\n"

    def end(self, said: Said) -> bytes:
        """What is open is closed, calls follow, and the response is whole."""
        found = b""
        if not said.asks and not any(i["type"] == "message" for i in self._items):
            found += self._enter("message", 0)
        found += self._leave(ended(said))
        for number, ask in enumerate(said.asks):
            found += self._call(f"fc_{self._begun.pid}_{number}", ask.id, ask.name, arguments(ask))
        kind = "response.incomplete" if said.finish == "length" else "response.completed"
        return found + self._event(kind, response=self._made(said, self._items, None)) + DONE

    def failed(self, error: OrosError) -> bytes:
        """The response failed."""
        found = {"code": "server_error", "message": str(error)}
        return self._event("response.failed", response=self._made(None, self._items, found)) + DONE

    # ---- one item --------------------------------------------------------------------------

    def _name(self) -> str:
        kind, index = self._open or ("message", 0)
        return f"msg_{self._begun.pid}" if kind == "message" else f"rs_{self._begun.pid}_{index}"

    def _at(self) -> dict[str, Json]:
        """Where the open part stands."""
        kind = self._open[0] if self._open else ""
        place = "content_index" if kind == "message" else "summary_index"
        return {"item_id": self._name(), "output_index": len(self._items), place: 0}

    def _enter(self, kind: str, index: int) -> bytes:
        """Open an item of a kind, if it is not the open one; what is open is closed."""
        if self._open == (kind, index):
            return b""
        found = self._leave("completed")
        self._open = (kind, index)
        at = len(self._items)
        if kind == "message":
            new, part = message(self._name(), "", "in_progress"), worded("")
            begun = "response.content_part.added"
        else:
            new, part = reasoning(self._name(), ""), {"type": "summary_text", "text": ""}
            begun = "response.reasoning_summary_part.added"
        found += self._event("response.output_item.added", output_index=at, item=new)
        return found + self._event(begun, **self._at(), part=part)

    def _leave(self, status: str) -> bytes:
        """Close the open item, if there is one."""
        if self._open is None:
            return b""
        said, at = "".join(self._text), self._at()
        if self._open[0] == "message":
            item = message(self._name(), said, status)
            found = self._event("response.output_text.done", **at, text=said, logprobs=[])
            found += self._event("response.content_part.done", **at, part=worded(said))
        else:
            last = self._last or ReasoningDelta(0)
            item = reasoning(self._name(), said, last.by, last.opaque)
            found = self._event("response.reasoning_summary_text.done", **at, text=said)
            part = {"type": "summary_text", "text": said}
            found += self._event("response.reasoning_summary_part.done", **at, part=part)
        place = len(self._items)
        found += self._event("response.output_item.done", output_index=place, item=item)
        self._items.append(item)
        self._open, self._text, self._last = None, [], None
        return found

    def _call(self, name: str, ident: str, tool: str, args: str) -> bytes:
        """A call, as the events of one."""
        place = len(self._items)
        at: dict[str, Json] = {"item_id": name, "output_index": place}
        new = call(name, ident, tool, "", "in_progress")
        found = self._event("response.output_item.added", output_index=place, item=new)
        found += self._event("response.function_call_arguments.delta", **at, delta=args)
        done = {"name": tool, "arguments": args}
        found += self._event("response.function_call_arguments.done", **at, **done)
        item = call(name, ident, tool, args)
        found += self._event("response.output_item.done", output_index=place, item=item)
        self._items.append(item)
        return found
