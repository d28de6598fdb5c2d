"""I let it change my files, look at what it did, take it back, and lose nothing of my own."""

import base64
import json
import time

import pytest
from tests.services.layers.trees import photo

from oros.abi.errors import Busy, NotFound

BUSY = Busy.exit_code
SHELL = """
for i in $(seq -w 40); do echo edited by shell >> shell/$i.txt; done
mkdir made
for i in $(seq -w 500); do echo $i > made/$i; done
rm -r old
ln -s made/001 link
chmod 600 mode.txt
"""


def goal(*calls) -> str:
    script = base64.b64encode(json.dumps(calls).encode()).decode()
    return f"[[mock calls={script} final=done]]"


def python(source: str) -> list:
    return ["run", {"python": source}]


@pytest.fixture
def folder(machine):
    work = machine.work
    for name in ("shell", "old/deep", "theirs"):
        (work / name).mkdir(parents=True)
    for i in range(1, 41):
        (work / "shell" / f"{i:02}.txt").write_text(f"{i}\n")
    for name in ("a.txt", "b.txt", "c.txt", "mode.txt", "old/x", "old/deep/y", "theirs/1"):
        (work / name).write_text(f"as {name} was\n")
    return work


def bare(work) -> dict:
    """All but the times of folders that the user made something in."""
    return {p: v for p, v in photo(work).items() if p != "."}


def test_all_of_it_is_undone_and_my_own_edits_stay(machine, folder) -> None:
    before = bare(folder)
    edits = [["write", {"path": f"/work/{n}.txt", "text": f"by call, {n}"}] for n in "abc"]
    pid = machine.start(goal(*edits, ["run", {"argv": ["sh", "-c", SHELL]}]), "-p", "steps")
    assert machine.oros("wait", str(pid)).returncode == 0
    assert (folder / "a.txt").read_text() == "by call, a"
    assert len(list((folder / "made").iterdir())) == 500
    assert not (folder / "old").exists()
    after = bare(folder)
    rows = machine.json("diff", str(pid))
    assert [r["state"] for r in rows] == ["in"] * 4
    assert rows[-1]["count"] == 40 + 500 + 4 + 1 - 1 - 1  # x, y and old are one that went

    (folder / "theirs" / "1").write_text("mine")
    (folder / "theirs" / "2").write_text("mine, too")
    (folder / "b.txt").write_text("mine over yours")
    once = machine.oros("undo", str(pid))
    assert once.stdout.splitlines()[-1] == (
        f"3 earlier changes stay: oros undo {pid} again, or --to 0 for all"
    )
    assert machine.oros("redo", str(pid)).returncode == 0
    found = machine.oros("undo", str(pid), "--to", "0")
    assert "stay" not in found.stdout
    assert found.returncode == BUSY, found.stderr
    assert "b.txt: you changed it" in found.stderr
    now = bare(folder)
    for path, was in before.items():
        if path not in ("b.txt", "theirs", "theirs/1"):
            assert now[path] == was, path
    assert (folder / "b.txt").read_text() == "mine over yours"
    assert sorted(p.name for p in (folder / "theirs").iterdir()) == ["1", "2"]
    assert not (folder / "made").exists()

    for _ in range(4):
        machine.oros("redo", str(pid))
    again = bare(folder)
    for path, was in after.items():
        if path not in ("b.txt", "theirs", "theirs/1"):
            assert again[path][:2] == was[:2], path
            assert again[path][3] == was[3], path
    assert (folder / "b.txt").read_text() == "mine over yours"


