"""A folder of documents, the real sandbox, a real store of memory."""

import asyncio
from pathlib import Path

import pytest

from oros.abi.labels import USER, Label
from oros.abi.ports import Caller
from oros.drivers.clock.wall import WallClock
from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.services.files.folder import Folder
from oros.services.files.labels import Labels
from oros.services.files.resolve import Root
from oros.services.index.documents import Documents
from oros.services.index.extract import Reader
from oros.services.index.folder import IndexedFolder
from oros.services.index.indexer import Indexer
from oros.services.memory.live import Memory
from oros.services.memory.store import Store

SCOPE = "files:/home/docs"


class Shelf(dict):
    """Settings in memory."""

    def get_setting(self, name: str) -> str | None:
        return self.get(name)

    def put_setting(self, name: str, value: str) -> None:
        self[name] = value


@pytest.fixture(scope="session")
def sandbox() -> BwrapSandbox:
    made = BwrapSandbox()
    report = asyncio.run(made.probe())
    if not report.works:
        pytest.skip(f"no sandbox here: {report.not_held}")
    return made


class House:
    """An index and what it stands on; `again` is the machine started anew."""

    def __init__(self, top: Path, home: Path, sandbox) -> None:
        self.top, self.home, self.sandbox = top, home, sandbox
        self.shelf = Shelf()
        self.begin()

    def begin(self) -> None:
        self.root = Root(self.top)
        self.store = Store.open(self.home / "memory.db")
        self.memory = Memory(self.store, WallClock())
        self.reader = Reader(self.sandbox, self.sandbox.python)
        self.documents = Documents(self.reader, self.home / "index")
        labels = Labels(self.shelf, self.root.path)
        self.indexer = Indexer(self.root, SCOPE, self.memory, self.documents, WallClock(), labels)
        plain = Folder(self.top, self.shelf, self.documents)
        self.folder = IndexedFolder(plain, self.indexer, self.memory, self.documents)

    def end(self) -> None:
        self.documents.close()
        self.store.close()

    def again(self) -> None:
        self.end()
        self.begin()

    def index(self, *tops: str) -> dict:
        asyncio.run(self.indexer.once(tops or ("",)))
        return self.indexer.status()

    def rows(self, source: str | None = None) -> list[tuple[str, str, str]]:
        return [(k.source, k.row.place, k.row.text) for k in self.store.rows(SCOPE, source)]

    def search(self, query: str, path: str = "", limit: int = 10) -> list[dict]:
        who = Caller(7, "k", USER)
        return asyncio.run(self.folder.search(who, path, query, limit)).value["hits"]

    def label(self, query: str) -> Label:
        return asyncio.run(self.folder.search(Caller(7, "k", USER), "", query, 9)).label

    def read(self, path: str, offset: int = 0, limit: int = 10_000):
        return asyncio.run(self.folder.read(Caller(7, "k", USER), path, offset, limit))


@pytest.fixture
def house(tmp_path, sandbox):
    top, home = tmp_path / "docs", tmp_path / "home"
    top.mkdir()
    home.mkdir()
    made = House(top, home, sandbox)
    yield made
    made.end()
