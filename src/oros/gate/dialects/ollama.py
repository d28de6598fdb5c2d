"""Ollama's own API, as a server speaks it: lines of JSON. Its models are what the key opens."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from oros.abi.errors import Invalid, OrosError
from oros.abi.grants import Usage
from oros.abi.message import Ask, Json, Message, Part
from oros.abi.ports import ModelInfo, ReasoningDelta, TextDelta, ToolSpec
from oros.gate.dialects import chat
from oros.gate.dialects.embeddings import one
from oros.gate.dialects.messages import given
from oros.gate.dialects.parts import (
    OBJECT,
    Blobs,
    Body,
    decoded,
    listed,
    mapping,
    number,
    plain,
    refuse,
    stops,
    text,
    whole,
)
from oros.services.doors.wanted import Begun, Said, Step, Wanted, filled

SPOKEN = "0.12.6"
"""The version of Ollama whose API this is; clients ask it before they use what came later."""
LINES = "application/x-ndjson"
PLAIN: dict[str, Sequence[Json]] = {"logprobs": (False,), "top_logprobs": (0,)}
RAW: dict[str, Sequence[Json]] = {
    **PLAIN,
    "raw": (False,),
    "suffix": ("",),
    "template": ("",),
    "context": ([],),
}
"""Fields that would change the answer, with the values that don't."""
KINDS = ((b"\xff\xd8", "image/jpeg"), (b"GIF8", "image/gif"), (b"RIFF", "image/webp"))
"""How pictures begin, and what they are; any other is taken for PNG."""
ABLE = {"tools": "tools", "image": "vision", "audio": "audio"}
"""What a model can, and how clients of this dialect call it."""


class Ollama(ABC):
    """What both ways of asking share. `words` makes the fields of a piece of an answer."""

    mime = LINES

    @abstractmethod
    def words(self, said: str, thought: str, asks: Sequence[Ask]) -> dict[str, Json]:
        """A piece of an answer, or all of it."""

    def whole(self, begun: Begun, wanted: Wanted, said: Said) -> Json:
        """The answer."""
        thought = "".join(t.thought for t in said.thoughts) if shown(wanted) else ""
        words = self.words(said.text, thought, said.asks)
        return head(begun, wanted) | words | ended(wanted, said)

    def stream(self, begun: Begun, wanted: Wanted) -> "LineStream":
        """The answer as it comes."""
        return LineStream(begun, wanted, self.words)

    def error(self, error: OrosError, status: int) -> Json:  # noqa: ARG002 - it has no kinds
        """An error."""
        return fault(error)


class Chat(Ollama):
    """`/api/chat`."""

    def asked(self, body: Body) -> Wanted:
        """Raises: Invalid, Unsupported. Without messages nothing is asked: the model is loaded."""
        refuse(body, PLAIN)
        blobs = Blobs()
        messages = conversation(listed(body.get("messages"), "messages"), blobs)
        found = wanted(body, filled(messages) if messages else (), blobs)
        rows = listed(body.get("tools"), "tools")
        return replace(found, tools=tuple(tool(t, f"tools[{n}]") for n, t in enumerate(rows)))

    def words(self, said: str, thought: str, asks: Sequence[Ask]) -> dict[str, Json]:
        """A message."""
        message: dict[str, Json] = {"role": "assistant", "content": said}
        if thought:
            message["thinking"] = thought
        if asks:
            message["tool_calls"] = [
                {"id": a.id, "function": {"index": n, "name": a.name, "arguments": given(a)}}
                for n, a in enumerate(asks)
            ]
        return {"message": message}


class Generate(Ollama):
    """`/api/generate`."""

    def asked(self, body: Body) -> Wanted:
        """Raises: Invalid, Unsupported. Without a prompt the model is only loaded."""
        refuse(body, RAW)
        blobs = Blobs()
        pictures = images(body.get("images"), "images", blobs)
        parts = (*pictures, *plain(body.get("prompt") or "", "prompt"))
        messages = [Message("user", parts)] if parts else []
        if messages and body.get("system"):
            messages.insert(0, Message("system", plain(body["system"], "system")))
        return wanted(body, tuple(messages), blobs)

    def words(self, said: str, thought: str, asks: Sequence[Ask]) -> dict[str, Json]:  # noqa: ARG002 - no tools here
        """A piece of a text."""
        return {"response": said, **({"thinking": thought} if thought else {})}


