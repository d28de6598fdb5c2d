"""What servers of OpenAI's dialects do each in their own way, as data.

From the platforms' own references, November 2026. What a server refuses beyond this is learned
from its refusals, see `refusals.py`.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from oros.abi.errors import NoDevice


@dataclass(frozen=True, slots=True)
class Quirks:
    """One platform. `hosts`: the ends of its hosts' names.

    `limit`, `seed`, `grammar`: what these parameters are called; "" where there is none.
    `usage`: takes `stream_options`; without, it counts anyway.
    `shape`: how a schema is asked for: strictly, plainly, or as any JSON object, told in words.
    `thoughts`: in which field of a turn its thoughts go back; `owed`: also when they are empty.
    `apart`: reasoning tokens are not in `completion_tokens`.
    `begun`: how a partial answer is marked to be gone on with: in its message, in the body, by
    standing last ("plain"), or not at all.
    `ids`: calls have ids of that many letters and digits; 0 takes any.
    `nice`: by what a process's niceness is multiplied to be a priority; 0 for none.
    `kept`: takes a key, to send what begins alike where that is cached: one for each conversation,
    or one for each tree of processes, which begin with the same program and tools.
    `slots`: tells of its slots, and takes the number of one.
    """

    platform: str
    hosts: tuple[str, ...] = ()
    limit: str = "max_tokens"
    seed: str = "seed"
    grammar: str = ""
    usage: bool = True
    shape: Literal["strict", "plain", "object"] = "strict"
    thoughts: str = ""
    owed: bool = False
    apart: bool = False
    begun: Literal["", "plain", "prefix", "continue"] = ""
    ids: int = 0
    nice: int = 0
    kept: Literal["", "asker", "tree"] = ""
    slots: bool = False


PLATFORMS: dict[str, Quirks] = {
    q.platform: q
    for q in (
        Quirks("generic", begun="plain"),
        Quirks("openai", ("api.openai.com",), limit="max_completion_tokens", kept="tree"),
        Quirks("deepseek", ("api.deepseek.com",), shape="object", thoughts="reasoning_content",
               owed=True, begun="prefix", seed=""),
        Quirks("groq", ("api.groq.com",), limit="max_completion_tokens", thoughts="reasoning"),
        Quirks("llama.cpp", grammar="grammar", shape="plain", thoughts="reasoning_content",
               begun="plain", slots=True),
        Quirks("lmstudio", shape="plain", begun="plain"),
        Quirks("mistral", ("api.mistral.ai",), seed="random_seed", usage=False,
               thoughts="thinking", begun="prefix", ids=9),
        Quirks("openrouter", ("openrouter.ai",), thoughts="reasoning_details", begun="plain"),
        Quirks("sglang", shape="plain", thoughts="reasoning_content", begun="continue", nice=-1),
        Quirks("together", ("api.together.xyz", "api.together.ai"), shape="plain"),
        Quirks("vllm", shape="plain", thoughts="reasoning", begun="continue", nice=1),
        Quirks("xai", ("api.x.ai",), limit="max_completion_tokens", apart=True, kept="asker"),
    )
}  # fmt: skip


def quirks_of(platform: str, base_url: str) -> Quirks:
    """Those of a platform by its name, else by the host. Raises: NoDevice for an unknown name."""
    if platform:
        if platform not in PLATFORMS:
            names = " ".join(PLATFORMS)
            raise NoDevice(f"there is no platform {platform!r}", f"platforms: {names}")
        return PLATFORMS[platform]
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        host = ""
    known = (q for q in PLATFORMS.values() for h in q.hosts if f".{host}".endswith(f".{h}"))
    return next(known, PLATFORMS["generic"])
