"""What servers list, in their own forms; what is no address; a key that is wanted."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import BadReply, Invalid, NoDevice, NotAuthorized, Unreachable
from oros.drivers.models.openai.quirks import PLATFORMS as QUIRKS
from oros.services.weights.offers import (
    PLATFORMS,
    Offer,
    Platform,
    looked_at,
    offered,
    offers,
    platform_of,
)

LISTS = {
    "openai": ({"object": "list", "data": [{"id": "b"}, {"id": "a"}]}, [Offer("a"), Offer("b")]),
    "vllm": (
        {"data": [{"id": "m", "max_model_len": 8192, "owned_by": "vllm"}, {"id": "n"}]},
        [Offer("m", 8192, platform="vllm"), Offer("n")],
    ),
    "sglang": (
        {"data": [{"id": "m", "owned_by": "sglang", "max_model_len": 9}]},
        [Offer("m", 9, platform="sglang")],
    ),
    "llama.cpp": (
        {
            "models": [{"name": "x"}],
            "data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 4096}}],
        },
        [Offer("m", 4096, platform="llama.cpp")],
    ),
    "openrouter": (
        {
            "data": [
                {
                    "id": "acme/large",
                    "context_length": 128000,
                    "pricing": {"prompt": "0.000001", "completion": "0.000004"},
                    "architecture": {"input_modalities": ["text", "image"]},
                }
            ]
        },
        [Offer("acme/large", 128000, (1_000_000, 4_000_000, 1_000_000), ("image",))],
    ),
    "mistral": (
        {"data": [{"id": "m", "max_context_length": 32768, "capabilities": {"vision": True}}]},
        [Offer("m", 32768, None, ("image",))],
    ),
    "gemini": ({"models": [{"name": "models/g", "inputTokenLimit": 1000}]}, [Offer("g", 1000)]),
    "ollama": ({"models": [{"name": "q:1b", "model": "q:1b"}]}, [Offer("q:1b")]),
    "together": ([{"id": "t", "context_length": 10}], [Offer("t", 10)]),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists(kind) -> None:
    told, wanted = LISTS[kind]
    assert offers(told) == wanted


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=3)
    | st.dictionaries(
        st.sampled_from(["data", "models", "id", "pricing", "prompt", "completion", "meta",
                         "architecture", "input_modalities", "capabilities", "context_length"]),
        x, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json)
def test_rubbish_offers_nothing_wrong(data) -> None:
    for offer in offers(data):
        assert offer.model
        assert offer.window >= 0
        assert offer.price is None or min(offer.price) >= 0


@pytest.mark.parametrize(
    ("where", "name", "url"),
    [
        ("http://127.0.0.1:8000/v1", "local-8000", "http://127.0.0.1:8000/v1"),
        ("127.0.0.1:8000", "local-8000", "http://127.0.0.1:8000/v1"),
        ("localhost:1234", "local-1234", "http://localhost:1234/v1"),
        ("https://api.acme.com", "acme", "https://api.acme.com/v1"),
        ("https://api.acme.com/openai/v1/", "acme", "https://api.acme.com/openai/v1"),
        ("OpenAI", "openai", PLATFORMS["openai"].base_url),
    ],
)
def test_where(where, name, url) -> None:
    found, platform = platform_of(where)
    assert (found, platform.base_url) == (name, url)


@pytest.mark.parametrize(
    "where", ["", "acme", "ftp://x.y", "http://", "https://k:s@x.com", "x.com:1?key=s"]
)
def test_no_server(where) -> None:
    with pytest.raises(Invalid):
        platform_of(where)


def ask(handler, key=None, dialect="openai", root="/v1") -> list[Offer]:
    async def main():
        app = web.Application()
        app.router.add_get("/v1/models", handler)
        async with TestServer(app) as server:
            return await offered(Platform(str(server.make_url(root)).rstrip("/"), "", dialect), key)

    return asyncio.run(main())


def test_a_key_goes_where_the_dialect_wants_it() -> None:
    seen = []

    async def handler(request):
        seen.append(dict(request.headers))
        if "x-api-key" in request.headers or "Authorization" in request.headers:
            return web.json_response({"data": [{"id": "m"}]})
        return web.json_response({"error": {"message": "no key"}}, status=401)

    assert ask(handler, "s3cret-value") == [Offer("m")]
    assert seen[-1]["Authorization"] == "Bearer s3cret-value"
    assert ask(handler, "s3cret-value", "anthropic", "") == [Offer("m")]
    assert seen[-1]["x-api-key"] == "s3cret-value"
    with pytest.raises(NotAuthorized):
        ask(handler)


def test_a_platform_by_its_name_has_its_quirks() -> None:
    named = {p.platform for p in PLATFORMS.values() if p.platform}
    assert named == {"lmstudio", "llama.cpp", "sglang", "vllm"}
    assert named <= set(QUIRKS)


TOLD = [
    (
        {
            "capabilities": ["completion", "tools", "vision"],
            "model_info": {"q.context_length": 9000},
        },
        Offer("q:1b", 9000, cans=("image",)),
    ),
    (
        {"capabilities": ["completion"], "model_info": {"q.context_length": 1 << 20}},
        Offer("q:1b", 32768, lacks=("tools",)),
    ),
    ({"model_info": {"q.context_length": 100}}, Offer("q:1b", 100)),
    ({}, Offer("q:1b")),
    ([], Offer("q:1b")),
    ("no JSON", Offer("q:1b")),
    (None, Offer("q:1b")),
]


@pytest.mark.parametrize(("told", "wanted"), TOLD)
def test_what_an_ollama_server_tells_of_one_model(told, wanted) -> None:
    asked = []

    async def handler(request):
        asked.append((await request.json(), request.headers.get("Authorization")))
        if told is None:
            return web.json_response({"error": "model not found"}, status=404)
        return web.Response(text=told) if isinstance(told, str) else web.json_response(told)

    async def main():
        app = web.Application()
        app.router.add_post("/api/show", handler)
        async with TestServer(app) as server:
            where = Platform(str(server.make_url("")).rstrip("/"), "", "ollama")
            return await looked_at(where, Offer("q:1b"), "s3cret-value")

    assert asyncio.run(main()) == wanted
    assert asked == [({"model": "q:1b"}, "Bearer s3cret-value")]


def test_other_servers_are_not_asked_of_one_model() -> None:
    nobody = Platform("http://127.0.0.1:1/v1")
    assert asyncio.run(looked_at(nobody, Offer("m"), None)) == Offer("m")
    with pytest.raises(Unreachable):
        asyncio.run(looked_at(Platform("http://127.0.0.1:1", "", "ollama"), Offer("m"), None))


def test_a_long_list_is_read_to_its_end() -> None:
    rows = [{"id": f"m{n:04}", "description": "x" * 900} for n in range(2000)]

    async def handler(_):
        return web.json_response({"data": rows})

    assert [o.model for o in ask(handler)] == [r["id"] for r in rows]


def test_what_is_no_list() -> None:
    async def page(_):
        return web.Response(text="<html>proxy</html>", content_type="text/html")

    async def nothing(_):
        return web.json_response({"data": []})

    async def teapot(_):
        return web.Response(status=418)

    for handler, error in ((page, BadReply), (nothing, BadReply), (teapot, NoDevice)):
        with pytest.raises(error):
            ask(handler)
    with pytest.raises(Unreachable):
        asyncio.run(offered(Platform("http://127.0.0.1:1/v1"), None))
