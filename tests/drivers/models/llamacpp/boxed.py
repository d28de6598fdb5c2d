"""The model in the box as a stage of the suite: weights for each turn, the real worker, its socket.

What is said there is written into weights (`script.py`); what a driver told is read off the line
that goes to the worker. Faults are those of a process: it stops, it dies, it never ends.
"""

import asyncio
import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

from tests.drivers.models.llamacpp.script import Step, write
from tests.drivers.models.served import Call, Fault, Heard, Request, Spoken, Turn

from oros.abi.ports import ModelInfo, TextDelta
from oros.drivers.models.constrained import ConstrainedModel
from oros.drivers.models.llamacpp.driver import LlamaCppModel

CANS = frozenset({"schema", "grammar", "resume", "cancel", "count"})
WINDOW = 4096
IDLE, STOPPED = 60.0, 1.0
"""Seconds of silence after which the worker is hung: on a busy machine, and if we stopped it."""

SIGNALS = {"hang": signal.SIGSTOP, "stall": signal.SIGSTOP, "drop": signal.SIGKILL}
RESULT = "Result: "


class InTheBox:
    """What there is instead of a dialect. `can`: as that of a `Dialect`."""

    platform = "box"
    kind = ""
    can = CANS


class Worded(LlamaCppModel):
    """The driver; the stage hears what it tells the worker, and writes the weights before."""

    def __init__(self, stage: "Boxed", info: ModelInfo) -> None:
        super().__init__(stage.path, info, idle=IDLE, threads=1)
        self.stage = stage

    async def generate(self, request):
        self._idle = IDLE
        shape = request.schema or {}
        if self.stage.fresh(calls="anyOf" in shape):
            await self.close()
        async with aclosing(super().generate(request)) as batches:
            async for batch in batches:
                yield batch
                if any(isinstance(d, TextDelta) for d in batch):
                    self.befall("stall")

    def _asked(self, body):
        if body["do"] == "generate":
            self.stage.requests.append(Request("", {}, json.dumps(body).encode()))
            self.stage.stats["requests"] += 1
            self.befall("hang", "drop")
        return super()._asked(body)

    def befall(self, *kinds: str) -> None:
        """Let happen to the worker what the stage has for now, if it is one of these."""
        turn = self.stage.turn
        if isinstance(turn, Fault) and turn.kind in kinds:
            self._idle = STOPPED
            self.signal(SIGNALS[turn.kind])

    def signal(self, number: int) -> None:
        """Send the worker a signal."""
        os.kill(self._worker.pid, number)


class Boxed:
    """`async with Boxed(dialect) as stage`: as `Server`, for the worker.

    `window`: of the weights. `scripts` are said instead of `turn`, if there are any: a cue in the
    prompt picks one.
    """

    def __init__(self, dialect: InTheBox) -> None:
        self.dialect = dialect
        self.turn: Turn | Fault = Turn(("hello ", "there"))
        self.cut = 0
        self.window = WINDOW
        self.scripts: tuple[Sequence[Step], ...] = ()
        self.written: object = None
        self.go = asyncio.Event()
        self.requests: list[Request] = []
        self.stats: Counter[str] = Counter()

    async def __aenter__(self) -> "Boxed":
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name, "script.gguf")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._folder.cleanup()

    def make(self, info: ModelInfo, key: object, idle: float) -> ConstrainedModel:
        """The driver as the machine has it: tool calls are made over it."""
        cans = frozenset(c for c in info.cans if c in CANS)
        self.model = Worded(self, replace(info, window=WINDOW, cans=cans))
        return ConstrainedModel(self.model)

    # ---- what it says ----------------------------------------------------------------------------

    def fresh(self, *, calls: bool) -> bool:
        """Write the weights, if they have something else to say by now: under a schema of calls."""
        says = self.scripts, self.turn, self.cut, calls
        if self.written == says:
            return False
        turn, self.written = self.turn, says
        if self.scripts:
            write(self.path, *self.scripts)
        elif isinstance(turn, Fault):
            write(self.path, ("again ",), loops=True, window=self.window)
        else:
            pieces = called(turn) if calls else list(turn.pieces)
            if self.cut:
                pieces = [bytes([n]) for n in "".join(map(str, pieces)).encode()]
            write(self.path, pieces, loops=turn.finish == "length")
        return True

    @property
    def counts(self) -> tuple[int, int]:
        """Tokens of the last prompt, counted by hand, and of the answer with its end."""
        told = [*self.told["turns"], ["assistant", ""]]
        read = sum(3 + len(role) + sum(map(tokens, text)) + 1 for role, text in told) - 2
        return read, len(self.turn.pieces) + 1

    # ---- what it hears ---------------------------------------------------------------------------

    @property
    def told(self) -> dict:
        """What the worker was told last."""
        return json.loads(self.requests[-1].body)

    @property
    def heard(self) -> Heard:
        """The last request: calls are JSON of the assistant's, results are the user's."""
        told, messages, waiting = self.told, [], []
        for role, text in told["turns"]:
            found = Spoken(role, text)
            for line in text.splitlines() if role == "assistant" else ():
                with suppress(ValueError):
                    args = json.loads(line)
                    call = Call(f"c{len(waiting)}", args.pop("call"), json.dumps(args))
                    found.calls.append(call)
                    waiting.append(call.id)
            if role == "user" and text.startswith(RESULT):
                found = Spoken(
                    "tool", text.removeprefix(RESULT), answers=f"c{self.answered(messages)}"
                )
            messages.append(found)
        if told["partial"] is not None:
            messages.append(Spoken("assistant", told["partial"]))
        schema = json.loads(told["schema"]) if told["schema"] else None
        return Heard(self.served, messages, {}, schema, told["limit"])

    def answered(self, messages: list[Spoken]) -> int:
        """How many results there are so far."""
        return sum(bool(m.answers) for m in messages)

    @property
    def served(self) -> str:
        """ "there", if the worker runs these weights."""
        line = Path(f"/proc/{self.model._worker.pid}/cmdline").read_bytes()
        return "there" if str(self.path).encode() in line else ""

    async def until(self, what: str, count: int = 1) -> None:
        """Wait until something was counted: `requests`; `cancelled` is when no answer is made."""
        async with asyncio.timeout(60):
            while self.stats[what] < count:
                if what == "cancelled":
                    self.model._idle = IDLE
                    self.model.signal(signal.SIGCONT)
                    self.stats[what] += not (await self.model.state())["jobs"]
                await asyncio.sleep(0.005)


def called(turn: Turn) -> list[Step]:
    """A turn as the object that is asked for, from its first choice on; of calls, the first."""
    for call in turn.calls:
        return [f'{call.name}", {call.args[1:]}'.replace(", }", "}")]
    first, *more = [json.dumps(p, ensure_ascii=False)[1:-1] for p in turn.pieces] or [""]
    return ['say", "text": "' + first, *more, '"}']


def tokens(character: str) -> int:
    """Tokens of a character: a space has one, others have one a byte."""
    return 1 if character == " " else len(character.encode("utf-8", "replace"))
