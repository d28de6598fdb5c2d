"""`oros`: finds the verb, runs it, and ends with the error's own exit code.

Only the verb's own module is imported, so that a command costs little more than Python itself.
"""

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from oros.abi.errors import Invalid, OrosError
from oros.shells.cli.session import Session
from oros.shells.cli.terminal import Terminal

VERBS: dict[str, tuple[str, str]] = {
    "run": ("run", "start a process that works on a goal, and follow it"),
    "send": ("processes", "send a message to a process, or answer its question"),
    "wait": ("processes", "wait until a process ends; its answer"),
    "ps": ("processes", "list processes as a tree"),
    "top": ("top", "watch processes and model slots"),
    "kill": ("processes", "send a signal: stop, pause, resume, steer or end a process"),
    "nice": ("processes", "move a process to the foreground or the background"),
    "fork": ("processes", "copy a process with all it knows"),
    "trace": ("trace", "watch what a process does: model calls, calls, tokens"),
    "log": ("trace", "print the journal of a process"),
    "replay": ("trace", "decide a run anew from its journal, and compare"),
    "explain": ("trace", "tell why a call was allowed or refused"),
    "grants": ("grants", "list what a process may do on your behalf, and what it asks"),
    "allow": ("grants", "say yes to what a process asks, or grant it more"),
    "deny": ("grants", "say no to what a process asks, or take a grant back"),
    "secret": ("secrets", "list, set or remove secrets that programs use and never see"),
    "apps": ("apps", "list apps and what their tools may do"),
    "install": ("apps", "install an app, or a server of tools"),
    "remove": ("apps", "remove an app"),
    "audit": ("audit", "check that no journal was altered; print a seal to keep elsewhere"),
    "diff": ("layers", "show what a process changed and is not in your folder"),
    "commit": ("layers", "bring the changes of a process into your folder"),
    "discard": ("layers", "throw away what is not in your folder"),
    "undo": ("layers", "take back what a process changed, and only that"),
    "redo": ("layers", "bring back what was undone"),
    "ls": ("files", "list a folder"),
    "cat": ("files", "print files"),
    "write": ("files", "write a file"),
    "rm": ("files", "remove files"),
    "find": ("find", "find files by name, and what stands in folders and memory"),
    "grep": ("files", "find text in files"),
    "mem": ("memory", "list, search, add, correct or forget what is remembered"),
    "mount": ("mounts", "show a folder to all processes, and find what is in it"),
    "umount": ("mounts", "show a folder no more"),
    "models": ("models", "list, fetch, test and add models"),
    "keys": ("keys", "list, make or revoke keys for other clients"),
    "serve": ("keys", "let other clients in: OpenAI's and Anthropic's dialects, on loopback"),
    "slots": ("machine", "list model slots: who thinks, who waits"),
    "doctor": ("machine", "check what this machine can do and enforce"),
    "boot": ("machine", "start the machine"),
    "halt": ("machine", "stop the machine; processes go on at the next boot"),
    "status": ("machine", "tell how the machine stands"),
    "version": ("machine", "print the version"),
}
GROUPS = (
    ("work", ("run", "send", "wait")),
    ("processes", ("ps", "top", "kill", "nice", "fork")),
    ("what happened", ("trace", "log", "replay", "explain", "audit")),
    ("your word", ("grants", "allow", "deny", "secret")),
    ("apps", ("apps", "install", "remove")),
    ("its changes", ("diff", "commit", "discard", "undo", "redo")),
    ("files", ("ls", "cat", "write", "rm", "find", "grep", "mount", "umount", "mem")),
    ("other clients", ("serve", "keys")),
    ("machine", ("models", "slots", "doctor", "boot", "halt", "status", "version")),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    gc.set_threshold(200_000)  # ten thousand rows are no garbage
    words = list(sys.argv[1:] if words is None else words)
    terminal = Terminal()
    try:
        home, words = home_in(words)
        return command(Session(home, terminal, command), words)
    except OrosError as e:
        terminal.note(f"oros: {e}", "red")
        return e.exit_code
    except KeyboardInterrupt:
        terminal.note("")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone: nothing to flush to
        return 141


def home_in(words: list[str]) -> tuple[Path, list[str]]:
    """The machine's home, and the words without the option that names it."""
    from oros.sdk.address import home_of

    if words and words[0] == "--home":
        if len(words) < 2:
            raise Invalid("--home takes a folder")
        return Path(words[1]).absolute(), words[2:]
    return home_of(), words


def command(session: Session, words: Sequence[str]) -> int:
    """Run one verb. Raises: OrosError."""
    if not words:
        words = ["talk"]
    name, rest = words[0], list(words[1:])
    if name in ("-h", "--help", "help"):
        if rest and rest[0] in VERBS:
            return command(session, [rest[0], "--help"])
        session.terminal.out(overview())
        return 0
    if name in ("-V", "--version"):
        name = "version"
    if name == "talk":
        return int(importlib.import_module("oros.shells.cli.talk").talk(session))
    if name not in VERBS:
        raise unknown(name)
    module, about = VERBS[name]
    verb = importlib.import_module(f"oros.shells.cli.{module}").VERBS[name]
    if name == "kill":
        rest = importlib.import_module("oros.shells.cli.parse").signals(rest)
    parser = verb.parser(name, about, session.terminal.width)
    mixed = name in ("mem", "models")  # their words may stand behind options
    return int(
        verb.run(session, (parser.parse_intermixed_args if mixed else parser.parse_args)(rest))
    )


def unknown(name: str) -> Invalid:
    """What to say to a word that is no verb."""
    from oros.shells.cli.parse import nearest

    if " " in name:
        return Invalid(f"there is no verb {name!r}", f'a goal is run by: oros run "{name}"')
    near = nearest(name, VERBS)
    return Invalid(f"there is no verb {name!r}", f"did you mean {near}?" if near else "oros --help")


def overview() -> str:
    """The page of all verbs."""
    lines = ["usage: oros [--home DIR] [VERB ...]", "", "An operating system for agents."]
    lines += ["Without a verb: talk with it.", ""]
    for group, names in GROUPS:
        lines.append(f"{group}:")
        lines += [f"  {n:9} {VERBS[n][1]}" for n in names]
    lines += ["", "oros VERB --help tells more.", "", "examples:"]
    lines += ['  oros run "How many lines has notes.txt?"', "  oros ps"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
