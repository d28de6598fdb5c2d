"""Source files by their definitions: Python by its syntax, other languages by their margin."""

import ast
import re
from collections.abc import Iterator

from oros.services.index.inside.page import Page

_ENDINGS = """c h cc cpp cxx hpp hh cs java kt kts go rs js mjs cjs jsx ts tsx swift scala rb php pl
pm lua r jl m hs ml mli ex exs erl clj cljs dart zig nim v sv vhd sh bash zsh fish ps1 sql proto
cmake gradle groovy tf css scss less vue svelte asm s f f90 pas el lisp scm"""
ENDINGS = frozenset(_ENDINGS.split())
LEAST = 8
"""Lines of a block of another language; shorter ones join the next."""
_NAME = re.compile(
    r"^(?:[\w<>\[\]*&:,.~@]+\s+)*?"
    r"(?:func|fn|function|class|struct|enum|interface|trait|impl|def|module|type|sub|proc|table)\s+"
    r"(?:\([^)]*\)\s*)?([\w:.]+)",
    re.IGNORECASE,
)


def python(text: str) -> tuple[Page, ...]:
    """A page for what stands before the first definition, and one for each; classes by method."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return blocks(text)
    lines = text.split("\n")
    starts = sorted(set(_starts(tree.body, "")), key=lambda s: s[0])
    return _cut(lines, starts)


def _starts(body: list[ast.stmt], above: str) -> Iterator[tuple[int, str]]:
    """First lines (from 1, decorators among them) of definitions, and their names."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            name = f"{above}{node.name}"
            yield first, name
            if isinstance(node, ast.ClassDef):
                yield from _starts(node.body, f"{name}.")


def blocks(text: str) -> tuple[Page, ...]:
    """Cut before lines at the margin that follow an empty one."""
    lines = text.split("\n")
    starts, last = list[tuple[int, str]](), 1
    for number, line in enumerate(lines[1:], 2):
        opens = line[:1] not in ("", " ", "\t", "}", ")", "]") and not lines[number - 2].strip()
        if opens and number - last >= LEAST:
            found = _NAME.match(line[:200])
            starts.append((number, found[1] if found is not None else ""))
            last = number
    return _cut(lines, starts)


def _cut(lines: list[str], starts: list[tuple[int, str]]) -> tuple[Page, ...]:
    ends = [*(s for s, _ in starts), len(lines) + 1]
    pages = [Page("\n".join(lines[: ends[0] - 1]), line=1)]
    for n, (start, name) in enumerate(starts):
        pages.append(Page("\n".join(lines[start - 1 : ends[n + 1] - 1]), name, start))
    return tuple(p for p in pages if p.text.strip())
