"""Secrets on the command line: secret list, set, remove. A value is never an argument."""

import sys
from argparse import ArgumentParser

from oros.abi.errors import Invalid
from oros.shells.cli import draw
from oros.shells.cli.machine import long
from oros.shells.cli.parse import Options, Verb
from oros.shells.cli.session import Session


def secret(session: Session, options: Options) -> int:
    """List secrets, set one from the terminal or standard input, or remove one."""
    if options.act == "list":
        found = session.machine().query("secrets")
        rows = [[s["name"], " ".join(s["hosts"])] for s in found]
        lines = draw.table(("NAME", "HOSTS"), rows, session.terminal.width, "NAME HOSTS")
        session.give(options.output, found, lines if rows else ["no secret is set"])
        return 0
    if not options.name:
        raise Invalid(f"secret {options.act}: which one?", "give its name")
    if options.act == "remove":
        return long(session, "secrets.remove", {"name": options.name}, options.output)
    if not options.host:
        raise Invalid("a secret is for a host", "oros secret set NAME --host api.example.com")
    session.machine()
    args = {"name": options.name, "hosts": options.host, "value": value_of(options.name)}
    return long(session, "secrets.set", args, options.output)


def value_of(name: str) -> str:
    """The value: typed unseen at a terminal, else a line of standard input."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass(f"{name} (not shown): ").strip()
    return sys.stdin.readline().strip()


def secret_options(parser: ArgumentParser) -> None:
    """Words of secret."""
    acts = ("list", "set", "remove")
    parser.add_argument("act", nargs="?", default="list", choices=acts, metavar="list|set|remove")
    parser.add_argument("name", nargs="?", default="", metavar="NAME")
    note = "it is sent there and nowhere else; may be given more than once"
    parser.add_argument("--host", action="append", default=[], metavar="HOST", help=note)


VERBS = {
    "secret": Verb(
        secret,
        secret_options,
        ("oros secret set github --host api.github.com", "oros secret remove github"),
    )
}
