"""Whatever happens to the files, the index says what a new one would say."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.index.conftest import House

from oros.services.index.extract import Reader
from oros.services.index.inside import __main__ as inside
from oros.services.index.inside.page import Page, Read

names = st.sampled_from(["a.txt", "b.md", "d/a.txt", "d/c.py", "d/e/f.csv", "a", "d/e/.h.txt"])
texts = st.sampled_from(["alpha", "# beta\n\nx", "a,b\n1,2", "def f():\n    pass", "", "\0\1\2"])
steps = st.one_of(
    st.tuples(st.just("write"), names, texts),
    st.tuples(st.just("move"), names, names),
    st.tuples(st.just("copy"), names, names),
    st.tuples(st.just("remove"), names),
    st.tuples(
        st.just("rename"), st.sampled_from(["d", "d/e", "z"]), st.sampled_from(["z", "d", "y"])
    ),
    st.tuples(st.just("link"), names, names),
    st.tuples(st.just("index")),
    st.tuples(st.just("again")),
)


class Here(Reader):
    """The worker's own code without the sandbox: for its speed."""

    async def read(self, folder: Path, names: list[str], ear=None) -> dict:
        self.runs += 1
        found = {}
        for name in names:
            inside.IN = folder
            said = inside.answer(name)
            pages = tuple(Page(*p) for p in said.get("pages", ()))
            found[name] = said.get("error") or Read(said["kind"], pages, said["note"])
        return found


def do(top: Path, what: str, *args: str) -> None:
    """One step; one that the system refuses is none."""
    at = [top / a for a in args[:2]]
    try:
        if what == "write":
            at[0].parent.mkdir(parents=True, exist_ok=True)
            at[0].write_text(args[1])
        elif what == "copy":
            shutil.copy(*at, follow_symlinks=False)
        elif what == "remove":
            at[0].unlink()
        elif what == "link":
            at[1].symlink_to(at[0])
        else:
            at[0].replace(at[1])
    except (OSError, shutil.Error):
        return


def made(top: Path, home: Path) -> House:
    home.mkdir()
    return House(top, home, sandbox=type("None", (), {"python": None}))


def begin(house: House) -> None:
    house.documents.reader = Here(None, lambda: ())


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=14))
def test_the_index_says_what_a_new_one_would(todo):
    with tempfile.TemporaryDirectory() as name:
        top = Path(name, "docs")
        top.mkdir()
        house = made(top, Path(name, "home"))
        begin(house)
        for step in todo:
            if step[0] == "index":
                house.index()
            elif step[0] == "again":
                house.again()
                begin(house)
            else:
                do(top, *step)
        house.index()
        fresh = made(top, Path(name, "fresh"))
        begin(fresh)
        fresh.index()
        assert house.rows() == fresh.rows()
        marks = {p: m[3:] for p, m in house.indexer.marks().items()}
        assert marks == {p: m[3:] for p, m in fresh.indexer.marks().items()}
        labels = [[k.row.label for k in h.store.rows(h.indexer.scope)] for h in (house, fresh)]
        assert labels[0] == labels[1]
        runs = house.documents.reader.runs
        asyncio.run(house.indexer.once())
        assert house.documents.reader.runs == runs
        house.end()
        fresh.end()
