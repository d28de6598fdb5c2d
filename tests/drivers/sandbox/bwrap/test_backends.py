"""Whatever lays a folder copy-on-write: what came out of a job shows what the job saw."""

import asyncio
import errno
import os
import random
import select
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import oros
from oros.abi.errors import DeviceFailed, Invalid, NotEnforced
from oros.abi.jobs import Bind, Job, JobResult, Overlay
from oros.drivers import mounts
from oros.drivers.sandbox.bwrap import BwrapSandbox, copied, marks, survey
from oros.drivers.sandbox.bwrap.execute import execute
from oros.drivers.sandbox.bwrap.stage import SERVER, swap
from oros.services.files.resolve import Root
from oros.services.layers.capture import capture

# Everything of a tree that a program can see, but for the sizes and times of folders.
LOOK = """
import hashlib, os, stat
def look(path):
    about = os.lstat(path)
    kind = stat.S_IFMT(about.st_mode)
    if kind == stat.S_IFDIR:
        yield path, oct(about.st_mode)
        for name in sorted(os.listdir(path)):
            yield from look(path + b"/" + name)
    elif kind == stat.S_IFLNK:
        yield path, os.readlink(path)
    else:
        data = open(path, "rb").read()
        yield path, oct(about.st_mode), about.st_mtime_ns, hashlib.sha1(data).hexdigest()
for seen in look(b"."):
    print(seen)
"""
CHANGE = """
import mmap, os, random, shutil, sys
chance = random.Random(int(sys.argv[1]))
def paths():
    return [os.path.join(f, n) for f, d, n in os.walk(".") for n in d + n]
def folders():
    return [".", *(f for f, _, _ in os.walk(".") if f != ".")]
for _ in range(40):
    old = chance.choice(paths() or ["x"])
    new = chance.choice(folders()) + "/" + chance.choice("abcdefgh")
    act = chance.choice("write append map remove move folder link mode hard".split())
    try:
        if act == "write":
            open(new, "w").write(old)
        elif act == "append":
            open(old, "a").write("more")
        elif act == "map":
            with open(old, "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
                m[0], m[0:1] = m[0], b"M"
        elif act == "remove":
            shutil.rmtree(old) if os.path.isdir(old) and not os.path.islink(old) else os.unlink(old)
        elif act == "move":
            os.rename(old, new)
        elif act == "folder":
            os.mkdir(new)
        elif act == "link":
            os.symlink(old, new)
        elif act == "mode":
            modes = [0o700, 0o755, 0o711] if os.path.isdir(old) else [0o600, 0o444]
            os.chmod(old, chance.choice(modes))
        elif act == "hard":
            os.link(old, new)
    except (OSError, ValueError, RecursionError):
        pass
"""


def grown(folder: Path, chance: random.Random) -> None:
    """Put a tree into a folder."""
    folders = [folder]
    for n in range(30):
        place = chance.choice(folders) / f"{chance.choice('abcdefgh')}"
        if place.exists() or place.is_symlink():
            continue
        match chance.choice(["dir", "file", "file", "link"]):
            case "dir":
                place.mkdir()
                folders.append(place)
            case "file":
                place.write_text(f"file {n}")
                place.chmod(chance.choice([0o644, 0o600, 0o444]))
            case "link":
                place.symlink_to(chance.choice("abc"))
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)


def ran(sandbox: BwrapSandbox, over: Overlay, source: str, *words: str, **bounds) -> JobResult:
    argv = (*sandbox.python(), "-c", source, *words)
    return asyncio.run(sandbox.run(Job(argv, overlay=over, **bounds)))


def shelled(sandbox: BwrapSandbox, work: Path, line: str, **bounds) -> tuple[str, str]:
    """What a shell line over a folder says; its changes are thrown away."""
    job = Job(("sh", "-c", line), overlay=Overlay("/work", str(work)), **bounds)
    result = asyncio.run(sandbox.run(job))
    os.close(result.upper)
    return result.out.decode(), result.err.decode()


def owner() -> tuple[int, int] | None:
    return (0, 0) if os.geteuid() == 0 else None


