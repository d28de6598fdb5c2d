"""Mutation test of the monitor: each change of its logic must make a test fail.

    make mutants

Runs mutmut on a copy, then lists what survived. Changes of wording alone (a reason, a hint) are
counted and not listed. Exits 1 if any other survives.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ["src/oros/monitor/decide.py"]
TESTS = ["tests/monitor/test_decide.py"]
SAME = (
    "ensure_ascii=None",  # as False
    "names(link, ",  # a role that is none is judged as a target
    "names(deed.sink, ",
    "or True else []",  # no other argument has the path of a text
)
"""Changes that change nothing."""

WORDS = re.compile(r'f?"[^"]*"|\b(why|hint|shown|value|None)\b')


def wording(diff: str) -> bool:
    """Whether a mutant changed only words that people read."""
    sides = [[], []]
    for line in diff.splitlines():
        if line[:1] in "-+" and line[:3] not in ("---", "+++"):
            bare = WORDS.sub("W", re.sub(r'(==|!=|in|\[|names\(.*?,)\s*"', r"\1 K", line[1:]))
            sides[line[0] == "+"].append(re.sub(r"(, W|W, |\bW\b|\s)", "", bare))
    return sides[0] == sides[1]


def main() -> int:
    """Mutate, test, list."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy"
        shutil.copytree(ROOT / "src", place / "src")
        shutil.copytree(ROOT / "tests", place / "tests")
        text = (ROOT / "pyproject.toml").read_text("utf-8")
        also = f'also_copy = ["src", "tests"]\ntests_dir = {TESTS}\n'
        text += f"\n[tool.mutmut]\npaths_to_mutate = {TARGETS}\n{also}"
        for name in ("README.md", "LICENSE"):
            shutil.copy(ROOT / name, place)
        (place / "pyproject.toml").write_text(text, "utf-8")
        mutmut = [str(Path(sys.executable).with_name("mutmut"))]
        run = subprocess.run(
            [*mutmut, "run"], cwd=place, capture_output=True, text=True, check=False
        )
        found = subprocess.run(
            [*mutmut, "results", "--all", "true"],
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
        )
        rows = [line.split(":") for line in found.stdout.splitlines() if ":" in line]
        alive = [r[0].strip() for r in rows if r[1].strip() not in ("killed", "timeout")]
        real, words = [], 0
        for name in alive:
            shown = subprocess.run(
                [*mutmut, "show", name], cwd=place, capture_output=True, text=True, check=True
            )
            plus = [x for x in shown.stdout.splitlines() if x[:1] == "+" and x[:3] != "+++"]
            if wording(shown.stdout) or any(same in x for same in SAME for x in plus):
                words += 1
            else:
                real.append(shown.stdout)
        if not rows:
            print(run.stdout[-2000:], run.stderr[-2000:])
            return 2
    print("\n".join(real))
    died = len(rows) - len(alive)
    print(f"{len(rows)} mutants: {died} found, {words} of wording or the same, {len(real)} live")
    return int(bool(real))


if __name__ == "__main__":
    sys.exit(main())
