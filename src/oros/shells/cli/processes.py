"""Processes on the command line: ps, wait, kill, nice, fork, send."""

import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from oros.shells.cli import draw
from oros.shells.cli.parse import Options, Verb, a_pid, duration, pid, signal
from oros.shells.cli.session import Session, code_of, here

MANY = 100_000


def listing(session: Session, *, ended: bool, long: bool = False) -> list[dict[str, Any]]:
    """The rows of all processes; with those that were reaped of late; with what each may do."""
    words = {"depth": 2 if ended else 1, "limit": MANY} | ({"head": 1} if long else {})
    found = session.call("list", path="/proc", **words)
    return list(found["entries"])


def state(row: draw.Row) -> str:
    """How a process stands, in a word or two."""
    if row["state"] in ("zombie", "reaped"):
        return "done" if row["status"] == 0 else f"failed {row['status']}"
    return f"waits:{row['on']}" if row["state"] == "waiting" and row["on"] else str(row["state"])


def took(row: draw.Row) -> float:
    """Seconds since a process was started, or until it ended."""
    over = row["state"] in ("zombie", "reaped")
    return float(max(0.0, (row["changed"] if over else time.time()) - row["started"]))  # noqa: TID251 - a clock to read, not to decide by


def thinks(row: draw.Row) -> str:
    """Its model; of one that had to move, behind it the one that it came from."""
    model, home = draw.short(row["model"], 16), row.get("home")
    return f"{model}←{draw.short(home, 16)}" if home else model


CELL: dict[str, Callable[[draw.Row], str]] = {
    "PID": lambda row: str(row["pid"]),
    "STATE": state,
    "NI": lambda row: str(row["nice"]),
    "MODEL": lambda row: thinks(row) or "-",
    "TOKENS": lambda row: draw.tokens(row["tokens_in"] + row["tokens_out"]),
    "CALLS": lambda row: str(row["calls"]),
    "MONEY": lambda row: draw.money(row["micros"]),
    "BUSY": lambda row: draw.seconds(row["seconds"]),
    "AGE": lambda row: draw.seconds(took(row)),
}
"""What stands in a column; `GOAL` stands in the tree."""


def ps(session: Session, options: Options) -> int:
    """List processes."""
    rows = listing(session, ended=options.all, long=options.verbose)
    told = lines(rows, session.terminal.width, long=options.verbose)
    held = session.machine().query("doctor") if options.verbose else {}
    if options.verbose:
        width = session.terminal.width if session.terminal.is_tty else 100_000
        rows = [row | {"sandbox": sandbox(row, held)} for row in rows]
        told += [draw.fit(line, width) for row in rows if (line := policy(row))]
    session.give(options.output, rows, told)
    if options.verbose and options.output == "text":
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


def lines(rows: list[dict[str, Any]], width: int, *, long: bool = False) -> list[str]:
    """The tree of processes as a table."""
    narrow = width < 70 and not long
    head = ["PID", "STATE", "AGE", "GOAL"] if narrow else ["PID", "STATE", "NI", "MODEL", "TOKENS"]
    if not narrow:
        head += ["CALLS", "MONEY", "BUSY"] if long else ["CALLS"]
        head += ["AGE", "GOAL"]
    nested = draw.tree(rows)
    columns = [list(map(CELL[name], (row for _, row in nested))) for name in head[:-1]]
    goals = ["  " * depth + goal(row) for depth, row in nested]
    return draw.table(head, zip(*columns, goals, strict=True), width, "STATE MODEL GOAL")


def goal(row: draw.Row) -> str:
    """What a process is for; copies that are alternatives name their race."""
    race = f"[race {row['race']}] " if row["race"] else ""
    return race + (row["goal"] or f"({row['program']})")


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
