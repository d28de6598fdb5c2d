"""I have a script changed twice by the model in the box, and take back the second change only."""

import pytest

BEFORE = "def greet(name):\n    return 'Hello, ' + name\n\n\nprint(greet('Ada'))\n"


def story(machine) -> str:
    """What it did, for whoever reads that this test failed."""
    pids = [r["pid"] for r in machine.json("ps", "-a")]
    return "\n".join(machine.oros("log", str(pid)).stdout[-6000:] for pid in pids)


def layers(machine) -> list[tuple[float, int]]:
    """When and by whom something came into the folder, in order."""
    pids = [r["pid"] for r in machine.json("ps", "-a")]
    rows = [(pid, row) for pid in pids for row in machine.json("diff", str(pid))]
    return sorted((row["at"], pid) for pid, row in rows if row["state"] == "in")


def says(machine, words: str) -> tuple[bytes, int]:
    """Tell process 1 something and wait until all is done: the script then, and its changes."""
    found = machine.oros(given=f"{words}\n", timeout=400)
    assert found.returncode == 0, found.stderr
    for row in machine.json("ps"):
        if row["pid"] > 1:
            machine.oros("wait", str(row["pid"]), timeout=300)
    return (machine.work / "hello.py").read_bytes(), len(layers(machine))


@pytest.mark.model
@pytest.mark.timeout(1200)
def test_the_second_change_is_taken_back_and_the_first_stays(boxed) -> None:
    (boxed.work / "hello.py").write_text(BEFORE)
    (boxed.work / "hello.py").chmod(0o754)
    pulled = boxed.oros("models", "pull", timeout=600)
    assert pulled.returncode == 0, pulled.stderr

    first, few = says(boxed, "In hello.py replace the word Hello by Goodbye.")
    assert few, story(boxed)
    assert first != BEFORE.encode(), story(boxed)
    second, more = says(boxed, "In hello.py replace the name Ada by Grace.")
    assert more > few, story(boxed)
    assert second not in (first, BEFORE.encode()), story(boxed)

    for _, pid in reversed(layers(boxed)[few:]):
        assert boxed.oros("undo", str(pid)).returncode == 0
    assert (boxed.work / "hello.py").read_bytes() == first
    assert (boxed.work / "hello.py").stat().st_mode & 0o7777 == 0o754

    undone = layers(boxed)
    assert len(undone) == few
    for _, pid in reversed(undone):
        assert boxed.oros("undo", str(pid)).returncode == 0
    assert (boxed.work / "hello.py").read_text() == BEFORE
    assert sorted(p.name for p in boxed.work.iterdir()) == ["hello.py"]