def test_nothing_comes_into_my_folder_before_i_have_seen_it(machine, folder) -> None:
    before = photo(folder)
    source = "open('new.txt','w').write('hello\\n'); import os; os.remove('old/x')"
    pid = machine.start(goal(python(source)), "-p", "steps", "--review")
    machine.oros("wait", str(pid))
    assert photo(folder) == before
    shown = machine.oros("diff", str(pid)).stdout
    assert "+hello" in shown
    assert "-as old/x was" in shown
    machine.kill_daemon()
    assert machine.oros("commit", str(pid)).returncode == 0
    assert (folder / "new.txt").read_text() == "hello\n"
    assert not (folder / "old" / "x").exists()
    assert machine.oros("diff", str(pid)).stdout == ""
    assert machine.oros("undo", str(pid)).returncode == 0
    assert photo(folder) == before


def test_what_i_discard_was_never_there(machine, folder) -> None:
    before = photo(folder)
    source = "import shutil, os\nfor n in os.listdir(): shutil.rmtree(n, ignore_errors=True)\n"
    source += "open('a.txt','w').write('ruined')"
    pid = machine.start(goal(python(source)), "-p", "steps", "--review")
    machine.oros("wait", str(pid))
    assert machine.oros("discard", str(pid)).returncode == 0
    assert photo(folder) == before
    assert machine.oros("commit", str(pid)).returncode == NotFound.exit_code


def test_it_sees_its_own_changes_before_i_do(machine, folder) -> None:
    pid = machine.start(
        goal(
            ["write", {"path": "/work/sub/n.txt", "text": "from the first call"}],
            python("print(open('sub/n.txt').read()); open('sub/n.txt','a').write(', more')"),
            ["read", {"path": "/work/sub/n.txt"}],
            ["list", {"path": "/work/sub"}],
        ),
        "-p", "steps", "--review",
    )  # fmt: skip
    machine.oros("wait", str(pid))
    told = machine.oros("log", str(pid), "-o", "json").stdout
    assert "from the first call, more" in told
    assert not (folder / "sub").exists()


def test_what_would_run_later_waits_for_my_word(machine, folder) -> None:
    source = "import os\nos.makedirs('sub/.git/hooks')\n"
    source += "open('sub/.git/hooks/pre-commit','w').write('evil')\n"
    source += "open('.envrc','w').write('evil')\nopen('fine.txt','w').write('fine')"
    found = machine.oros("run", "-p", "steps", goal(python(source)))
    assert found.returncode == 0
    assert (folder / "fine.txt").exists()
    assert not (folder / ".envrc").exists()
    assert not (folder / "sub/.git/hooks/pre-commit").exists()
    assert "oros commit" in found.stderr
    pid = next(r["pid"] for r in machine.json("ps", "-a") if r["pid"] > 1)
    found = machine.oros("commit", str(pid))
    assert found.returncode == BUSY
    assert ".envrc: it would run or steer a program later" in found.stderr
    assert machine.oros("commit", "--held", str(pid)).returncode == 0
    assert (folder / ".envrc").read_text() == "evil"


def test_my_edit_meanwhile_is_kept_and_named(machine) -> None:
    work = machine.work
    (work / "mine.txt").write_text("as it was")
    source = "import time\nwhile open('mine.txt').read() == 'as it was': time.sleep(0.05)\n"
    source += "open('mine.txt','w').write('theirs')\n"
    pid = machine.start(goal(python(source + "open('o','w').write('x')")), "-p", "steps")
    machine.until(pid, lambda r: r["on"] == "call")
    (work / "mine.txt").write_text("my own edit")
    machine.oros("wait", str(pid))
    assert (work / "mine.txt").read_text() == "my own edit"
    assert (work / "o").read_text() == "x"
    found = machine.oros("commit", str(pid))
    assert "mine.txt: you changed it" in found.stderr
    assert machine.oros("commit", "--force", str(pid)).returncode == 0
    assert (work / "mine.txt").read_text() == "theirs"
    assert machine.oros("undo", str(pid)).returncode == 0
    assert (work / "mine.txt").read_text() == "my own edit"


