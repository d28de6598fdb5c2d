"""Jobs on texts, scripts, mail and folders: find, replace, rename, repair, sum up."""

import json
import re
from pathlib import Path

from bench.tasks.task import OK, Task, Verdict, both, lines, mended, names, runs, says

LICENCES = ("licences/Apache-2.0", "licences/BSD", "licences/CC0-1.0", "licences/Artistic")
MIXED = (
    "tables/penguins.csv",
    "tables/seattle-weather.csv",
    "tables/crimea.json",
    "texts/declaration.txt",
)


def renamed_realm(after: Path, _answer: str, before: Path) -> Verdict:
    wanted = (before / "declaration.txt").read_text("utf-8").replace("Britain", "Ruritania")
    got = (after / "declaration.txt").read_text("utf-8")
    return OK if got == wanted else (False, "the text is not as it was but for the name")


def shout(after: Path, _answer: str, before: Path) -> Verdict:
    wanted = (before / "declaration.txt").read_text("utf-8").upper()
    got = (after / "shout.txt").read_text("utf-8")
    return OK if got.strip() == wanted.strip() else (False, "shout.txt is another text")


def endings(after: Path, _answer: str, before: Path) -> Verdict:
    for path in before.iterdir():
        if (after / path.name).exists():
            return False, f"{path.name} still has its old name"
        if (after / f"{path.name}.txt").read_bytes() != path.read_bytes():
            return False, f"{path.name}.txt is another text"
    return OK


def mentions(_after: Path, answer: str, before: Path) -> Verdict:
    have = {x.name for x in before.iterdir() if "trademark" in x.read_text("utf-8").lower()}
    rest = {x.name for x in before.iterdir()} - have
    if any(names(answer, x)[0] for x in rest):
        return False, "it names a file without the word"
    return names(answer, *have)


def installed(_after: Path, answer: str, before: Path) -> Verdict:
    return says(answer, sum(x.split()[2] == "install" for x in lines(before / "dpkg.log")))


def configure_lines(after: Path, _answer: str, before: Path) -> Verdict:
    wanted = [x for x in lines(before / "dpkg.log") if "half-configured" in x]
    return OK if lines(after / "half.log") == wanted else (False, "other lines than those")


def letter(after: Path, _answer: str, _before: Path) -> Verdict:
    value = json.loads((after / "letter.json").read_text("utf-8"))
    if {k.lower() for k in value} != {"from", "to", "subject"}:
        return False, f"the keys are {sorted(value)}"
    text = " ".join(str(v) for v in value.values())
    return names(text, "bbb@ddd.com", "bbb@zzz.org", "This is a test message")


def addresses(after: Path, _answer: str, before: Path) -> Verdict:
    text = (before / "digest.eml").read_text("utf-8")
    wanted = sorted(set(re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", text)))
    got = lines(after / "addresses.txt")
    return OK if got == wanted else (False, f"{got}, not {wanted}")


def queens(after: Path, _answer: str, before: Path) -> Verdict:
    code, out = runs(after, "queens.py")
    return both(
        (code == 0, "it still fails"), says(out[-40:], 92), mended(after, before, "queens.py")
    )


def beer(after: Path, _answer: str, before: Path) -> Verdict:
    code, out = runs(after, "beer.py")
    right = (code == 0 and "99 bottles of beer" in out, "it still fails")
    return both(right, says(out[:40], 100), mended(after, before, "beer.py"))


def in_order(after: Path, _answer: str, before: Path) -> Verdict:
    for path in before.iterdir():
        folder = {".csv": "tables/", ".json": "data/"}.get(path.suffix, "")
        if (after / f"{folder}{path.name}").read_bytes() != path.read_bytes():
            return False, f"{path.name} is not in {folder or 'its place'}"
        if folder and (after / path.name).exists():
            return False, f"{path.name} is still in its old place"
    return OK


def in_short(after: Path, _answer: str, before: Path) -> Verdict:
    source = (before / "BSD").read_text("utf-8")
    text = (after / "summary.txt").read_text("utf-8").strip()
    shared = set(re.findall(r"[a-z]{6,}", source.lower())) & set(
        re.findall(r"[a-z]{6,}", text.lower())
    )
    if not 60 <= len(text) <= 700 or len(shared) < 3:
        return False, f"{len(text)} characters, {len(shared)} words of the text"
    flat = " ".join(source.split())
    return (False, "a piece of the text is no summary") if " ".join(text.split()) in flat else OK


FILE_JOBS = (
    Task("renamed-realm", "Replace Britain by Ruritania everywhere in declaration.txt.",
         ("texts/declaration.txt",), renamed_realm, ("declaration.txt",)),
    Task("shout", "Make a copy of declaration.txt in capital letters and call it shout.txt.",
         ("texts/declaration.txt",), shout),
    Task("endings", "The files in this folder have no .txt at the end of their names. Add it to "
         "all of them.", LICENCES, endings, ("*",)),
    Task("mentions", "Which of these files mention trademarks?", LICENCES, mentions),
    Task("installed", "How many install actions are in dpkg.log? The action is the third word of "
         "a line.", ("texts/dpkg.log",), installed),
    Task("half", "Put all lines of dpkg.log that say half-configured into half.log.",
         ("texts/dpkg.log",), configure_lines),
    Task("letter", "Save the sender, receiver and subject of letter.eml as letter.json with the "
         "keys from, to and subject.", ("mail/letter.eml",), letter),
    Task("addresses", "Collect all mail addresses in digest.eml, each once, sorted, one a line, "
         "in addresses.txt.", ("mail/digest.eml",), addresses),
    Task("queens", "queens.py crashes. Find the mistake and repair the file.",
         ("scripts/queens.py",), queens, ("queens.py",)),
    Task("beer", "Please fix beer.py, it stops with a TypeError.",
         ("scripts/beer.py",), beer, ("beer.py",)),
    Task("in-order", "Tidy up: move the csv files into a folder tables and the json files into "
         "a folder data.", MIXED, in_order, ("*",)),
    Task("in-short", "Read the file BSD and write a summary of it, two or three sentences of your "
         "own, into summary.txt.", ("licences/BSD",), in_short),
)  # fmt: skip
