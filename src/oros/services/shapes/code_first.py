"""The shape of small models: one program does the whole job, mended on its traceback.

Measured on real files: a 1.5B model did twice the jobs this way as step by step. The process looks
at the folder, asks for one fenced Python block, runs it in the sandbox, and judges it by its exit,
its output and the files that it changed.
"""

import ast
import re

from oros.abi.events import CallReturned, Event, ModelReplied, Received, Spawned
from oros.abi.message import Ask, Json, Message, say
from oros.abi.syscalls import Outcome
from oros.kernel.actions import Action, Do, Finish, Rest, Think
from oros.kernel.image import Image
from oros.services.shapes.survey import overview

FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
STOP = ("\n```\n", "\n```")
SURVEY = Ask("survey", "list", {"path": "/work", "depth": 2, "head": 1200})
RETRY_TEMPERATURE = 0.5


def absorb(image: Image, event: Event) -> None:
    """Fold what is this shape's own: `phase` goes begin, survey, write, check, run, done."""
    match event:
        case Spawned():
            image.context.add("program", say("system", event.program.prompt))
            for example in event.program.examples:
                image.context.add("program", say("user", example.job))
                image.context.add("program", say("assistant", example.answer))
            image.phase = "survey" if event.goal else "done"
        case Received(how="message" | "steer"):
            image.phase, image.tries = "write", 0
        case ModelReplied() if event.finish in ("stop", "length") and not event.error:
            written(image, event.message)
        case CallReturned():
            returned(image, event.outcome)
        case _:
            pass


def written(image: Image, message: Message) -> None:
    """A program came, or words; what can't be a program is sent back before it runs."""
    source = program_of(message.text)
    image.queue = []
    if not source:
        image.notes["answer"] = message.text.strip()
        image.phase = "done" if message.text.strip() else "write"
        if image.phase == "write":
            mend(image, "Your answer was empty. Answer with one ```python block.")
        return
    try:
        ast.parse(source)
    except (SyntaxError, ValueError) as e:
        line = getattr(e, "lineno", None)
        mend(image, f"That program does not parse: {e.args[0]} (line {line}). Write it anew.")
        return
    image.notes["source"] = source
    image.phase = "run"


def returned(image: Image, outcome: Outcome) -> None:
    """The survey shows the job; a run is judged."""
    if image.phase == "survey":
        entries = [] if outcome.error else outcome.value.get("entries", [])
        text = f"Files:\n{overview(entries)}\n\nJob: {image.goal}"
        image.context.add("pinned", say("user", text, outcome.label))
        image.phase = "write"
    elif image.phase == "run":
        complaint = str(outcome.error) if outcome.error else judge(outcome.value)
        if complaint:
            mend(image, complaint)
        else:
            image.notes["answer"] = str(outcome.value.get("out", "")).strip()
            image.phase = "done"


def judge(value: Json) -> str:
    """What is wrong with a run, in words for the model; "" if nothing can be seen."""
    if value.get("exit") != 0:
        what = (
            value.get("error") or str(value.get("err", ""))[-600:] or f"ended: {value.get('ended')}"
        )
        return f"That program failed:\n{what}\nWrite the whole program anew, mended."
    if not str(value.get("out", "")).strip() and not value.get("changed"):
        return "That program printed nothing and changed no file. Print the answer. Write it anew."
    return ""


def mend(image: Image, complaint: str) -> None:
    """Ask for the program anew."""
    image.tries += 1
    image.notes["complaint"] = complaint
    image.context.add("turn", say("user", complaint))
    image.phase = "write"


def program_of(text: str) -> str:
    """The fenced block of an answer, or all of it if it looks like a bare program."""
    found = FENCE.search(text)
    if found:
        return found.group(1).strip("\n")
    bare = text.strip().removesuffix("```").rstrip()
    return bare if re.match(r"(import |from \w+ import |print\(|with open)", bare) else ""


def decide(image: Image) -> Action:
    """The next act of the phase."""
    program = image.program
    if image.phase == "survey":
        return Do(SURVEY)
    if image.phase == "run":
        return Do(Ask(f"run{image.turns}", "run", {"python": image.notes["source"]}))
    if image.phase == "write" and image.tries < program.tries:
        temperature = program.temperature if image.tries < 2 else RETRY_TEMPERATURE
        window = image.context.window()
        return Think(window, (), STOP, None, program.max_tokens, temperature)
    if program.standing:
        return Rest("message")
    if image.phase == "write":
        return Finish(1, "", f"gave up after {image.tries} tries: {image.notes.get('complaint')}")
    return Finish(0, str(image.notes.get("answer", "")))
