import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from oros.abi.errors import Invalid, NotFound
from oros.abi.jobs import Report
from oros.abi.labels import USER, Integrity, Label
from oros.abi.ports import Caller
from oros.abi.wire import encode
from oros.services.files.folder import Folder
from oros.services.layers.stack import Stack
from oros.services.layers.workspaces import Workspaces
from oros.services.run.device import Means, RunDevice

OWNER = frozenset({"owner"})


def run(device, user, **args):
    outcome = asyncio.run(device.perform(user, args))
    encode(outcome)
    return outcome


def test_a_program_its_words_and_its_changes(device, user, work) -> None:
    (work / "in.txt").write_text("41")
    got = run(
        device,
        user,
        python="n = int(open('in.txt').read())\nopen('o','w').write(str(n + 1))\nprint('héllo')",
    )
    value = dict(got.value)
    assert value.pop("seconds") > 0
    assert value == {"exit": 0, "signal": None, "out": "héllo\n", "err": "", "ended": "self",
                     "changed": [{"path": "/work/o", "change": "added", "size": 2}],
                     "layer": 2}  # fmt: skip
    assert (work / "o").read_text() == "42"
    assert got.label.integrity is Integrity.THIRD
    assert "user" in got.label.origins


def test_a_traceback_shows_the_line_and_is_summed_up(device, user) -> None:
    source = "import json\ndef f(x):\n    return json.loads(x)\n\nf('{')\n"
    got = run(device, user, python=source).value
    assert got["exit"] == 1
    assert "File \"job.py\", line 5, in <module>\n    f('{')" in got["err"]
    assert "starter" not in got["err"]
    assert "<string>" not in got["err"]
    assert got["error"].startswith(
        "job.py line 3: return json.loads(x)\njson.decoder.JSONDecodeError"
    )


def test_a_syntax_error_is_summed_up(device, user) -> None:
    got = run(device, user, python="x = 1\ny = = 2\n").value
    assert got["exit"] == 1
    assert got["error"] == "job.py line 2: y = = 2\nSyntaxError: invalid syntax"


def test_standard_input_is_the_jobs_own(device, user) -> None:
    source = (
        "import subprocess, sys\nprint(sys.stdin.readline().strip(), sys.argv, __name__)\n"
        "print(subprocess.run(['cat'], input='sub', text=True, capture_output=True).stdout)"
    )
    got = run(device, user, python=source, stdin="erste\nzweite\n").value
    assert got["out"] == "erste ['job.py'] __main__\nsub\n"
    got = run(device, user, python="import os; os.execvp('cat', ['cat'])", stdin="all\nof it\n")
    assert got.value["out"] == "all\nof it\n"


def test_a_job_of_any_size_and_of_many_modules(device, user, work) -> None:
    (work / "helper.py").write_text("def name(): return 'helper'")
    (work / "json.py").write_text("raise SystemError('not the library')")
    source = f"x = {'a' * 400_000!r}\nimport json, helper, pickle, inspect\ndef f(): pass\n" + (
        "pickle.loads(pickle.dumps(f))\n"
        "print(len(x), helper.name(), inspect.getsource(f), start if 'start' in dir() else '')"
    )
    got = run(device, user, python=source).value
    assert (got["exit"], got["out"]) == (0, "400000 helper def f(): pass\n \n"), got["err"]
    assert got["changed"] == []  # no __pycache__


def test_argv_exit_status_and_signal(device, user) -> None:
    got = run(device, user, argv=["sh", "-c", "cat; echo oops >&2; exit 3"], stdin="hi").value
    assert (got["exit"], got["out"], got["err"], got["error"]) == (3, "hi", "oops\n", "oops")
    got = run(device, user, argv=["sh", "-c", "kill -9 $$"]).value
    assert (got["exit"], got["signal"]) == (None, 9)
    assert got["error"].startswith("killed by signal 9")


def test_time_is_up(device, user) -> None:
    for seconds in (0.7, 7.7, 60.7):  # as few as let it begin on this machine
        got = run(device, user, python="print('begun')\nwhile True: pass", timeout=seconds).value
        if got["out"]:
            break
    assert (got["exit"], got["ended"], got["out"]) == (None, "time", "begun\n")
    assert got["error"] == f"stopped after {seconds:.0f} s: it took too long"


def test_the_account_bounds_the_time(plain, work) -> None:
    from oros.abi.grants import Limits

    got = run(plain, Caller(7, "k", USER, Limits(seconds=0.3)), python="while True: pass").value
    assert got["ended"] == "time"


def test_long_output_is_cut_in_the_middle_and_kept(device, user, shelf) -> None:
    got = run(device, user, python="for i in range(20000): print(i)")
    out = got.value["out"]
    assert len(out) < 4100
    assert out.startswith("0\n1\n")
    assert out.endswith("19998\n19999\n")
    assert "characters" in out
    (part,) = got.parts
    assert (part.name, part.mime) == ("out.txt", "text/plain")
    assert shelf.blobs[part.blob] == "".join(f"{i}\n" for i in range(20000)).encode()


