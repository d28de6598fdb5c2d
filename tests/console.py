"""Console blocks of a document: what is typed, what must come, and what came.

A line that begins with `$ ` is typed into a shell, the lines after it are what it prints. In them
`...` stands for any text of a line, and alone on a line for any lines. Runs of blanks are one.
"""

import difflib
import re
import subprocess
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "@@ done @@"

Step = tuple[str, list[str]]


def blocks(text: str) -> list[list[Step]]:
    """The blocks of a document: commands, each with the lines that it should print."""
    found = []
    for block in BLOCK.findall(text):
        steps: list[Step] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
        found.append(steps)
    return found


def typed(steps: list[Step], work: Path, env: dict[str, str], seconds: float) -> list[list[str]]:
    """Run the commands of a block in one shell; the lines that each printed."""
    script = "".join(f"{command}\n(s=$?; echo '{MARK}'; exit $s)\n" for command, _ in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=work,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    return [part.strip("\n").splitlines() for part in done.stdout.split(f"{MARK}\n")[:-1]]


def alike(wanted: list[str], came: list[str]) -> bool:
    """Whether what came is what the document shows."""
    lines = [" ".join(re.escape(w) for w in x.split()) for x in wanted]
    parts = [r"(?:.*\n)*" if x == r"\.\.\." else x.replace(r"\.\.\.", ".*") + r"\n" for x in lines]
    text = "".join(" ".join(x.split()) + "\n" for x in came)
    return re.fullmatch("".join(parts), text) is not None


def fault(command: str, wanted: list[str], came: list[str]) -> str:
    """The difference, to be read."""
    lines = difflib.unified_diff(wanted, came, "the document", "the machine", lineterm="", n=9)
    return "\n".join([f"$ {command}", *lines])


def differences(text: str, work: Path, env: dict[str, str], seconds: float = 60.0) -> list[str]:
    """Run all blocks of a document in order; what came otherwise than it shows."""
    found = []
    for steps in blocks(text):
        for (command, wanted), came in zip(steps, typed(steps, work, env, seconds), strict=True):
            if not alike(wanted, came):
                found.append(fault(command, wanted, came))
    return found
