"""Other clients on the command line: serve opens the doors, keys says who may come in."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from oros.abi.errors import Invalid
from oros.shells.cli import draw
from oros.shells.cli.machine import long
from oros.shells.cli.parse import Options, Verb, budget, duration
from oros.shells.cli.session import Session


def keys(session: Session, options: Options) -> int:
    """List keys with what was spent, make one, or revoke one."""
    if options.act == "list":
        found = session.machine().query("keys")
        rows = [key_row(k) for k in found]
        head = ("NAME", "PID", "MODELS", "APPS", "TOKENS", "COST", "LIMITS", "WORDS")
        lines = draw.table(head, rows, session.terminal.width, "NAME PID MODELS APPS TOKENS LIMITS")
        session.give(options.output, found, lines if rows else ["no key (oros keys add NAME)"])
        return 0
    if not options.name:
        raise Invalid(f"keys {options.act}: which one?", "give its name")
    if options.act == "revoke":
        return long(session, "keys.revoke", {"name": options.name}, options.output)
    code = long(session, "keys.add", wish(options), options.output)
    session.terminal.note("oros: the key is shown this once; only its hash is kept")
    return code


def wish(options: Options) -> dict[str, Any]:
    """The key that is asked for."""
    folder = str(Path(options.folder).expanduser().absolute()) if options.folder else ""
    return {
        "name": options.name,
        "models": options.models or ["*"],
        "apps": options.apps,
        "limits": dict(options.budget),
        "seconds": options.seconds,
        "nice": options.nice,
        "folder": folder,
        "mine": options.mine,
    }


def key_row(key: dict[str, Any]) -> list[str]:
    """A key as a row."""
    spent = key["spent"]
    micros = spent["micros"]
    cost = "unknown" if micros is None else f"${micros / 1e6:.4f}"
    limits = " ".join(f"{v}{n}" for n, v in key["limits"].items() if v is not None)
    words = "yours" if key["mine"] else "others'"
    tokens = str(spent["tokens_in"] + spent["tokens_out"])
    models, apps = " ".join(key["models"]), " ".join(key["apps"])
    return [key["name"], str(key["pid"]), models, apps or "-", tokens, cost, limits or "-", words]


def keys_options(parser: ArgumentParser) -> None:
    """Words of keys."""
    acts = ("list", "add", "revoke")
    parser.add_argument("act", nargs="?", default="list", choices=acts, metavar="list|add|revoke")
    parser.add_argument("name", nargs="?", default="", metavar="NAME")
    add = parser.add_argument
    add("--models", action="append", default=[], metavar="M", help="such as acme/*; all, without")
    note = "programs it may ask as models, such as steps; none, without"
    add("--apps", action="append", default=[], metavar="A", help=note)
    note = "5usd, 2mtok, 100calls, 60s; may be given more than once"
    add("-b", "--budget", action="append", default=[], type=budget, metavar="LIMIT", help=note)
    add("--for", dest="seconds", type=duration, default=0.0, metavar="TIME", help="such as 30d")
    add("--nice", type=int, choices=(0, 1), default=1, help="0: before the background")
    add("--folder", default="", metavar="DIR", help="what its programs work in; nothing, without")
    add("--mine", action="store_true", help="what comes with it counts as your own words")


def serve(session: Session, options: Options) -> int:
    """Open the doors on loopback, and at each start from now on; or shut them."""
    listen = "" if options.off else f"{options.host}:{options.port}"
    return long(session, "doors.serve", {"listen": listen}, options.output)


def serve_options(parser: ArgumentParser) -> None:
    """Words of serve."""
    parser.add_argument("--port", type=int, default=8700, help="8700 without it; 0: any")
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1 or ::1")
    parser.add_argument("--off", action="store_true", help="shut them")


VERBS = {
    "keys": Verb(
        keys,
        keys_options,
        ("oros keys add editor --models 'acme/*' -b 5usd --for 30d", "oros keys revoke editor"),
    ),
    "serve": Verb(serve, serve_options, ("oros serve", "oros serve --off")),
}
