"""A folder copy-on-write: what is changed goes to the upper folder, within its bounds, and out."""

import asyncio
import os
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.open_files import descriptors
from tests.services.layers.trees import photo

from oros.abi.errors import Invalid
from oros.abi.jobs import Bind, Job, JobResult, Overlay
from oros.drivers.sandbox.bwrap import BwrapSandbox, survey
from oros.drivers.sandbox.bwrap.execute import execute
from oros.services.files.resolve import Root
from oros.services.layers.tree import Layer


@pytest.fixture
def sandbox(layered: BwrapSandbox) -> BwrapSandbox:
    """Each test here is for each backend."""
    return layered


@pytest.fixture
def shell(sandbox, work):
    """Run a shell line over the folder; what it changed, by path."""

    def run(line: str, *lowers: Path, **bounds) -> tuple[JobResult, dict[str, str]]:
        limits = {k: bounds.pop(k) for k in ("size", "inodes") if k in bounds}
        over = Overlay("/work", str(work), tuple(map(str, lowers)), **limits)
        result = asyncio.run(sandbox.run(Job(("sh", "-c", line), overlay=over, **bounds)))
        entries = Layer(work, Root.held(result.upper, work)).entries
        return result, {p: e.what + ("!" if e.opaque else "") for p, e in entries.items()}

    return run


def test_the_folder_is_as_it_was_and_the_changes_come_out(sandbox, shell, work) -> None:
    (work / "a").write_text("one\n")
    (work / "gone").write_text("x")
    (work / "d" / "e").mkdir(parents=True)
    (work / "d" / "x").write_text("x")
    before = photo(work)
    result, changes = shell(
        "cat a; echo two >> a; rm gone; rm -r d; mkdir d; echo y > d/y; ln -s a link; chmod 600 a"
    )
    assert (result.exit, result.out) == (0, b"one\n")
    new = {"d": "dir!"}
    if sandbox._setup().layers == "copy":  # which tells what went, name by name
        new = {"d": "dir", "d/e": "gone", "d/x": "gone"}
    assert changes == {"a": "file", "d/y": "file", "gone": "gone", "link": "link", **new}
    assert photo(work) == before


def test_trees_lie_over_each_other_the_first_on_top(shell, work, tmp_path) -> None:
    for name, files in (("low", "abc"), ("high", "ab")):
        (tmp_path / name).mkdir(mode=0o700)
        for file in files:
            (tmp_path / name / file).write_text(f"{name} {file}\n")
    os.mknod(tmp_path / "high" / "c", stat.S_IFCHR | 0o600, os.makedev(0, 0))
    (work / "a").write_text("base a\n")
    (work / "z").write_text("base z\n")
    result, changes = shell("cat a b z; ls", tmp_path / "high", tmp_path / "low")
    assert result.out == b"high a\nhigh b\nbase z\na\nb\nz\n"
    assert changes == {}


@pytest.mark.parametrize(
    "name", ["with space", "colon:comma,", "back\\slash", os.fsdecode(b"\xff")]
)
def test_folders_of_any_name(sandbox, work, name) -> None:
    base = work / name
    base.mkdir()
    (base / "f").write_text("x")
    job = Job(("cat", "f"), overlay=Overlay("/work", str(base)))
    result = asyncio.run(sandbox.run(job))
    os.close(result.upper)
    assert (result.exit, result.out) == (0, b"x")


def test_bytes_are_bounded(shell) -> None:
    result, changes = shell("head -c 30000000 /dev/zero > big; wc -c < big", size=8 << 20)
    assert b"No space left" in result.err
    assert int(result.out) <= 8 << 20
    assert changes == {"big": "file"}


def test_names_are_bounded(shell) -> None:
    result, changes = shell(
        "for i in $(seq 2000); do : > f$i || exit 7; done", inodes=500, seconds=60
    )
    assert result.exit != 0
    assert 400 < len(changes) <= 508


def test_what_a_job_did_before_it_was_stopped_comes_out(shell) -> None:
    for seconds in (1, 8, 60):  # as few as let it begin on this machine
        result, changes = shell("echo x > f; sleep 90", seconds=seconds)
        assert result.ended == "time"
        if changes:
            break
    assert changes == {"f": "file"}


