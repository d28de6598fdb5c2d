"""Time of the wall, and chance of the system."""

import asyncio
import random
import secrets
import time


class WallClock:
    """The Clock of real machines."""

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()  # noqa: TID251 - this is the port's own make

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()  # noqa: TID251 - this is the port's own make

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SystemRandom:
    """The Random of real machines."""

    def random(self) -> float:
        """In [0, 1)."""
        return random.random()  # noqa: S311 - for jitter, not for secrets

    def token(self, size: int) -> str:
        """`size` random bytes, in hex."""
        return secrets.token_hex(size)
