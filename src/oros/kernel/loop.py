"""Fetch, decode, execute: an activation carries a process from its wake-up until it blocks.

What comes next is decided by a pure function of the folded image; this file only carries it out.
One of the three borders where any exception is caught: a bug pauses the one process.
"""

import traceback

from oros.abi.actions import Action, Again, Do, Finish, Pause, Rest, Think
from oros.abi.errors import OrosError, OverBudget
from oros.abi.events import Parked, Received, Signalled
from oros.abi.ids import PERSON
from oros.abi.message import Ask
from oros.flow.scope import Scope
from oros.kernel import dispatch, thinking
from oros.kernel.ending import ends, reap
from oros.kernel.image import Image
from oros.kernel.machine import Activation, Machine, is_idle
from oros.kernel.process import Process, State
from oros.kernel.shapes import decide


async def activate(m: Machine, process: Process) -> None:
    """Run a process until it blocks, stops or ends. Raises: Panic."""
    active = m.active[process.pid]
    try:
        image = await m.journal.wake(process)
        while process.alive and process.state is not State.STOPPED and not m.halting:
            active.scope = Scope()
            if not await step(m, process, image, active):
                break
    except OverBudget as e:
        await finish(m, process, Finish(e.exit_code, "", str(e)))
    except OrosError as e:
        await pause(m, process, str(e))
    except Exception as e:  # noqa: BLE001 - border: a bug in the kernel or a port pauses one process
        where = traceback.extract_tb(e.__traceback__)[-1]
        await pause(m, process, f"EBUG: {e!r} at {where.filename}:{where.lineno}")
    finally:
        del m.active[process.pid]
        if is_idle(process) or not process.alive:
            m.journal.sleep(process)
    m.start(process)  # it may have been made runnable while its last fact was written


async def step(m: Machine, process: Process, image: Image, active: Activation) -> bool:
    """Carry out the next act. False: the activation is over."""
    action: Action = decide(m.world.shapes, image)
    match action:
        case Think():
            await thinking.think(m, process, image, action, active)
        case Do(ask=ask):
            return await do(m, process, image, ask, active)
        case Again(entered=entered):
            async with active.scope:
                return await dispatch.again(m, process, entered, image.again + 1)
            dispatch.interrupted(m, process, entered)
        case Rest():
            return await rest(m, process, image, action)
        case Pause(why=why):
            await pause(m, process, why)
            return False
        case Finish():
            await finish(m, process, action)
            return False
    return True


async def do(m: Machine, process: Process, image: Image, ask: Ask, active: Activation) -> bool:
    """Make a call; a signal that cuts it is its outcome. False: the process is parked."""
    active.calling = True
    try:
        async with active.scope:
            outcome = await dispatch.enter(m, process, ask)
            return outcome is not None or not is_idle(process)
    finally:
        active.calling = False
    if process.alive and image.open is not None and process.pid not in m.blocked:
        dispatch.interrupted(m, process, image.open)
    return not is_idle(process)


async def rest(m: Machine, process: Process, image: Image, action: Rest) -> bool:
    """Park; but mail that nobody took is shown first, and zombies are reaped."""
    if action.on == "message" and image.mail:
        shown = [Received(x.source, x.message) for x in image.mail]
        image.mail.clear()
        m.journal.write(*((process, x) for x in shown))
        return True
    entries, after = reap(m, process)
    await m.journal.sync((process, Parked(action.on)), *entries, after=after)
    return not is_idle(process)


async def pause(m: Machine, process: Process, why: str) -> None:
    """Stop a process with a reason; CONT goes on."""
    if process.alive:
        await m.journal.sync((process, Signalled("STOP", PERSON, why)))


async def finish(m: Machine, process: Process, action: Finish) -> None:
    """End a process."""
    if process.alive:
        entries, after = ends(m, process, action.status, action.answer, action.why)
        await m.journal.sync(*entries, after=after)
