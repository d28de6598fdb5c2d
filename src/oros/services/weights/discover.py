"""What models a person has already: running servers and GGUF files. Looks, touches nothing."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oros.drivers.answers import body_of

MOST = 1 << 20
"""Bytes of a list at most."""

PATIENCE = 0.3
"""Seconds for a server on the loopback interface to answer."""

SERVERS = (
    ("ollama", 11434, "/api/tags"),
    ("llama.cpp", 8080, "/v1/models"),
    ("lm-studio", 1234, "/v1/models"),
)
DEEP = 6
FILES = 500
MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class Found:
    """A model that is here: `where` is a URL or a path, `size` in bytes, 0 if not known."""

    kind: str
    name: str
    where: str
    size: int = 0


async def servers() -> list[Found]:
    """Models of servers that run on this machine."""
    import aiohttp

    found: list[Found] = []
    timeout = aiohttp.ClientTimeout(PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        for kind, port, path in SERVERS:
            url = f"http://127.0.0.1:{port}"
            try:
                async with session.get(url + path) as reply:
                    data = json.loads(await body_of(reply, MOST))
            except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
                continue
            found += [Found(kind, name, url) for name in names_in(data)]
    return found


def names_in(data: Any) -> list[str]:
    """The names in a server's list, whatever its dialect; rubbish has none."""
    if not isinstance(data, dict):
        return []
    rows = data.get("models") or data.get("data") or []
    names = [r.get("name") or r.get("id") for r in rows if isinstance(r, dict)]
    return [str(n) for n in names if n]


def folders(env: Mapping[str, str] = os.environ) -> list[tuple[str, Path]]:
    """The usual places, of what program each is."""
    home = Path(env.get("HOME") or "/")
    cache = Path(env.get("HF_HOME") or home / ".cache/huggingface")
    return [
        ("ollama", Path(env.get("OLLAMA_MODELS") or home / ".ollama/models") / "blobs"),
        ("ollama", Path("/usr/share/ollama/.ollama/models/blobs")),
        ("lm-studio", home / ".lmstudio/models"),
        ("hub", Path(env.get("HF_HUB_CACHE") or cache / "hub")),
        ("gguf", home / "models"),
    ]


def files(env: Mapping[str, str] = os.environ) -> list[Found]:
    """GGUF files in the usual places."""
    found: list[Found] = []
    for kind, folder in folders(env):
        for path in walk(folder, DEEP):
            if len(found) >= FILES:
                return found
            if is_gguf(path):
                found.append(Found(kind, path.name, str(path), path.stat().st_size))
    return found


def walk(folder: Path, deep: int) -> Iterator[Path]:
    """Files below a folder, not too deep; what can't be read is passed over."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            if deep:
                yield from walk(entry, deep - 1)
        elif entry.suffix == ".gguf" or entry.name.startswith("sha256-"):
            yield entry


def is_gguf(path: Path) -> bool:
    """Whether a file begins as a GGUF file does."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False
