"""What a process may do on your behalf: grants, allow, deny; and the cards that it asks by.

A card is drawn here, out of any program's reach: values, where they came from, never a model's
words about them. Nothing is preset to yes.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any

from oros.abi.errors import OrosError
from oros.shells.cli import draw
from oros.shells.cli.parse import Options, Verb, a_pid
from oros.shells.cli.session import Session

ROLES = {
    "target": "reaches",
    "value": "sets",
    "text": "has a link in",
    "label": "names",
    "readers": "goes to",
    "act": "does",
}


def card(items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A card, line by line."""
    for number, item in enumerate(items, 1):
        yield f"  {number}. {head(item)}"
        if item["source"]:
            yield f"     from: {seen(item['source'])}"
        if item["excerpt"]:
            yield f"     others wrote: {seen(item['excerpt'])}"
        if item["shown"]:
            yield f"     read by machines as: {item['shown']}"
        for known in item["alike"]:
            yield f"     looks like {seen(known)}, which you named, and is another"


def head(item: dict[str, Any]) -> str:
    """What an item would do, and with which value."""
    if not item["arg"]:
        args = "  ".join(f"{path}={seen(value)}" for path, _, value in item["parts"])
        return f"{item['act']}: {item['tool']}  {args}"
    role = ROLES.get(item["role"], item["role"])
    return f"{item['act']} {role} ({item['arg']}): {seen(item['value'])}"


def seen(text: str) -> str:
    """A text of others in one line, its control and hidden characters shown as what they are."""
    return draw.fit(json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"'), 300)


def ask(session: Session, pid: int, items: Sequence[dict[str, Any]], *, here: bool) -> None:
    """Put a card to the person; without one at a terminal, say how to answer it."""
    terminal = session.terminal
    terminal.note(f"process {pid} needs your word:", "yellow")
    for line in card(items):
        terminal.note(line)
    if not here:
        terminal.note(f"answer: oros allow {pid} · oros deny {pid} · oros allow {pid} --item N")
        return
    many = len(items) > 1
    which = " · 1,3 = only these" if many else " · =VALUE takes another in its place"
    while True:
        terminal.note(f"y = use {'all' if many else 'it'} · n = don't{which} > ", end="")
        said = sys.stdin.readline()
        if not said or reply(session, pid, said.strip(), len(items)):
            return


def reply(session: Session, pid: int, said: str, count: int) -> bool:
    """Send an answer as it was typed. False: it was none."""
    numbers = [p.strip() for p in said.split(",")]
    try:
        if said.lower() in ("y", "yes"):
            session.client.call("allow", pid=pid)
        elif said.lower() in ("n", "no"):
            session.client.call("deny", pid=pid)
        elif count == 1 and said.startswith("=") and said[1:].strip():
            session.client.call("allow", pid=pid, instead=said[1:].strip())
        elif all(n.isdecimal() and 1 <= int(n) <= count for n in numbers):
            session.client.call("allow", pid=pid, items=[int(n) for n in numbers])
        else:
            return False
    except OrosError as e:  # it was answered elsewhere, or the process has ended
        session.terminal.note(f"oros: {e}", "red")
    return True


def grants(session: Session, options: Options) -> int:
    """List what a process may do on your behalf, and what it asks."""
    found = session.machine().query("grants", pid=options.pid)
    session.give(options.output, found, listing(found, every=options.all))
    return 0


def listing(found: dict[str, Any], *, every: bool) -> Iterator[str]:
    """The grants of a process; `every`: the values that your words name, too."""
    acts = [g for g in found["grants"] if g["kind"] != "value"]
    named = [g for g in found["grants"] if g["kind"] == "value"]
    given = [g for g in named if g["by"] == "person" or every]
    yield f"process {found['pid']}: {len(acts)} classes of act, {len(named)} values"
    for grant in acts:
        if grant["kind"] == "follow":
            yield f"  follows what you named: {seen(grant['said'])}"
            continue
        left = (
            "any number" if grant["uses"] is None else f"{grant['spent']} of {grant['uses']} done"
        )
        yield f"  {grant['what']:28} {left:16} {origin(grant)}"
    for grant in given:
        form = grant["form"] or "value"
        yield f"  {form:10} {seen(grant['what'])}  {origin(grant)}"
    for name in found["denied"]:
        yield f"  no: {name}"
    if found["card"]:
        yield "it asks:"
        yield from card(found["card"])


def origin(grant: dict[str, Any]) -> str:
    """Where a grant came from."""
    return {
        "words": f"you said: {draw.fit(grant['said'], 50)}",
        "model": "a model read it in your words",
        "person": "you allowed it" + (f", as {grant['scope']}" if grant["scope"] else ""),
        "parent": "from its parent",
    }[grant["by"]]


def allow(session: Session, options: Options) -> int:
    """Say yes to a card, or grant a class of act or a value."""
    args: dict[str, Any] = {"pid": options.pid}
    if options.what:
        args |= {"what": options.what, "uses": options.uses}
    if options.item:
        args["items"] = options.item
    if options.instead:
        args["instead"] = options.instead
    return said(session, session.call("allow", **args), options.output)


def deny(session: Session, options: Options) -> int:
    """Say no to a card, or take a grant back."""
    args = {"what": options.what} if options.what else {}
    return said(session, session.call("deny", pid=options.pid, **args), options.output)


def said(session: Session, found: dict[str, Any], output: str) -> int:
    """Tell what was granted and denied."""
    lines = [f"yes: {n}" for n in found.get("granted", ())]
    lines += [f"no: {n}" for n in found.get("denied", ())]
    session.give(output, found, lines or ["nothing was granted"])
    return 0


def grants_options(parser: ArgumentParser) -> None:
    """Words of grants."""
    a_pid(parser)
    parser.add_argument("-a", "--all", action="store_true", help="also each value that you named")


def allow_options(parser: ArgumentParser) -> None:
    """Words of allow."""
    a_pid(parser)
    what = "a class of act, such as mail.send, or a value that it may reach; else its card"
    parser.add_argument("what", nargs="?", default="", metavar="WHAT", help=what)
    parser.add_argument("--uses", type=int, default=1, metavar="N", help="how many such calls")
    parser.add_argument(
        "--item", type=int, action="append", default=[], metavar="N", help="only this of the card"
    )
    parser.add_argument("--instead", default="", metavar="VALUE", help="take this in its place")


def deny_options(parser: ArgumentParser) -> None:
    """Words of deny."""
    a_pid(parser)
    what = "a grant by its name, as `oros grants -o json` shows it; else its card"
    parser.add_argument("what", nargs="?", default="", metavar="WHAT", help=what)


VERBS = {
    "grants": Verb(grants, grants_options, ("oros grants 12", "oros grants 12 --all -o json")),
    "allow": Verb(allow, allow_options, ("oros allow 12", "oros allow 12 mail.send --uses 2")),
    "deny": Verb(deny, deny_options, ("oros deny 12", "oros deny 12 act:mail.send")),
}
