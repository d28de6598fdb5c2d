"""Processes on the command line: ps, wait, kill, nice, fork, send."""

import time
from argparse import ArgumentParser
from collections.abc import Callable, Collection, Iterable
from typing import Any

from oros.abi.rows import Columns, rows
from oros.shells.cli import draw
from oros.shells.cli.parse import Options, Verb, a_pid, duration, pid, signal
from oros.shells.cli.session import Session, code_of, here

MANY = 100_000
ENDED = ("zombie", "reaped")


def listing(
    session: Session, only: Collection[str] = (), *, ended: bool, long: bool = False
) -> Columns:
    """All processes; with those that were reaped of late; with what each may do."""
    return session.machine().table("list", only, **asked(ended=ended, long=long))


def asked(*, ended: bool, long: bool = False) -> dict[str, Any]:
    """The words of the call that lists processes."""
    words = {"path": "/proc", "depth": 2 if ended else 1, "limit": MANY}
    return words | ({"head": 1} if long else {})


def state(state: str, on: str, status: int | None) -> str:
    """How a process stands, in a word or two."""
    if state in ENDED:
        return "done" if status == 0 else f"failed {status}"
    return f"waits:{on}" if state == "waiting" and on else state


def age(state: str, started: float, changed: float) -> str:
    """The time since a process was started, or until it ended."""
    now = changed if state in ENDED else time.time()  # noqa: TID251 - a clock to read, not to decide by
    return draw.seconds(max(0.0, now - started))


def thinks(model: str, home: str) -> str:
    """Its model; of one that had to move, behind it the one that it came from."""
    model = draw.short(model, 16)
    return (f"{model}←{draw.short(home, 16)}" if home else model) or "-"


def goal(goal: str, program: str, race: int) -> str:
    """What a process is for; copies that are alternatives name their race."""
    return (f"[race {race}] " if race else "") + (goal or f"({program})")


CELLS: dict[str, tuple[Callable[..., str], tuple[str, ...]]] = {
    "PID": (str, ("pid",)),
    "STATE": (state, ("state", "on", "status")),
    "NI": (str, ("nice",)),
    "MODEL": (thinks, ("model", "home")),
    "TOKENS": (lambda read, said: draw.tokens(read + said), ("tokens_in", "tokens_out")),
    "CALLS": (str, ("calls",)),
    "MONEY": (draw.money, ("micros",)),
    "BUSY": (draw.seconds, ("seconds",)),
    "AGE": (age, ("state", "started", "changed")),
    "GOAL": (goal, ("goal", "program", "race")),
}
"""What stands in a column, and of which fields it is made."""

SHOWN = frozenset({"ppid"}.union(*(fields for _, fields in CELLS.values())))
"""Fields of a process that a listing is made of."""


def ps(session: Session, options: Options) -> int:
    """List processes."""
    if options.verbose:
        return at_length(session, options)
    if options.output == "text":
        table = listing(session, SHOWN, ended=options.all)
        session.give("text", None, lines(table, session.terminal.width))
    elif session.terminal.is_tty:  # where it is shown as it is, not in ASCII
        session.give("json", rows(listing(session, ended=options.all)), ())
    else:
        session.terminal.out(session.machine().text("list", **asked(ended=options.all)))
    return 0


def at_length(session: Session, options: Options) -> int:
    """List processes with what each may do, and what is not enforced."""
    table = listing(session, ended=options.all, long=True)
    held = session.machine().query("doctor")
    found = [row | {"sandbox": sandbox(row, held)} for row in rows(table)]
    told = lines(table, session.terminal.width, long=True)
    width = session.terminal.width if session.terminal.is_tty else 100_000
    told += [draw.fit(line, width) for row in found if (line := policy(row))]
    session.give(options.output, found, told)
    if options.output == "text":
        for line in unheld(held):
            session.terminal.note(line, "yellow")
    return 0


def sandbox(row: draw.Row, held: dict[str, Any]) -> dict[str, Any]:
    """What is not enforced of a process's programs; `missing` of what it needs: then none runs."""
    needs = {name for point in row["mounts"] for name in point["needs"]}
    missing = sorted(needs - {*held["held"]})
    return {"runs": held["works"] and not missing, "missing": missing, "not_held": held["not_held"]}


def unheld(found: dict[str, Any]) -> list[str]:
    """What is not enforced of programs on this machine, in words."""
    if not found["works"]:
        return ["the sandbox does not work here, so no program is run: oros doctor"]
    lines = [f"not enforced here: {name}: {why}" for name, why in found["not_held"].items()]
    return [*lines, "what would help: " + found["fix"]] if lines and found["fix"] else lines


def lines(table: Columns, width: int, *, long: bool = False) -> list[str]:
    """The tree of processes as a table."""
    narrow = width < 70 and not long
    head = ["PID", "STATE", "AGE"] if narrow else ["PID", "STATE", "NI", "MODEL", "TOKENS"]
    if not narrow:
        head += ["CALLS", "MONEY", "BUSY", "AGE"] if long else ["CALLS", "AGE"]
    nested = draw.tree(table.get("pid", ()), table.get("ppid", ()))
    order = [at for _, at in nested]
    absent = [""] * len(order)  # a machine of an earlier version tells no `home`
    fields = {f: table.get(f, absent) for f in SHOWN}
    if order != [*range(len(order))]:
        fields = {f: [values[at] for at in order] for f, values in fields.items()}

    def cells(name: str) -> Iterable[str]:
        made, of = CELLS[name]
        return map(made, *(fields[f] for f in of))

    columns = [[name, *cells(name)] for name in head]
    goals = ("  " * depth + text for (depth, _), text in zip(nested, cells("GOAL"), strict=True))
    return draw.columns([*columns, ["GOAL", *goals]], width, "STATE MODEL GOAL")


