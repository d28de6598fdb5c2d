"""Facts as one line each: what `log`, `trace`, `run` and the talk say of an event.

Pure functions of events as plain JSON (shapes: oros.abi.events); no terminal, no client.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from oros.shells.cli import draw

Event = Mapping[str, Any]

WAITS = {
    "message": "waits for a message",
    "person": "waits for you",
    "card": "waits for your yes or no",
    "child": "waits for a child",
    "timer": "sleeps",
}


def text_of(message: Event) -> str:
    """The text of a message."""
    return "".join(p.get("text", "") for p in message["parts"] if p["kind"] == "text")


def arguments(args: Any) -> str:
    """A call's arguments in short: `path=/work depth=2`."""
    if not isinstance(args, dict):
        return str(args)
    return " ".join(f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in args.items())


def result(outcome: Event) -> str:
    """What a call came to, in short."""
    error, value = outcome["error"], outcome["value"]
    if error:
        return f"{error['code']}: {error['why']}"
    if not isinstance(value, dict):
        return "done" if value is None else json.dumps(value)
    if "entries" in value:
        return f"{len(value['entries'])}{'+' if value.get('more') else ''} entries"
    if "hits" in value:
        return f"{len(value['hits'])}{'+' if value.get('more') else ''} hits"
    if "exit" in value:
        return ran(value)
    if "answer" in value:
        return f"process {value['pid']} ended, status {value['status']}: {value['answer']}"
    return arguments(value)


def ran(value: Event) -> str:
    """What a run came to: how it ended, what it changed, its last words."""
    ended = f"signal {value['signal']}" if value.get("signal") else f"exit {value['exit']}"
    changed = [f"{c['change']} {c['path'].removeprefix('/work/')}" for c in changes(value)]
    said = (value.get("out") or "").strip() or (value.get("err") or "").strip()
    return " · ".join([ended, *changed, *([said.splitlines()[-1]] if said else [])])


def changes(value: Any) -> list[dict[str, Any]]:
    """The files that a call changed."""
    return list(value.get("changed") or ()) if isinstance(value, dict) else []


def usage(used: Event) -> str:
    """Tokens and money of a usage."""
    cached = f" ({draw.tokens(used['cached'])} cached)" if used["cached"] else ""
    money = draw.money(used["micros"])
    read, written = draw.tokens(used["tokens_in"]), draw.tokens(used["tokens_out"])
    return f"{read} in{cached} → {written} out · {'price unknown' if money == '?' else money}"


def called(event: Event) -> str:
    """The intent of a model call."""
    if event.get("about"):
        return f"{event['model']}: sums up {len(event['about'])} pages that left the window"
    size = sum(event.get("window") or ())
    return f"{event['model']}: {event['pages']} messages" + f", {draw.tokens(size)}" * bool(size)


def evicted(event: Event) -> str:
    """Pages that left, or were cut."""
    cuts = len(event.get("cuts") or ())
    told = [f"{n} page{'s' * (n > 1)} left the window" for n in [len(event["pages"])] if n]
    return ", ".join([*told, *([f"{cuts} cut" if told else f"{cuts} cut to fit"] if cuts else [])])


def replied(event: Event) -> str:
    """A model call."""
    queued = f" (queued {draw.seconds(event['queued'])})" if event["queued"] >= 0.1 else ""
    cut = f" [{event['finish']}]" if event["finish"] not in ("stop", "calls") else ""
    asks = " ".join(f"{a['name']}({arguments(a['args'])})" for a in event["message"]["asks"])
    if event.get("about"):
        spent = usage(event["usage"])
        return f"{event['model']}: summed up {len(event['about'])} pages that left: {spent}"
    words = event["error"] or text_of(event["message"]).strip() or asks
    spent = f"{usage(event['usage'])} · {draw.seconds(event['seconds'])}{queued}"
    return f"{event['model']}: {spent}{cut}  {json.dumps(words, ensure_ascii=False)}"


def returned(event: Event) -> str:
    """The end of a call."""
    again = f" (done again, {event['again']}. time)" if event["again"] else ""
    return f"{event['id']} → {result(event['outcome'])}  {draw.seconds(event['seconds'])}{again}"


def entered(event: Event) -> str:
    """The start of a call."""
    refused = "" if event["verdict"] == "allow" else f"  refused: {event['verdict']}"
    return f"{event['id']} {event['name']} {arguments(event['args'])}{refused}"


def received(event: Event) -> str:
    """A message that came."""
    whom = "you" if event["source"] == 0 else f"process {event['source']}"
    how = "" if event["how"] == "message" else f" ({event['how']})"
    return f"from {whom}{how}: {text_of(event['message'])}"


def exited(event: Event) -> str:
    """An end."""
    why = f" ({event['why']})" if event["why"] else ""
    return f"status {event['status']}{why}: {event['answer']}"


def forked(event: Event) -> str:
    """The start of a copy."""
    race = f", one of race {event['race']}" if event.get("race") else ""
    return f"copy of process {event['of']} as of event {event['at']}{race}"


def item(of: Event) -> str:
    """One line of a card."""
    if not of["arg"]:
        return f"{of['act']} by {of['tool']}, which you did not ask for"
    return f"{of['act']}: {of['arg']} {json.dumps(of['value'], ensure_ascii=False)}"


def granted(event: Event) -> str:
    """What you said, or what a plan was made of."""
    yes = ", ".join(g["said"] or g["what"] for g in event["grants"])
    no = ", ".join(event["denied"])
    plan = "planned from your words: " if event["planned"] else ""
    return plan + "; ".join(x for x in (yes and f"yes: {yes}", no and f"no: {no}") if x)


SAYS: dict[str, Callable[[Event], str]] = {
    "spawned": lambda e: f"{e['program']['name']} on {e['model']}: {e['goal']}",
    "forked": forked,
    "received": received,
    "model_called": called,
    "model_replied": replied,
    "moved": lambda e: f"goes on with {e['to']} in the place of {e['of']}: {e['why']}",
    "call_entered": entered,
    "call_returned": returned,
    "doubted": lambda e: f"{e['id']}: {e['question']}",
    "carded": lambda e: f"asks you: {'; '.join(map(item, e['items']))}",
    "granted": granted,
    "spent": lambda e: f"process {e['by']} did {e['act']}",
    "parked": lambda e: WAITS.get(e["on"], str(e["on"])),
    "signalled": lambda e: f"{e['signal']} {e['why']}".strip(),
    "niced": lambda e: "foreground" if e["level"] == 0 else "background",
    "mounted": lambda e: f"{e['point']['path']} is {e['point']['source']}",
    "evicted": evicted,
    "recalled": lambda e: " ".join(text_of(e["message"]).split()),
    "exited": exited,
    "reaped": lambda e: f"by process {e['by']}",
    "sealed": lambda e: f"the heads of {len(e['heads'])} journals, key {e['key'][:16]}",
}


def gist(fact: Mapping[str, Any]) -> str:
    """A fact in one line, without its place; a kind of event that is newer than we are, as JSON."""
    say = SAYS.get(fact["kind"])
    return say(fact["event"]) if say is not None else json.dumps(fact["event"])
