"""A folder to serve, and a place for its labels."""

from pathlib import Path

import pytest

from oros.abi.labels import USER
from oros.abi.ports import Caller
from oros.services.files import resolve
from oros.services.files.folder import Folder


class Shelf(dict):
    """Settings in memory."""

    def get_setting(self, name: str) -> str | None:
        return self.get(name)

    def put_setting(self, name: str, value: str) -> None:
        self[name] = value


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    (tmp_path / "canary").write_text("CANARY")
    return made


@pytest.fixture
def folder(work: Path, shelf: Shelf) -> Folder:
    return Folder(work, shelf)


@pytest.fixture
def user() -> Caller:
    return Caller(7, "k", USER)


@pytest.fixture(params=["openat2", "components"])
def way(request, monkeypatch) -> str:
    """Both ways to open beneath the root."""
    if request.param == "components":
        monkeypatch.setattr(resolve, "_has_openat2", lambda: False)
    else:
        assert resolve._has_openat2()
    return request.param
