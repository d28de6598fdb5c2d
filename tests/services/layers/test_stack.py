"""Random trees, random programs, a user who edits, crashes: what must come back does."""

import random
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.services.layers.trees import change, copied, layered, look, photo, sight

from oros.services.files.resolve import Root
from oros.services.layers.apply import Apply
from oros.services.layers.stack import FOR_EVER, Stack

FREE = lambda _: ""  # noqa: E731 - nothing is held back


class Settings(dict):
    dead = False

    def get_setting(self, name):
        return self.get(name)

    def put_setting(self, name, value):
        if not self.dead:
            self[name] = value


class Bench:
    """A folder, a process's stack over it, and what the process should see."""

    def __init__(self, top: Path, seed: int):
        self.chance = random.Random(seed)
        self.top = top
        self.folder = top / "folder"
        self.folder.mkdir(parents=True)
        change(self.folder, self.chance, 25)
        self.settings = Settings()
        self.count = 0
        self.open()

    def open(self):
        self.stack = Stack(self.top / "home", self.settings, "2-x", Root(self.folder))
        self.stack.recover()

    def program(self, acts=6):
        """A call that changes the folder as the process sees it."""
        self.count += 1
        before = copied(self.stack.view(), self.top / f"before{self.count}")
        after = self.top / f"after{self.count}"
        shutil.copytree(before, after, symlinks=True)
        change(after, self.chance, acts)
        wanted = sight(Root(after))
        made = self.stack.add(
            f"k{self.count}", self.count, lambda place: layered(before, after, place)
        )
        assert sight(self.stack.view()) == wanted
        shutil.rmtree(before)
        shutil.rmtree(after)
        return made

    def bare(self):
        """The folder without its top's own time."""
        return {p: v for p, v in photo(self.folder).items() if p != "."}


@pytest.mark.parametrize("seed", range(60))
def test_what_is_committed_is_what_was_seen_and_all_can_be_undone(tmp_path, seed):
    bench = Bench(tmp_path, seed)
    photos = [photo(bench.folder)]
    made = []
    for _ in range(4):
        one = bench.program()
        seen = sight(bench.stack.view())
        if bench.chance.random() < 0.7:
            assert bench.stack.commit(FOR_EVER, FREE) == {}
            assert sight(Root(bench.folder)) == seen
            assert not bench.stack.seen()
        if one:
            made.append(one.key)
            photos.append(photo(bench.folder))
        if bench.chance.random() < 0.3:
            bench.open()
    bench.stack.commit(FOR_EVER, FREE)
    final = bench.bare()
    for key in reversed(made):
        assert bench.stack.undo(bench.stack.find(key)) == {}
    assert photo(bench.folder) == photos[0]
    for key in made:
        assert bench.stack.redo(bench.stack.find(key), FOR_EVER) == {}
    bench.stack.commit(FOR_EVER, FREE)
    assert bench.bare() == final


@pytest.mark.parametrize("seed", range(40))
def test_layers_are_one_when_they_are_squashed(tmp_path, seed):
    from oros.services.layers.compose import compose
    from oros.services.layers.squash import squash
    from oros.services.layers.tree import Layer
    from oros.services.layers.union import Union

    bench = Bench(tmp_path, seed)
    for _ in range(4):
        bench.program()
    if not bench.stack.seen():
        return
    squash(bench.stack.seen(), tmp_path / "one")
    one = compose([(Layer(tmp_path / "one"), lambda _: True)])
    assert sight(Union(Root(bench.folder), one)) == sight(bench.stack.view())


class Died(BaseException):
    pass


@pytest.mark.parametrize("seed", range(60))
def test_a_crash_at_any_point_leaves_it_done_or_not_begun(tmp_path, seed, monkeypatch):
    bench = Bench(tmp_path, seed)
    while bench.program(10) is None:
        pass
    before, seen = bench.bare(), sight(bench.stack.view())
    dies = bench.chance.randrange(1, 25)
    count = 0

    def fragile(name):
        real = getattr(Apply, name)

        def act(*args, **kwargs):
            nonlocal count
            count += 1
            if count >= dies:
                bench.settings.dead = True
                raise Died
            return real(*args, **kwargs)

        monkeypatch.setattr(Apply, name, act)

    monkeypatch.setattr(Stack, "_forgo", lambda *_: None)  # a dead machine tidies nothing
    for name in ("_copies", "_do", "_set", "_missed", "_sweep", "_stamp"):
        fragile(name)
    with suppress(Died):
        bench.stack.commit(FOR_EVER, FREE)
    monkeypatch.undo()
    bench.settings.dead = False
    bench.open()
    assert sight(bench.stack.view()) == seen
    if bench.stack.seen():
        assert bench.bare() == before
        assert bench.stack.commit(FOR_EVER, FREE) == {}
    assert sight(Root(bench.folder)) == seen
    for one in reversed(bench.stack.changes):
        assert bench.stack.undo(one) == {}
    assert bench.bare() == before


@pytest.mark.parametrize("seed", range(60))
def test_what_the_user_changed_meanwhile_is_never_touched(tmp_path, seed):
    bench = Bench(tmp_path, seed)
    time.sleep(0.02)
    since = time.time_ns()
    time.sleep(0.02)
    theirs = {}

    def user():
        files = [p for p in bench.folder.rglob("*") if p.is_file() and not p.is_symlink()]
        for path in bench.chance.sample(files, min(2, len(files))):
            path.chmod(0o644)
            path.write_bytes(b"mine! " + bench.chance.randbytes(4))
            theirs[path] = look(path)
        new = bench.folder / f"new{len(theirs)}"
        new.write_bytes(b"made by me")
        theirs[new] = look(new)

    def safe():
        for path, was in theirs.items():
            assert look(path) == was, path

    for _ in range(3):
        bench.program()
        if bench.chance.random() < 0.6:
            user()
        bench.stack.commit(since, FREE)
        safe()
        if bench.chance.random() < 0.5:
            user()
        live = [c for c in bench.stack.changes if c.state == "live"]
        if live and bench.chance.random() < 0.5:
            bench.stack.undo(live[-1])
            safe()
            if bench.chance.random() < 0.5:
                bench.stack.redo(live[-1], since)
                safe()
    bench.stack.discard()
    safe()


@pytest.mark.parametrize("seed", range(20))
def test_copies_share_what_waits_and_go_their_own_ways(tmp_path, seed):
    bench = Bench(tmp_path, seed)
    for _ in range(3):
        bench.program()
    seen, before = sight(bench.stack.view()), bench.bare()
    copies = []
    for name in ("3-x", "4-x"):
        copy = Stack(tmp_path / "home", bench.settings, name, Root(bench.folder))
        copy.inherit(bench.stack, 99)
        assert sight(copy.view()) == seen
        copies.append(copy)
    early = Stack(tmp_path / "home", bench.settings, "5-x", Root(bench.folder))
    early.inherit(bench.stack, 0)
    assert early.changes == []
    bench.stack.discard()
    assert bench.bare() == before
    assert sight(copies[1].view()) == seen
    copies[0].discard()
    again = Stack(tmp_path / "home", bench.settings, "4-x", Root(bench.folder))
    assert sight(again.view()) == seen
    assert again.commit(FOR_EVER, FREE) == {}
    assert sight(Root(bench.folder)) == seen
    for change_made in reversed(list(again.changes)):
        assert again.undo(change_made) == {}
    assert bench.bare() == before
    for change_made in list(again.changes):
        again._forget(change_made)
    left = [p for p in (tmp_path / "home" / "2-x").iterdir() if p.name != "known.json"]
    assert left == []
