"""The shape of small models: one program does the whole job, mended on its traceback.

Measured on real files: a 1.5B model did twice the jobs this way as step by step. The process looks
at the folder, asks for one fenced Python block, runs it in the sandbox, and judges it by its exit,
its output and the files that it changed. A script that is to be repaired is run before and after.
"""

import re
from difflib import SequenceMatcher

from oros.abi.actions import Action, Do, Finish, Rest, Think
from oros.abi.events import CallReturned, Event, ModelReplied, Received, Spawned
from oros.abi.message import Ask, Json, Message, say
from oros.abi.syscalls import Outcome
from oros.kernel.image import Image
from oros.services.shapes.judge import MENDS, faults, judge, repeatable, unmended, unreadable
from oros.services.shapes.requote import requote
from oros.services.shapes.review import WORDS, question, refused, result
from oros.services.shapes.survey import last_words, name_of, overview, whole

FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
STOP = ("\n```\n", "\n```")
SURVEY = Ask("survey", "list", {"path": "/work", "depth": 2, "head": 2400})
RETRY_TEMPERATURE = 0.3
PRELUDE = (
    "import csv, datetime, glob, json, math, os, re, shutil, statistics, sys; "
    "from collections import Counter, defaultdict; from pathlib import Path; from kit import *"
)
"""What small models use and forget to import; on one line before the program."""
LIKE = 0.7
"""Likeness of two texts from which one is the other, repaired."""

SCRIPT = re.compile(r"[\w./-]+\.py\b")


def absorb(image: Image, event: Event) -> None:
    """Fold what is this shape's own.

    `phase` goes survey, trial, write, run, proof, look, review, done; trial and proof are for
    scripts to be repaired, look and review for results that a second program could make again.
    """
    match event:
        case Spawned():
            image.context.add("program", say("system", event.program.prompt))
            for example in event.program.examples:
                image.context.add("program", say("user", example.job))
                image.context.add("program", say("assistant", example.answer))
            image.phase = "survey" if event.goal else "done"
        case Received(how="message" | "steer"):
            image.phase, image.tries = "write", 0
            for name in ("complaint", "reviewed", "said"):
                image.notes.pop(name, None)
        case ModelReplied() if event.finish in ("stop", "length") and not event.error:
            if image.phase == "review":
                reviewed(image, event.message)
            else:
                written(image, event.message)
        case CallReturned():
            returned(image, event.outcome)
        case _:
            pass


def written(image: Image, message: Message) -> None:
    """A program came, or words; what can't run is sent back before it runs."""
    source = requote(program_of(message.text))
    image.queue = []
    image.notes["page"] = image.context.pages[-1].id
    if not source and message.text.strip():
        image.notes["answer"] = message.text.strip()
        image.phase = "done"
        return
    if is_whole(image, source):
        source = f"write_text({script_of(image)!r}, {source + chr(10)!r})"
    complaint = faults(source) if source else "Your answer was empty."
    if source and source == image.notes.get("said"):
        if image.notes.pop("stands", False):
            done(image)  # said twice, it outweighs the second look
            return
        complaint = str(image.notes.get("complaint"))
    image.notes["said"] = source
    if complaint:
        mend(image, complaint)
    else:
        image.notes["source"] = f"{PRELUDE}\n{source}"
        image.phase = "run"


def is_whole(image: Image, source: str) -> bool:
    """Whether the answer is the repaired script itself, and not a program that repairs it."""
    text = str(image.notes.get("script", ""))
    return bool(text) and SequenceMatcher(None, text, source, autojunk=False).ratio() > LIKE


def returned(image: Image, outcome: Outcome) -> None:
    """What a call of this shape came to, by the phase that made it."""
    match image.phase:
        case "survey":
            entries = [] if outcome.error else outcome.value.get("entries", [])
            image.notes["files"] = [name_of(e) for e in entries]
            image.notes["told"] = f"Files:\n{overview(entries, image.goal)}"
            script = script_of(image)
            image.phase = "trial" if script else "write"
            if script:
                image.notes["script"] = next(whole(e) for e in entries if name_of(e) == script)
            else:
                tell_job(image, outcome)
        case "trial":
            image.notes["before"] = {} if outcome.error else outcome.value
            tell_job(image, outcome)
            image.phase = "write"
        case "run":
            ran(image, outcome)
        case "proof":
            proved(image, {} if outcome.error else outcome.value)
        case "look":
            image.notes["entries"] = [] if outcome.error else outcome.value.get("entries", [])
            complaint = unreadable(image.goal, image.notes["changed"], image.notes["entries"])
            image.phase = "review"
            if complaint:
                mend(image, complaint)
        case _:
            pass


def script_of(image: Image) -> str:
    """The script that the job wants repaired, if it names one that is there."""
    if not MENDS.search(image.goal):
        return ""
    named = SCRIPT.findall(image.goal)
    return next((n for n in named if n in image.notes.get("files", [])), "")