@pytest.mark.parametrize("attributes", [True, False], ids=["", "none in memory"])
@pytest.mark.parametrize("seed", range(6))
def test_what_came_out_shows_what_the_job_saw(
    layered: BwrapSandbox, work: Path, tmp_path: Path, seed: int, attributes: bool, monkeypatch
) -> None:
    if not attributes:
        if layered._setup().layers != "fuse-overlayfs":
            pytest.skip("it keeps none of its own")
        monkeypatch.setattr(marks, "_set", lambda folder: False)
    grown(work, random.Random(seed))
    lowers: list[str] = []
    for turn in range(3):  # each over what came out before
        over = Overlay("/work", str(work), tuple(lowers))
        result = ran(layered, over, CHANGE + LOOK, f"{seed}{turn}")
        assert (result.exit, result.err) == (0, b"")
        lowers.insert(0, str(tmp_path / f"layer{turn}"))
        capture(Root.held(result.upper, work), Path(lowers[0]), owner())
        again = ran(layered, Overlay("/work", str(work), tuple(lowers)), LOOK)
        os.close(again.upper)
        assert again.out.decode() == result.out.decode()


def test_nothing_comes_out_of_a_job_that_only_reads(layered, work, tmp_path) -> None:
    grown(work, random.Random(7))
    (work / "own").write_text("x")
    (work / "own").chmod(0)
    result = ran(layered, Overlay("/work", str(work)), "import os; print(len(os.listdir()))")
    assert list(os.scandir(result.upper)) == []
    os.close(result.upper)


def test_the_mode_of_a_shared_folder_stays(layered, work) -> None:
    """Files that are made in it get its group."""
    (work / "shared").mkdir()
    for folder in (work, work / "shared"):
        folder.chmod(0o2775)
    said = shelled(layered, work, "touch shared/x; chmod u+x shared/x; stat -c %a . shared")
    assert said == ("2775\n2775\n", "")


# ---- whose files