def test_a_read_only_folder(work, space, shelf, user, bwrap, tmp_path) -> None:
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)
    device = RunDevice(Means(bwrap, bwrap.python), space, shelf, "r")
    got = run(device, user, python="open('x', 'w')").value
    assert got["exit"] == 1
    assert "Read-only" in got["error"]
    assert list(work.iterdir()) == []
    assert asyncio.run(device.reconcile(user, {})).error.code == "EAGAIN"


@pytest.mark.parametrize("right", ["r", "rw"])
def test_a_program_reaches_nobody_through_a_socket_in_the_folder(
    work, space, shelf, user, bwrap, tmp_path, right
) -> None:
    """A read-only bind of a folder would: to connect is not to write."""
    for place in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        place.chmod(0o755)
    device = RunDevice(Means(bwrap, bwrap.python), space, shelf, right)
    call = "import socket\nwith socket.socket(socket.AF_UNIX) as s: s.connect('door')"
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as visitor:
        os.chdir(work)  # the path of a socket is short
        try:
            door.bind("door")
            door.listen()
            (work / "door").chmod(0o777)
            visitor.connect("door")
        finally:
            os.chdir(here)
        got = run(device, user, python=call).value
    assert got["exit"] == 1
    assert "refused" in got["error"]


@pytest.mark.parametrize(
    "args",
    [{}, {"python": " "}, {"python": "1", "argv": ["true"]}, {"python": "1", "timeout": 0},
     {"python": "1", "timeout": 1e9}, {"python": "1", "timeout": float("nan")}],
)  # fmt: skip
def test_bad_arguments(plain, user, shelf, args) -> None:
    with pytest.raises(Invalid):
        run(plain, user, **args)
    assert shelf == {}


def test_a_vanished_folder(plain, user, work) -> None:
    work.rmdir()
    with pytest.raises(NotFound):
        run(plain, user, python="1")


class Dies(Exception):
    """The machine, at a certain moment."""


def test_after_a_crash_before_the_layer_was_made_it_can_be_done_again(space, shelf, user) -> None:
    class Crash:
        async def probe(self):
            return Report("crash", "0", works=True)

        async def run(self, job):
            raise Dies

    device = RunDevice(Means(Crash()), space, shelf)
    with pytest.raises(Dies):
        run(device, user, python="1")
    found = asyncio.run(device.reconcile(user, {}))
    assert (found.error.code, found.error.retryable) == ("EAGAIN", True)


def test_after_a_crash_with_the_layer_made_its_outcome_is_kept(
    plain, work, shelf, user, tmp_path, monkeypatch
) -> None:
    def dies(*_, **__):
        raise Dies

    monkeypatch.setattr(Stack, "commit", dies)
    with pytest.raises(Dies):
        run(plain, user, python="open('f','a').write('x'); print('hello')")
    assert not (work / "f").exists()
    monkeypatch.undo()
    fresh = Workspaces(shelf, tmp_path / "layers").space(work)
    again = RunDevice(plain._means, fresh, shelf)
    got = run(again, user, python="open('f','a').write('x'); print('hello')").value
    assert (got["out"], got["layer"]) == ("hello\n", 2)
    assert (work / "f").read_text() == "x"
    run(again, user, python="open('f','a').write('x'); print('hello')")
    assert (work / "f").read_text() == "x"


def test_many_changes_are_counted(plain, user) -> None:
    got = run(plain, user, python="for i in range(120): open(f'{i:03}', 'w')").value
    assert (len(got["changed"]), got["changes"]) == (100, 120)
    json.dumps(got)


def test_what_a_program_wrote_is_as_private_as_what_it_may_have_read(plain, work, shelf) -> None:
    folder = Folder(work, shelf)
    secret = Caller(7, "k", Label(Integrity.USER, OWNER, frozenset({"user"})))
    anyone = Caller(8, "k", USER)
    asyncio.run(folder.write(secret, "mail.txt", b"secret"))
    run(plain, anyone, python="import os\nos.mkdir('d')\nos.rename('mail.txt', 'd/moved.txt')")
    again = Caller(8, "k2", USER)
    got = run(
        plain, again, python="import os\nos.rename('d', 'e')\nprint(open('e/moved.txt').read())"
    )
    assert got.label.readers == OWNER
    assert asyncio.run(folder.read(anyone, "e/moved.txt", 0, 99)).label.readers == OWNER


def test_a_folder_that_was_there_can_be_renamed(device, user, work) -> None:
    (work / "old" / "deep").mkdir(parents=True)
    (work / "old" / "deep" / "f").write_text("x")
    (work / "empty").mkdir()
    source = "import os\nfrom pathlib import Path\nos.rename('old', 'new')\n"
    got = run(device, user, python=source + "Path('new').rename('empty')\nos.rename('nope', 'x')")
    assert "FileNotFoundError" in got.value["error"]
    assert (work / "empty" / "deep" / "f").read_text() == "x"
    assert sorted(p.name for p in work.iterdir()) == ["empty"]
