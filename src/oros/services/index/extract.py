"""Files to pages of text, by a worker in the sandbox: nothing here looks into a document.

A batch is one program. When it dies, the file that it had in hand is tried once more alone; dies it
again, that file is marked, and no other waits for it. Its answers are data of a third party, and
are checked as such.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import oros
from oros.abi.jobs import Bind, Job, JobResult
from oros.abi.ports import Sandbox
from oros.services.index.inside import speech
from oros.services.index.inside.page import Page, Read, Shape

SECONDS, ALONE = 120.0, 300.0
"""Of a batch; of a file by itself."""
HEARING, BRIEF = 90.0, 35.0
"""That a recording is heard at once for an index; for somebody who waits. Then it goes on."""
MEMORY = 2 << 30
OUTPUT = 64 << 20
HELD = 16 << 20
"""Characters of text that are held at once; the next call has the rest."""
PLACE = 200
SHAPES = frozenset({"text", "cells", "rows"})
WEIGHTS = "/weights"
LIBRARIES = "kreuzberg", "trafilatura", "rapidocr"

Answer = Read | str
"""Pages, or the one line that says why there are none."""


class Reader:
    """Reads files that lie in a folder of their own, under names that are ours."""

    def __init__(
        self, sandbox: Sandbox, python: Callable[[], Sequence[str]],
        ear: Callable[[], Mapping[str, Path]] = dict,
    ) -> None:  # fmt: skip
        """`python`: how the interpreter is called inside, once the sandbox was probed.

        `ear`: the files of the model of speech that is here, by name, all in one folder; or none.
        """
        self._sandbox = sandbox
        self._python = python
        self._ear = ear
        self.runs = 0

    @property
    def version(self) -> str:
        """Changes when more kinds of files can be read than before."""
        return ",".join(n for n in (self.reads(""), self.reads("wav")) if n)

    def reads(self, ending: str) -> str:
        """What files of an ending are read with."""
        if ending not in speech.ENDINGS:
            return ",".join(n for n in LIBRARIES if find_spec(n))
        files = self._ear() if find_spec("faster_whisper") else {}
        return f"whisper:{files['model.bin'].stem[:8]}" if files else ""

    def _files(self) -> dict[str, str]:
        return {name: f"{WEIGHTS}/{place.name}" for name, place in self._ear().items()}

    async def read(
        self, folder: Path, names: Sequence[str], ear: speech.Ear | None = None
    ) -> dict[str, Answer]:
        """Answers for some of the names, one at least: for all if they are not too much to hold.

        `ear`: how recordings are heard.
        Raises: NotEnforced, DeviceFailed of the sandbox.
        """
        ear = replace(ear or speech.Ear(HEARING), files=self._files())
        await self._sandbox.probe()
        done = dict[str, Answer]()
        todo, suspects = list(names), list[str]()
        while (todo or suspects) and _size(done) < HELD:
            batch = todo or suspects[:1]
            result = await self._sandbox.run(self._job(folder, batch, ear, alone=not todo))
            self.runs += 1
            answers, begun = _heard(result.out, frozenset(batch))
            done |= answers
            rest = [n for n in batch if n not in answers]
            if not todo:
                for name in rest:
                    done[name] = _death(result)
                suspects = suspects[1:]
            elif rest and (len(rest) == len(batch) or not _whole(result)):
                culprit = begun if begun in rest else rest[0]
                suspects.append(culprit)
                todo = [n for n in rest if n != culprit]
            else:
                todo = rest
            if done and any(map(sounds, names)):
                break  # minutes of work: they are kept before there are more
        return done

    def _job(self, folder: Path, names: Sequence[str], ear: speech.Ear, *, alone: bool) -> Job:
        code = Path(oros.__file__).parent
        binds = [Bind(str(folder), "/in", "r"), Bind(str(code), "/code/oros", "r")]
        path = ["/code"]
        spec = find_spec("kreuzberg") or find_spec("rapidocr") or find_spec("faster_whisper")
        if spec is not None and spec.origin is not None:
            binds.append(Bind(str(Path(spec.origin).parents[1]), "/packages", "r"))
            path.append("/packages")
        seconds = ALONE if alone else SECONDS
        if any(map(sounds, names)):
            seconds += ear.seconds
            binds += [Bind(f, WEIGHTS, "r") for f in {str(p.parent) for p in self._ear().values()}]
        return Job(
            (*self._python(), "-m", "oros.services.index.inside"),
            tuple(binds), "/in", json.dumps(list(names)).encode(),
            {"PYTHONPATH": ":".join(path), "OMP_NUM_THREADS": "2", "RAYON_NUM_THREADS": "2",
             speech.GIVEN: ear.told()},
            seconds=seconds, cpu=2 * seconds, memory=MEMORY, output=OUTPUT, flood=2 * OUTPUT,
        )  # fmt: skip


def sounds(name: str) -> bool:
    """Whether a file, by its name on the stage, is a recording."""
    return name.rpartition(".")[2] in speech.ENDINGS


def _size(done: dict[str, Answer]) -> int:
    return sum(len(p.text) for a in done.values() if isinstance(a, Read) for p in a.pages)


def _whole(result: JobResult) -> bool:
    return result.exit == 0 and result.ended == "self" and not result.cut_out


def _death(result: JobResult) -> str:
    if result.ended == "time":
        return f"it takes longer than {ALONE:.0f} s to read"
    if result.ended == "flood" or result.cut_out:
        return "it gives too much text"
    if result.signal == 9 or b"MemoryError" in result.err:
        return "it takes too much memory to read"
    return "its parser breaks down over it"


def _heard(out: bytes, names: frozenset[str]) -> tuple[dict[str, Answer], str]:
    """What a worker said of these files, and the last that it began."""
    answers, begun = dict[str, Answer](), ""
    for line in out.split(b"\n"):
        try:
            said = json.loads(line) if line else None
        except (ValueError, RecursionError):
            continue
        if not isinstance(said, dict):
            continue
        if said.get("begin") in names:
            begun = said["begin"]
        elif said.get("file") in names:
            answers.setdefault(said["file"], _answer(said))
    return answers, begun


def _answer(said: dict[str, Any]) -> Answer:
    if "error" in said:
        return _line(said["error"])
    pages = said.get("pages")
    kind, note = _line(said.get("kind")), _line(said.get("note"))
    made = tuple(_pages(pages if isinstance(pages, list) else []))
    upto = said.get("upto")
    far = upto if isinstance(upto, float) and 0 < upto <= speech.MOST else 0.0
    return Read(kind, made, note, far)


def _pages(found: Sequence[Any]) -> Iterator[Page]:
    for item in found:
        if not isinstance(item, list) or len(item) != 4:
            continue
        text, place, line, shape = item
        if isinstance(text, str) and isinstance(line, int) and shape in SHAPES:
            clean = text.encode("utf-8", "replace").decode().replace("\0", "␀")
            yield Page(clean, _line(place), max(0, line), cast("Shape", shape))


def _line(value: object) -> str:
    """A text of the worker, on one line that can be shown."""
    text = "".join(c if c.isprintable() else " " for c in str(value or "")[:PLACE])
    return " ".join(text.split())
