"""`oros models add`: names a server, and it asks the least: the key if one is needed, which model.

Without a terminal nothing is asked: what is missing is an error that names the option.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from oros.abi.errors import Invalid, NotAuthorized, NotFound
from oros.shells.cli.parse import Options
from oros.shells.cli.secrets import value_of
from oros.shells.cli.session import Session

CAN = ("tools", "schema", "image", "audio", "resume")
"""What can be said of a model; as in `oros.abi.ports`."""

FEW = 40
"""Models that are listed at once to choose from."""


def add(session: Session, options: Options) -> int:
    """Add a model of a server to the configuration."""
    where = options.name or asked(session, "Which server? (an address, or openai, ollama ...)")
    weights = where.endswith(".gguf")
    args = {"where": str(Path(where).absolute()) if weights else where}
    args |= {"key": options.key, "key_env": options.key_env, "dialect": options.dialect}
    if not weights:
        models = [m["model"] for m in offered(session, args)["models"]]
        args["model"] = options.model or chosen(session, models)
    args |= {"cans": options.can}
    args |= {"as": options.called, "window": options.window, "price": options.price}
    args |= {"aliases": options.alias, "fallbacks": options.fallback, "default": options.default}
    added = result(session, "models.add", args)
    lines = [f"added {added['added']}: oros models test {added['added']}"]
    if "window" not in added:
        lines.append("it does not say how large its window is: 32768 tokens until you do")
    if "price" not in added and not weights:
        lines.append("its price is not known: a budget in money refuses it until you set one")
    session.give(options.output, added, lines)
    return 0


def offered(session: Session, args: dict[str, Any]) -> dict[str, Any]:
    """What a server offers; a key that it wants is asked for once and kept as a secret."""
    try:
        return dict(result(session, "models.offers", args))
    except NotAuthorized as e:
        if args["key"] or not talks(session):
            hint = "--key NAME of `oros secret set NAME --host HOST`, or --key-env VARIABLE"
            raise NotAuthorized(e.why, hint) from e
        name, host = named(args["where"]), host_of(e.why)
        kept = {"name": name, "hosts": [host], "value": value_of(f"the key for {host}")}
        result(session, "secrets.set", kept)
        args["key"] = name
        return dict(result(session, "models.offers", args))


def named(where: str) -> str:
    """A name for the secret of a server."""
    letters = "".join(c if c.isalnum() and c.isascii() else "-" for c in where.lower())
    return f"key-{letters.strip('-')}"[:64].rstrip("-")


def host_of(why: str) -> str:
    """The host that refused, the first word of the reason."""
    return why.split(" ", 1)[0]


def chosen(session: Session, models: list[str]) -> str:
    """The model that the person picks by its number or name; the only one without asking."""
    if len(models) == 1 or not talks(session):
        return models[0] if len(models) == 1 else ""
    for number, model in enumerate(models[:FEW], 1):
        session.terminal.note(f"{number:4}  {model}")
    if len(models) > FEW:
        session.terminal.note(f"      and {len(models) - FEW} more, by name")
    said = asked(session, "Which model? (number or name)")
    if said.isdecimal() and 1 <= int(said) <= len(models):
        return models[int(said) - 1]
    if said not in models:
        raise NotFound(f"it offers no model {said!r}", "a number of the list, or a name")
    return said


def asked(session: Session, question: str) -> str:
    """A line of the person's. Raises: Invalid, if there is nobody to ask or nothing is said."""
    if not talks(session):
        raise Invalid("models add: which server?", "oros models add http://127.0.0.1:8000/v1")
    session.terminal.note(f"{question} ", end="")
    said = sys.stdin.readline().strip()
    if not said:
        raise Invalid("nothing was said", "say it, or give it as an option")
    return said


def talks(session: Session) -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty() and session.terminal.err_tty


def result(session: Session, name: str, args: dict[str, Any]) -> Any:
    """What something long came to."""
    found: Any = None
    for step in session.machine().progress(name, **args):
        found = step.get("result", found)
    return found


def price(text: str) -> list[int]:
    """Dollars per million tokens, `1,4,0.1`: in, out, cached in (as in, if it is left out)."""
    try:
        parts = [round(float(x) * 1_000_000) for x in text.split(",")]
    except ValueError:
        parts = []
    if len(parts) not in (2, 3) or min(parts) < 0:
        why = f"{text!r} is no price; say 1,4,0.1: dollars per million tokens in, out, cached in"
        raise ArgumentTypeError(why)
    return parts if len(parts) == 3 else [*parts, parts[0]]


def add_options(parser: ArgumentParser) -> None:
    """Words of models add."""
    say = parser.add_argument
    say("--model", default="", metavar="NAME", help="add: which of the server's models")
    say("--as", dest="called", default="", metavar="NAME", help="add: what it is called here")
    say("--key", default="", metavar="SECRET", help="add: the secret that holds its key")
    say("--key-env", default="", metavar="VARIABLE", help="add: or the variable that does")
    note = "add: what it can beside what its server tells, such as image, audio, schema"
    say("--can", action="append", default=[], choices=CAN, metavar="SENSE", help=note)
    say("--window", type=int, default=0, metavar="TOKENS", help="add: how much it can read")
    note = "add: dollars per million tokens: in, out, cached in"
    say("--price", type=price, default=[], metavar="1,4,0.1", help=note)
    say("--alias", action="append", default=[], metavar="NAME", help="add: another name for it")
    note = "add: where a process goes on if it fails"
    say("--fallback", action="append", default=[], metavar="MODEL", help=note)
    say("--dialect", default="", metavar="NAME", help="add: what it speaks, if not OpenAI's")
    say("--default", action="store_true", help="add: make it the default model")
