"""Recordings: what is said in them is text with its time, under the label of the file."""

import asyncio
import importlib.util
import json
import random
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.waits import until

from oros.abi.errors import OrosError
from oros.abi.jobs import Job, JobResult, Report
from oros.abi.labels import Integrity, Label
from oros.sdk.address import home_of
from oros.services.files import marks
from oros.services.index import extract
from oros.services.index.documents import joined
from oros.services.index.inside import speech
from oros.services.index.inside.page import Page, Read
from oros.services.weights.catalog import EARS
from oros.services.weights.pull import first_of, pull_all

HERE = Path(__file__).parents[2] / "data/speech.ogg"
WEB = Label(Integrity.THIRD, None, frozenset({"web:x.example"}))
EXTRA = importlib.util.find_spec("faster_whisper") is not None
SAID = "ask not what your country can do for you"
TINY = EARS[1]


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of the small model, fetched once; where no source answers tests are skipped."""
    if not EXTRA:
        pytest.skip("the extra `speech` is not installed")
    folder = home_of() / "models"
    try:
        asyncio.run(pull_all(TINY, folder, lambda _: None))
    except OrosError as e:
        pytest.skip(f"no weights: {e}")
    return folder


@pytest.fixture
def ear(house, weights):
    """The house with ears."""
    house.reader._ear = lambda: first_of((TINY,), weights)
    return house


def recorded(path: Path, label: Label | None = None, cut: int | None = None) -> None:
    path.write_bytes(HERE.read_bytes()[:cut])
    if label is not None:
        marks.put(path, label)


def sound(path: Path, samples: bytes) -> None:
    """Samples of 16 bits and 16 kHz as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples)


def spoken(seconds: float) -> bytes:
    """The recording, again and again with pauses, as samples of 16 kHz."""
    import numpy as np
    from faster_whisper import decode_audio

    one = (decode_audio(str(HERE)) * 32767).astype(np.int16).tobytes() + bytes(2 * 16_000 * 2)
    return (one * (int(seconds / 13) + 1))[: int(seconds * 32_000)]


def coded(path: Path, samples: bytes, codec: str, rate: int = 16_000) -> None:
    """Samples of 16 bits and 16 kHz as a file of another format."""
    import av

    plain = path.with_suffix(".wav")
    sound(plain, samples)
    with av.open(str(plain)) as source, av.open(str(path), "w") as made:
        stream = made.add_stream(codec, rate=rate, layout="mono")
        for frame in [*source.decode(audio=0), None]:
            for packet in stream.encode(frame):
                made.mux(packet)
    plain.unlink()


def film(path: Path) -> None:
    """Pictures that move, without a sound."""
    import av

    with av.open(str(path), "w") as made:
        stream = made.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frames = [av.VideoFrame(64, 64, "yuv420p") for _ in range(5)]
        for frame in [*frames, None]:
            for packet in stream.encode(frame):
                made.mux(packet)


@pytest.mark.timeout(300)
def test_a_recording_is_text_with_its_time_and_its_label(ear):
    recorded(ear.top / "voice.ogg", WEB)
    (ear.top / "mine.txt").write_text("my own note")
    status = ear.index()
    assert (status["failed"], status["notes"]) == (0, []), status
    rows = {k.source: k for k in ear.store.rows(ear.indexer.scope)}
    assert SAID in rows["voice.ogg"].row.text
    assert rows["voice.ogg"].row.place == "0:00-0:10"
    assert "web:x.example" in rows["voice.ogg"].row.label.origins
    assert rows["voice.ogg"].row.label.integrity is Integrity.THIRD
    assert "web:x.example" not in rows["mine.txt"].row.label.origins

    (hit,) = ear.search(SAID, limit=1)
    assert (hit["path"], hit["place"], hit["score"]) == ("voice.ogg", "0:00-0:10", 1.0)
    (hit,) = ear.search("what did the speaker say to his fellow Americans", limit=1)
    assert hit["path"] == "voice.ogg"
    assert "web:x.example" in ear.label(SAID).origins

    whole = ear.read("voice.ogg")
    assert whole.value["document"] == "recording"
    assert whole.parts[0].text.startswith("[0:00-0:10]\nAnd so my fellow Americans")
    assert (whole.label.integrity, whole.value["next"]) == (Integrity.THIRD, None)
    assert "web:x.example" in whole.label.origins
    assert ear.reader.runs == 2  # the note, the recording; what was read came from the cache


