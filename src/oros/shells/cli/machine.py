"""The machine itself on the command line: slots, doctor, boot, halt, status, version."""

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

import oros
from oros.abi.errors import Unreachable
from oros.sdk.build import is_other
from oros.shells.cli import draw
from oros.shells.cli.parse import Options, Verb, nothing
from oros.shells.cli.session import Session
from oros.shells.cli.spawn_daemon import ensure, log_of, shut


def long(session: Session, name: str, args: dict[str, Any], output: str) -> int:
    """Do something long; shows how far it is, then what it came to."""
    result: Any = None
    said = ""
    for step in session.machine().progress(name, **args):
        if "result" in step:
            result = step["result"]
            continue
        what, done, total = step["what"], step["done"], step["total"]
        part = f"{draw.bar(done, total, 24)} {100 * done // total:3}%" if total > 0 else ""
        session.terminal.status(f"{what}  {part}")
        if what != said and not session.terminal.err_tty:
            session.terminal.note(what)
        said = what
    session.terminal.clear()
    session.give(output, result, flat(result))
    return 1 if isinstance(result, dict) and result.get("ok") is False else 0


def flat(value: Any, name: str = "") -> Iterator[str]:
    """A value as lines `name: value`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        yield f"{name}: {', '.join(str(v) for v in value) or '-'}"
    elif value is not None:
        yield f"{name}: {value}" if name else str(value)


def slots(session: Session, options: Options) -> int:
    """Who thinks, who waits."""
    found = session.machine().query("slots")
    rows = []
    for model in found:
        running = " ".join(str(p) for p in model["running"]) or "-"
        waiting = " ".join(str(p) for p in model["waiting"]) or "-"
        used = f"{len(model['running'])}/{model['slots']}"
        left = [f"{draw.tokens(n)} {what}" for what, n in model.get("left", {}).items()]
        opens = [f"asked again in {draw.seconds(model['opens'])}"] if model.get("opens") else []
        takes = ", ".join([*opens, *left]) or "-"
        cut = str(model["preemptions"])
        rows.append([model["model"], used, running, cut, takes, waiting])
    head = ("MODEL", "USED", "RUNNING", "PREEMPTED", "TAKES", "WAITING")
    lines = draw.table(head, rows, session.terminal.width, "MODEL RUNNING WAITING")
    session.give(options.output, found, lines if rows else ["no model is in use"])
    return 0


def doctor(session: Session, options: Options) -> int:
    """Check the machine: the door, the models, the sandbox."""
    begun = time.perf_counter()
    status = session.machine().status()
    answered = (time.perf_counter() - begun) * 1000
    found = dict(session.machine().query("doctor"))
    found["daemon"] = {"version": status["version"], "home": str(session.home)}
    found["daemon"]["build"] = (status.get("build") or {}).get("id")
    found["daemon"]["answers_in_ms"] = round(answered, 1)
    session.give(options.output, found, flat(found))
    if found.get("works") is False:
        session.terminal.note("oros: the sandbox does not work: `run` is refused", "red")
        return 16
    return 0


def boot(session: Session, options: Options) -> int:
    """Start the machine."""
    if options.foreground:
        command = [sys.executable, "-P", "-m", "oros.boot", "--home", str(session.home)]
        os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
    started = ensure(session.client, session.terminal)
    word = "started" if started else "runs already"
    session.terminal.note(f"the machine at {session.home} {word}; its log: {log_of(session.home)}")
    return 0


def boot_options(parser: ArgumentParser) -> None:
    """Words of boot."""
    parser.add_argument("--foreground", action="store_true", help="stay in this terminal")


def halt(session: Session, _: Options) -> int:
    """Stop the machine, and wait until it has closed its door and its journal."""
    try:
        session.client.halt()
    except Unreachable:
        session.terminal.note(f"no machine runs at {session.home}")
        return 0
    if shut(session.client, session.terminal):
        return 0
    session.terminal.note("oros: the machine has not stopped in 30 seconds", "red")
    return 1


def status(session: Session, options: Options) -> int:
    """How the machine stands; exit code 6 if it does not run."""
    found = session.client.status()
    states = ", ".join(f"{n} {s}" for s, n in found["processes"].items()) or "none"
    told = found.get("build") or {}
    lines = [f"oros {told.get('id') or found['version']} runs at {session.home}"]
    lines.append(f"processes: {states}")
    if is_other(told):
        lines.append("it is of another build than this command: oros halt, and go on")
    session.give(options.output, found, lines)
    return 0


def version(session: Session, options: Options) -> int:
    """The version of this command."""
    session.give(options.output, {"version": oros.__version__}, [f"oros {oros.__version__}"])
    return 0


VERBS = {
    "slots": Verb(slots, nothing, ("oros slots", "oros slots -o json")),
    "doctor": Verb(doctor, nothing, ("oros doctor", "oros doctor -o json")),
    "boot": Verb(boot, boot_options, ("oros boot", "oros boot --foreground"), False),  # noqa: FBT003
    "halt": Verb(halt, nothing, ("oros halt", "oros halt && oros boot"), False),  # noqa: FBT003
    "status": Verb(status, nothing, ("oros status", "oros status -o json")),
    "version": Verb(version, nothing, ("oros version", "oros version -o json")),
}
