"""The store: acknowledged is kept, in order, whole; wrong files are told apart."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import apsw
import pytest
from tests.drivers.store.test_conformance import rows

from oros.abi import chain
from oros.abi.errors import AccessDenied, Busy, Corrupt, Newer, NoSpace, NotFound
from oros.abi.ports import ProcessRow
from oros.drivers.store.sqlite import MIGRATIONS, VERSION, SqliteStore


async def until_it_fails(store, made) -> None:
    for row in made:
        await store.append([row])


def test_a_full_disk_is_no_space_and_what_was_kept_stays(tmp_path) -> None:
    """The database may not grow: as on a full disk, on any file system and for any user."""

    async def main() -> None:
        store = SqliteStore.open(tmp_path / "j.db")
        made = rows(1, 1, 4000)
        await store.append(made[:1])
        store._writer.execute("PRAGMA max_page_count=20")
        with pytest.raises(NoSpace, match=r"disk is full.*free some space"):
            await until_it_fails(store, made[1:])
        with pytest.raises(NoSpace):
            store.append(made[-1:])
        with pytest.raises(NoSpace):
            store.put_setting("big", "x" * 500_000)
        kept = store.events(1)
        assert made[: len(kept)] == kept
        await store.close()
        again = SqliteStore.open(tmp_path / "j.db")
        await again.append(made[len(kept) :])
        chain.verify(again.events(1))
        await again.close()

    asyncio.run(main())


def test_a_file_that_may_not_grow_is_no_space(tmp_path) -> None:
    """A limit on a file's size, and a quota, are a full disk by other names."""
    program = (
        "import asyncio, resource, sys\n"
        "from pathlib import Path\n"
        "from oros.abi.errors import NoSpace\n"
        "from oros.drivers.store.sqlite import SqliteStore\n"
        "async def main():\n"
        "    store = SqliteStore.open(Path(sys.argv[1]))\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "    try: store.put_setting('a', 'b')\n"
        "    except NoSpace as e: print(e)\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "j.db")]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("ENOSPC: ")


def test_a_page_that_is_broken_is_corrupt(tmp_path) -> None:
    async def main() -> None:
        store = SqliteStore.open(tmp_path / "j.db")
        await store.append(rows(1, 1, 2000))
        await store.close()
        with (tmp_path / "j.db").open("r+b") as file:
            file.seek(40960)
            file.write(b"\xff" * 40960)
        with pytest.raises(Corrupt, match="move it aside"):
            SqliteStore.open(tmp_path / "j.db")

    asyncio.run(main())


def test_an_altered_row_breaks_the_chain(tmp_path) -> None:
    async def main() -> None:
        store = SqliteStore.open(tmp_path / "j.db")
        await store.append(rows(1, 1, 5))
        await store.close()

    asyncio.run(main())
    db = apsw.Connection(str(tmp_path / "j.db"))
    db.execute("UPDATE event SET body=? WHERE seq=3", (b'{"on":"person"}',))
    db.close()

    async def look() -> None:
        store = SqliteStore.open(tmp_path / "j.db")
        with pytest.raises(Corrupt, match="event 3"):
            chain.verify(store.events(1))
        await store.close()

    asyncio.run(look())


def test_blobs_keep_their_bytes(tmp_path) -> None:
    async def main() -> None:
        store = SqliteStore.open(tmp_path / "j.db")
        for data in (b"", b"small", os.urandom(200_000)):
            assert store.get_blob(store.put_blob(data)) == data
        big = store.put_blob(b"x" * 100_000)
        (tmp_path / "blobs" / big[:2] / big).write_bytes(b"y" * 100_000)
        with pytest.raises(Corrupt):
            store.get_blob(big)
        with pytest.raises(NotFound):
            store.get_blob("00" * 32)
        store.put_setting("a", "1")
        store.put_setting("a", "2")
        assert store.get_setting("a") == "2"
        await store.close()

    asyncio.run(main())


def test_wrong_files_are_refused_and_left_alone(tmp_path) -> None:
    async def main() -> None:
        rubbish = tmp_path / "rubbish.db"
        rubbish.write_bytes(b"no database at all" * 500)
        with pytest.raises(Corrupt):
            SqliteStore.open(rubbish)
        assert rubbish.read_bytes().startswith(b"no database")
        other = apsw.Connection(str(tmp_path / "other.db"))
        other.execute("CREATE TABLE t(x)")
        other.close()
        with pytest.raises(Corrupt, match="another program"):
            SqliteStore.open(tmp_path / "other.db")
        store = SqliteStore.open(tmp_path / "j.db")
        with pytest.raises(Busy):
            SqliteStore.open(tmp_path / "j.db")
        await store.close()
        newer = apsw.Connection(str(tmp_path / "j.db"))
        newer.execute(f"PRAGMA user_version={VERSION + 1}")
        newer.close()
        with pytest.raises(Newer):
            SqliteStore.open(tmp_path / "j.db")
        with pytest.raises(AccessDenied):
            SqliteStore.open(tmp_path / "nowhere" / "j.db")

    asyncio.run(main())


def test_an_old_file_is_brought_up_after_a_copy(tmp_path) -> None:
    path = tmp_path / "j.db"
    db = apsw.Connection(str(path))
    db.execute(MIGRATIONS[0])
    db.execute("PRAGMA application_id=0x6F726F73")
    db.execute("PRAGMA user_version=1")
    made = rows(7, 1, 1)[0]
    values = (made.pid, made.seq, made.time, made.kind, made.body, made.label, made.prev, made.hash)
    db.execute("INSERT INTO event VALUES(?,?,?,?,?,?,?,?)", values)
    db.close()

    async def main() -> None:
        store = SqliteStore.open(path)
        assert store.events(7) == [made]
        store.put_setting("new", "yes")
        await store.close()

    asyncio.run(main())
    assert (tmp_path / "j.v1.db").exists()


def test_ten_thousand_processes_are_listed_quickly(tmp_path) -> None:
    async def main() -> None:
        store = SqliteStore.open(tmp_path / "j.db")
        for pid in range(1, 10_001):
            last = store.append(rows(pid, 1, 3), [ProcessRow(pid, 3, True, b"{}" * 200)])
        await last
        found = store.processes()
        assert len(found) == 10_000
        assert {seq for _, seq in found} == {3}
        await store.close()

    asyncio.run(main())


CHILD = """
import asyncio, sys
from pathlib import Path
from oros.abi import chain
from oros.drivers.store.sqlite import SqliteStore

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    found = store.events(1)
    prev, seq = (found[-1].hash, found[-1].seq) if found else (b"", 0)
    while True:
        batch = []
        for _ in range(3):
            seq += 1
            batch.append(chain.seal(1, seq, 0.0, "parked", b"{}", b"[]", prev))
            prev = batch[-1].hash
        await store.append(batch)
        print(seq, flush=True)

asyncio.run(main())
"""


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path) -> None:
    path = tmp_path / "j.db"
    for life in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True
        )
        child.stdout.readline()
        time.sleep(0.01 * (life % 5))
        child.send_signal(signal.SIGKILL)
        said = child.stdout.read().split()
        child.wait()
        child.stdout.close()

        async def look(said=said) -> None:
            store = SqliteStore.open(path)
            found = store.events(1)
            chain.verify(found)
            assert not said or found[-1].seq >= int(said[-1])
            assert found[-1].seq % 3 == 0
            await store.close()

        asyncio.run(look())
