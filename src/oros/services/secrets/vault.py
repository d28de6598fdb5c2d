"""Where secrets lie: the desktop's keyring where there is one, else a sealed file of the home.

A secret has a name and the hosts it may be sent to. The list of names is no secret; a value is
read only when it is sent. The sealed file is shut with a key beside it, readable by its user only:
that guards a copy of the file, not against whoever can act as the user.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from oros.abi.errors import Corrupt, DeviceFailed, Invalid, NotFound
from oros.abi.message import Json
from oros.drivers.private import write_private

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
LEAST, MOST = 8, 16384
LIST, SEALED, KEY = "secrets.json", "secrets.sealed", "secrets.key"


class Keeper(Protocol):
    """Keeps values by name."""

    where: str

    def get(self, name: str) -> str | None:
        """A value. Raises: Corrupt, DeviceFailed."""

    def put(self, name: str, value: str | None) -> None:
        """Keep it, or forget it. Raises: DeviceFailed."""


class SealedFile:
    """Values in one file, shut by libsodium's secret box (XSalsa20-Poly1305)."""

    where = "a sealed file"

    def __init__(self, home: Path) -> None:
        self._path, self._key = home / SEALED, home / KEY

    def get(self, name: str) -> str | None:
        """A value. Raises: Corrupt, DeviceFailed."""
        return self._read().get(name)

    def put(self, name: str, value: str | None) -> None:
        """Keep it, or forget it. Raises: DeviceFailed."""
        values = {k: v for k, v in self._read().items() if k != name}
        if value is not None:
            values[name] = value
        written(self._path, bytes(self._box().encrypt(json.dumps(values).encode())))

    def _box(self) -> Any:
        from nacl.secret import SecretBox

        try:
            key = self._key.read_bytes()
        except FileNotFoundError:
            key = os.urandom(SecretBox.KEY_SIZE)
            written(self._key, key)
        except OSError as e:
            raise DeviceFailed(f"{self._key}: {e.strerror}") from e
        if len(key) != SecretBox.KEY_SIZE:
            raise Corrupt(f"{self._key} holds no key", "restore it, or set the secrets anew")
        return SecretBox(key)

    def _read(self) -> dict[str, str]:
        from nacl.exceptions import CryptoError

        try:
            shut = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as e:
            raise DeviceFailed(f"{self._path}: {e.strerror}") from e
        try:
            values: dict[str, str] = json.loads(self._box().decrypt(shut))
        except (CryptoError, ValueError) as e:
            why = f"{self._path} can't be opened with {self._key.name}"
            raise Corrupt(why, "restore both, or move them away and set the secrets anew") from e
        return values


class Keyring:
    """Values in the desktop's own keyring."""

    where = "the keyring"

    def __init__(self, ring: Any, home: Path) -> None:
        """`ring` is the module `keyring`."""
        self._ring, self._service = ring, f"oros {home}"

    def get(self, name: str) -> str | None:
        """A value. Raises: DeviceFailed."""
        try:
            found: str | None = self._ring.get_password(self._service, name)
        except self._ring.errors.KeyringError as e:
            raise DeviceFailed(f"the keyring gives nothing: {e}", "is it unlocked?") from e
        return found

    def put(self, name: str, value: str | None) -> None:
        """Keep it, or forget it. Raises: DeviceFailed."""
        try:
            if value is not None:
                self._ring.set_password(self._service, name, value)
                return
            with suppress(self._ring.errors.PasswordDeleteError):
                self._ring.delete_password(self._service, name)
        except self._ring.errors.KeyringError as e:
            raise DeviceFailed(f"the keyring takes nothing: {e}", "is it unlocked?") from e


def keeper(home: Path) -> Keeper:
    """The keyring, if the extra `keyring` is installed and one runs here; else the sealed file."""
    try:
        import keyring
    except ImportError:
        return SealedFile(home)
    if keyring.get_keyring().priority < 1:  # no keyring at all, or one that keeps nothing safe
        return SealedFile(home)
    return Keyring(keyring, home)


@dataclass(frozen=True, slots=True)
class Entry:
    """A secret without its value."""

    name: str
    hosts: tuple[str, ...]


class Vault:
    """The secrets of one machine. `host` brings a host into its one form. Raises: Invalid."""

    def __init__(
        self, home: Path, host: Callable[[str], str], keep: Callable[[Path], Keeper] = keeper
    ) -> None:
        self._home, self._host, self._made = home, host, keep
        self._keeper: Keeper | None = None

    def set(self, name: str, hosts: Sequence[str], value: str) -> Json:
        """Keep a secret for some hosts; another of that name is replaced. Raises: Invalid."""
        if not NAME.fullmatch(name):
            raise Invalid(f"{name!r} is no name of a secret", "say a-z, 0-9, - and _")
        if not hosts:
            raise Invalid("a secret is for a host", "oros secret set NAME --host api.example.com")
        if not LEAST <= len(value) <= MOST or not re.fullmatch(r"[\x21-\x7e]+", value):
            why = f"a secret has {LEAST} to {MOST} visible ASCII characters"
            raise Invalid(why, "one that has not could not be masked in answers")
        own = tuple(dict.fromkeys(self._host(h) for h in hosts))
        entries = [e for e in self.entries() if e.name != name]
        self._keep().put(name, value)
        self._list([*entries, Entry(name, own)])
        return {"name": name, "hosts": list(own), "kept": self._keep().where}

    def remove(self, name: str) -> Json:
        """Forget a secret. Raises: NotFound."""
        entries = self.entries()
        if name not in {e.name for e in entries}:
            there = " ".join(e.name for e in entries) or "none"
            raise NotFound(f"there is no secret {name!r}", f"secrets: {there}")
        self._list([e for e in entries if e.name != name])
        self._keep().put(name, None)
        return {"removed": name}

    def entries(self) -> list[Entry]:
        """All secrets, without their values. Raises: Corrupt."""
        path = self._home / LIST
        try:
            rows = json.loads(path.read_text("utf-8"))
            return [Entry(str(r["name"]), tuple(map(str, r["hosts"]))) for r in rows]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise Corrupt(f"{path}: {e}", "move it away and set the secrets anew") from e

    def values(self, host: str) -> Mapping[str, str]:
        """What a host (in its one form) may be sent, by name. Raises: Corrupt, DeviceFailed."""
        found = {e.name: self._keep().get(e.name) for e in self.entries() if host in e.hosts}
        return {name: value for name, value in found.items() if value is not None}

    def value(self, name: str, host: str) -> str | None:
        """The value of one secret, if a host may be sent it. Raises: as `values`."""
        return self.values(host).get(name)

    def holds(self, text: str) -> bool:
        """Whether a text holds the value of a secret. Raises: Corrupt, DeviceFailed."""
        values = (self._keep().get(e.name) for e in self.entries())
        return any(value in text for value in values if value)

    def rows(self) -> Json:
        """For a listing."""
        return [{"name": e.name, "hosts": list(e.hosts)} for e in self.entries()]

    def _keep(self) -> Keeper:
        self._keeper = self._keeper or self._made(self._home)
        return self._keeper

    def _list(self, entries: Sequence[Entry]) -> None:
        rows = [{"name": e.name, "hosts": list(e.hosts)} for e in entries]
        written(self._home / LIST, json.dumps(rows).encode())


def written(path: Path, data: bytes) -> None:
    """Write a file whole, for its user only. Raises: DeviceFailed."""
    try:
        write_private(path, data)
    except OSError as e:
        raise DeviceFailed(f"{path}: {e.strerror}") from e
