"""The key is made once, whole, for nobody else; its signatures are RFC 8032's."""

import os
import secrets
from pathlib import Path

import pytest

from oros.abi.errors import Corrupt, DeviceFailed
from oros.drivers.keys.ed25519 import FileKey


def key(path: Path) -> FileKey:
    return FileKey(path, secrets.token_hex)


def test_it_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "key"
    old = os.umask(0)
    try:
        first = key(path).public
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert key(path).public == first
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    key(tmp_path / "key")
    assert not any(tmp_path.iterdir())


def test_what_a_crash_left_of_one_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "key.part").write_bytes(b"half")
    assert len(key(tmp_path / "key").sign(b"x")) == 64


def test_signatures(tmp_path: Path) -> None:
    """The first test vector of RFC 8032, section 7.1."""
    secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    (tmp_path / "key").write_bytes(bytes.fromhex(secret))
    own = key(tmp_path / "key")
    assert own.public == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = own.sign(b"").hex()
    assert signature.startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    assert own.signed(b"", signature)
    assert not own.signed(b"x", signature)
    assert not own.signed(b"", "00" * 64)
    assert not own.signed(b"", "no hex")
    assert not own.signed(b"", "")


def test_what_is_no_key_and_what_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(Corrupt):
        key(tmp_path / "key").sign(b"x")
    with pytest.raises(DeviceFailed, match="No such file"):
        key(tmp_path / "nowhere" / "key").sign(b"x")
