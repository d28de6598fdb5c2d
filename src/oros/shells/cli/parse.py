"""Words of the command line to values: options, budgets, signals; and the nearest verb.

A wrong word ends with exit code 2 and one line; `--help` of each verb ends with two examples.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, NoReturn

from oros.abi.errors import Invalid
from oros.shells.cli.session import Session

Options = argparse.Namespace
SIGNALS = ("INT", "STOP", "CONT", "TERM", "KILL", "USR1", "LOST")
HOST = re.compile(r"((\*\.)?[^\W_][\w.-]*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
NUMBERS = {"2": "INT", "9": "KILL", "10": "USR1", "15": "TERM", "18": "CONT", "19": "STOP"}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like all others of ours."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and end."""
        sys.stderr.write(f"oros: EINVAL: {message} ({self.prog} --help)\n")
        sys.exit(Invalid.exit_code)


class Verb(NamedTuple):
    """A word of the command line: what it takes, what it does, two examples.

    `listing` gives it `-o json`.
    """

    run: Callable[[Session, Options], int]
    options: Callable[[argparse.ArgumentParser], Any]
    examples: tuple[str, str]
    listing: bool = True

    def parser(self, name: str, about: str, width: int = 80) -> argparse.ArgumentParser:
        """The parser of this verb's words; its help is so many columns wide."""
        examples = "\n".join(f"  {e}" for e in self.examples)
        made = Parser(
            prog=f"oros {name}",
            description=about,
            epilog=f"examples:\n{examples}",
            formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=width - 2),
            allow_abbrev=False,
        )
        self.options(made)
        if self.listing:
            made.add_argument(
                "-o", dest="output", choices=("text", "json"), default="text", help="as JSON"
            )
        return made


def nothing(_: argparse.ArgumentParser) -> None:
    """A verb without words of its own."""


def a_pid(parser: argparse.ArgumentParser) -> None:
    """A verb about one process."""
    parser.add_argument("pid", type=pid, metavar="PID")


def pid(text: str) -> int:
    """A process id."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no process id (oros ps lists them)")
    return int(text)


def host(text: str) -> str:
    """A host as `--net` takes it; the way out itself looks closer."""
    if not HOST.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no host; say example.com or *.example.com:8443"
        )
    return text


def budget(text: str) -> tuple[str, int | float]:
    """A limit: `20ktok`, `$0.10` or `0.1usd`, `60s`, `5m`, `30calls` -> its name and value."""
    if text.lower().endswith("usd"):
        text = f"${text[:-3]}"
    found = re.fullmatch(r"\$?(\d+(?:\.\d+)?)([km]?)(tok(?:ens?)?|s|m|h|calls?|)", text.lower())
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no budget; say 20000tok, $0.10, 60s or 30calls"
        )
    value, scale, unit = float(found[1]), found[2], found[3]
    if text.startswith("$"):
        if scale or unit:
            raise argparse.ArgumentTypeError(f"{text!r}: dollars take no unit")
        return "micros", round(value * 1_000_000)
    if scale == "m" and not unit:
        return "seconds", value * 60
    if unit in ("s", "h"):
        return "seconds", value * (3600 if unit == "h" else 1)
    value *= {"": 1, "k": 1_000, "m": 1_000_000}[scale]
    if unit.startswith("tok"):
        return "tokens", int(value)
    if unit.startswith("call"):
        return "calls", int(value)
    raise argparse.ArgumentTypeError(f"{text!r}: of what? say tok, $, s or calls")


def duration(text: str) -> float:
    """Seconds: 90, 90s, 5m, 2h, 30d."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", text.lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; say 90s, 5m, 2h or 30d")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]


def signals(words: list[str]) -> list[str]:
    """`-STOP`, `-SIGSTOP`, `-19` as the first word means `-s STOP`, as with kill(1)."""
    if words and re.fullmatch(r"-(SIG)?[A-Z0-9]{1,5}", words[0]):
        return ["-s", words[0][1:], *words[1:]]
    return words


def signal(text: str) -> str:
    """A signal's name, however it was written."""
    name = NUMBERS.get(text, text.upper().removeprefix("SIG"))
    if name not in SIGNALS:
        raise argparse.ArgumentTypeError(
            f"there is no signal {text!r}; signals: {' '.join(SIGNALS)}"
        )
    return name


def nearest(word: str, words: Iterable[str]) -> str:
    """The word that was probably meant, or ""."""
    from difflib import get_close_matches  # only who mistypes pays for it

    found = get_close_matches(word, list(words), 1, 0.5)
    return found[0] if found else ""
