"""Whether the journals are as they were written: audit verify, audit head."""

from argparse import ArgumentParser

from oros.shells.cli.machine import flat, long
from oros.shells.cli.parse import Options, Verb
from oros.shells.cli.session import Session


def audit(session: Session, options: Options) -> int:
    """Check all journals (exit code 1: something is wrong), or print the newest seal."""
    if options.act == "verify":
        args = {"seal": options.seal} if options.seal else {}
        return long(session, "audit.verify", args, options.output)
    found = session.machine().query("audit.head")
    session.give(options.output, found, flat(found))
    return 0


def audit_options(parser: ArgumentParser) -> None:
    """Words of audit."""
    acts = ("verify", "head")
    parser.add_argument("act", nargs="?", default="verify", choices=acts, metavar="verify|head")
    note = "one that you noted: whoever has all of this machine can write all but that anew"
    parser.add_argument("--seal", default="", metavar="SEQ:HASH", help=note)


VERBS = {"audit": Verb(audit, audit_options, ("oros audit", "oros audit head -o json"))}
