"""Ollama's own API: requests and lines in this dialect, as values. Opens no connection.

Its OpenAI door ignores the window and cuts what is over it; here the window is said with each
request, and a prompt that was cut is an error.
"""

import json
import re
import secrets
from collections.abc import Mapping

from oros.abi.errors import Busy, DeviceFailed, NoDevice, OrosError, TooBig, Unsupported
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import ImagePart, Json, Message, ReasoningPart, stands
from oros.abi.ports import AskDelta, Delta, ModelInfo, ModelRequest, ReasoningDelta, TextDelta
from oros.drivers.frames import Frames, Lines
from oros.drivers.media import shown
from oros.drivers.streaming import Dialect, Fold
from oros.drivers.wording import GO_ON, Ids, args_of, base64_of, over_window, priced, size, worded

BY = "ollama"
PICTURES = ("image/png", "image/jpeg", "image/webp")
LARGER = "a model with a larger window, or a smaller job"

SMALL = 2048
"""Tokens of a prompt that no server cuts: nothing is asked or suspected of one below it."""

RUNS = re.compile(r"(.)\1+|\s+", re.DOTALL)
"""Characters again and again: a token holds many of them."""

CHARACTERS = 10
"""Characters of a token at most, on the average of a text without runs; usual are 3 to 5."""


