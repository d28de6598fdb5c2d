"""What the worker has read, kept on disk: the next one does not read a long prefix anew.

Reading a program's prompt and examples takes a small machine half a minute; its state is some 30 KB
a token (measured, 1.5B) and is read back in milliseconds. A snapshot that is missing, old or broken
costs nothing but that time.
"""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from oros.abi.grants import Usage

if TYPE_CHECKING:
    import aiohttp

LONG = 800
"""Tokens that were read in one go, from which on keeping them pays."""


class Snapshot:
    """The state of the worker's slot in one file, named after engine, weights and window."""

    def __init__(self, folder: Path | None, weights: Path, window: int) -> None:
        self.folder = folder
        try:
            engine = version("xllamacpp")
        except PackageNotFoundError:
            engine = "none"
        self._name = f"{weights.stem[:16]}-{window}-{engine}.kv"

    async def recall(self, session: "aiohttp.ClientSession") -> None:
        """Give a fresh worker what the last one knew; a broken file goes away."""
        if self.folder is None or not (self.folder / self._name).exists():
            return
        if not await self._act(session, "restore", self._name):
            (self.folder / self._name).unlink(missing_ok=True)

    async def keep(self, session: "aiohttp.ClientSession", used: Usage) -> None:
        """Write the slot down if much had to be read; whole or not at all."""
        if self.folder is None or used.tokens_in - used.cached < LONG:
            return
        part = self._name + ".part"
        if await self._act(session, "save", part):
            with suppress(OSError):
                (self.folder / part).replace(self.folder / self._name)
        else:
            (self.folder / part).unlink(missing_ok=True)

    async def _act(self, session: "aiohttp.ClientSession", what: str, name: str) -> bool:
        import aiohttp

        try:
            url = f"http://worker/slots/0?action={what}"
            async with session.post(url, json={"filename": name}) as reply:
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