def test_a_run_cut_by_a_dead_machine_is_made_once(machine, folder) -> None:
    source = "import time; time.sleep(1.2); open('log','a').write('once\\n')"
    pid = machine.start(goal(python(source)), "-p", "steps")
    machine.until(pid, lambda r: r["on"] == "call")
    time.sleep(0.3)
    machine.kill_daemon()
    assert machine.oros("wait", str(pid)).returncode == 0
    assert (folder / "log").read_text() == "once\n"


def test_copies_have_what_it_had_changed_and_one_is_kept(machine, folder) -> None:
    before = photo(folder)
    first = python("open('both.txt','w').write('from the first')")
    pid = machine.start(goal(first), "-p", "steps", "--review")
    machine.oros("wait", str(pid))
    script = [goal(python(f"open('{n}.txt','w').write(open('both.txt').read())")) for n in "pq"]
    copies = [machine.json("fork", str(pid), "--goal", f"now {s}")["pids"][0] for s in script]
    for copy in copies:
        machine.until(copy, lambda r: r["state"] == "reaped")
    assert photo(folder) == before
    shown = machine.oros("diff", str(copies[0])).stdout
    assert "b/both.txt" in shown
    assert machine.oros("discard", str(pid)).returncode == 0
    assert machine.oros("commit", str(copies[1])).returncode == 0
    assert (folder / "both.txt").read_text() == "from the first"


HOSTILE = """
import os, shutil, socket, subprocess, sys
def tried(act):
    try:
        act()
    except BaseException as e:
        print(type(e).__name__, end=' ')
for name in os.listdir('.'):
    tried(lambda: os.chmod(name, 0))
    tried(lambda: os.utime(name, (0, 0)))
    tried(lambda: os.rename(name, name + '.gone'))
for root, folders, files in os.walk('.', topdown=False):
    for name in files + folders:
        tried(lambda: os.remove(os.path.join(root, name)))
tried(lambda: os.symlink('/etc', 'shell'))
tried(lambda: os.mkfifo('pipe'))
tried(lambda: os.mknod('null', 0o20666, os.makedev(1, 3)))
tried(lambda: os.makedirs('.git/hooks'))
tried(lambda: open('.git/hooks/pre-commit', 'w').write('evil'))
tried(lambda: os.link('/etc/passwd', 'passwd'))
tried(lambda: os.chmod('.', 0o777))
tried(lambda: open('../escaped', 'w').write('x'))
tried(lambda: open('a' * 255, 'w').write('x'))
tried(lambda: open(b'\\xff\\n', 'w').write('x'))
deep = 'd'
for _ in range(200):
    tried(lambda: os.mkdir(deep))
    deep += '/d'
tried(lambda: os.truncate(os.open('sparse', os.O_CREAT | os.O_RDWR), 1 << 40))
tried(lambda: socket.create_connection(('127.0.0.1', 80), 1))
loop = 'while :; do echo x >> still; done'
tried(lambda: subprocess.Popen(['sh', '-c', loop], start_new_session=True))
tried(lambda: [open(f'many{i}', 'w') for i in range(60000)])
tried(lambda: open('big', 'wb').write(b'x' * (300 << 20)))
"""


def test_a_hostile_program_tries_everything_and_nothing_is_left_of_it(machine, folder) -> None:
    before = photo(folder)
    pid = machine.start(goal(python(HOSTILE)), "-p", "steps", "--review")
    assert machine.oros("wait", str(pid)).returncode == 0
    assert photo(folder) == before
    assert not (folder.parent / "escaped").exists()
    told = machine.json("diff", str(pid))
    assert told[0]["state"] == "waits"
    assert told[0]["count"] > 100
    returned = [f["event"] for f in machine.json("log", str(pid)) if f["kind"] == "call_returned"]
    (value,) = [e["outcome"]["value"] for e in returned]
    assert value["exit"] == 0, value  # it came to its end, whatever it met
    assert machine.oros("discard", str(pid)).returncode == 0
    assert photo(folder) == before
    assert not any((machine.home / "layers").rglob("still"))
