"""python -m tests.crash --processes 200 --kills 300: kills the daemon until all processes ended."""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.crash.daemon import STEPS
from tests.crash.ledger import lines

from oros.abi.errors import OrosError
from oros.sdk.client import Client

ROOT = Path(__file__).resolve().parent.parent.parent


class Film:
    """One crash run: a home, a ledger, and a daemon that is started again after each death."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.home, self.ledger = folder / "home", folder / "ledger"
        self.ledger.mkdir()
        self.chance = random.Random(seed)
        self.starts = self.own_deaths = self.kills = 0
        self.questions: Counter[tuple[int, str]] = Counter()
        self.daemon: subprocess.Popen | None = None
        self.log = (folder / "log").open("wb")

    def start(self, probability: float) -> Client:
        self.starts += 1
        command = [sys.executable, "-m", "tests.crash.daemon", str(self.home), str(self.ledger)]
        command += [str(self.chance.randrange(1 << 30)), str(probability)]
        self.daemon = subprocess.Popen(command, cwd=ROOT, stderr=self.log, stdin=subprocess.DEVNULL)
        client = Client(self.home)
        for _ in range(2000):
            try:
                client.status()
                return client
            except OrosError:
                if self.daemon.poll() is not None:
                    return client
                time.sleep(0.005)
        raise SystemExit("the daemon does not answer")

    def kill(self) -> None:
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGKILL)
            self.kills += 1
        else:
            self.own_deaths += 1
        self.daemon.wait()

    def answer_doubts(self, client: Client) -> int:
        """The attentive person looks at the ledger and says what is true; how many are alive."""
        rows = client.call("list", path="/proc", limit=100000)["value"]["entries"]
        alive = [r for r in rows if r["pid"] > 1 and r["state"] not in ("zombie", "reaped")]
        doubts = [r for r in alive if r["state"] == "waiting" and r["on"] == "person"]
        paid = {line["key"] for line in lines(self.ledger / "pay.jsonl")}
        for row in doubts:
            entered = [f for f in client.history(row["pid"]) if f["kind"] == "call_entered"][-1]
            happened = entered["event"]["key"] in paid
            self.questions[row["pid"], entered["event"]["id"]] += 1
            client.call("send", pid=row["pid"], text="yes" if happened else "no")
        return len(alive)


def run(processes: int, kills: int, seed: int, folder: Path) -> dict[str, float]:
    film = Film(folder, seed)
    began = time.monotonic()
    client = film.start(0.0)
    for n in range(processes):
        client.call(
            "spawn", goal=f"job {n}: note each step, pay each step", program="crash", nice=1
        )
    alive = processes
    while alive:
        film.kill()
        last = film.kills + film.own_deaths >= kills
        client = film.start(0.0 if last else film.chance.choice((0.0, 0.002, 0.01)))
        until = time.monotonic() + (600.0 if last else film.chance.uniform(0.05, 0.5))
        with suppress(OrosError):
            while alive and time.monotonic() < until:
                alive = film.answer_doubts(client)
                time.sleep(0.02)
    found = check(film, client, processes)
    film.daemon.terminate()
    film.daemon.wait()
    return found | {"seconds": round(time.monotonic() - began, 1)}


def check(film: Film, client: Client, processes: int) -> dict[str, float]:
    notes = Counter((x["pid"], x["step"]) for x in lines(film.ledger / "note.jsonl"))
    pays = Counter((x["pid"], x["step"]) for x in lines(film.ledger / "pay.jsonl"))
    idempotent = processes * STEPS.count("note")
    once = processes * STEPS.count("pay")
    ended = asked = 0
    for pid in range(2, processes + 2):
        facts = client.history(pid)
        ended += facts[-2]["kind"] == "exited" and facts[-2]["event"].get("status") == 0
        asked += sum(f["kind"] == "doubted" for f in facts)
    assert ended == processes, f"{ended} of {processes} ended"
    assert (len(notes), max(notes.values())) == (idempotent, 1), "an idempotent effect"
    assert (len(pays), max(pays.values())) == (once, 1), "a once effect was lost or done twice"
    assert max(film.questions.values(), default=1) == 1, "a question was asked twice"
    return {
        "processes": processes,
        "kills": film.kills,
        "deaths at fault points": film.own_deaths,
        "idempotent effects, each once": len(notes),
        "once effects, each once": len(pays),
        "questions": asked,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oros-crash-") as found:
        result = run(options.processes, options.kills, options.seed, Path(found))
    for name, value in result.items():
        print(f"{name:32} {value}")
