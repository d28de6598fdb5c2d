"""The real daemon, with a scripted model, the ledger's tools, and points where it kills itself.

python -m tests.crash.daemon HOME LEDGER SEED PROBABILITY
"""

import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.crash.ledger import tools

from oros.abi.manifest import Program
from oros.abi.message import Ask
from oros.abi.ports import ModelInfo, ModelRequest, ProcessRow, Row
from oros.boot.daemon import Parts, main
from oros.drivers.clock.wall import WallClock
from oros.sdk.testing.scripted import Answer, ScriptedModel

STEPS = ("note", "pay", "note", "pay", "note")


class FaultyStore:
    """The real store, with two points of death: before a commit is queued, after it is done."""

    def __init__(self, store, crash) -> None:
        self._store, self._crash = store, crash

    def append(self, rows: Sequence[Row], processes: Sequence[ProcessRow] = ()):
        self._crash("commit")
        done = self._store.append(rows, processes)
        done.add_done_callback(lambda _: self._crash("committed"))
        return done

    def __getattr__(self, name):
        return getattr(self._store, name)


def script(request: ModelRequest) -> Answer:
    """Five steps, one after another; one that did not happen is asked for anew."""
    done = [m for m in request.messages if m.role == "tool" and "did not happen" not in m.text]
    if len(done) >= len(STEPS):
        return Answer("all five steps are done")
    name = f"k{len(request.messages)}"
    args = {"tool": STEPS[len(done)], "args": {"step": f"{len(done)}"}}
    return Answer("", (Ask(name, "call", args),))


def run(home: str, ledger: str, seed: str, probability: str) -> int:
    chance = random.Random(int(seed))

    def crash(where: str) -> None:
        if chance.random() < float(probability):
            os.kill(os.getpid(), signal.SIGKILL)

    # Slow enough that most lives end amid the work, quick enough that each makes some progress.
    info = ModelInfo("scripted", 32768, 4, frozenset({"tools", "resume"}), (0, 0, 0))
    model = ScriptedModel(script, info, WallClock(), first=0.15)
    program = Program("crash", "five steps", "steps", "Make five steps.", ("call",))
    parts = Parts(
        tools(Path(ledger), crash),
        {"crash": program},
        lambda _: model,
        lambda store: FaultyStore(store, crash),
    )
    return main(Path(home), parts)


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
