"""The vault: secrets by name and host, sealed, for their user only; a keyring if there is one."""

import json
import stat
import sys
from types import SimpleNamespace

import pytest

from oros.abi.errors import OrosError
from oros.drivers.egress.netns.policy import normal
from oros.services.secrets import vault as module
from oros.services.secrets.vault import Keyring, SealedFile, Vault

VALUE = "ghp_0123456789abcdef"


class Ring:
    """A keyring in memory, as the library has it."""

    class errors:  # noqa: N801 - as the library has it
        KeyringError = type("KeyringError", (Exception,), {})
        PasswordDeleteError = type("PasswordDeleteError", (KeyringError,), {})

    def __init__(self):
        self.kept, self.locked = {}, False

    def get_password(self, service, name):
        if self.locked:
            raise self.errors.KeyringError("locked")
        return self.kept.get((service, name))

    def set_password(self, service, name, value):
        if self.locked:
            raise self.errors.KeyringError("locked")
        self.kept[service, name] = value

    def delete_password(self, service, name):
        if (service, name) not in self.kept:
            raise self.errors.PasswordDeleteError("none")
        del self.kept[service, name]


def vault(home, keep=SealedFile):
    return Vault(home, normal, keep)


@pytest.mark.parametrize("kind", ["sealed", "ring"])
def test_set_read_replace_remove(tmp_path, kind) -> None:
    ring = Ring()
    keep = SealedFile if kind == "sealed" else (lambda home: Keyring(ring, home))
    made = vault(tmp_path, keep)
    told = made.set("github", ["API.GitHub.com.", "api.github.com"], VALUE)
    assert told["hosts"] == ["api.github.com"]
    again = vault(tmp_path, keep)
    assert again.values("api.github.com") == {"github": VALUE}
    assert again.values("evil.example") == {}
    made.set("github", ["uploads.github.com"], VALUE[::-1])
    assert again.values("api.github.com") == {}
    assert again.values("uploads.github.com") == {"github": VALUE[::-1]}
    made.remove("github")
    assert again.values("uploads.github.com") == {}
    assert again.rows() == []
    with pytest.raises(OrosError, match="there is no secret 'github'"):
        made.remove("github")
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert VALUE.encode() not in path.read_bytes()


BAD = [
    ("GitHub", ["a.example"], VALUE, "no name of a secret"),
    ("github", [], VALUE, "is for a host"),
    ("github", ["no host"], VALUE, "is no host"),
    ("github", ["a.example"], "short", "8 to 16384"),
    ("github", ["a.example"], "with a space", "visible ASCII"),
    ("github", ["a.example"], "line\r\nX: injected", "visible ASCII"),
]


@pytest.mark.parametrize(("name", "hosts", "value", "why"), BAD)
def test_what_is_none_is_refused_and_keeps_nothing(tmp_path, name, hosts, value, why) -> None:
    made = vault(tmp_path)
    with pytest.raises(OrosError, match=why) as caught:
        made.set(name, hosts, value)
    assert value not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_spoilt_files_are_one_clear_error_each(tmp_path) -> None:
    made = vault(tmp_path)
    made.set("github", ["a.example"], VALUE)
    key, sealed = tmp_path / module.KEY, tmp_path / module.SEALED
    good = key.read_bytes()
    key.write_bytes(bytes(32))
    with pytest.raises(OrosError, match="can't be opened"):
        made.values("a.example")
    key.write_bytes(b"short")
    with pytest.raises(OrosError, match="holds no key"):
        made.values("a.example")
    key.write_bytes(good)
    sealed.write_bytes(sealed.read_bytes()[:-1])
    with pytest.raises(OrosError, match="can't be opened"):
        made.values("a.example")
    (tmp_path / module.LIST).write_text(json.dumps({"x": 1}))
    with pytest.raises(OrosError, match="move it away"):
        made.entries()


def test_a_locked_keyring_says_so(tmp_path) -> None:
    ring = Ring()
    made = vault(tmp_path, lambda home: Keyring(ring, home))
    made.set("github", ["a.example"], VALUE)
    ring.locked = True
    for use in (lambda: made.values("a.example"), lambda: made.set("other", ["b.example"], VALUE)):
        with pytest.raises(OrosError, match="is it unlocked"):
            use()


def test_a_keyring_that_is_none_is_not_used(tmp_path, monkeypatch) -> None:
    none = SimpleNamespace(get_keyring=lambda: SimpleNamespace(priority=0))

    monkeypatch.setitem(sys.modules, "keyring", none)
    assert module.keeper(tmp_path).where == "a sealed file"
    some = SimpleNamespace(get_keyring=lambda: SimpleNamespace(priority=5))
    monkeypatch.setitem(sys.modules, "keyring", some)
    assert module.keeper(tmp_path).where == "the keyring"
