"""Apps with five hundred tools: a model is told of few, finds the right one, and calls it."""

import json

import pytest
from tests.journeys.test_changes import goal
from tests.journeys.test_poisoned import Post


def described(n: int) -> dict:
    args = {"type": "object", "properties": {"name": {}, "size": {}}, "required": ["name"]}
    return {"name": f"make_thing_{n}", "description": f"makes thing {n}", "inputSchema": args}


MANIFEST = """
name = "works"
about = "makes things"
[server]
socket = "tools.sock"
""" + "".join(
    f'[tools.make_thing_{n}]\nabout = "makes a thing of kind {n} from wood and iron"\n'
    'effect = "idempotent"\negress = false\nmutates = false\n'
    for n in range(500)
)


@pytest.fixture
def works(tmp_path, machine):
    made = Post(tmp_path / "works")
    made.server.page = 200
    made.server.tools = [described(n) for n in range(500)]
    (made.folder / "app.toml").write_text(MANIFEST)
    machine.configure(more="small = true")
    found = machine.oros("install", str(made.folder))
    assert found.returncode == 0, found.stderr
    yield made
    made.close()


def test_one_of_five_hundred_is_found_read_and_called(machine, works) -> None:
    asked = goal(
        ["search", {"path": "/apps", "query": "make a thing of kind 421", "limit": 3}],
        ["read", {"path": "/apps/works/make_thing_421"}],
        ["call", {"tool": "works.make_thing_421", "args": {"name": "chair"}}],
    )
    pid = machine.start(asked, "-p", "steps")
    assert machine.oros("wait", str(pid)).returncode == 0
    assert ("make_thing_421", {"name": "chair"}) in [(n, a) for n, a in works.server.calls]
    log = machine.oros("log", str(pid)).stdout
    assert "works/make_thing_421" in machine.oros("log", str(pid), "-o", "json").stdout
    assert "3 hits" in log or "3+ hits" in log
    told = machine.row(pid)["window"]["calls"]
    bare = sum(len(json.dumps(described(n))) for n in range(500)) // 4
    assert told < 5000 < bare
