"""The shape of small models: one program does the whole job, mended on its traceback.

Measured on real files: a 1.5B model did twice the jobs this way as step by step. The process looks
at the folder, asks for one fenced Python block, runs it in the sandbox, and judges it by its exit,
its output and the files that it changed.
"""

import re

from oros.abi.events import CallReturned, Event, ModelReplied, Received, Spawned
from oros.abi.message import Ask, Message, say
from oros.abi.syscalls import Outcome
from oros.kernel.actions import Action, Do, Finish, Rest, Think
from oros.kernel.image import Image
from oros.services.shapes.judge import faults, judge
from oros.services.shapes.survey import name_of, overview

FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
STOP = ("\n```\n", "\n```")
SURVEY = Ask("survey", "list", {"path": "/work", "depth": 2, "head": 2400})
RETRY_TEMPERATURE = 0.4
PRELUDE = (
    "import csv, datetime, glob, json, math, os, re, shutil, statistics, sys; "
    "from collections import Counter, defaultdict; from pathlib import Path"
)
"""What small models use and forget to import; on one line before the program."""


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
    """A program came, or words; what can't run is sent back before it runs."""
    source = program_of(message.text)
    image.queue = []
    if not source and message.text.strip():
        image.notes["answer"] = message.text.strip()
        image.phase = "done"
        return
    complaint = faults(source) if source else "Your answer was empty."
    if complaint:
        mend(image, complaint)
    else:
        image.notes["source"] = f"{PRELUDE}\n{source}"
        image.phase = "run"


def returned(image: Image, outcome: Outcome) -> None:
    """The survey shows the job; a run is judged."""
    if image.phase == "survey":
        entries = [] if outcome.error else outcome.value.get("entries", [])
        image.notes["files"] = [name_of(e) for e in entries]
        text = f"Files:\n{overview(entries, image.goal)}\n\nJob: {image.goal}"
        image.context.add("pinned", say("user", text, outcome.label))
        image.phase = "write"
    elif image.phase == "run":
        if outcome.error:
            complaint = str(outcome.error)
        else:
            complaint = judge(image.goal, image.notes.get("files", []), outcome.value)
        if complaint:
            mend(image, complaint)
        else:
            image.notes["answer"] = str(outcome.value.get("out", "")).strip()
            image.notes["good"] = image.context.pages[-1].id
            image.phase = "done"


def mend(image: Image, complaint: str) -> None:
    """Ask for another program. The wrong one is not shown again: a small model copies it."""
    image.tries += 1
    image.notes["complaint"] = complaint
    image.phase = "write"


def window(image: Image) -> tuple[Message, ...]:
    """The program, the job, what the user said since, the last program that was right."""
    pages = [p for p in image.context.pages if p.resident]
    good = image.notes.get("good")
    shown = [
        p.message
        for p in pages
        if p.kind != "turn" or p.message.role == "user" or p.id == good or p.message.partial
    ]
    complaint = image.notes.get("complaint")
    if complaint and image.tries:
        told = f"A first program was wrong: {complaint}\nWrite another one that avoids this."
        partial = shown[-1].partial
        shown.insert(len(shown) - 1 if partial else len(shown), say("user", told))
    return tuple(shown)


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
        temperature = RETRY_TEMPERATURE if image.tries else program.temperature
        return Think(window(image), (), STOP, None, program.max_tokens, temperature)
    if program.standing:
        return Rest("message")
    if image.phase == "write":
        return Finish(1, "", f"gave up after {image.tries} tries: {image.notes.get('complaint')}")
    return Finish(0, str(image.notes.get("answer", "")))
