"""A small real job on real files, and the ways to judge its result without reading its wording.

A checker works out what it expects from the untouched files with the standard library, and looks
only at files and numbers (or names that the data holds). It knows nothing of who did the job.
"""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Verdict = tuple[bool, str]
Check = Callable[[Path, str, Path], Verdict]
"""`check(after, answer, before)`: the folder as it was left, the words, the folder as it was."""
Row = dict[str, str]
OK: Verdict = (True, "")


@dataclass(frozen=True, slots=True)
class Task:
    """A job in a plain user's words. `files` come from `examples/`, by their last name.

    Files that were there must stay as they were, but those in `changes` ("*" is all of them).
    """

    id: str
    goal: str
    files: tuple[str, ...]
    check: Check
    changes: tuple[str, ...] = ()

    def lay(self, folder: Path) -> None:
        """Copy the job's files into a folder, which is made."""
        folder.mkdir(parents=True)
        for name in self.files:
            shutil.copyfile(EXAMPLES / name, folder / Path(name).name)

    def judge(self, after: Path, answer: str, before: Path) -> Verdict:
        """Whether the job was done, and if not, why."""
        if "*" not in self.changes:
            for path in sorted(before.iterdir()):
                if path.name in self.changes:
                    continue
                now = after / path.name
                if not now.is_file() or now.read_bytes() != path.read_bytes():
                    return False, f"{path.name} was to stay as it was"
        try:
            return self.check(after, answer, before)
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as e:
            return False, f"what it left can't be read: {type(e).__name__}: {e}"


def numbers(text: str) -> list[float]:
    """All numbers of a text; commas between thousands are dropped."""
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return [float(x) for x in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", plain)]


def says(answer: str, *values: float, off: float = 0.0) -> Verdict:
    """The answer holds each number (within `off`), and not a heap of others to pick from."""
    found = numbers(answer)
    if len(found) > 4 * len(values) + 8:
        return False, f"{len(found)} numbers are no answer"
    for value in values:
        if not any(abs(x - value) <= off + 1e-9 for x in found):
            return False, f"{value:g} is not in the answer"
    return OK


def names(answer: str, *words: str, limit: int = 400) -> Verdict:
    """The answer holds each word of the data, whatever the case, in at most `limit` characters."""
    if len(answer) > limit:
        return False, f"{len(answer)} characters are no answer"
    for word in words:
        if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", answer, re.IGNORECASE):
            return False, f"{word!r} is not in the answer"
    return OK


def names_day(answer: str, day: str, limit: int = 400) -> Verdict:
    """The answer holds a day (or month) "2014-08-11" in any usual writing of numbers."""
    year, month, *rest = day.split("-")
    months = "January February March April May June July August September October November December"
    name = months.split()[int(month) - 1]
    parts = [int(x) for x in (month, *rest)]
    digits = [int(x) for x in re.findall(r"\d+", answer)]
    spelled = name[:3].lower() in answer.lower()
    wanted = [int(year), *(parts[1:] if spelled else parts)]
    if len(answer) > limit or any(x not in digits for x in wanted):
        return False, f"{day} is not in the answer"
    return OK


def table(path: Path, delimiter: str = ",") -> list[Row]:
    """The rows of a table with a header."""
    with path.open(newline="", encoding="utf-8-sig") as f:
        return list(csv.DictReader(f, delimiter=delimiter))


def cells(path: Path, delimiter: str = ",") -> list[list[str]]:
    """The rows of a table with all its cells, empty lines left out."""
    with path.open(newline="", encoding="utf-8-sig") as f:
        return [row for row in csv.reader(f, delimiter=delimiter) if row]


def same(a: object, b: object, off: float = 0.006) -> bool:
    """Equal cells: as numbers if both are, else as text; None and empty are the same."""
    left, right = ("" if x is None else str(x).strip() for x in (a, b))
    try:
        return abs(float(left) - float(right)) <= off
    except ValueError:
        return left == right


def same_rows(
    got: Sequence[Sequence[object]],
    wanted: Sequence[Sequence[object]],
    *,
    ordered: bool = True,
    off: float = 0.006,
) -> Verdict:
    """Two tables hold the same cells; without `ordered`, in any order of rows."""
    if len(got) != len(wanted):
        return False, f"{len(got)} rows, not {len(wanted)}"
    if not ordered:
        got, wanted = sorted(got, key=_key), sorted(wanted, key=_key)
    for mine, theirs in zip(got, wanted, strict=True):
        if len(mine) != len(theirs) or not all(
            same(a, b, off) for a, b in zip(mine, theirs, strict=True)
        ):
            return False, f"a row is {list(mine)!r:.120}, not {list(theirs)!r:.120}"
    return OK


def _key(row: Sequence[object]) -> tuple[str, ...]:
    return tuple("" if x is None else str(x) for x in row)


def same_header(got: Iterable[str], wanted: Iterable[str]) -> Verdict:
    """Two headers name the same columns in the same order."""
    left, right = [x.strip() for x in got], list(wanted)
    return OK if left == right else (False, f"the columns are {left}, not {right}")


def both(*verdicts: Verdict) -> Verdict:
    """The first that is not right, else OK."""
    return next((v for v in verdicts if not v[0]), OK)


def load(path: Path) -> list[dict[str, object]]:
    """A JSON file that holds a list of objects."""
    value = json.loads(path.read_text("utf-8"))
    if not isinstance(value, list):
        raise TypeError(f"{path.name} holds no list")
    return value


def lines(path: Path) -> list[str]:
    """The lines of a text that are not blank, without the space around them."""
    return [x.strip() for x in path.read_text("utf-8").splitlines() if x.strip()]


def runs(folder: Path, script: str) -> tuple[int, str]:
    """Run a script of the folder; its exit code and its output."""
    done = subprocess.run(
        [sys.executable, "-I", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stdout


def mended(after: Path, before: Path, name: str, lines_changed: int = 3) -> Verdict:
    """A script was repaired, not written anew: only a few of its lines differ."""
    new, old = ((x / name).read_text("utf-8").splitlines() for x in (after, before))
    gone = [x for x in old if x.rstrip() not in {y.rstrip() for y in new}]
    come = [x for x in new if x.rstrip() not in {y.rstrip() for y in old}]
    if max(len(gone), len(come)) > lines_changed:
        return False, f"{len(gone)} lines of {name} went, {len(come)} came"
    return OK
