"""What a model is told of tools stays small, however many there are."""

from oros.abi.ports import ToolSpec
from oros.paging import tools
from oros.paging.context import size

SCHEMA = {"properties": {"to": {}, "text": {}}, "required": ["to"]}


def specs(count: int, apps: int) -> list[ToolSpec]:
    return [ToolSpec(f"app{n % apps}.tool{n}", "does a thing", SCHEMA) for n in range(count)]


def test_a_few_tools_are_shown_a_line_each() -> None:
    assert tools.index(specs(1, 1)) == "app0.tool0(to, text?): does a thing"


def test_five_hundred_tools_take_less_than_two_thousand_tokens() -> None:
    for count, apps in ((500, 20), (500, 500), (5000, 3000)):
        text = tools.index(specs(count, apps))
        assert size(text) < 2000
        assert "/apps" in text


def test_call_is_offered_only_where_there_are_tools() -> None:
    assert [s.name for s in tools.offered(("read", "call"), "")] == ["read"]
    assert [s.name for s in tools.offered(("read", "call"), "a.b()")] == ["read", "call"]
    assert tools.cost(("read", "call"), "a.b()") > tools.cost(("read",), "") > 0
