"""`/apps`: tools are found by what they do, and shown one at a time."""

import asyncio
import json

import pytest

from oros.abi.errors import Invalid, NotFound, Unsupported
from oros.abi.ids import Pid
from oros.abi.labels import USER
from oros.abi.ports import Caller, Tool, ToolSpec
from oros.paging.context import size
from oros.services.apps.server import AppsServer

WHO = Caller(Pid(2), "k", USER)
ARGS = {"type": "object", "properties": {"to": {}, "body": {}}, "required": ["to"]}


def tool(name: str, about: str) -> Tool:
    return Tool(ToolSpec(name, about, ARGS), None)


MANY = {
    t.spec.name: t
    for t in [
        tool("mail.send_message", "sends a mail to somebody"),
        tool("mail.inbox", "lists the mail that came"),
        tool("bank.transfer", "transfers money from an account to another"),
        *(tool(f"app{n}.tool{n}", f"does the thing number {n}") for n in range(500)),
    ]
}


def do(name: str, *args):
    return asyncio.run(getattr(AppsServer(MANY), name)(WHO, *args))


def test_apps_are_folders_and_tools_their_files() -> None:
    rows = do("list", "", 1, 0, 1000).value["entries"]
    assert {"path": "mail", "kind": "dir", "size": 2} in rows
    assert len(rows) == 502
    mail = do("list", "mail", 1, 0, 10).value["entries"]
    assert [r["path"] for r in mail] == ["mail/inbox", "mail/send_message"]
    assert do("list", "", 1, 0, 10).value["more"]


def test_a_tool_is_read_with_its_schema() -> None:
    found = do("read", "mail/send_message", 0, 10_000)
    told = json.loads(found.parts[0].text)
    assert told["tool"] == "mail.send_message"
    assert told["args"] == ARGS
    assert "mail.inbox(to, body?)" in do("read", "mail", 0, 10_000).parts[0].text


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("send a message", "mail/send_message"),
        ("transfer money", "bank/transfer"),
        ("thing number 421", "app421/tool421"),
    ],
)
def test_a_tool_is_found_by_what_it_does(query: str, path: str) -> None:
    found = do("search", "", query, 3)
    assert found.value["hits"][0]["path"] == path
    assert size(json.dumps(found.value)) < 300


def test_what_is_not_there_and_what_can_not_be_done() -> None:
    with pytest.raises(NotFound, match="no such app"):
        do("read", "nosuch/tool", 0, 10)
    with pytest.raises(Invalid):
        do("read", "", 0, 10)
    with pytest.raises(Unsupported):
        do("write", "mail/x", b"")
    with pytest.raises(Unsupported):
        do("remove", "mail")
    assert do("stat", "mail").value == {"path": "mail", "kind": "dir", "size": 2}
