"""Recordings through the sandboxed worker: how fast, in what memory, with how many wrong words.

python -m bench.speech [SOUND TEXT]: a recording and what is said in it; by default the one of the
tests. For each model of speech that is on this machine: seconds of work for one of the recording
(the worker's start and the model's loading too), the worker's peak memory, the word error rate.
"""

import asyncio
import re
import sys
import tempfile
import threading
import time
import wave
from contextlib import suppress
from functools import partial
from pathlib import Path

from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.sdk.address import home_of
from oros.services.index.documents import Documents
from oros.services.index.extract import Reader
from oros.services.index.inside.page import Read
from oros.services.index.stage import staged
from oros.services.weights.catalog import EARS
from oros.services.weights.pull import first_of

WORKER = b"oros.services.index.inside"
OWN = Path(__file__).parents[2] / "tests/data/speech.ogg"
SAID = """And so, my fellow Americans, ask not what your country can do for you, ask what you can do
for your country."""


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def errors(said: list[str], heard: list[str]) -> int:
    """The least number of words to put in, leave out or change (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for n, word in enumerate(said, 1):
        last, row[0] = row[0], n
        for m, other in enumerate(heard, 1):
            last, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, last + (word != other))
    return row[-1]


def watch(peaks: list[int], done: threading.Event) -> None:
    """Notes the greatest memory that a worker has had, in kB, until it is done."""
    while not done.wait(0.05):
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, StopIteration):
                words_of = (process / "cmdline").read_bytes().split(b"\0")
                if WORKER in words_of and not words_of[0].endswith(b"bwrap"):
                    lines = (process / "status").read_text().splitlines()
                    peaks.append(int(next(x for x in lines if x.startswith("VmHWM")).split()[1]))


async def hear(sandbox: BwrapSandbox, bundle, path: Path) -> tuple[Read, float, int, int]:
    reader = Reader(sandbox, sandbox.python, partial(first_of, (bundle,), home_of() / "models"))
    with tempfile.TemporaryDirectory() as home:
        documents = Documents(reader, Path(home))
        with staged(documents.place) as stage, path.open("rb") as file:
            name = stage.take(file.fileno(), path.suffix[1:], 1 << 30)
            peaks, done = [0], threading.Event()
            threading.Thread(target=watch, args=(peaks, done)).start()
            began = time.perf_counter()
            answer = (await documents.read(stage, [name]))[name]
            took = time.perf_counter() - began
            done.set()
        documents.close()
    if not isinstance(answer, Read):
        sys.exit(answer)
    return answer, took, reader.runs, max(peaks) >> 10


def length(path: Path) -> float:
    """Seconds of a recording."""
    if path.suffix == ".wav":
        with wave.open(str(path)) as file:
            return file.getnframes() / file.getframerate()
    import av

    with av.open(str(path)) as file:
        return file.duration / av.time_base


def main() -> None:
    path, text = (Path(sys.argv[1]), Path(sys.argv[2]).read_text()) if sys.argv[1:] else (OWN, SAID)
    seconds, said, sandbox = length(path), words(text), BwrapSandbox()
    print(f"{path.name}: {seconds:.0f} s, {len(said)} words")
    for bundle in reversed(EARS):
        if not first_of((bundle,), home_of() / "models"):
            print(f"{bundle.name}: not here (oros models pull {bundle.name})")
            continue
        read, took, runs, peak = asyncio.run(hear(sandbox, bundle, path))
        wrong = errors(said, words(" ".join(p.text for p in read.pages)))
        print(
            f"{bundle.name}: {took / seconds:.3f} s a second ({took:.1f} s, {runs} runs), "
            f"{peak} MB, {wrong} of {len(said)} words wrong ({wrong / len(said):.1%})"
        )
        if read.note:
            print(f"  {read.note}")


if __name__ == "__main__":
    main()