class Ollama(Dialect):
    """The dialect. `effort` ("", low, medium, high): how much it thinks; `keep`: "10m", "-1"."""

    mime = "ndjson"

    def __init__(self, effort: str = "", keep: str = "") -> None:
        self._effort = effort
        self._keep = keep

    def frames(self) -> Frames:
        """Lines of JSON."""
        return Lines()

    def path(self, model: str) -> str:  # noqa: ARG002 - the body names it
        """One for all models."""
        return "/api/chat"

    def headers(self, key: str | None) -> dict[str, str]:
        """The key, where a server wants one."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(self, request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
        """The body of a request.

        A `format` binds every word that the model says, so that it can call no tool: beside tools
        a schema is told in words.
        """
        if request.tools or "schema" not in info.cans:
            request = worded(request)
        options: dict[str, Json] = {
            "num_ctx": info.window,
            "num_predict": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.seed:
            options["seed"] = request.seed
        if request.stop:
            options["stop"] = list(request.stop)
        body: dict[str, Json] = {
            "model": model,
            "messages": conversation(request, info),
            "stream": True,
            "truncate": False,  # a prompt over the window is an error, as of 0.12.6
            "shift": False,  # and so is an answer over it: the beginning is not dropped
            "options": options,
        }
        if request.tools:
            body["tools"] = tools_of(request)
        if request.schema is not None:
            body["format"] = dict(request.schema)
        if self._effort:
            body["think"] = self._effort
        if self._keep:
            body["keep_alive"] = self._keep
        return body

    def fold(self, request: ModelRequest, info: ModelInfo) -> "Chat":
        """What reads the answer to a request."""
        return Chat(request, info)

    def refused(
        self,
        why: str,
        status: int,
        error: Mapping[str, Json],  # noqa: ARG002 - it is a text, and stands in `why`
        wait: float | None,
    ) -> OrosError | None:
        """By its words: the errors of this server have no codes."""
        text = why.lower()
        if status == 404 and "model" in text:
            return NoDevice(why, "on that machine: ollama pull NAME")
        if over_window(why):
            return TooBig(why, LARGER)
        if "does not support" in text:
            return Unsupported(why, "another model, or cans in config.toml")
        if "server busy" in text or "pending requests" in text:
            return Busy(why, "it is tried again", wait)
        if "requires more system memory" in text:
            return NoDevice(why, "a smaller model, or a smaller window")
        return DeviceFailed(why, retry_after=wait) if status == 200 else None


def tools_of(request: ModelRequest) -> list[dict[str, Json]]:
    """The tools of a request; names may be anything here."""
    return [
        {
            "type": "function",
            "function": {"name": t.name, "description": t.about, "parameters": dict(t.schema)},
        }
        for t in request.tools
    ]


def conversation(request: ModelRequest, info: ModelInfo) -> list[dict[str, Json]]:
    """The messages."""
    ids = Ids()
    messages = [told(m, request, info, ids) for m in request.messages]
    last = request.messages[-1]
    if last.role == "assistant" and last.partial and "resume" not in info.cans:
        messages.append({"role": "user", "content": GO_ON})
    return messages


def told(message: Message, request: ModelRequest, info: ModelInfo, ids: Ids) -> dict[str, Json]:
    """A message in this dialect."""
    words, images, thought = "", [], ""
    for part in message.parts:
        if isinstance(part, ImagePart) and part.mime in PICTURES and "image" in info.cans:
            data = shown(part, request.fetch)
            if isinstance(data, bytes):
                images.append(base64_of(data))
            else:
                words += data
        elif isinstance(part, ReasoningPart) and part.by == BY:
            thought += part.thought
        else:
            words += stands(part)
    found: dict[str, Json] = {"role": message.role, "content": words}
    if images:
        found["images"] = images
    if thought:
        found["thinking"] = thought
    if message.asks:
        found["tool_calls"] = [
            {"id": ids.asked(a), "function": {"name": a.name, "arguments": args_of(a)}}
            for a in message.asks
        ]
    if message.role == "tool" and (known := ids.answered(message.answers)) is not None:
        found["tool_call_id"], found["tool_name"] = known
    return found


def text_of(request: ModelRequest) -> str:
    """All the text of a request that a model reads."""
    said = [m.text for m in request.messages]
    said += [json.dumps(args_of(a)) for m in request.messages for a in m.asks]
    if request.tools:
        said.append(json.dumps(tools_of(request)))
    return "".join(said)


class Chat(Fold):
    """Folds lines into deltas; calls come whole. Checks that the prompt was read to its end."""

    def __init__(self, request: ModelRequest, info: ModelInfo) -> None:
        super().__init__(request, info)
        self._calls = 0

    def heard(self, frame: dict[str, Json], found: list[Delta]) -> None:
        """Add the deltas of a line. Raises: TooBig if the server cut the prompt."""
        if frame.get("error"):
            why = "the server said: " + " ".join(str(frame["error"]).split())[:300]
            raise Ollama().refused(why, 200, {}, None) or DeviceFailed(why)
        message = frame.get("message") or {}
        if message.get("thinking"):
            found.append(ReasoningDelta(0, message["thinking"] + "", BY))
        if message.get("content"):
            found.append(TextDelta(message["content"] + ""))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            args = json.dumps({**(function.get("arguments") or {})}, ensure_ascii=False)
            mark = call.get("id") or f"call_{secrets.token_hex(4)}"
            found.append(AskDelta(self._calls, mark + "", function["name"] + "", args))
            self._calls += 1
        if frame.get("done"):
            self._ended(frame)

    def _ended(self, frame: Mapping[str, Json]) -> None:
        self.done = True
        self.finish = self._finish(str(frame.get("done_reason") or "stop"))
        if "prompt_eval_count" in frame:
            read, wrote = int(frame["prompt_eval_count"]), int(frame.get("eval_count") or 0)
            self.usage = priced(Usage(read, wrote), self.info)
            check(read, self.request, self.info)

    def _finish(self, reason: str) -> Finish:
        if reason == "length":
            return "length"
        return "calls" if self._calls else "stop"


def fits(request: ModelRequest, info: ModelInfo) -> None:
    """Whether a prompt fits the window, by an estimate. Raises: TooBig."""
    if (tokens := size(text_of(request))) > info.window:
        why = f"a prompt of about {tokens} tokens is over the window of {info.window}"
        raise TooBig(why, LARGER)


def check(read: int, request: ModelRequest, info: ModelInfo) -> None:
    """Whether a server read all of a prompt: old ones drop its beginning and say nothing.

    Raises: TooBig.
    """
    if read >= info.window:
        raise TooBig(f"the server cut the prompt to the window of {info.window} tokens", LARGER)
    text = text_of(request)
    if len(text) > CHARACTERS * read and size(text) > SMALL:
        least = len(RUNS.sub(" ", text)) // CHARACTERS
        if 0 < read < least:
            why = f"the server read {read} tokens of a prompt of {least} or more: it cut it"
            raise TooBig(why, LARGER)
