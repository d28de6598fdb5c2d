"""Same quotes nested in an f-string: right since Python 3.12, an error before it."""

import ast


def requote(source: str) -> str:
    """The source as it is if it parses, else with other quotes inside the braces, if that helps."""
    if parses(source):
        return source
    changed = "\n".join(line_requoted(x) for x in source.split("\n"))
    return changed if parses(changed) else source


def parses(source: str) -> bool:
    """Whether it is Python."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def line_requoted(line: str) -> str:
    """One line, its f-strings with the other quotes inside their braces."""
    out: list[str] = []
    quote, depth, last = "", 0, ""
    for sign in line:
        take = sign
        if quote and depth and sign == quote:
            take = "'" if quote == '"' else '"'
        elif quote and sign == quote:
            quote = ""
        elif not quote and sign in "\"'" and last in "fF":
            quote = sign
        elif quote:
            depth += (sign == "{") - (sign == "}")
        out.append(take)
        last = sign
    return "".join(out)
