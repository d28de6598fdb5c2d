"""The house looks after itself: the map, the page of calls, the sizes.

python tools/house.py          check; prints what is wrong, exits 1
python tools/house.py --write  write the generated parts of ARCHITECTURE.md and docs/syscalls.md
"""

import argparse
import ast
import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "oros"
FILE_LINES, FUNCTION_LINES, KERNEL_LINES = 400, 50, 3000
BANNED = {"core", "utils", "util", "common", "helpers", "manager", "misc"}
BEGIN, END = "<!-- generated: tools/house.py --write -->", "<!-- end -->"


def files() -> list[Path]:
    """All source files, in order."""
    return sorted(SOURCE.rglob("*.py"))


def plate(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n", 1)[0]


def tree() -> str:
    """The map: each module and its plate."""
    lines = ["```"]
    for path in files():
        name = str(path.relative_to(SOURCE))
        if path.name == "__init__.py":
            lines.append(f"{name.removesuffix('__init__.py') or 'oros/':34} {plate(path)}")
        else:
            lines.append(f"  {name:32} {plate(path)}")
    return "\n".join([*lines, "```"])


def calls() -> str:
    """The page of system calls, from the table."""
    sys.path.insert(0, str(ROOT / "src"))
    from oros.abi.syscalls import TABLE
    from oros.abi.wire import schema

    lines = [
        "# System calls",
        "",
        f"All {len(TABLE)} of them. Generated from `src/oros/abi/syscalls.py`; do not edit.",
        "",
        (inspect.getdoc(inspect.getmodule(next(iter(TABLE.values())))) or "").split("\n\n", 1)[1],
    ]
    for name, kind in TABLE.items():
        blocks = ", may park the caller" if kind.blocks else ""
        lines += ["", f"## {name}", "", f"Effect: `{kind.effect}`{blocks}.", ""]
        lines += [inspect.getdoc(kind) or "", "", "| argument | type | default |", "|---|---|---|"]
        found = schema(name)
        needed = found.get("required", [])
        for arg, prop in found.get("properties", {}).items():
            default = "required" if arg in needed else f"`{prop.get('default')!r}`"
            lines.append(f"| `{arg}` | {kind_of(prop)} | {default} |")
    return "\n".join(lines) + "\n"


def kind_of(prop: dict) -> str:
    """A property's type in a word or two."""
    if "enum" in prop:
        return " or ".join(f"`{v}`" for v in prop["enum"])
    if "anyOf" in prop:
        return " or ".join(kind_of(p) for p in prop["anyOf"])
    if "$ref" in prop:
        return f"`{prop['$ref'].rsplit('/', 1)[1]}`"
    return str(prop.get("type", "any")) if "const" not in prop else f"`{prop['const']}`"


def long_functions(path: Path) -> list[str]:
    """Functions over the limit."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, kinds)]
    return [
        f"{path.relative_to(ROOT)}:{n.lineno} {n.name}: {n.end_lineno - n.lineno + 1} lines"
        for n in found
        if n.end_lineno - n.lineno + 1 > FUNCTION_LINES
    ]


def faults() -> list[str]:
    """What is wrong with the house."""
    found: list[str] = []
    for path in files():
        lines = len(path.read_text("utf-8").splitlines())
        name = path.relative_to(ROOT)
        if lines > FILE_LINES:
            found.append(f"{name}: {lines} lines, the limit is {FILE_LINES}")
        if not 8 <= len(plate(path)) <= 100:
            found.append(f"{name}: its first docstring line is not 8 to 100 characters")
        if BANNED & set(path.with_suffix("").parts):
            found.append(f"{name}: no room of that name")
        found += long_functions(path)
    kernel = sum(len(p.read_text("utf-8").splitlines()) for p in (SOURCE / "kernel").glob("*.py"))
    if kernel > KERNEL_LINES:
        found.append(f"the kernel has {kernel} lines, the limit is {KERNEL_LINES}")
    if generated((ROOT / "ARCHITECTURE.md").read_text("utf-8")) != tree():
        found.append("ARCHITECTURE.md: the map is old: python tools/house.py --write")
    if (ROOT / "docs" / "syscalls.md").read_text("utf-8") != calls():
        found.append("docs/syscalls.md is old: python tools/house.py --write")
    return found


def generated(text: str) -> str:
    """The generated part of a document."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def write() -> None:
    """Write what is generated."""
    path = ROOT / "ARCHITECTURE.md"
    head, _, rest = path.read_text("utf-8").partition(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{tree()}\n{END}{rest.partition(END)[2]}", "utf-8")
    (ROOT / "docs" / "syscalls.md").write_text(calls(), "utf-8")


def main() -> int:
    """Check, or write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        write()
    found = faults()
    print("\n".join(found) or "the house is in order")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
