"""The desk behind the doors: what a key opens, one request after another, whatever the dialect."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from oros.abi.errors import Busy, Invalid, NoDevice, OrosError, Unsupported
from oros.abi.events import Exited, Reaped, Spawned
from oros.abi.grants import NO_LIMITS, Limits, Usage
from oros.abi.ids import Pid
from oros.abi.manifest import Program
from oros.abi.ports import Embedder, ModelInfo
from oros.kernel.machine import Machine
from oros.kernel.process import Process
from oros.paging.context import size
from oros.scheduling import needs
from oros.services.doors import attached, jobs
from oros.services.doors.earlier import gone_on
from oros.services.doors.fit import labelled
from oros.services.doors.keys import Asker, Key, Keys
from oros.services.doors.think import DOOR, think
from oros.services.doors.wanted import Begun, Said, Tell, Wanted
from oros.services.files.folder import Texts
from oros.services.hub import Hub

MOST = 64
"""Requests of one key at a time."""
TEXTS = 2048
"""Texts in one request for vectors."""
OFFERED = ("steps", "code")
"""Shapes of programs that can be asked as a model."""

Names = Callable[[], Mapping[str, Sequence[str]]]
"""The names of models that can be asked now, with the models that each is a name for, in full."""

Programs = Callable[[], Iterable[Program]]
"""The programs there are now: the machine's, and the person's own."""


class Desk:
    """What the doors ask of the machine."""

    def __init__(
        self,
        machine: Machine,
        keys: Keys,
        hub: Hub,
        names: Names,
        programs: Programs,
        embedder: Embedder | None,
        texts: Texts | None = None,
    ) -> None:
        """`texts` makes text of the files that come with a request."""
        self.keys = keys
        self._m, self._hub, self._embedder = machine, hub, embedder
        self._names, self._programs, self._texts = names, programs, texts
        self._open: Counter[Pid] = Counter()

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self._m.world.clock.wall()

    def models(self, key: Key) -> list[str]:
        """The names that a key may ask, programs too."""
        found = [n for n in self._names() if key.gives(n)]
        there = self._programs() if key.apps else ()  # files are read for it
        programs = [p.name for p in there if p.shape in OFFERED and not p.standing]
        return found + [f"{jobs.PREFIX}{p}" for p in programs if key.runs(p)]

    def limits(self, key: Key) -> Limits:
        """What binds all that is done for a request: the models that the key names, and no others.

        A name that stands for several models, such as an alias, opens them all.
        """
        if "*" in key.models:
            return NO_LIMITS
        means = (full for name, full in self._names().items() if key.gives(name))
        return Limits(models=(*key.models, *dict.fromkeys(x for full in means for x in full)))

    async def answer(self, secret: str, wanted: Wanted, tell: Tell) -> None:
        """Answer a request; see `think` and `work`. Raises: what they do, NotAuthorized, Busy.

        NoDevice says which names the key opens, and nothing of others.
        """
        key, row = self.keys.of(secret)
        with self._counted(key):
            self._check(key, wanted.model)
            asker = Asker(key, row, self.limits(key))
            wanted = replace(wanted, messages=labelled(wanted.messages, key.label))
            if wanted.after is not None:
                wanted = await gone_on(self._m, asker, wanted, wanted.after)
            if not wanted.messages:
                tell([Begun(row.pid, self.now), Said()])
            elif wanted.model.startswith(jobs.PREFIX):
                model = self._model(asker, wanted.model)
                await jobs.work(self._m, self._hub, asker, model, wanted, tell)
            else:
                await think(self._m, asker, await attached.read(self._texts, wanted), tell)

    def _model(self, who: Asker, asked: str) -> str:
        """The model that a program of a key begins on, by name: one that has what it needs.

        The key's, else the first that it opens; a key that opens all has what the machine gives.
        Raises: NoDevice; Unsupported, with what is lacking; what `World.program` raises.
        """
        world, name, lacking = self._m.world, asked.removeprefix(jobs.PREFIX), ""
        if who.limits.models is None:
            model = world.model(who.row.model)
            return world.suited(model, world.program(name, model), "").info.name
        for each in (who.row.model, *self._names()):
            with suppress(OrosError):
                model = world.model(each)
                if who.limits.opens(model.info.name):
                    missing = needs.lacks(model.info, world.program(name, model))
                    if not missing:
                        return each
                    lacking = lacking or f"{', '.join(missing)}, and {model.info.name} has not"
        if lacking:
            raise Unsupported(f"{name} needs {lacking}", "nor has another model of this key")
        raise NoDevice(f"the key {who.key.name} opens no model that a program could use")

    def info(self, secret: str, name: str) -> ModelInfo:
        """What a model of a key is and can; a program has the window of its model.

        Raises: NotAuthorized, and as `_model` does.
        """
        key, row = self.keys.of(secret)
        self._check(key, name)
        if not name.startswith(jobs.PREFIX):
            return self._m.world.model(name).info
        model = self._model(Asker(key, row, self.limits(key)), name)
        return ModelInfo(name, self._m.world.model(model).info.window)

    def _check(self, key: Key, name: str) -> None:
        """Raises: NoDevice, if a key opens no model of a name."""
        there = self.models(key)
        if name not in there and not self._known(key, name):
            hint = f"models: {' '.join(there) or 'none'}"
            raise NoDevice(f"this key opens no model {name!r}", hint)

    def _known(self, key: Key, name: str) -> bool:
        """Whether a name that is not listed means a model that the key opens."""
        if not name or name.startswith(jobs.PREFIX):
            return False
        try:
            return key.gives(name, self._m.world.model(name).info.name)
        except NoDevice:
            return False

    @contextmanager
    def _counted(self, key: Key) -> Iterator[None]:
        if self._open[key.pid] >= MOST:
            raise Busy(f"the key {key.name} has {MOST} requests open", retry_after=1.0)
        self._open[key.pid] += 1
        try:
            yield
        finally:
            self._open[key.pid] -= 1

    async def vectors(
        self, secret: str, model: str, texts: Sequence[str]
    ) -> tuple[str, list[bytes], Usage]:
        """Who made them, a vector for each text (float32, little-endian), and what it cost.

        Raises: NotAuthorized, Busy, NoDevice, Invalid, OverBudget, what the embedder raises.
        """
        key, row = self.keys.of(secret)
        embedder = self._embedder
        if embedder is None:
            raise NoDevice("nothing here makes vectors", "oros models pull embed/minilm")
        if model not in ("", "embed", embedder.name) or not key.gives(embedder.name, "embed"):
            raise NoDevice(f"this key opens no model {model!r} for vectors", "models: embed")
        if not 0 < len(texts) <= TEXTS:
            raise Invalid(f"input has 1 to {TEXTS} texts")
        used = Usage(int(sum(map(size, texts))) + 1, micros=0, calls=1)
        with self._counted(key):
            self._m.accounts.hold(row, used)
            try:
                found = await embedder.embed(texts)
            finally:
                self._m.accounts.release(row, used)
            await self._booked(key, row, embedder.name, len(texts), used)
        return embedder.name, found, used

    async def _booked(self, key: Key, row: Process, model: str, count: int, used: Usage) -> None:
        """A request that is over at once, as a process that began and ended."""
        m, process = self._m, Process(self._m.new_pid())
        event = Spawned(
            row.pid, DOOR, f"vectors of {count} texts", model, row.nice, NO_LIMITS, (),
            process.pid, row.accounts, key.label,
        )  # fmt: skip
        m.accounts.charge(row, used)
        done = Exited(0, "", "", key.label, used)

        def gone() -> None:
            m.accounts.enter(process)
            m.retire(process)

        await m.journal.sync(
            (process, event), (process, done), (process, Reaped(row.pid)), after=[gone]
        )