@pytest.mark.timeout(300)
def test_sound_that_is_broken_silent_or_no_sound_has_a_line_each(ear):
    top = ear.top
    (top / "empty.mp3").touch()
    (top / "text.mp3").write_text("this is only text\n" * 99)
    (top / "random.wav").write_bytes(random.Random(1).randbytes(9000))
    sound(top / "header.wav", b"")
    film(top / "film.mp4")
    sound(top / "silence.wav", bytes(32_000 * 400))
    sound(top / "noise.wav", random.Random(2).randbytes(32_000 * 20))
    recorded(top / "cut.ogg", cut=15_000)
    recorded(top / "an-ogg.mp3")
    recorded(top / "an-ogg.txt")
    status = ear.index()
    assert dict(line.split(": ", 1) for line in status["failures"]) == {
        "empty.mp3": "it is empty",
        "text.mp3": "it is damaged, or not what its name says",
        "random.wav": "it is damaged, or not what its name says",
        "header.wav": "it is damaged, or holds no sound",
        "film.mp4": "it has no sound track",
    }
    nothing = {f"{n}.wav: {speech.SILENT}" for n in ("silence", "noise")}
    assert nothing <= set(status["notes"])
    texts = {source: text for source, _, text in ear.rows()}
    assert set(texts) == {"cut.ogg", "an-ogg.mp3", "an-ogg.txt"}
    assert "fellow Americans" in texts["cut.ogg"]
    assert SAID in texts["an-ogg.txt"] == texts["an-ogg.mp3"]


