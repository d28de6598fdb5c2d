"""How long a call may take: a device its time, and a run that over the time of its program."""

from dataclasses import replace

import pytest
from tests.kernel.virtual import PROGRAM, Setup, Slow, call, ended, start

from oros.sdk.testing.clock import run
from oros.sdk.testing.scripted import Answer


class Taking(Slow):
    """A sandbox whose program ends at once, and what that changed takes long to be taken in."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def perform(self, who, args):
        return await super().perform(who, {"args": {"seconds": self.seconds}})


def told(seconds: float, timeout: float) -> str:
    """What a process is told of its run."""

    async def main() -> str:
        asked = call("run", argv=["x"], timeout=timeout)
        setup = Setup(lambda _, results: Answer(results[-1]) if results else asked)
        world, program = setup.world, replace(PROGRAM, calls=(*PROGRAM.calls, "run"))
        setup.world = lambda *words: replace(
            world(*words, lambda *_: program), runner=lambda _: Taking(seconds)
        )
        setup.servers["work:/w"] = None
        async with setup.machine() as kernel:
            return (await ended(kernel, await start(kernel, "go", folder="/w")))["answer"]

    return run(main())


@pytest.mark.parametrize(
    ("seconds", "said"), [(100.0, "100"), (125.0, "run took over 122 seconds")]
)
def test_what_a_program_changed_is_taken_in_after_its_time(seconds: float, said: str) -> None:
    assert said in told(seconds, 2.0)
