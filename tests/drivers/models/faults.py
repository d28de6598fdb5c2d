"""The half of the conformance suite where things go wrong, or are left early."""

import asyncio

import pytest
from aiohttp import ClientTimeout
from tests.drivers.models.playing import INFO, KEY, Cases, answer, asking, served
from tests.drivers.models.served import Fault, Turn

from oros.abi.errors import (
    BadReply,
    Busy,
    DeviceFailed,
    NoDevice,
    NotAuthorized,
    OrosError,
    TimedOut,
    TooBig,
    Unreachable,
)

ERRORS = [
    (Fault("status", 400, "window"), TooBig),
    (Fault("status", 401, "key"), NotAuthorized),
    (Fault("status", 403, "key"), NotAuthorized),
    (Fault("status", 404, "model"), NoDevice),
    (Fault("status", 408), TimedOut),
    (Fault("status", 413), TooBig),
    (Fault("status", 429, "rate"), Busy),
    (Fault("status", 500), DeviceFailed),
    (Fault("status", 503), DeviceFailed),
    (Fault("status", 504), TimedOut),
    (Fault("html", 200), BadReply),
    (Fault("html", 404), NoDevice),
    (Fault("html", 502), DeviceFailed),
    (Fault("half"), BadReply),
    (Fault("rubbish"), BadReply),
    (Fault("list"), BadReply),
    (Fault("line"), BadReply),
    (Fault("stall"), TimedOut),
    (Fault("hang"), TimedOut),
    (Fault("drop"), Unreachable),
]
WAITS = [
    ("Retry-After: 3", 3.0),
    ("Retry-After: 0.5", 0.5),
    ("Retry-After: {+7}", 7.0),
    ("Retry-After: {-7}", 0.0),
    ("Retry-After: {+86407}", 86400.0),
    pytest.param("Retry-After: " + "9" * 400, 86400.0, id="endless"),
    ("Retry-After: soon", None),
    ("X-Nothing: 1", None),
]


class Leaving(Cases):
    """Cases of a client that leaves, whatever it talks to."""

    @served
    async def test_leaving_closes_the_connection(self, model, server) -> None:
        server.turn = Fault("flood")
        stream = model.generate(asking(max_tokens=1 << 20))
        async for _ in stream:
            break
        await stream.aclose()
        await server.until("cancelled")

    @served
    async def test_a_task_that_is_cancelled_closes_the_connection(self, model, server) -> None:
        server.turn = Fault("hang")
        task = asyncio.ensure_future(answer(model, asking()))
        await server.until("requests")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until("cancelled")

    @served
    async def test_a_stream_without_an_end_is_cut_off(self, model, server) -> None:
        server.turn = Fault("flood")
        draft = await answer(model, asking(max_tokens=50))
        assert draft.finish == "length"
        assert 50 < draft.usage.tokens_out < 100_000
        assert draft.usage.micros > 0
        await server.until("cancelled")


class Faults(Cases):
    """Cases of a server over HTTP that is not well."""

    @pytest.mark.parametrize(("fault", "kind"), ERRORS)
    @served
    async def test_each_fault_has_its_error(self, model, server, fault, kind) -> None:
        server.turn = fault
        silent = fault.kind in ("hang", "stall")
        model._idle = 0.5 if silent else model._idle
        with pytest.raises(kind) as caught:
            await answer(model, asking())
        assert type(caught.value) is kind
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
        assert KEY not in str(caught.value)
        if silent:  # it need not be quick on any machine
            model._opened()._timeout = ClientTimeout(sock_read=60)
        server.turn = Turn(("well again",))  # it goes on after it
        assert (await answer(model, asking())).whole == "well again"

    @served
    async def test_an_error_may_come_in_pieces(self, model, server) -> None:
        server.cut, server.turn = 12, Fault("status", 400, "window")
        with pytest.raises(TooBig):
            await answer(model, asking())

    @pytest.mark.parametrize("kind", ["inside", "amid"])
    @served
    async def test_an_error_with_status_200_is_an_error(self, model, server, kind) -> None:
        server.turn = Fault(kind)
        with pytest.raises(OrosError) as caught:
            await answer(model, asking())
        assert caught.value.retryable

    @served
    async def test_a_stream_that_stops_is_no_answer(self, model, server) -> None:
        server.turn = Turn(("half a ",), end=False)
        with pytest.raises(BadReply):
            await answer(model, asking())

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(("header", "wait"), WAITS)
    @served
    async def test_how_long_to_wait_by_the_servers_own_clock(
        self, model, server, header, wait, status
    ) -> None:
        server.turn = Fault("status", status, "rate", (header,))
        with pytest.raises(OrosError) as caught:
            await answer(model, asking())
        assert caught.value.retry_after == wait
        assert caught.value.retryable

    @served
    async def test_a_kept_connection_that_is_closed_by_now_is_no_failure(
        self, model, server
    ) -> None:
        server.keeps = False
        for count in (1, 2, 3):
            assert (await answer(model, asking())).whole == "hello there"
            assert server.stats["requests"] == count

    def test_nobody_there_and_no_address(self) -> None:
        async def main() -> None:
            for url, kind in (("http://127.0.0.1:1", Unreachable), ("no address", NoDevice)):
                model = self.dialect.make(url, INFO, lambda: None, 0.5)
                with pytest.raises(kind):
                    await answer(model, asking())
                await model.close()

        asyncio.run(main())

    @served
    async def test_the_key_is_in_a_header_and_nowhere_else(self, model, server) -> None:
        await answer(model, asking())
        sent = server.requests[-1]
        assert sum(KEY in v for v in sent.headers.values()) == 1
        assert KEY not in sent.path
        assert KEY.encode() not in sent.body