def tell_job(image: Image, outcome: Outcome) -> None:
    """Show the model the folder, how a script ends that is to be repaired, and the job."""
    told = [image.notes["told"]]
    if image.phase == "trial":
        script = script_of(image)
        told.append(f"Running {script} now ends with:\n{last_words(image.notes['before'], script)}")
    told.append(f"Job: {image.goal}")
    image.context.add("pinned", say("user", "\n\n".join(told), outcome.label))


def ran(image: Image, outcome: Outcome) -> None:
    """A program ran: judge it; a repair is tried out."""
    if outcome.error:
        mend(image, str(outcome.error))
        return
    complaint = judge(image.goal, image.notes.get("files", []), outcome.value)
    changes = outcome.value.get("changed") or []
    image.notes["changed"] = [str(c["path"]).removeprefix("/work/") for c in changes]
    if complaint:
        mend(image, complaint)
        return
    image.notes["answer"] = str(outcome.value.get("out", "")).strip()
    image.notes.pop("stands", None)
    if "before" in image.notes:
        image.phase = "proof"
    elif repeatable(changes) and "reviewed" not in image.notes:
        image.notes["entries"] = []
        image.phase = "look" if changes else "review"
    else:
        done(image)


def reviewed(image: Image, message: Message) -> None:
    """The second look: one that finds fault asks for another program, once."""
    notes = image.notes
    notes["reviewed"] = notes["answer"]
    if refused(message.text):
        notes["stands"] = True
        came = result(notes["answer"], notes["changed"], notes["entries"])
        mend(image, f"{came}\nThat is not what the job asks for, or not in the form it asks for.")
    else:
        done(image)


def proved(image: Image, value: Json) -> None:
    """The repaired script ran again."""
    script = script_of(image)
    if unmended(image.notes["before"], value):
        mend(image, f"{script} still fails:\n{last_words(value, script)}")
    else:
        done(image)


def done(image: Image) -> None:
    """The program that was right stays in sight."""
    image.notes["good"] = image.notes["page"]
    image.phase = "done"


def mend(image: Image, complaint: str) -> None:
    """Ask for another program."""
    image.tries += 1
    image.notes["complaint"] = complaint
    image.phase = "write"


def window(image: Image) -> tuple[Message, ...]:
    """The program, the job, what the user said since, the last program that was right.

    The first wrong program is shown with what was wrong. Later ones are not, as a small model
    copies what it sees: their fault is told with the job.
    """
    pages = [p for p in image.context.pages if p.resident]
    good = image.notes.get("good")
    shown = [
        p.shown
        for p in pages
        if p.kind != "turn" or p.message.role == "user" or p.id == good or p.message.partial
    ]
    if not image.tries:
        return tuple(shown)
    complaint, script = image.notes.get("complaint"), script_of(image)
    at = len(shown) - 1 if shown[-1].partial else len(shown)
    wrong = [p for p in pages if p.id == image.notes.get("page") and p.id != good]
    if image.tries == 1 and wrong:
        told = f"That was wrong: {complaint}\nWrite the whole program again, corrected."
        shown[at:at] = [wrong[0].message, say("user", told)]
    elif shown[at - 1].role == "user":
        last = shown[at - 1]
        told = f"{last.text}\n(A program that was tried failed: {complaint})"
        if image.notes.get("script"):
            told += f"\nWrite no program now: the block is the whole of {script}, corrected."
        shown[at - 1] = say("user", told, last.label)
    return tuple(shown)


def program_of(text: str) -> str:
    """The fenced block of an answer, or all of it if it looks like a bare program."""
    found = FENCE.search(text)
    if found:
        return found.group(1).strip("\n")
    bare = text.strip().removesuffix("```").rstrip()
    return (
        bare if re.match(r"(import |from \w+ import |print\(|with open|for |\w+ = )", bare) else ""
    )


def decide(image: Image) -> Action:
    """The next act of the phase."""
    program = image.program
    match image.phase:
        case "survey":
            return Do(SURVEY)
        case "trial" | "proof":
            argv = ["python3", script_of(image)]
            return Do(Ask(f"{image.phase}{image.turns}", "run", {"argv": argv, "timeout": 20}))
        case "run":
            return Do(
                Ask(f"run{image.turns}", "run", {"python": image.notes["source"], "fresh": True})
            )
        case "look":
            return Do(Ask(f"look{image.turns}", "list", {"path": "/work", "depth": 2, "head": 300}))
        case "review":
            notes = image.notes
            asked = question(image.goal, notes["answer"], notes["changed"], notes["entries"])
            return Think((say("user", asked, image.context.label),), (), (), None, WORDS)
        case "write" if image.tries < program.tries:
            temperature = program.temperature + RETRY_TEMPERATURE * image.tries
            most = program.max_tokens + len(str(image.notes.get("script", ""))) // 2
            return Think(window(image), (), STOP, None, most, temperature)
        case _:
            pass
    if program.standing:
        return Rest("message")
    if image.phase == "write" and "reviewed" not in image.notes:
        return Finish(1, "", f"gave up after {image.tries} tries: {image.notes.get('complaint')}")
    return Finish(0, str(image.notes.get("answer", "")))
