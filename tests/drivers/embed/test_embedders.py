"""One suite for all embedders: shapes, lengths, meaning, order; then each one's own faults."""

import asyncio
import importlib.util
import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientTimeout, web
from tests.waits import until

from oros.abi.errors import (
    BadReply,
    Busy,
    DeviceFailed,
    NoDevice,
    NotAuthorized,
    OrosError,
    TimedOut,
    Unreachable,
)
from oros.drivers.embed.minilm.driver import MiniLM, together
from oros.drivers.embed.openai.driver import OpenAIEmbedder
from oros.sdk.address import home_of
from oros.services.weights.catalog import MINILM
from oros.services.weights.pull import pull_all

EXTRA = all(importlib.util.find_spec(m) for m in ("onnxruntime", "tokenizers", "numpy"))


class Server:
    """A server of embeddings: counts letters. `fault` makes it fail."""

    def __init__(self) -> None:
        self.fault = ""
        self.asked: list[dict] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append({**body, "key": request.headers.get("Authorization")})
        match self.fault:
            case "html":
                return web.Response(text="<html>hello</html>", content_type="text/html")
            case "few":
                body["input"] = body["input"][1:]
            case "zero":
                return web.json_response({"data": [{"index": 0, "embedding": [0.0, 0.0]}]})
            case "hang":
                await asyncio.sleep(3600)
            case code if code:
                return web.Response(status=int(code), text='{"error": {"message": "no"}}')
        rows = [
            {"index": i, "embedding": [1 + text.lower().count(c) for c in "abcdefghijklmnop"]}
            for i, text in enumerate(body["input"])
        ]
        return web.json_response({"data": rows[::-1]})

    async def __aenter__(self) -> "Server":
        app = web.Application()
        app.router.add_post("/v1/embeddings", self.answer)
        self._runner = web.AppRunner(app, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_) -> None:
        await self._runner.cleanup()


@pytest.fixture(scope="session")
def weights() -> tuple[Path, ...]:
    """The files of MiniLM, fetched once; where no source answers the tests are skipped."""
    if not EXTRA:
        pytest.skip("the extra `memory` is not installed")
    try:
        return asyncio.run(pull_all(MINILM, home_of() / "models", lambda _: None))
    except OrosError as e:
        pytest.skip(f"no weights: {e}")


@pytest.fixture(params=["openai", pytest.param("minilm", marks=pytest.mark.model)])
def use(request):
    """Run a check with an embedder."""

    def with_it(check) -> None:
        async def main() -> None:
            async with Server() as server:
                if request.param == "openai":
                    embedder = OpenAIEmbedder(server.url, "letters")
                else:
                    embedder = MiniLM(*request.getfixturevalue("weights"))
                try:
                    await check(embedder)
                finally:
                    await embedder.close()

        if request.param == "minilm":
            request.getfixturevalue("weights")
        asyncio.run(main())

    return with_it


def numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def cosine(a: bytes, b: bytes) -> float:
    return sum(x * y for x, y in zip(numbers(a), numbers(b), strict=True))


def test_vectors_have_length_one_and_one_size(use) -> None:
    async def check(embedder) -> None:
        texts = ["a", "", "bc " * 2000, "\U0001f600 \ud800 e", "a"]
        found = await embedder.embed(texts)
        assert len(found) == len(texts)
        assert {len(v) for v in found} == {embedder.dims * 4}
        assert all(math.isclose(cosine(v, v), 1.0, rel_tol=1e-5) for v in found)
        assert found[0] == pytest.approx(found[4])
        assert await embedder.embed([]) == []
        assert embedder.name

    use(check)


def test_order_and_batches_do_not_matter(use) -> None:
    async def check(embedder) -> None:
        texts = [f"{'abcdefgh'[n % 8] * (n % 5 + 1)} and more {n}" for n in range(150)]
        found = await embedder.embed(texts)
        for n in (0, 7, 64, 149):
            (alone,) = await embedder.embed([texts[n]])
            assert cosine(alone, found[n]) > 0.97

    use(check)


def test_what_is_alike_lies_near(use) -> None:
    async def check(embedder) -> None:
        kept = await embedder.embed(["a cab had a bad cabbage", "on hold in london"])
        (asked,) = await embedder.embed(["a bad cab had cabbage"], query=True)
        assert cosine(asked, kept[0]) > cosine(asked, kept[1])

    use(check)


