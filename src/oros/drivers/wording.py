"""What drivers of models word alike: names, ids, pictures, schemas, sizes and prices. Pure."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from oros.abi.grants import Usage
from oros.abi.message import Ask, Json, noted
from oros.abi.ports import ModelInfo, ModelRequest

GO_ON = "Go on exactly where you stopped; repeat nothing."
"""Said after a partial answer to a model that does not go on from it by itself."""

ALONE = "Answer with one JSON value of this JSON Schema, and with nothing else:"
BESIDE = "Where you answer in words and call no tool, say one JSON value of this JSON Schema alone:"

ODD = re.compile(r"[^A-Za-z0-9_-]")

OVER = re.compile(
    r"context_length|maximum (?:model|prompt) length|prompt is too long"
    r"|context.*(?:exceed|overflow|too long|too large)"
    r"|(?:exceed|maximum|too large|(?:longer|larger|more) than).*context",
    re.IGNORECASE | re.DOTALL,
)
"""How servers say that a prompt is longer than the window."""

NAME = 64
"""Characters of a tool's name at most, for all platforms."""


class Names:
    """Names of tools as platforms allow them: `mail.send` is said `mail-send`, and understood."""

    def __init__(self, names: Iterable[str]) -> None:
        self._said, self._meant = arranged(tuple(names))

    def said(self, name: str) -> str:
        """A name as it is sent; two names are never sent as one."""
        if name not in self._said:
            self._said, self._meant = arranged((*self._said, name))
        return self._said[name]

    def meant(self, name: str) -> str:
        """The name that a model means; one that was never sent stays as it is."""
        return self._meant.get(name, name)


@lru_cache(256)
def arranged(names: tuple[str, ...]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """How each name is said, and what each that is said means."""
    said: dict[str, str] = {}
    meant: dict[str, str] = {}
    for name in names:
        start = at = ODD.sub("-", name)[:NAME] or "tool"
        turn = 2
        while meant.get(at, name) != name:
            at, turn = f"{start[: NAME - 4]}-{turn}", turn + 1
        said[name], meant[at] = at, name
    return said, meant


class Ids:
    """Ids of calls as platforms want them: of plain characters, each once in a conversation."""

    def __init__(self) -> None:
        self._now: dict[str, Ask] = {}
        self._ids: dict[str, str] = {}
        self._seen: set[str] = set()

    def asked(self, ask: Ask) -> str:
        """The id of a call, as it is sent from here on."""
        said = ODD.sub("_", ask.id) or "call"
        while said in self._seen:
            said += "_"
        self._seen.add(said)
        self._ids[ask.id], self._now[ask.id] = said, ask
        return said

    def answered(self, mark: str) -> tuple[str, str] | None:
        """The id and the tool of the last call that was called so; None if there was none."""
        return (self._ids[mark], self._now[mark].name) if mark in self._ids else None


def args_of(ask: Ask) -> dict[str, Json]:
    """The arguments as an object; text that is none goes under a key of its own."""
    return {"not_json": ask.args} if isinstance(ask.args, str) else dict(ask.args)


def base64_of(data: bytes) -> str:
    """Bytes as a text of plain characters."""
    return b64encode(data).decode("ascii")


def over_window(why: str) -> bool:
    """Whether an error says, in the words of some server, that the prompt exceeds the window."""
    return bool(OVER.search(why))


def size(text: str) -> int:
    """Tokens of a text, estimated high: a token is 3.2 bytes, a character of other scripts one."""
    return len(text.encode("utf-8", "replace")) * 10 // 32 + 1


def priced(usage: Usage, info: ModelInfo) -> Usage:
    """A usage with its cost; None if the price is not known."""
    return replace(usage, micros=info.cost(usage))


def worded(request: ModelRequest) -> ModelRequest:
    """A request whose schema is told in words: for a server that would not take it as one.

    No schema is left out in silence; whoever asked checks the answer, as of any other.
    """
    if request.schema is None:
        return request
    how = BESIDE if request.tools else ALONE
    note = f"{how} {json.dumps(dict(request.schema), ensure_ascii=False)}"
    return replace(request, messages=noted(request.messages, note), schema=None)


def closed(schema: Mapping[str, Json], keep: frozenset[str]) -> dict[str, Json]:
    """A JSON schema with the keywords that a platform takes; its objects have no other keys.

    What is left out bounds the answer no more: whoever asked checks it.
    """
    found: dict[str, Json] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            found[key] = {name: closed(v, keep) for name, v in value.items()}
        elif key not in keep:
            continue
        elif isinstance(value, dict):
            found[key] = closed(value, keep)
        elif isinstance(value, list) and key in ("anyOf", "allOf", "oneOf", "prefixItems"):
            found[key] = [closed(v, keep) if isinstance(v, dict) else v for v in value]
        else:
            found[key] = value
    kind = schema.get("type")
    if kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind):
        found["additionalProperties"] = False
    return found