def policy(row: draw.Row) -> str:
    """What a process may do, in a line."""
    said = []
    for point in row["mounts"]:
        scheme, _, source = point["source"].partition(":")
        if scheme in ("work", "review"):
            how = "to read" if point["right"] == "r" else "after a review" * (scheme == "review")
            said.append(f"{source} {how}".strip())
            said += [f"needs {' '.join(point['needs'])}"] if point["needs"] else []
        elif scheme == "web":
            said.append(f"reaches {source}")
    amounts = {k: v for k, v in row["limits"].items() if k != "models"}
    said += [f"at most {value:g} {name}" for name, value in amounts.items()]
    if "models" in row["limits"]:
        said.append(f"asks {' '.join(row['limits']['models']) or 'no model'}")
    missing = row["sandbox"]["missing"]
    said += [f"runs no program: {' '.join(missing)} is not held here"] if missing else []
    return f"{row['pid']}: {' · '.join(said)}" if said else ""


def ps_options(parser: ArgumentParser) -> None:
    """Words of ps."""
    parser.add_argument("-a", "--all", action="store_true", help="those that ended, too")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="what each may do, what is not enforced"
    )


def wait(session: Session, options: Options) -> int:
    """Wait for an end."""
    found = session.call("wait", pid=options.pid, timeout=options.timeout)
    session.give(options.output, found, [found["answer"]] if found["answer"] else [])
    if found["status"] and options.output == "text":
        why = f": {found['why']}" if found.get("why") else ""
        session.terminal.note(f"process {options.pid} failed, status {found['status']}{why}", "red")
    return code_of(found.get("why", "")) if found["status"] else 0


def wait_options(parser: ArgumentParser) -> None:
    """Words of wait."""
    a_pid(parser)
    parser.add_argument("--timeout", type=duration, default=None, help="such as 90s or 5m")


def kill(session: Session, options: Options) -> int:
    """Send a signal."""
    text = " ".join(options.text)
    tree = not options.only
    args = {"pid": options.pid, "signal": options.signal, "text": text, "tree": tree}
    found = session.call("kill", **args)
    session.give(options.output, found, ())
    return 0


def kill_options(parser: ArgumentParser) -> None:
    """Words of kill."""
    parser.usage = "oros kill [-INT|-STOP|-CONT|-TERM|-KILL|-USR1|-LOST] [--only] PID [TEXT ...]"
    a_pid(parser)
    parser.add_argument("text", nargs="*", metavar="TEXT", help="with USR1: what it should do")
    parser.add_argument(
        "-s",
        dest="signal",
        type=signal,
        default="TERM",
        metavar="SIGNAL",
        help="INT stops its turn, STOP/CONT pause and resume, TERM/KILL end it, USR1 steers",
    )
    parser.add_argument("--only", action="store_true", help="not those below it")


def nice(session: Session, options: Options) -> int:
    """Change the class."""
    level = {"0": 0, "fg": 0, "1": 1, "bg": 1}[options.level]
    found = session.call("nice", pid=options.pid, level=level)
    session.give(options.output, found, ())
    return 0


def nice_options(parser: ArgumentParser) -> None:
    """Words of nice."""
    a_pid(parser)
    parser.add_argument("level", choices=("0", "1", "fg", "bg"), help="0, fg: foreground")


def fork(session: Session, options: Options) -> int:
    """Copy a process."""
    args = {"pid": options.pid, "n": options.n, "at": options.at, "goal": options.goal}
    args |= {"race": True} if options.race else {}
    found = session.call("fork", **args)
    session.give(options.output, found, [str(p) for p in found["pids"]])
    return 0


def fork_options(parser: ArgumentParser) -> None:
    """Words of fork."""
    a_pid(parser)
    parser.add_argument("-n", type=pid, default=1, metavar="N", help="how many copies")
    parser.add_argument("--at", type=pid, default=0, metavar="SEQ", help="as of this event")
    parser.add_argument("--goal", default="", help="a message that each copy gets first")
    parser.add_argument(
        "--race",
        action="store_true",
        help="alternatives: their changes wait, and `oros commit` of one ends the others",
    )


def send(session: Session, options: Options) -> int:
    """Send a message."""
    text = " ".join(options.text)
    found = session.call("send", pid=options.pid, text=text, folder=here())
    session.give(options.output, found, ())
    return 0


def send_options(parser: ArgumentParser) -> None:
    """Words of send."""
    a_pid(parser)
    parser.add_argument("text", nargs="+", metavar="TEXT")


VERBS = {
    "ps": Verb(ps, ps_options, ("oros ps -v", "oros ps -a -o json")),
    "wait": Verb(wait, wait_options, ("oros wait 12", "oros wait 12 --timeout 5m")),
    "kill": Verb(
        kill, kill_options, ("oros kill -STOP 12", 'oros kill -USR1 12 "only the csv files"')
    ),
    "nice": Verb(nice, nice_options, ("oros nice 12 bg", "oros nice 12 0")),
    "fork": Verb(
        fork, fork_options, ("oros fork 12", 'oros fork 12 -n 3 --race --goal "try another way"')
    ),
    "send": Verb(
        send, send_options, ('oros send 12 "yes, overwrite it"', "oros send 1 stop all of them")
    ),
}
