"""Writers that are killed at any instant: what they said is kept must be there, whole.

python -m bench.memory.killed PATH SEED: writes until it is killed, and says what is kept.
"""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

from oros.services.memory.rows import Row
from oros.services.memory.store import Store

DIMS = 32
ROOT = Path(__file__).resolve().parent.parent.parent


def vector(chance: random.Random) -> bytes:
    found = [chance.gauss(0, 1) for _ in range(DIMS)]
    size = sum(x * x for x in found) ** 0.5
    return struct.pack(f"<{DIMS}f", *(x / size for x in found))


def write(path: Path, seed: int) -> None:
    """Put, replace, forget and embed, telling after each."""
    store, chance = Store.open(path), random.Random(seed)
    store.use("killed")
    for n in range(10**9):
        source = f"s{chance.randrange(40)}"
        texts = [f"word{seed}x{n}x{i} common" for i in range(chance.randint(1, 30))]
        ids = store.put("user", source, [Row(t) for t in texts], mark=f"{seed}.{n}")
        say("put", source, texts)
        if chance.random() < 0.7:
            done = [(pair, vector(chance)) for pair in store.pending(50, ids)]
            store.embedded("killed", done)
            say("embedded", source, [p[0] for p, _ in done])
        if chance.random() < 0.2:
            say("forgetting", source, texts[0])
            store.forget(ids[0])
            say("forgot", source, texts[0])


def say(*what: object) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


def trial(path: Path, seed: int, seconds: float) -> tuple[int, int, list[str]]:
    """Kill one writer; what it was told is kept, the rows found, and what is wrong."""
    command = [sys.executable, "-m", "bench.memory.killed", str(path), str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        first = process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        lines = (first + process.stdout.read()).splitlines()
    told = [json.loads(line) for line in lines if line.endswith(b"]")]
    return len(told), *check(path, told)


def check(path: Path, told: list[list]) -> tuple[int, list[str]]:
    """What a store holds against what was told."""
    kept: dict[str, list[str]] = {}
    vectors: dict[str, list[int]] = {}
    doubt = None
    for what, source, value in told:
        doubt = None
        if what == "put":
            kept[source], vectors[source] = value, []
        elif what == "embedded":
            vectors[source] = value
        elif what == "forgetting":
            doubt = (source, value)
        else:
            kept[source] = [t for t in kept[source] if t != value]
    store = Store.open(path)
    faults = []
    db = store._writer
    there: dict[str, list[str]] = {}
    for k in store.rows("user"):
        there.setdefault(k.source, []).append(k.row.text)
    # The last act may be kept though nobody was told: only that one may differ.
    differ = [s for s, texts in kept.items() if there.get(s, []) != texts]
    if len(differ) > 1 or (doubt and differ not in ([], [doubt[0]])):
        faults.append(f"lost or half-written: {differ}")
    for source, texts in kept.items():
        if source in differ or not texts:
            continue
        found = store.search(["user"], texts[-1].split()[0], limit=1).hits
        if not found or found[0].kept.row.text != texts[-1]:
            faults.append(f"{source}: its words are not found")
        here = {k.id for k in store.rows("user", source)} & set(vectors[source])
        indexed = "SELECT 1 FROM vector JOIN near_rowids n ON n.rowid=vector.id WHERE vector.id=?"
        if not all(list(db.execute(indexed, (i,))) for i in here):
            faults.append(f"{source}: a vector is lost")
    if list(db.execute("PRAGMA integrity_check")) != [("ok",)]:
        faults.append("the file is damaged")
    db.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)")
    count = sum(map(len, there.values()))
    store.close()
    return count, faults


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
