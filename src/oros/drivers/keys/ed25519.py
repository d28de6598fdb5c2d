"""The machine's own key, in a file of its home: Ed25519 (RFC 8032), by libsodium."""

import contextlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from oros.abi.errors import Corrupt, DeviceFailed
from oros.drivers.private import write_private

if TYPE_CHECKING:
    from nacl.signing import SigningKey

SIZE = 32


class FileKey:
    """A Signer. The key is made when it is first needed, and nobody else may read its file."""

    def __init__(self, path: Path, token: Callable[[int], str]) -> None:
        """`token`: random bytes, as twice as many hexadecimal digits."""
        self._path = path
        self._token = token

    @property
    def public(self) -> str:
        """Its public half, in hexadecimal digits. Raises: Corrupt, DeviceFailed."""
        return bytes(self._key.verify_key).hex()

    def sign(self, data: bytes) -> bytes:
        """A signature, 64 bytes. Raises: Corrupt, DeviceFailed."""
        return self._key.sign(data).signature

    def signed(self, data: bytes, signature: str) -> bool:
        """Whether a signature is this key's own of some data. Raises: Corrupt, DeviceFailed."""
        from nacl.exceptions import BadSignatureError

        try:
            self._key.verify_key.verify(data, bytes.fromhex(signature))
        except (BadSignatureError, ValueError):
            return False
        return True

    @cached_property
    def _key(self) -> "SigningKey":
        from nacl.signing import SigningKey  # 4 MB, and not at the start

        try:
            seed = self._read() or self._made()
        except OSError as e:
            why = f"{self._path}: {e.strerror}"
            raise DeviceFailed(why, "let the machine read and write its home") from e
        if len(seed) != SIZE:
            raise Corrupt(f"{self._path} holds no key", "restore it, or move it away for a new one")
        return SigningKey(seed)

    def _read(self) -> bytes:
        with contextlib.suppress(FileNotFoundError):
            return self._path.read_bytes()
        return b""

    def _made(self) -> bytes:
        """A new key, whole in its place or not there at all."""
        seed = bytes.fromhex(self._token(SIZE))
        write_private(self._path, seed)
        return seed
