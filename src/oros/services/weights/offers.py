"""What models a server offers: asked of its own list, in whatever dialect that is.

A server is named by its address or as one of the known platforms. What it says of a model's window,
price and senses is taken; nothing is guessed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from oros.abi.errors import BadReply, Invalid, NoDevice, OrosError
from oros.drivers.answers import CONNECT, body_of, meaning, refusal
from oros.drivers.models.ollama.driver import window_of

MOST = 8 << 20
"""Bytes of a list at most."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A known one: its address up to what a dialect adds, and where keys are usually kept.

    `platform`: whose ways its server has, where its host does not tell; `cans`: what all of its
    models can, beside what their dialect has.
    """

    base_url: str
    key_env: str = ""
    dialect: str = "openai"
    platform: str = ""
    cans: tuple[str, ...] = ()


PLATFORMS = {
    "openai": Platform("https://api.openai.com/v1", "OPENAI_API_KEY", cans=("schema",)),
    "anthropic": Platform("https://api.anthropic.com", "ANTHROPIC_API_KEY", "anthropic"),
    "gemini": Platform(
        "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY", "gemini"
    ),
    "mistral": Platform("https://api.mistral.ai/v1", "MISTRAL_API_KEY", cans=("schema",)),
    "deepseek": Platform("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "groq": Platform("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "openrouter": Platform("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": Platform("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "xai": Platform("https://api.x.ai/v1", "XAI_API_KEY", cans=("schema",)),
    "ollama": Platform("http://127.0.0.1:11434", "", "ollama"),
    "lmstudio": Platform("http://127.0.0.1:1234/v1", platform="lmstudio"),
    "llamacpp": Platform("http://127.0.0.1:8080/v1", platform="llama.cpp"),
    "sglang": Platform("http://127.0.0.1:30000/v1", platform="sglang"),
    "vllm": Platform("http://127.0.0.1:8000/v1", platform="vllm"),
}

OWNERS = {"llamacpp": "llama.cpp", "sglang": "sglang", "vllm": "vllm"}
"""Servers that say in their list whose they are (`owned_by`): the platform of each."""


ROOTS = {"ollama": "", "anthropic": "", "gemini": "/v1beta"}
"""What an address ends with in a dialect, if it says no path; `/v1` in the others."""

USUAL = 32768
"""Tokens of a window of which nothing is said, as `oros.boot.config` has it."""

LISTS = {"ollama": "/api/tags", "anthropic": "/v1/models"}
"""Where the list of models is below it; `/models` in the others."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of a server; `window` in tokens, 0 if it does not say; `price` as in `ModelInfo`.

    `cans`: what it can beside what all of its dialect can, `lacks`: what of that it can't;
    `platform` as in `Platform`.
    """

    model: str
    window: int = 0
    price: tuple[int, int, int] | None = None
    cans: tuple[str, ...] = ()
    platform: str = ""
    lacks: tuple[str, ...] = ()


def platform_of(where: str, dialect: str = "") -> tuple[str, Platform]:
    """A platform and what it is called, by its name or an address. Raises: Invalid."""
    known = PLATFORMS.get(where.lower())
    if known is not None:
        return where.lower(), known
    url = where if "://" in where else f"http://{where}" if ":" in where else ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        hint = f"an address such as http://127.0.0.1:8000/v1, or one of: {' '.join(PLATFORMS)}"
        raise Invalid(f"{where!r} is no server", hint)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Invalid("the address of a server holds no key", "--key NAME of `oros secret set`")
    labels = parts.hostname.split(".")
    local = parts.hostname == "localhost" or labels[-1].isdecimal() or len(labels) < 2
    path = parts.path.rstrip("/") or ROOTS.get(dialect, "/v1")
    made = Platform(f"{parts.scheme}://{parts.netloc}{path}", "", dialect or "openai")
    return (f"local-{parts.port or 80}" if local else labels[-2]), made


async def offered(platform: Platform, key: str | None) -> list[Offer]:
    """The models that a server lists. Raises: Unreachable, NotAuthorized, NoDevice, BadReply."""
    import aiohttp

    url = platform.base_url + LISTS.get(platform.dialect, "/models")
    timeout = aiohttp.ClientTimeout(3 * CONNECT, CONNECT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers=headers(platform.dialect, key)) as reply,
        ):
            if reply.status != 200:
                raise await refusal(reply, unlisted)
            data = await body_of(reply, MOST)
    except (aiohttp.ClientError, TimeoutError) as e:
        raise meaning(e, url, "does not answer") from e
    try:
        found = offers(json.loads(data))
    except ValueError as e:
        raise BadReply(f"{url} sent no list of models: {data[:60]!r}") from e
    if not found:
        raise BadReply(f"{url} lists no model", "is it the address up to /v1?")
    return found


async def looked_at(platform: Platform, chosen: Offer, key: str | None) -> Offer:
    """An offer with what its server tells of this one model alone; as it is, if it tells nothing.

    An Ollama server's list knows neither the window nor the senses. No larger
    window than is usual is taken: the server would hold memory for all of it.
    Raises: Unreachable.
    """
    if platform.dialect != "ollama":
        return chosen
    import aiohttp

    url = f"{platform.base_url}/api/show"
    timeout = aiohttp.ClientTimeout(3 * CONNECT, CONNECT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers("ollama", key)) as session,
            session.post(url, json={"model": chosen.model}) as reply,
        ):
            told = json.loads(await reply.content.read(MOST)) if reply.status == 200 else {}
    except (aiohttp.ClientError, TimeoutError) as e:
        raise meaning(e, url, "does not answer") from e
    except ValueError:
        return chosen
    able = told.get("capabilities") if isinstance(told, dict) else None
    own = window_of(told) or 0
    made = replace(chosen, window=min(own, USUAL))
    if not isinstance(able, list):
        return made
    sees = ("image",) if "vision" in able else ()
    return replace(made, cans=sees, lacks=() if "tools" in able else ("tools",))


def unlisted(why: str, _: int, __: Mapping[str, Any], ___: float | None) -> OrosError:
    """What another status means."""
    return NoDevice(why, "is it the address up to /v1?")


def headers(dialect: str, key: str | None) -> dict[str, str]:
    """What goes beside the request; the key goes here and nowhere else."""
    if not key:
        return {}
    match dialect:
        case "anthropic":
            return {"x-api-key": key, "anthropic-version": "2023-06-01"}
        case "gemini":
            return {"x-goog-api-key": key}
        case _:
            return {"Authorization": f"Bearer {key}"}


def offers(data: Any) -> list[Offer]:
    """The models of a list in any dialect; rows that make no sense are passed over."""
    rows = data.get("data") or data.get("models") or [] if isinstance(data, dict) else data
    if not isinstance(rows, list):
        return []
    found = [offer(r) for r in rows if isinstance(r, dict)]
    return sorted((o for o in found if o is not None), key=lambda o: o.model)


WINDOWS = ("context_length", "max_model_len", "context_window", "max_context_length",
           "inputTokenLimit", "max_input_tokens")  # fmt: skip


def offer(row: Mapping[str, Any]) -> Offer | None:
    """One row of a list."""
    name = str(row.get("id") or row.get("name") or row.get("model") or "").removeprefix("models/")
    if not name:
        return None
    meta = row.get("meta")
    told = [row.get(w) for w in WINDOWS]
    if isinstance(meta, dict):
        told.append(meta.get("n_ctx") or meta.get("n_ctx_train"))
    window = next((int(w) for w in told if isinstance(w, int) and w > 0), 0)
    whose = OWNERS.get(str(row.get("owned_by")).lower(), "")
    return Offer(name, window, price_of(row.get("pricing")), senses(row), whose)


def senses(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a row says that the model can: pictures, sounds, tools."""
    able, made = row.get("capabilities"), row.get("architecture")
    kinds = made.get("input_modalities") if isinstance(made, dict) else ()
    takes = {str(k) for k in kinds} if isinstance(kinds, list) else set()
    if isinstance(able, dict):
        takes |= {"image"} if able.get("vision") else set()
        takes |= {"audio"} if able.get("audio") else set()
    return tuple(sorted(takes & {"image", "audio"}))


def price_of(told: Any) -> tuple[int, int, int] | None:
    """Micro-dollars per million tokens, of prices in dollars a token; None if it is not told."""
    if not isinstance(told, dict) or "prompt" not in told or "completion" not in told:
        return None
    try:
        read, wrote = float(told["prompt"]), float(told["completion"])
        cached = float(told.get("input_cache_read") or told["prompt"])
    except (TypeError, ValueError):
        return None
    if min(read, wrote, cached) < 0:
        return None
    return round(read * 1e12), round(wrote * 1e12), round(cached * 1e12)
