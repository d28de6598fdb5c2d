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
CHANGES = re.compile(
    r"\b(save|write|make|create|convert|turn|split|move|rename|replace|put|add|copy|collect|sort|"
    r"extract|tidy|delete|remove|change|update|append|merge|export|store|generate|fix|repair|mend|"
    r"correct|translate|clean|format|reorder|insert|call it|name it)\b",
    re.IGNORECASE,
)
"""Words of jobs that want a file written or changed."""
SUMS = re.compile(r"\b(summar\w+|sum up|shorten|in short)\b", re.IGNORECASE)
MANY = re.compile(r"\b(each|every|all|list|per|these|those|both|by)\b", re.IGNORECASE)
REPR = re.compile(
    r"defaultdict\(<|Counter\(\{|<(generator|function|filter|map|zip) |dict_(items|values)\("
)
LINES = 12
"""Lines of an output that are too many for one answer."""

ASKS = re.compile(
    r"^(how|what|which|who|whose|where|when|why|is|are|do|does|did|was|were|in)\b", re.IGNORECASE
)

HINTS = (
    (
        r"could not convert string to float|invalid literal for int",
        "read_table gives numbers as numbers already; skip what is no number.",
    ),
    (r"no file matches", 'files("*") gives the names of all of them.'),
    (r"does not hold", "Copy the old text exactly as it stands in the file."),
    (r"JSONDecodeError", "That file is no JSON: read_table reads a table."),
    (r"NoneType", "Some numbers are missing (None): leave those rows out with `is not None`."),
    (
        r"FileNotFoundError",
        "Use the names as listed; make a folder with os.makedirs(name, exist_ok=True) first.",
    ),
    (r"KeyError", "Use the column and key names exactly as they are listed."),
    (r"closed file", "Read all rows first with read_table, then write."),
    (r"NameError", "Define each name before its use."),
    (r"f-string", "Inside the braces of an f-string use the other kind of quotes."),
    (r"fieldnames|sequence expected|iterable expected", "write_table writes a list of dicts."),
    (r"UnicodeDecodeError", "read_text reads any text."),
    (r"must be str, not|unsupported operand|concatenate str", "Look at which columns are text."),
)
"""What to do about errors that a small model meets over and over."""


def faults(source: str) -> str:
    """What keeps a program from running; "" if nothing can be seen."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as e:
        said = f"it does not parse: {e.args[0]} (line {getattr(e, 'lineno', '?')})."
        return f"{said} {hint(said)}".strip()
    missing = sorted(imported(tree) - sys.stdlib_module_names - {"kit"})
    if missing:
        what = ", ".join(missing)
        return f"there is no module {what} here. Use only Python's standard library, such as csv."
    return idle(tree)


def idle(tree: ast.Module) -> str:
    """Functions that are made and never used, in a program that does nothing else; typing in."""
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    made = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
    unused = [n for n in made if n not in names]
    if unused:
        return f"it defines {unused[0]} and never calls it."
    if "input" in names:
        return "nobody is there to type: input() can't be used."
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
    if changed and is_question(goal):
        return f"the job asks a question. Print the answer, and write no file such as {changed[0]}."
    return unwritten(goal, files, changed) or unsaid(goal, str(value.get("out", "")))


def unsaid(goal: str, out: str) -> str:
    """An output that is no answer: the inside of Python values, or all rows where one is asked."""
    if found := REPR.search(out):
        return f"it printed {found.group()!r}. Print the values one by one, in words."
    if is_question(goal) and not MANY.search(goal) and out.count("\n") > LINES:
        return "it printed a whole list. Find the one that the job asks for, and print only that."
    return ""


def unreadable(goal: str, changed: Sequence[str], entries: Sequence[Json]) -> str:
    """A file that was written and can't be what the job wants, by how it begins and its size."""
    sizes = {
        str(e.get("path", "")).removeprefix("/work/"): int(e.get("size") or 0) for e in entries
    }
    for entry in entries:
        name = str(entry.get("path", "")).removeprefix("/work/")
        if name not in changed:
            continue
        if found := REPR.search(str(entry.get("head") or "")):
            return f"it wrote {found.group()!r} into {name}. Write the values one by one."
        longer = [
            n for n, s in sizes.items() if n in goal and n not in changed and s <= sizes[name]
        ]
        if SUMS.search(goal) and name in goal and longer:
            return (
                f"{name} is as long as {longer[0]}. The program must hold the sentences of the "
                f"summary as text: write_text({name!r}, ...)"
            )
    return ""


def is_question(goal: str) -> bool:
    """Whether a job wants only an answer: it asks, and has no word of writing or changing."""
    asks = goal.rstrip().endswith("?") or ASKS.match(goal.strip())
    return bool(asks) and not CHANGES.search(goal)


def unwritten(goal: str, files: Sequence[str], changed: Sequence[str]) -> str:
    """A file that the job names and that is neither there nor was made; nothing changed at all."""
    names = [n.rstrip(".") for n in NAME.findall(goal)]
    known = {f.rsplit("/", 1)[-1] for f in (*files, *changed)}
    for name in names:
        if name not in known:
            return f"the job names {name}, and the program did not write it."
    if MENDS.search(goal) and not changed:
        mended = next((n for n in names), "the file")
        return f"it did not change {mended}. Correct the mistake in it with replace_text."
    if not changed and CHANGES.search(goal) and not goal.rstrip().endswith("?"):
        return "it changed no file, and the job wants that."
    return ""


def unmended(before: Json, after: Json) -> bool:
    """Whether a repaired script still fails: by its exit, or by saying just what it said before."""
    if before.get("exit") != 0:
        return bool(after.get("exit") != 0)
    said = [(x.get("out"), x.get("err")) for x in (before, after)]
    return bool(after.get("exit") != 0 or said[0] == said[1])


def repeatable(changes: Sequence[Json]) -> bool:
    """Whether another program could do the job again after this one: it made files, at most."""
    return all(c.get("change") == "added" for c in changes)


def hint(error: str) -> str:
    """What helps against an error, if it is a common one."""
    return next((told for pattern, told in HINTS if re.search(pattern, error)), "")
