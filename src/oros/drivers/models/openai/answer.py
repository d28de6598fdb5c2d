"""What answers in both of OpenAI's dialects have in common: words, stops, usage, errors. Pure."""

import json
from collections.abc import Mapping

from oros.abi.errors import OrosError, Unsupported
from oros.abi.events import Finish
from oros.abi.grants import Usage
from oros.abi.message import Ask, Json
from oros.abi.ports import Delta, Finished, ModelInfo, ModelRequest, TextDelta
from oros.drivers.models.openai.quirks import Quirks
from oros.drivers.models.openai.refusals import error_of
from oros.drivers.stops import Stops
from oros.drivers.streaming import Fold
from oros.drivers.wording import Names, priced, size


class Answer(Fold):
    """An answer as it grows. `watch`: stop strings are watched here, as the server does not."""

    def __init__(self, request: ModelRequest, info: ModelInfo, *, watch: bool) -> None:
        super().__init__(request, info)
        self._stops = Stops(request.stop) if watch and request.stop else None
        self._length = 0

    def take(self, data: bytes) -> list[Delta]:
        """The deltas of one frame. Raises: BadReply, or what error the frame holds."""
        if data == b"[DONE]":
            self.done = True
            return []
        return super().take(data)

    def said(self, text: str, found: list[Delta]) -> None:
        """More words; a stop string among them ends the answer."""
        self._length += len(text)
        if self._stops is not None:
            text = self._stops.feed(text)
            if self._stops.hit:
                self.finish, self.done = "stop", True
        if text:
            found.append(TextDelta(text))

    def ended(self, finish: Finish, found: list[Delta]) -> None:
        """Note how it ended, and say what was held back."""
        self.finish = finish
        if self._stops is not None and (rest := self._stops.rest()):
            found.append(TextDelta(rest))

    def declined(self) -> None:
        """The platform's filter ended it. Raises: Unsupported, if nothing was said before."""
        if not self._length:
            raise Unsupported("the platform's filter declined to answer", "say it in other words")

    def failed(self, error: Json) -> OrosError:
        """An error amid a stream."""
        if not isinstance(error, dict):
            error = {"message": error}
        why = " ".join(str(error.get("message")).split())[:300]
        return error_of(f"the server said: {why}", 200, error, None)

    def end(self) -> Finished:
        """The last delta; what nobody counted is estimated. Raises: BadReply without an end."""
        self.usage = self.usage or self.estimated()
        return super().end()

    def estimated(self) -> Usage:
        """What it used, about: a token is 3.2 characters."""
        read = sum(size(m.text) for m in self.request.messages)
        return priced(Usage(read, self._length * 10 // 32 + 1), self.info)


def by(quirks: Quirks, model: str) -> str:
    """Whose thoughts they are: a platform's, of one model; its seals open for no other."""
    return f"{quirks.platform}/{model}"


def names_of(request: ModelRequest) -> Names:
    """The names of a request's tools, as they are sent and understood."""
    return Names(t.name for t in request.tools)


def text_of(value: Json) -> str:
    """A text in a chunk; none is an empty one. Raises: TypeError."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"no text: {value!r:.80}")
    return value or ""


def args_text(ask: Ask) -> str:
    """The arguments as text; what was no object goes back as it came."""
    return ask.args if isinstance(ask.args, str) else json.dumps(dict(ask.args))


def strict(schema: Json) -> bool:
    """Whether a schema is of the kind that can be asked for strictly: closed, all required."""
    if isinstance(schema, list):
        return all(map(strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        names = set(schema.get("properties") or ())
        if schema.get("additionalProperties") is not False:
            return False
        if names != set(schema.get("required") or ()):
            return False
    return all(map(strict, schema.values()))


def usage_of(data: Mapping[str, Json], info: ModelInfo, *, apart: bool = False) -> Usage:
    """What the server counted, of either dialect. `apart`: thoughts are not among the output."""
    read = int(data.get("prompt_tokens") or data.get("input_tokens") or 0)
    wrote = int(data.get("completion_tokens") or data.get("output_tokens") or 0)
    inside = data.get("prompt_tokens_details") or data.get("input_tokens_details") or {}
    outside = data.get("completion_tokens_details") or data.get("output_tokens_details") or {}
    cached = int(
        inside.get("cached_tokens")
        or data.get("prompt_cache_hit_tokens")
        or data.get("cached_tokens")
        or 0
    )
    written = int(inside.get("cache_write_tokens") or 0)
    thought = int(outside.get("reasoning_tokens") or 0)
    wrote, cached = wrote + (thought if apart else 0), min(cached, read)
    written = min(written, read - cached)
    return priced(Usage(read, wrote, cached, written=written, reasoning=thought), info)
