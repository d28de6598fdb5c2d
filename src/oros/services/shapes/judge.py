"""What is wrong with a program or with its run, in words that help a small model.

Looks at the source, the exit, the output and the files that changed; it knows no job. A fault found
before the run costs no run; one that shows in no exit code (a file that was to be written and was
not) would otherwise pass in silence.
"""

import ast
import re
import sys
from collections.abc import Sequence

from oros.abi.message import Json

NAME = re.compile(r"[\w.-]+\.[A-Za-z]\w{1,4}\b")
MENDS = re.compile(r"\b(fix|repair|mend|correct|debug)\b", re.IGNORECASE)

HINTS = (
    (
        r"could not convert string to float|invalid literal for int",
        "Some values are missing or no numbers: skip those rows.",
    ),
    (r"JSONDecodeError", "That file is no JSON: read a .csv file with csv.DictReader."),
    (r"NoneType", "Some values are missing (None): skip those."),
    (
        r"FileNotFoundError",
        "Use the names as listed; make a folder with os.makedirs(name, exist_ok=True) first.",
    ),
    (r"KeyError", "Use the column and key names exactly as they are listed."),
    (r"closed file", "Read all rows into a list first, then close the file and write."),
    (r"NameError", "Import each module that you use, and define each name before its use."),
    (
        r"fieldnames|sequence expected|iterable expected",
        "For rows that are dicts use csv.DictWriter with their fieldnames, for lists csv.writer.",
    ),
    (r"UnicodeDecodeError", "Open it with errors='replace'."),
)
"""What to do about errors that a small model meets over and over."""


def faults(source: str) -> str:
    """What keeps a program from running; "" if nothing can be seen."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as e:
        return f"it does not parse: {e.args[0]} (line {getattr(e, 'lineno', '?')})."
    missing = sorted(imported(tree) - sys.stdlib_module_names)
    if missing:
        what = ", ".join(missing)
        return f"there is no module {what} here. Use only Python's standard library, such as csv."
    return ""


def imported(tree: ast.AST) -> set[str]:
    """The top names of all modules that a program imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def judge(goal: str, files: Sequence[str], value: Json) -> str:
    """What is wrong with a run; "" if nothing can be seen."""
    if value.get("exit") != 0:
        ended = f"it was ended: {value.get('ended')}"
        what = str(value.get("error") or str(value.get("err", ""))[-600:] or ended)
        return f"{what}\n{hint(what)}".strip()
    changed = [str(c.get("path")).removeprefix("/work/") for c in value.get("changed") or ()]
    if not str(value.get("out", "")).strip() and not changed:
        return "it printed nothing and changed no file. Print the answer."
    if value.get("changed") is None:
        return ""
    return unwritten(goal, files, changed)


def unwritten(goal: str, files: Sequence[str], changed: Sequence[str]) -> str:
    """A file that the job names and that is neither there nor was made; a file to mend unmended."""
    names = [n.rstrip(".") for n in NAME.findall(goal)]
    known = {f.rsplit("/", 1)[-1] for f in (*files, *changed)}
    for name in names:
        if name not in known:
            return f"the job names {name}, and the program did not write it."
    if MENDS.search(goal) and not changed:
        mended = next((n for n in names), "the file")
        return f"it did not change {mended}. Read it, correct the mistake, and write it back."
    return ""


def hint(error: str) -> str:
    """What helps against an error, if it is a common one."""
    return next((told for pattern, told in HINTS if re.search(pattern, error)), "")
