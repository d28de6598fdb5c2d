"""Recorded speech to text with its times: Whisper by faster-whisper, 8 bits, on one thread.

A recording is decoded and heard block by block, so that memory does not grow with its length. What
is no speech is not shown to the model, and what it is unsure of is left out: nothing is invented.
"""

import json
import os
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from oros.services.index.inside.page import Page, Read, Unread

KINDS = frozenset({"wav", "mp3", "ogg", "flac", "matroska"})
"""Sound by its first bytes, whatever its name."""
_ENDINGS = """oga opus m4a aac wma aif aiff amr webm weba mka mp4 mkv mov"""
ENDINGS = frozenset(_ENDINGS.split()) | KINDS
MOST = 3 * 3600
"""Seconds of one recording that are heard."""
RATE = 16_000
BLOCK = 120
"""Seconds that are decoded and heard at once."""
PIECE = 30
"""Seconds after which a page ends, at the end of what was being said."""
PAUSE = {"min_silence_duration_ms": 500, "max_speech_duration_s": 30.0}
UNSURE, REPEATS = -1.0, 2.4
"""Whisper's own bounds: of a text's mean log-probability, and of how well it compresses.

The second is taken of one utterance: people say things again, but not within a sentence.
"""
SILENT = "no speech was heard in it"
NEEDS = "a recording needs pip install 'oros[speech]' and oros models pull ear/whisper-base"
GIVEN = "OROS_EAR"
"""The variable that says what this process has: see `Ear`."""
Said = tuple[float, float, str]
"""The seconds at which it begins and ends, and the words."""


@dataclass(frozen=True, slots=True)
class Ear:
    """How recordings are heard.

    `seconds` that one may take; `starts`: the second from which those are heard that were begun, by
    their names; `files` of the model by theirs.
    """

    seconds: float = 0.0
    starts: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def told(self) -> str:
        """As the variable has it."""
        return json.dumps(asdict(self))


@cache
def _model() -> tuple[Any, Ear]:
    """The model, and how it is used. Raises: Unread."""
    ear = Ear(**json.loads(os.environ.get(GIVEN, "{}")))
    try:
        import faster_whisper
    except ImportError as e:
        raise Unread(NEEDS) from e
    if not ear.files:
        raise Unread(NEEDS)
    folder = Path(tempfile.mkdtemp())
    for name, place in ear.files.items():
        (folder / name).symlink_to(place)
    try:
        return faster_whisper.WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        ), ear
    except (RuntimeError, ValueError, OSError) as e:
        raise Unread("the model of speech is damaged: oros models pull ear/whisper-base") from e


def heard(path: Path) -> Read:
    """A recording as text, a page for about half a minute, as far as the time goes. Raises: Unread.

    It goes on from where the ear is told that it was heard to.
    """
    if path.stat().st_size == 0:
        raise Unread("it is empty")
    model, ear = _model()
    until, sound = time.perf_counter() + ear.seconds, Sound(path, ear.starts.get(path.name, 0.0))
    said, upto, unclear = list[Said](), sound.start, False
    for upto, found in _utterances(model, sound):
        text = found.text.strip() if found is not None else ""
        if text and (found.avg_logprob < UNSURE or repeated(text)):
            unclear = True
        elif text:
            said.append((upto - found.end + found.start, upto, text))
        if time.perf_counter() > until:
            break
    else:
        upto = 0.0
    if not sound.length:
        raise Unread("it is damaged, or holds no sound")
    return Read(
        "recording",
        tuple(_pages(said)),
        "; ".join(_notes(sound, said, unclear=unclear)),
        float(upto),
    )


def _utterances(model: Any, sound: "Sound") -> Iterator[tuple[float, Any]]:
    """What is said, with the seconds at which it ends; None at the end of a block."""
    for start, block, talk in sound.blocks():
        if talk:
            found, _ = model.transcribe(
                block, beam_size=1, temperature=0.0, condition_on_previous_text=False,
                vad_filter=True, vad_parameters=PAUSE,
            )  # fmt: skip
            yield from ((start + utterance.end, utterance) for utterance in found)
        yield start + len(block) / RATE, None