@dataclass(slots=True)
class LineStream:
    """Lines: pieces, the calls in one, and the last with what it cost."""

    begun: Begun
    wanted: Wanted
    words: Callable[[str, str, Sequence[Ask]], dict[str, Json]]
    head: dict[str, Json] = field(init=False)

    def __post_init__(self) -> None:
        self.head = head(self.begun, self.wanted)

    def _piece(self, said: str = "", thought: str = "", asks: Sequence[Ask] = ()) -> bytes:
        return line(self.head | self.words(said, thought, asks) | {"done": False})

    def begin(self) -> bytes:
        """Nothing: the first line is the first piece."""
        return b""

    def take(self, step: Step) -> bytes:
        """Text, and thoughts unless they were not wanted."""
        match step:
            case TextDelta(text=said) if said:
                return self._piece(said)
            case ReasoningDelta(thought=thought) if thought and shown(self.wanted):
                return self._piece(thought=thought)
            case _:
                return b""

    def wait(self) -> bytes:
        """An empty piece: each line has to be one."""
        return self._piece()

    def end(self, said: Said) -> bytes:
        """The calls, why it ended, what it cost."""
        found = self._piece(asks=said.asks) if said.asks else b""
        return found + line(self.head | self.words("", "", ()) | ended(self.wanted, said))

    def failed(self, error: OrosError) -> bytes:
        """An error where a piece would stand."""
        return line(fault(error))


def fault(error: OrosError) -> Json:
    """An error in this dialect."""
    return {"error": error.why + (f" ({error.hint})" if error.hint else "")}


def line(value: Json) -> bytes:
    """A line of JSON."""
    return json.dumps(value).encode() + b"\n"


def head(begun: Begun, wanted: Wanted) -> dict[str, Json]:
    """What each line begins with."""
    time = datetime.fromtimestamp(begun.created, UTC).isoformat().replace("+00:00", "Z")
    return {"model": wanted.model, "created_at": time}


def ended(wanted: Wanted, said: Said) -> dict[str, Json]:
    """The end of an answer; times are in nanoseconds, of reading and writing together."""
    reason = "length" if said.finish == "length" else "stop"
    passed = int(said.usage.seconds * 1e9)
    return {
        "done": True,
        "done_reason": reason if wanted.messages else "load",
        "total_duration": passed,
        "load_duration": 0,
        "prompt_eval_count": said.usage.tokens_in,
        "prompt_eval_duration": 0,
        "eval_count": said.usage.tokens_out,
        "eval_duration": passed,
    }


def shown(wanted: Wanted) -> bool:
    """Whether thoughts are wanted, if there are any."""
    return wanted.told.get("think") is not False


# ---- requests ----------------------------------------------------------------------------------


def wanted(body: Body, messages: tuple[Message, ...], blobs: Blobs) -> Wanted:
    """A request. It streams unless that is said not to. Raises: Invalid."""
    options = mapping(body.get("options") or {}, "options")
    most, seed = options.get("num_predict"), options.get("seed")
    return Wanted(
        text(body.get("model"), "model"),
        messages,
        schema=schema(body.get("format")),
        max_tokens=0 if most in (-1, -2) else whole(most, "options.num_predict"),
        temperature=number(options.get("temperature"), "options.temperature"),
        seed=0 if seed == -1 else whole(seed, "options.seed"),
        stop=stops(options.get("stop"), "options.stop"),
        stream=body.get("stream") is not False,
        blobs=blobs.found,
        told={"think": body.get("think")},
    )


def schema(form: Json) -> Body | None:
    """The schema of the answer, if it has one. Raises: Invalid."""
    if form in (None, ""):
        return None
    return OBJECT if form == "json" else mapping(form, "format")


