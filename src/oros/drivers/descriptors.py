"""Descriptors as drivers need them: waited for on the event loop, and files in memory."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator


async def readable(number: int) -> None:
    """Wait until a descriptor can be read."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(number, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(number)


@contextlib.contextmanager
def memory_file(name: str, data: bytes) -> Iterator[int]:
    """Open a sealed file in memory that holds `data`, at its start."""
    number = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]
        os.lseek(number, 0, os.SEEK_SET)
        fcntl.fcntl(number, fcntl.F_ADD_SEALS, 0xF)  # seal, shrink, grow, write
        yield number
    finally:
        os.close(number)