def repeated(text: str) -> bool:
    """Whether a text says little at length, as a model that has lost the thread does."""
    raw = text.encode()
    return len(raw) > REPEATS * len(zlib.compress(raw))


def _notes(sound: "Sound", said: "list[Said]", *, unclear: bool) -> Iterator[str]:
    if sound.length >= MOST:
        of = f" of {clock(sound.whole)}" if sound.whole > MOST else ""
        yield f"only its first {clock(MOST)}{of} were heard"
    if sound.broken:
        yield f"it breaks off after {clock(sound.length)}: the rest is damaged"
    if unclear:
        yield "some of it is not clear enough to be written down"
    if not said:
        yield SILENT


def _pages(said: list[Said]) -> Iterator[Page]:
    held = list[Said]()
    for n, segment in enumerate(said):
        held.append(segment)
        if segment[1] - held[0][0] >= PIECE or n == len(said) - 1:
            place = f"{clock(held[0][0])}-{clock(segment[1])}"
            yield Page(" ".join(text for *_, text in held), place)
            held = []


def clock(seconds: float) -> str:
    """A time as players show it: `1:05`, `1:00:05`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Sound:
    """The sound of a file from a second on, decoded bit by bit.

    `length`: seconds of it so far; `whole`: what the file says it has, 0 if it does not.
    `broken`: it can't be decoded to its end.
    """

    def __init__(self, path: Path, start: float = 0.0) -> None:
        self._path, self.start = path, start
        self.length = self.whole = 0.0
        self.broken = False

    def blocks(self) -> Iterator[tuple[float, Any, bool]]:
        """Blocks cut in pauses: the second they start at, samples, whether somebody talks in them.

        Raises: Unread.
        """
        import numpy as np
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        held, start = np.zeros(0, np.float32), int(self.start * RATE)
        for samples in self._decoded(start):
            held = np.concatenate([held, samples.astype(np.float32) / 32768])
            if len(held) < BLOCK * RATE:
                continue
            talk = get_speech_timestamps(held, VadOptions(**PAUSE))
            last = talk[-1]["start"] if talk else len(held)
            cut = last if last > len(held) // 2 else len(held)  # what is being said goes on
            yield start / RATE, held[:cut], bool(talk)
            held, start = held[cut:], start + cut
        if len(held):
            yield start / RATE, held, True

    def _decoded(self, skip: int) -> Iterator[Any]:
        """Samples of 16 bits, some seconds at once, without the first. Raises: Unread."""
        import av
        import numpy as np

        try:
            with av.open(str(self._path), metadata_errors="ignore") as file:
                if not file.streams.audio:
                    raise Unread("it has no sound track")
                self.whole = (file.duration or 0) / av.time_base
                held, size = list[Any](), 0
                for samples in self._resampled(file):
                    self.length += len(samples) / RATE
                    skip, new = max(0, skip - len(samples)), samples[skip:]
                    held.append(new)
                    size += len(new)
                    if size > 10 * RATE:
                        yield np.concatenate(held)
                        held, size = [], 0
                    if self.length >= MOST:
                        break
                if size:
                    yield np.concatenate(held)
        except (av.error.FFmpegError, ValueError, OSError) as e:
            raise Unread("it is damaged, or not what its name says") from e

    def _resampled(self, file: Any) -> Iterator[Any]:
        """The first sound track, to where it can be decoded."""
        import av

        way = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        try:
            for frame in file.decode(audio=0):
                frame.pts = None  # damaged times would be errors
                for part in way.resample(frame):
                    yield part.to_ndarray()[0]
        except (av.error.FFmpegError, ValueError):
            self.broken = True
        with suppress(av.error.FFmpegError, ValueError):
            for part in way.resample(None):
                yield part.to_ndarray()[0]
