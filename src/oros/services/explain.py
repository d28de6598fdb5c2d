"""A call in plain language: what was asked, under which label, which rule held, what would help."""

import json
from collections.abc import Mapping

from oros.abi import wire
from oros.abi.errors import NotFound
from oros.abi.events import CallEntered, CallReturned, Event
from oros.abi.labels import OUTSIDE
from oros.abi.message import Json
from oros.kernel.authority import authority
from oros.kernel.machine import Machine
from oros.kernel.process import Process

RULES = {
    0: "it is the machine's own: it changes only what can be undone, or its own tables",
    1: "it changes nothing and tells nobody anything",
    3: "nothing from outside had been read that could have asked for it",
    5: "you asked for such a call, and what it reaches is your word, or of what you named, "
    "or had your yes",
}
READER = (
    "a process that sees what it was given, makes no call of its model's, and answers with a value "
    "of the form that it was asked for"
)
INTEGRITY = ("text that others wrote", "data of services", "the machine's own data", "your words")


def explain(m: Machine, process: Process, call: str) -> Mapping[str, Json]:
    """One call of a process. Raises: NotFound."""
    found: dict[str, Json] = {}
    for row in m.journal.rows(process.pid):
        event: Event = wire.decode_event(row.kind, row.body)
        match event:
            case CallEntered(id=name) if name == call:
                found = {"pid": process.pid, "at": row.time, **wire.plain(event)}
                found["read"] = read(row.label)
            case CallReturned(id=name) if name == call:
                found["returned"] = wire.plain(event)
            case _:
                pass
    if not found:
        raise NotFound(f"process {process.pid} made no call {call}", "`oros log PID` lists them")
    found["plain"] = plain(found, process.program)
    return found


def read(label: bytes) -> Json:
    """What a process had read when it called, as its label tells."""
    integrity, _, origins = json.loads(label)
    outside = [o for o in origins if o.startswith(OUTSIDE)]
    return {"integrity": integrity, "words": INTEGRITY[integrity], "outside": outside}


def plain(found: Mapping[str, Json], program: str) -> str:
    """The verdict in a sentence."""
    if found["verdict"] != "allow":
        return f"refused: {refusal(found)}"
    if found["name"] == "spawn" and found["args"].get("schema"):
        return f"allowed: it starts a reader: {READER}"
    if program == "reader":
        return f"allowed: it was given that to read; it is {READER}"
    if not found["rule"]:
        return f"allowed: {program} may {found['name']}, effect {found['effect']}"
    counted = f", counted as {found['act']}" if found["act"] else ""
    return f"allowed{counted}: {RULES.get(found['rule'], '')}"


def refusal(found: Mapping[str, Json]) -> str:
    """Why a call was refused, in one line."""
    error = found.get("returned", {}).get("outcome", {}).get("error") or {}
    hint = f" ({error['hint']})" if error.get("hint") else ""
    return f"{error.get('code', found['verdict'])}: {error.get('why', '')}{hint}"


def grants(m: Machine, process: Process) -> dict[str, Json]:
    """What a process may do on its user's behalf, what it was denied, and what it asks."""
    image = m.journal.peek(process.pid)
    spent = dict(process.spent)
    rows: list[Json] = []
    for grant in authority(m, process, image).grants:
        rows.append({"name": grant.name, **wire.plain(grant)})
        if grant.kind == "act":
            rows[-1]["spent"] = spent.get(grant.what, 0)
    return {
        "pid": process.pid,
        "grants": rows,
        "denied": list(process.denied),
        "card": None if image.card is None else wire.plain(image.card)["items"],
        "cards": image.cards,
    }