def test_a_folder_that_nobody_may_enter_keeps_its_mode(shell, work) -> None:
    work.chmod(0o750)
    result, _ = shell("stat -c %a .")
    assert result.out == b"750\n"


def test_no_descriptor_is_left_open(sandbox, work) -> None:
    async def cut() -> None:
        async with asyncio.timeout(0.5):
            await sandbox.run(Job(("sleep", "60"), overlay=Overlay("/work", str(work))))

    before = descriptors()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            asyncio.run(cut())
        with pytest.raises(Invalid):
            asyncio.run(sandbox.run(Job(("nope",), overlay=Overlay("/work", str(work)))))
    assert descriptors() == before


def test_what_is_in_its_way_is_refused(sandbox, work) -> None:
    over = Overlay("/work", str(work))
    for job in (
        Job(("true",), (Bind(str(work), "/work", "r"),), overlay=over),
        Job(("true",), overlay=Overlay("/work", str(work / "nope"))),
        Job(("true",), overlay=Overlay("/usr", str(work))),
        Job(("true",), overlay=Overlay("/work", str(work), size=0)),
        Job(("true",), overlay=Overlay("/work", str(work), (str(work),) * 600)),
    ):
        with pytest.raises(Invalid):
            asyncio.run(sandbox.run(job))


def test_a_folder_below_the_overlay_is_seen(sandbox, work, tmp_path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "f").write_text("x")
    bind = Bind(str(tmp_path / "other"), "/work/other", "r")
    job = Job(("cat", "other/f"), (bind,), overlay=Overlay("/work", str(work)))
    result = asyncio.run(sandbox.run(job))
    os.close(result.upper)
    assert (result.out, result.err) == (b"x", b"")


def test_as_many_trees_as_the_kernel_takes(shell, work, tmp_path) -> None:
    trees = [tmp_path / f"{n:0100}" for n in range(499)]
    for n, tree in enumerate(trees):
        tree.mkdir()
        (tree / f"f{n}").write_text("x")
    result, _ = shell("ls | wc -l", *trees)
    assert (result.out, result.err) == (b"499\n", b"")


def test_folders_below_where_the_stage_mounts(sandbox) -> None:
    """As on a machine whose disks are below /mnt."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        work = Path(folder, "work")
        work.mkdir(mode=0o700)
        (work / "f").write_text("x")
        binds = (Bind(str(work), "/data", "r"),)
        job = Job(("cat", "f", "/data/f"), binds, overlay=Overlay("/work", str(work)))
        result = asyncio.run(execute(replace(sandbox._setup(), stage=folder), job))
    os.close(result.upper)
    assert (result.out, result.err) == (b"xx", b"")


def test_the_stage_does_not_hide_bubblewrap(sandbox, tmp_path, monkeypatch) -> None:
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
    monkeypatch.setattr(survey, "STAGES", tuple(map(str, places)))
    setup = survey._setup(str(places[0] / "bwrap"), sandbox._setup().python, None, 4242)
    assert setup.stage == str(places[1])


def test_the_times_of_the_folder_are_seen(shell, work) -> None:
    os.utime(work, (77, 1234))
    result, _ = shell("stat -c %Y .")
    assert result.out == b"1234\n"


@pytest.mark.parametrize("lost", ["", "opaque", "whiteout", "apart"])
def test_the_survey_sees_what_an_upper_folder_does_not_keep(tmp_path, lost: str) -> None:
    upper, work = tmp_path / "upper", tmp_path / "work"
    for folder in (upper / "old", work / "old"):
        folder.mkdir(parents=True)
    for file in (work / "gone", work / "old" / "x", upper / "made"):
        file.touch()
    if lost != "opaque":
        os.setxattr(upper / "old", "user.overlay.opaque", b"y")
    if lost != "whiteout":
        os.mknod(upper / "gone", stat.S_IFCHR | 0o600, os.makedev(0, 0))
    if lost == "apart":
        (work / "made").touch()
    number = os.open(upper, os.O_RDONLY | os.O_DIRECTORY)
    assert survey._took(number, work) == (not lost)
