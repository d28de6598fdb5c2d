"""Memory as the loop uses it: the store in threads, and vectors that an embedder makes meanwhile.

A row is kept when `put` or `add` returns, and found by its words from then on; by its meaning a
moment later. A model that does not answer delays vectors, never rows or searches.
"""

import asyncio
from collections.abc import Callable, Sequence

from oros.abi.errors import OrosError
from oros.abi.labels import Label
from oros.abi.ports import Clock, Embedder
from oros.services.memory.rows import Found, Kept, Pair, Put, Row, Vector, near
from oros.services.memory.store import Store
from oros.services.threads import threaded

AT_ONCE = 8
"""So many new rows are embedded before `put` returns; more are left to `keep`."""
BATCH = 32
PATIENCE = 2.0
"""Seconds that a search or a `put` waits for the embedder."""
LATER = 30.0
"""Seconds until an embedder that failed is tried again."""
EXPIRY = 600.0
"""Seconds between two looks for rows that have expired, and for room that forgotten ones left."""


class Memory:
    """A Store for tasks of the event loop. Its methods raise what the store's raise.

    Without an embedder all works by words alone.
    """

    def __init__(self, store: Store, clock: Clock, embedder: Embedder | None = None) -> None:
        self.store = store
        self._clock = clock
        self._embedder = embedder
        self._work = asyncio.Event()
        self._failed: OrosError | None = None
        self._forgotten = False
        if embedder is not None:
            store.use(embedder.name)

    # ---- rows ----------------------------------------------------------------------------------

    async def put(self, scope: str, source: str, rows: Sequence[Row], mark: str = "") -> list[int]:
        """The rows of a source are these; see Store.put."""
        return (await self.put_all(scope, [Put(source, rows, mark)]))[0]

    async def put_all(self, scope: str, puts: Sequence[Put]) -> list[list[int]]:
        """The rows of some sources, in one commit; see Store.put_all."""
        ids = await threaded(lambda: self.store.put_all(scope, puts))
        await self._soon([i for of in ids for i in of])
        return ids

    async def add(self, scope: str, source: str, row: Row) -> int:
        """One row more; see Store.add."""
        new = await threaded(lambda: self.store.add(scope, source, row))
        await self._soon([new])
        return new

    async def correct(self, row: int, text: str, label: Label) -> int:
        """Another text in the place of a row; see Store.correct."""
        now = self._clock.wall()
        new = await threaded(lambda: self.store.correct(row, text, label, now))
        await self._soon([new])
        return new

    async def forget(self, *ids: int) -> int:
        """Rows are gone; see Store.forget."""
        self._forgotten = True
        return await threaded(lambda: self.store.forget(*ids))

    async def until(self, ids: Sequence[int], seconds: float | None) -> int:
        """Rows expire in so many seconds, or never; see Store.until."""
        when = None if seconds is None else self._clock.wall() + seconds
        return await threaded(lambda: self.store.until(ids, when))

    async def drop(self, scope: str, source: str | None = None) -> int:
        """A source, or a whole scope, is gone."""
        if source is None:
            return await threaded(lambda: self.store.drop_scope(scope))
        return await threaded(lambda: self.store.drop(scope, source))

    async def rename(self, scope: str, old: str, new: str) -> int:
        """A source or a folder of them has another name; see Store.rename."""
        return await threaded(lambda: self.store.rename(scope, old, new))

    async def get(self, row: int) -> Kept:
        """A row. Raises: NotFound."""
        return await threaded(lambda: self.store.get(row, self._clock.wall()))

    async def rows(self, scope: str, source: str | None = None) -> list[Kept]:
        """The rows of a scope or a source, in order."""
        return await threaded(lambda: self.store.rows(scope, source, self._clock.wall()))

    async def marks(self, scope: str) -> dict[str, str]:
        """The sources of a scope with their marks."""
        return await threaded(lambda: self.store.marks(scope))

    @property
    def meaning(self) -> str:
        """What gives rows their meaning, and why it does not now; "" for nothing."""
        if self._embedder is None:
            return ""
        return f"{self._embedder.name}: {self._failed}" if self._failed else self._embedder.name

    async def compact(self) -> None:
        """What was forgotten is not in the file's bytes any more."""
        await threaded(self.store.compact)

    async def search(
        self,
        scopes: Sequence[str],
        query: str,
        *,
        tokens: int = 1000,
        limit: int | None = None,
        only: Callable[[Kept], bool] | None = None,
    ) -> Found:
        """Rows of these scopes that answer a query; see Store.search."""
        vector = await self._vector(query)
        now = self._clock.wall()
        return await threaded(
            lambda: self.store.search(
                scopes, query, vector, tokens=tokens, limit=limit, now=now, only=only
            )
        )

    # ---- vectors -------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Embed what waits, and forget what has expired, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._expiring())
            if self._embedder is not None:
                group.create_task(self._embedding())

    async def settle(self) -> None:
        """Embed all that waits now. Raises: what the embedder raises."""
        if self._embedder is not None:
            while pairs := await threaded(lambda: self.store.pending(BATCH)):
                await self._embed(self._embedder, pairs)

    async def _embedding(self) -> None:
        while True:
            self._work.clear()
            try:
                await self.settle()
                self._failed = None
            except OrosError as e:
                self._failed = e
                await self._clock.sleep(LATER)
                continue
            await self._work.wait()

    async def _expiring(self) -> None:
        while True:
            await threaded(lambda: self.store.expire(self._clock.wall()))
            if self._forgotten:
                self._forgotten = False
                await self.compact()
            await self._clock.sleep(EXPIRY)

    async def _soon(self, ids: Sequence[int]) -> None:
        """Have new rows embedded: a few now, many later."""
        self._work.set()
        if self._embedder is None or self._failed is not None or not 0 < len(ids) <= AT_ONCE:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                pairs = await threaded(lambda: self.store.pending(AT_ONCE, ids))
                await self._embed(self._embedder, pairs)
        except (OrosError, TimeoutError):
            return  # `keep` goes on trying

    async def _embed(self, embedder: Embedder, pairs: Sequence[Pair]) -> None:
        """A row's vector is the middle of two: its own, and its own with the row before."""
        own = [text for _, _, text in pairs]
        both = [f"{before}\n{text}" for _, before, text in pairs if before]
        found = await embedder.embed([*own, *both])
        more = iter(found[len(own) :])
        done = [
            (pair, near(v, next(more)) if pair[1] else v)
            for pair, v in zip(pairs, found, strict=False)
        ]
        await threaded(lambda: self.store.embedded(embedder.name, done))

    async def _vector(self, query: str) -> Vector | None:
        if self._embedder is None or self._failed is not None or not query.strip():
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                return (await self._embedder.embed([query], query=True))[0]
        except (OrosError, TimeoutError):
            return None  # words alone decide