@pytest.mark.timeout(300)
def test_a_recording_that_breaks_off_says_where(ear):
    cut = ear.top / "cut.flac"
    coded(cut, spoken(12), "flac")
    raw = cut.read_bytes()
    cut.write_bytes(raw[: len(raw) // 2])
    status = ear.index()
    (note,) = status["notes"]
    assert note.startswith("cut.flac: it breaks off after 0:0")
    assert {source for source, *_ in ear.rows()} == {"cut.flac"}


FORMATS = {"a.mp3": "libmp3lame", "a.flac": "flac", "a.m4a": "aac", "a.opus": "libopus",
           "a.webm": "libopus", "a.mka": "flac", "a.aiff": "pcm_s16be"}  # fmt: skip


@pytest.mark.timeout(300)
def test_all_common_formats_are_heard(ear):
    for name, codec in FORMATS.items():
        coded(ear.top / name, spoken(11), codec, 48_000 if codec == "libopus" else 16_000)
    sound(ear.top / "a.wav", spoken(11))
    (ear.top / "a.bin").write_bytes((ear.top / "a.webm").read_bytes())  # by what is in it
    status = ear.index()
    assert status["failed"] == 0, status
    said = {source for source, _, text in ear.rows() if "fellow Americans" in text}
    assert said == {*FORMATS, "a.wav", "a.bin"}
    assert SAID in ear.read("a.m4a").parts[0].text


@pytest.mark.timeout(300)
def test_a_long_recording_is_heard_on_as_it_is_read(ear, monkeypatch):
    """Whoever reads waits for a step, not for an hour; together the steps are the whole."""
    monkeypatch.setattr("oros.services.index.documents.BRIEF", 0.0)
    monkeypatch.setattr("oros.services.index.documents.HEARING", 0.0)
    sound(ear.top / "long.wav", spoken(40))
    first = ear.read("long.wav")
    assert "read on for the rest" in first.value["note"]
    assert first.value["next"] == first.value["size"]
    at, texts = 0, []
    while at is not None:
        part = ear.read("long.wav", at)
        texts.append(part.parts[0].text)
        at = part.value["next"]
    text = "".join(texts)
    assert ear.reader.runs > 2
    assert "note" not in part.value
    assert text.count("fellow") == 3
    assert "-0:38]" in text or "-0:39]" in text or "-0:40]" in text
    ran = ear.reader.runs
    status = ear.index()
    assert (status["done"], status["failed"], status["notes"]) == (1, 0, [])
    assert ear.reader.runs == ran  # it had been heard
    assert ear.read("long.wav").parts[0].text == text


@pytest.mark.timeout(300)
def test_an_index_goes_on_where_a_reader_stopped(ear, monkeypatch):
    monkeypatch.setattr("oros.services.index.documents.BRIEF", 0.0)
    sound(ear.top / "long.wav", spoken(60))
    head = ear.read("long.wav").parts[0].text
    status = ear.index()
    assert status["failed"] == 0, status
    whole = ear.read("long.wav")
    assert whole.parts[0].text.startswith(head)
    assert len(whole.parts[0].text) > len(head)
    assert whole.value["next"] is None
    places = [place for _, place, _ in ear.rows()]
    assert places == sorted(places)


def test_without_ears_one_line_says_so(house):
    for n in range(7):
        recorded(house.top / f"{n}.ogg")
        with (house.top / f"{n}.ogg").open("ab") as file:
            file.write(bytes([n]))
    status = house.index()
    assert status["failures"] == [f"0.ogg and 6 others: {speech.NEEDS}"]
    assert house.read("1.ogg").value["why"] == speech.NEEDS


@pytest.mark.timeout(300)
def test_they_are_heard_when_the_weights_have_come(house, weights):
    recorded(house.top / "a.ogg")
    (house.top / "b.txt").write_text("a note")
    assert house.index()["failures"] == [f"a.ogg: {speech.NEEDS}"]
    ran = house.reader.runs
    house.reader._ear = lambda: first_of((TINY,), weights)
    assert house.index()["failed"] == 0
    assert {source for source, *_ in house.rows()} == {"a.ogg", "b.txt"}
    assert house.reader.runs == ran + 1  # the note was not read again


def test_damaged_weights_are_named(house, weights, tmp_path):
    files = {name: tmp_path / path.name for name, path in first_of((TINY,), weights).items()}
    for path in files.values():
        path.write_bytes(b"{}")
    house.reader._ear = lambda: files
    recorded(house.top / "a.ogg")
    (line,) = house.index()["failures"]
    assert line == "a.ogg: the model of speech is damaged: oros models pull ear/whisper-base"


class Slow:
    """A sandbox whose worker hears a recording in steps, and may lie about how far it came."""

    def __init__(self, steps: list[object]) -> None:
        self.steps, self.starts = steps, list[float]()

    async def probe(self) -> Report:
        return Report("slow", "0", works=True)

    def python(self) -> tuple[str, ...]:
        return ("python3",)

    async def run(self, job: Job) -> JobResult:
        (name,) = json.loads(job.stdin)
        self.starts.append(json.loads(job.env[speech.GIVEN])["starts"].get(name, 0.0))
        step = self.steps[min(len(self.starts), len(self.steps)) - 1]
        said = {"error": step} if isinstance(step, str) else {"upto": step}
        pages = [[f"step {len(self.starts)}", f"0:0{len(self.starts)}", 0, "text"]]
        line = {"file": name, "kind": "recording", "pages": pages, "note": "", **said}
        return JobResult(0, None, json.dumps(line).encode(), b"")


@pytest.mark.parametrize(
    ("steps", "starts", "note"),
    [
        ([40.0, 80.0, 0.0], [0.0, 40.0, 80.0], ""),
        ([40.0, 40.0], [0.0, 40.0], ""),  # no step on
        ([40.0, 20.0], [0.0, 40.0], ""),  # back
        ([float("inf")], [0.0], ""),
        ([float("nan")], [0.0], ""),
        (["80"], [0.0], None),
        ([40.0, "its parser breaks down over it"], [0.0, 40.0],
         "only its first 0:40 were heard: its parser breaks down over it"),
    ],
)  # fmt: skip
def test_steps_end(house, steps, starts, note):
    slow = Slow(steps)
    house.reader._sandbox, house.reader._python = slow, slow.python
    recorded(house.top / "a.ogg")
    status = house.index()
    assert status["state"] == "ready"
    assert slow.starts == starts
    if note is None:
        assert status["failures"] == ["a.ogg: 80"]
    else:
        assert status["notes"] == ([f"a.ogg: {note}"] if note else [])
        heard = sum(not isinstance(s, str) for s in steps)
        assert [text for *_, text in house.rows()] == [f"step {n}" for n in range(1, heard + 1)]


def test_documents_come_before_recordings(house, monkeypatch):
    """And a recording that is heard keeps no worker from documents."""
    order = list[str]()
    read = house.reader.read

    async def told(folder, names, ear):
        order.extend(names)
        return await read(folder, names, ear)

    monkeypatch.setattr(house.reader, "read", told)
    recorded(house.top / "a.ogg")
    (house.top / "b.txt").write_text("a note")
    house.index()
    assert [n.rpartition(".")[2] for n in order] == ["txt", "ogg"]


def test_what_changes_meanwhile_goes_before_the_other_recordings(house, monkeypatch):
    order, read = list[str](), house.reader.read

    async def told(folder, names, ear):
        if not order:
            (house.top / "new.txt").write_text("a new note")
            house.indexer.touch(["new.txt"])
        order.extend(n.rpartition(".")[2] for n in names)
        return await read(folder, names, ear)

    monkeypatch.setattr(house.reader, "read", told)
    for n in range(6):
        recorded(house.top / f"{n}.ogg")
        with (house.top / f"{n}.ogg").open("ab") as file:
            file.write(bytes([n]))

    async def main() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(house.indexer.keep())
            await until(lambda: house.indexer.status()["state"] == "ready")
            task.cancel()

    asyncio.run(main())
    assert order == ["ogg"] * 4 + ["txt"] + ["ogg"] * 2
    assert (house.indexer.status()["done"], house.indexer.status()["failed"]) == (1, 6)


def test_notes_are_joined_once():
    had = Read("recording", (), speech.SILENT, 40.0)
    new = Read("recording", (Page("words", "0:41-0:50"),), "a; b")
    assert joined(had, new) == Read("recording", new.pages, "a; b")
    assert joined(had, Read("recording", (), speech.SILENT)).note == speech.SILENT


@given(st.text("abcdef ", min_size=1, max_size=12), st.integers(20, 60))
def test_a_loop_of_words_is_no_speech(words, times):
    assert speech.repeated((words + " and ") * times)


@pytest.mark.parametrize("text", ["", "no no no", f"And so, my fellow Americans, {SAID}, {SAID}."])
def test_what_is_said_again_is_speech(text):
    assert not speech.repeated(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65.9, "1:05"), (3600, "1:00:00"), (7265, "2:01:05")]
)
def test_clock(seconds, text):
    assert speech.clock(seconds) == text


def test_the_version_tells_what_can_be_heard(house, monkeypatch):
    monkeypatch.setattr(extract, "find_spec", lambda name: name == "faster_whisper")
    assert house.reader.version == ""
    house.reader._ear = lambda: {"model.bin": Path("/x/0123456789.bin")}
    assert house.reader.version == house.reader.reads("ogg") == "whisper:01234567"
    assert house.reader.reads("pdf") == ""