def test_calls_at_once(use) -> None:
    async def check(embedder) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(embedder.embed([f"text {n}"])) for n in range(20)]
        assert len({t.result()[0] for t in tasks}) >= 1
        assert all(len(t.result()) == 1 for t in tasks)

    use(check)


def test_batches_are_bounded_and_whole() -> None:
    texts = [[1] * (n % 256 + 1) for n in range(500)]
    found = list(together(texts))
    assert sorted(place for batch in found for place, _ in batch) == list(range(500))
    assert all(len(b) * max(len(t) for _, t in b) <= 512 for b in found)


@pytest.mark.model
def test_meaning_without_a_common_word_and_let_go_when_idle(weights) -> None:
    async def main() -> None:
        embedder = MiniLM(*weights, idle=0.05)
        kept = await embedder.embed(["She adopted a puppy", "The bank raised interest rates"])
        (asked,) = await embedder.embed(["Who got a new dog?"], query=True)
        assert cosine(asked, kept[0]) > cosine(asked, kept[1]) + 0.2
        assert embedder._loaded is not None
        await until(lambda: embedder._loaded is None)
        assert await embedder.embed(["again"])
        await embedder.close()

    asyncio.run(main())


@pytest.mark.skipif(not EXTRA, reason="the extra `memory` is not installed")
def test_weights_that_are_missing_or_no_model(tmp_path) -> None:
    async def main() -> None:
        with pytest.raises(NoDevice, match="models pull"):
            await MiniLM(tmp_path / "x.onnx", tmp_path / "y.json").embed(["a"])
        for name in ("x.onnx", "y.json"):
            (tmp_path / name).write_bytes(b"rubbish")
        with pytest.raises(DeviceFailed):
            await MiniLM(tmp_path / "x.onnx", tmp_path / "y.json").embed(["a"])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("401", NotAuthorized),
        ("404", NoDevice),
        ("429", Busy),
        ("500", DeviceFailed),
        ("418", BadReply),
        ("html", BadReply),
        ("few", BadReply),
        ("zero", BadReply),
        ("hang", TimedOut),
    ],
)
def test_faults_of_a_server(fault, kind) -> None:
    async def main() -> None:
        async with Server() as server:
            server.fault = fault
            total = 0.5 if fault == "hang" else 60.0
            embedder = OpenAIEmbedder(server.url, "letters", key=lambda: "k", total=total)
            with pytest.raises(kind):
                await embedder.embed(["a", "b"])
            server.fault = ""
            embedder._opened()._timeout = ClientTimeout(60)  # it need not be quick on any machine
            assert len(await embedder.embed(["a"])) == 1
            assert server.asked[-1]["key"] == "Bearer k"
            await embedder.close()

    asyncio.run(main())


def test_nobody_answers_and_a_query_may_be_told_apart() -> None:
    async def main() -> None:
        async with Server() as server:
            embedder = OpenAIEmbedder(server.url, "m", before="query: ")
            await embedder.embed(["a"], query=True)
            assert server.asked[-1]["input"] == ["query: a"]
            assert json.loads(json.dumps(server.asked[-1]))["model"] == "m"
        with pytest.raises(Unreachable):
            await embedder.embed(["a"])
        await embedder.close()

    asyncio.run(main())


def test_the_library_reports_to_nobody(tmp_path) -> None:
    """It would make a folder for its reports when it is loaded."""
    pytest.importorskip("onnxruntime", reason="the extra `memory` is not installed")
    source = (
        "import contextlib, pathlib\n"
        "from oros.abi.errors import NoDevice\n"
        "from oros.drivers.embed.minilm.driver import Loaded\n"
        "with contextlib.suppress(NoDevice):\n"
        "    Loaded(pathlib.Path('none'), pathlib.Path('none'))\n"
        "import sys; print('onnxruntime' in sys.modules)"
    )
    env = {n: v for n, v in os.environ.items() if not n.startswith(("ORT_", "XDG_")) and n != "CI"}
    found = subprocess.run(
        [sys.executable, "-c", source], env={**env, "HOME": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == "True\n", found.stderr
    assert list(tmp_path.iterdir()) == []