def others(work: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has files of others")
    os.chown(work, 4242, 4242)
    for name, uid, mode in (("own", 4242, 0o644), ("root", 0, 0o644), ("shared", 0, 0o666)):
        (work / name).write_text(f"{name} ")
        os.chown(work / name, uid, uid)
        (work / name).chmod(mode)


def test_files_of_others_are_read_changed_moved_and_removed(layered, work) -> None:
    """As the folder's owner may; in a copy, all that can be read is the program's own."""
    others(work)
    assert shelled(layered, work, "cat own root shared; echo x >> own; rm own; ls") == (
        "own root shared root\nshared\n", ""
    )  # fmt: skip
    line = "echo x >> shared; cat shared; mv root moved; rm shared; ls"
    if layered._setup().layers == "fuse-overlayfs":
        assert "Operation not permitted" in shelled(layered, work, line)[1]
        return
    assert shelled(layered, work, line) == ("shared x\nmoved\nown\n", "")
    if layered._setup().layers == "overlayfs":
        assert "Permission denied" in shelled(layered, work, "echo x >> root")[1]


def test_a_file_that_its_folder_owner_may_not_read(layered, work) -> None:
    others(work)
    (work / "root").chmod(0o600)
    if layered._setup().layers != "copy":
        assert "Permission denied" in shelled(layered, work, "cat root")[1]
        return
    with pytest.raises(NotEnforced, match=r"a folder is copied.*Permission denied: root"):
        shelled(layered, work, "true")


@pytest.mark.parametrize(("one", "other"), [(0, 60942), (1000, 60942), (60942, 0), (7, 7)])
def test_ids_are_mapped_once_each(one: int, other: int) -> None:
    lines = [tuple(map(int, line.split())) for line in swap(one, other).splitlines()]
    for column in (0, 1):
        spans = sorted((line[column], line[2]) for line in lines)
        ends = [0, *(start + count for start, count in spans)]
        assert [start for start, _ in spans] == ends[:-1]
        assert ends[-1] == 2**32 - 1
    assert (one, other, 1) in lines or one == other
    assert len(lines) <= 5


# ---- mounts below


@contextmanager
def mounted(place: Path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_what_is_mounted_below_is_read_only_for_root(layered, work) -> None:
    with mounted(work / "a b"), mounted(work / "a b" / "c\\d"):
        (work / "a b" / "c\\d" / "f").write_text("x")
        assert mounts.below(str(work)) == [f"{work}/a b", f"{work}/a b/c\\d"]
        said = shelled(layered, work, "cat 'a b'/*/f; touch 'a b/x'; touch y; ls")
        bind = Job(("cat", "a b/c\\d/f"), (Bind(str(work), "/work", "rw"),))
        assert asyncio.run(layered.run(bind)).out == b"x"
    assert said[0] == "xa b\ny\n"
    assert "Read-only file system" in said[1]


def test_what_is_mounted_below_is_named_to_a_user(layered) -> None:
    setup = replace(layered._setup(), uid=None)
    with pytest.raises(Invalid, match=r"/dev/[a-z]+ is mounted below /dev"):
        asyncio.run(execute(setup, Job(("true",), overlay=Overlay("/work", "/dev"))))


# ---- fuse-overlayfs


@pytest.fixture
def fused(layered: BwrapSandbox) -> BwrapSandbox:
    if layered._setup().layers != "fuse-overlayfs":
        pytest.skip("it has no server")
    return layered


def told(pid: int) -> dict[str, str]:
    """What /proc says of a process."""
    return dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())


def servers() -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(SERVER.encode() + b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_the_server_has_no_rights_and_ends_with_the_job(fused, work) -> None:
    async def watched() -> tuple[dict[str, str], JobResult]:
        job = Job(("sh", "-c", "echo; sleep 60"), overlay=Overlay("/work", str(work)), seconds=5)
        stood = asyncio.Event()
        task = asyncio.create_task(fused.run(job, lambda *_: stood.set()))
        await stood.wait()
        os.kill(servers()[0], signal.SIGSTOP)  # it need not be asked
        return told(servers()[0]), await task

    about, result = asyncio.run(watched())
    os.close(result.upper)
    assert result.ended == "time"
    assert {int(uid) for uid in about["Uid"].split()} == {fused._setup().uid or os.getuid()}
    assert [about[k] for k in ("CapPrm", "CapEff", "CapInh", "CapAmb")] == ["0" * 16] * 4
    assert (about["NoNewPrivs"], about["Seccomp"]) == ("1", "2")
    assert servers() == []


def test_the_server_ends_with_the_daemon(fused, work) -> None:
    daemon = (
        "import asyncio\nfrom oros.abi.jobs import Job, Overlay\n"
        "from oros.drivers.sandbox.bwrap import BwrapSandbox, survey\n"
        "survey.BACKENDS = ('fuse-overlayfs',)\n"
        "async def main():\n s = BwrapSandbox(); await s.probe()\n"
        " await s.run(Job(('sh', '-c', 'echo; exec sleep 60'),"
        f" overlay=Overlay('/work', {str(work)!r})), lambda *_: print('on', flush=True))\n"
        "asyncio.run(main())"
    )
    source = str(Path(oros.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", daemon], env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"on\n"
        with ExitStack() as stack:
            numbers = [os.pidfd_open(pid) for pid in servers()]
            for number in numbers:
                stack.callback(os.close, number)
            process.kill()
            assert len(numbers) == 1
            assert select.select(numbers, [], [], 20)[0] == numbers


def test_names_below_layers(tmp_path: Path) -> None:
    for path in ("top/d/new", "mid/d/y", "low/d/x", "low/d/gone", "low/e/z", "low/f/z"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    os.mknod(tmp_path / "mid/d/gone", stat.S_IFCHR | 0o600, os.makedev(0, 0))
    (tmp_path / "top/e").touch()
    (tmp_path / "mid/f").mkdir()
    os.setxattr(tmp_path / "mid/f", "user.overlay.opaque", b"y")
    layers = [str(tmp_path / name) for name in ("top", "mid", "low")]
    assert marks.below(layers, "") == {"d", "e", "f"}
    assert marks.below(layers, "d") == {"new", "y", "x"}
    assert marks.below(layers, "e") == set()
    assert marks.below(layers, "f") == set()
    assert marks.below(layers, "nowhere/deep") == set()


# ---- a copy


@pytest.fixture
def copying(layered: BwrapSandbox) -> BwrapSandbox:
    if layered._setup().layers != "copy":
        pytest.skip("it makes no copy")
    return layered


@pytest.mark.parametrize("much", ["bytes", "files"])
def test_a_folder_that_is_too_large_for_a_copy(copying, work, much: str) -> None:
    if much == "bytes":
        with (work / "sparse").open("wb") as file:
            file.truncate(300 << 20)
    else:
        for n in range(20_000):
            (work / f"{n}").touch()
    with pytest.raises(NotEnforced, match="it has over 256 MiB or 20,000 files"):
        shelled(copying, work, "true")


def test_a_copy_leaves_room_for_what_was_promised(copying, work) -> None:
    (work / "old").write_bytes(os.urandom(8 << 20))
    line = "head -c 5000000 /dev/zero > new; wc -c < new"
    assert shelled(copying, work, line, memory=1 << 30)[0] == "5000000\n"


def test_what_is_written_through_a_map_comes_out(copying, work) -> None:
    """Its times stay: in memory no page that was read before tells that it is written."""
    (work / "f").write_text("x")
    source = (
        "import mmap, os\nf = open('f', 'r+b'); m = mmap.mmap(f.fileno(), 0)\n"
        "was = os.stat('f').st_mtime_ns; m[0]; m[0:1] = b'y'; print(os.stat('f').st_mtime_ns - was)"
    )
    result = ran(copying, Overlay("/work", str(work)), source)
    file = os.open("f", os.O_RDONLY, dir_fd=result.upper)
    assert (result.out, os.read(file, 9)) == (b"0\n", b"y")
    os.close(file)
    os.close(result.upper)


def test_what_a_program_says_that_a_folder_hides_is_not_believed(copying, work) -> None:
    (work / "d").mkdir()
    (work / "d" / "x").touch()
    source = "import os; os.setxattr('d', 'user.overlay.opaque', b'y'); os.chmod('d', 0o711)"
    result = ran(copying, Overlay("/work", str(work)), source)
    folder = os.open("d", os.O_RDONLY, dir_fd=result.upper)
    assert os.listxattr(folder) == []
    os.close(folder)
    os.close(result.upper)


def test_what_became_a_link_is_not_copied(tmp_path, monkeypatch) -> None:
    """While a folder is copied, another process's changes may come into it."""
    work = tmp_path / "0"
    (work / "d").mkdir(parents=True)
    (work / "d" / "f").write_text("own")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "f").write_text("secret")
    monkeypatch.chdir(tmp_path)
    for path, target in {"d": "../secret", "d/f": "../../secret/f"}.items():
        (work / path).rename(work / "was")
        (work / path).symlink_to(target)
        with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
            _copied_from(path)
        (work / path).unlink()
        (work / "was").rename(work / path)


def _copied_from(path: str) -> None:
    """Copy as if a path had been seen to be what it was."""
    above, _, name = f"0/{path}".rpartition("/")
    folder = copied._enter(above.encode())
    try:
        if path == "d":
            copied._enter(b"0/d/")
        copied._copy(folder, name.encode(), b"target")
    finally:
        os.close(folder)


# ---- which one


def test_the_next_one_is_taken_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    look = survey._look

    async def without_overlay(setup):
        if setup.layers != "copy":
            raise DeviceFailed(f"no {setup.layers} here", os.strerror(errno.ENODEV))
        return await look(setup)

    monkeypatch.setattr(survey, "_look", without_overlay)
    report = asyncio.run(BwrapSandbox().probe())
    assert report.works
    assert report.version.endswith(", copy")
    assert "no overlayfs here" in report.not_held["first choice"]
    assert "256 MiB and 20,000 files at most" in report.not_held["overlayfs"]
    assert "fuse-overlayfs" in report.fix


def test_warm_interpreters_are_for_overlayfs(layered) -> None:
    if layered._setup().layers == "overlayfs":
        assert asyncio.run(layered.walls()).python
        return
    with pytest.raises(NotEnforced, match="need overlayfs"):
        asyncio.run(layered.walls())


def test_the_profiles_name_all_that_makes_user_namespaces(monkeypatch) -> None:
    monkeypatch.setattr(survey, "_setting", lambda name: "1" if "apparmor" in name else "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(survey, "_binaries", lambda: iter(["/usr/bin/bwrap"]))
    said = survey._fix("setting up uid map: Permission denied", found=True)
    python = os.path.realpath(sys.executable)
    for path in ("/usr/bin/bwrap", python):
        name = Path(path).name
        assert f"profile oros-{name} {path} flags=(unconfined) {{ userns, }}\n" in said
