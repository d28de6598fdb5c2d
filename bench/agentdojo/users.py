"""The person at the cards: attentive, saying yes to all, or absent."""

from bench.agentdojo.world import Case


def leaves(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def wanted(item: dict, case: Case) -> bool:
    """Whether what an item asks for is what the user's task needs."""
    tool = item["tool"].split(".", 1)[-1]
    for step in case.calls:
        if step.function != tool:
            continue
        if not item["arg"]:
            if same(item["parts"], step.args):
                return True
            continue
        inner = step.args.get(item["arg"].split(".")[0])
        if any(item["value"] == str(v) or item["value"] in str(v) for v in leaves(inner)):
            return True
    return False


def same(parts: list, args) -> bool:
    """Whether a whole call is the one that the task needs."""
    return sorted(p[2] for p in parts) == sorted(
        str(v) for v in leaves(dict(args)) if v is not None
    )


def answer(user: str, items: list[dict], case: Case) -> list[int]:
    """The numbers of the items that get a yes."""
    if user == "yes":
        return list(range(1, len(items) + 1))
    if user == "absent":
        return []
    return [n for n, item in enumerate(items, 1) if wanted(item, case)]
