"""Eight copies of a process over a large folder: each sees its own changes, and one is kept."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from tests.journeys.test_changes import goal

REST = ["sleep", {"seconds": 600}]
ME = "echo before >> first; [ -e mine ] || cat /proc/sys/kernel/random/uuid > mine; ls | wc -l"
FILES = int(os.environ.get("COPIES_FILES", "300"))
SIZE = int(os.environ.get("COPIES_SIZE", "1000"))


def on_disk(folder: Path) -> int:
    """Bytes that a folder takes; what goes while it is looked at takes none."""
    found = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found += path.lstat().st_blocks * 512
    return found


def test_eight_copies_and_one_is_kept(machine) -> None:
    for number in range(FILES):
        place = machine.work / f"d{number % 100}" / f"f{number}"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(os.urandom(SIZE))
    (machine.work / "first").write_text("mine\n")
    calls = [["run", {"argv": ["sh", "-c", "echo waits > waits"]}], REST]
    calls += [["run", {"argv": ["sh", "-c", ME]}], REST]
    pid = machine.start(goal(*calls), "-p", "steps", "--review")
    machine.until(pid, lambda r: r["on"] == "timer" and r["calls"] >= 2)

    client, before = machine.client(), on_disk(machine.home)
    begun = time.perf_counter()
    copies = client.call("fork", pid=pid, n=8)["value"]["pids"]
    took = (time.perf_counter() - begun) / 8
    grown = (on_disk(machine.home) - before) / 8
    print(f"{took * 1000:.2f} ms and {grown / 1024:.0f} KiB a copy")

    for copy in copies:
        machine.until(copy, lambda r: r["on"] == "timer" and r["calls"] >= 3, seconds=60)
    diffs = [machine.oros("diff", str(copy)).stdout for copy in copies]
    print(f"{(on_disk(machine.home) - before) / 8 / 1024:.0f} KiB a copy after its own changes")
    assert len(set(diffs)) == 8
    assert all("+before" in d and "b/waits" in d for d in diffs)
    assert not (machine.work / "mine").exists()
    assert (machine.work / "first").read_text() == "mine\n"

    assert machine.oros("commit", str(copies[3])).returncode == 0
    assert (machine.work / "mine").read_text().strip() in diffs[3]
    assert (machine.work / "first").read_text() == "mine\nbefore\n"
    assert (machine.work / "waits").read_text() == "waits\n"
    seen = json.loads(machine.oros("diff", str(copies[3]), "-o", "json").stdout)
    assert [r["state"] for r in seen] == ["in", "in"]
    kept = [machine.oros("diff", str(copy)).stdout for copy in copies if copy != copies[3]]
    assert all("mine" in d for d in kept)  # the others' wait as before