def conversation(rows: Sequence[Body], blobs: Blobs) -> list[Message]:
    """The messages. Raises: Invalid.

    Calls may have no ids in this dialect: then an answer is to the first of its tool's name that
    has none yet, else to the first at all.
    """
    found: list[Message] = []
    open_: deque[Ask] = deque()
    for number_, row in enumerate(rows):
        where, role = f"messages[{number_}]", row.get("role")
        parts = contents(row, where, blobs)
        match role:
            case "system" | "user":
                found.append(Message(role, parts))
            case "assistant":
                rows_ = listed(row.get("tool_calls"), f"{where}.tool_calls")
                asks = tuple(called(c, f"call_{number_}_{n}", where) for n, c in enumerate(rows_))
                open_.extend(asks)
                found.append(Message("assistant", parts, asks))
            case "tool":
                found.append(Message("tool", parts, answers=answered(row, open_, where)))
            case _:
                raise Invalid(
                    f"{where}: there is no role {role!r}", "system, user, assistant, tool"
                )
    if found and found[-1].role == "assistant" and not found[-1].asks and found[-1].parts:
        found[-1] = replace(found[-1], partial=True)
    return found


def contents(row: Body, where: str, blobs: Blobs) -> tuple[Part, ...]:
    """The pictures of a message, then its text. Raises: Invalid."""
    words = plain(row.get("content") or "", f"{where}.content")
    return (*images(row.get("images"), f"{where}.images", blobs), *words)


def images(rows: Json, where: str, blobs: Blobs) -> tuple[Part, ...]:
    """Pictures in base64. Raises: Invalid."""
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise Invalid(f"{where}: a list is needed")
    return tuple(blobs.picture(kind(decoded(r, where)), r, where) for r in rows)


def kind(data: bytes) -> str:
    """What a picture is, by how it begins."""
    return next((mime for magic, mime in KINDS if data.startswith(magic)), "image/png")


def called(row: Body, ident: str, where: str) -> Ask:
    """A call of an earlier turn. Raises: Invalid."""
    function = mapping(row.get("function"), f"{where}.tool_calls.function")
    args = mapping(function.get("arguments") or {}, f"{where}.tool_calls.function.arguments")
    return Ask(text(row.get("id") or ident, where), text(function.get("name"), where), args)


def answered(row: Body, open_: deque[Ask], where: str) -> str:
    """The id of the call that a tool's message answers, which closes it. Raises: Invalid."""
    by = [a for a in open_ if a.id == row.get("tool_call_id")]
    by += [a for a in open_ if a.name == row.get("tool_name")]
    found = [*by, *open_]
    if not found:
        raise Invalid(f"{where}: no call was made before its answer")
    open_.remove(found[0])
    return found[0].id


def tool(row: Body, where: str) -> ToolSpec:
    """One tool. Raises: Invalid."""
    return chat.tool({"type": "function", **row}, where)


# ---- vectors and models ------------------------------------------------------------------------


def texts(body: Body) -> tuple[str, list[str], bool]:
    """The model, the texts of `/api/embed` or of the older `/api/embeddings`, and which it is.

    Raises: Invalid.
    """
    old = "input" not in body
    found = body.get("prompt") if old else body.get("input")
    rows = [found] if isinstance(found, str) else found
    if not isinstance(rows, list) or not rows or not all(isinstance(t, str) for t in rows):
        raise Invalid("input: a string or a list of strings is needed")
    if body.get("dimensions") is not None:
        raise Invalid("dimensions: the vectors have one length here", "leave it out")
    return text(body.get("model"), "model"), rows, old


def vectors(model: str, found: Sequence[bytes], used: Usage, *, packed: bool) -> Json:
    """The vectors; `packed`: as the older path has it, one."""
    rows = [one(v, packed=False) for v in found]
    if packed:
        return {"embedding": rows[0]}
    return {"model": model, "embeddings": rows, "prompt_eval_count": used.tokens_in}


def tags(names: Sequence[str]) -> Json:
    """Names as a list. The digest is the name's: of remote weights there is none to be had."""
    rows = [
        {
            "name": n,
            "model": n,
            "modified_at": "1970-01-01T00:00:00Z",
            "size": 0,
            "digest": hashlib.sha256(n.encode()).hexdigest(),
            "details": DETAILS,
        }
        for n in names
    ]
    return {"models": rows}


DETAILS: Json = {
    "parent_model": "",
    "format": "",
    "family": "oros",
    "families": ["oros"],
    "parameter_size": "",
    "quantization_level": "",
}


def about(info: ModelInfo) -> Json:
    """What a model is and can."""
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "license": "",
        "modified_at": "1970-01-01T00:00:00Z",
        "details": DETAILS,
        "model_info": {"general.architecture": "oros", "oros.context_length": info.window},
        "capabilities": ["completion", *(v for k, v in ABLE.items() if k in info.cans)],
    }
