"""Journals of released versions: each must be whole, fold to what it was, and replay."""

import json
from pathlib import Path

import pytest

from oros.abi import chain, wire
from oros.abi.ports import Row
from oros.kernel import process as table
from oros.kernel.process import Process
from oros.services.replay import replay

FILES = sorted(Path(__file__).parent.glob("*.jsonl"))
UNRELEASED = {"v0.1-first-light": "code"}
"""Journals with processes of a shape whose rules changed before any release: these fold only."""


def rows_of(path: Path) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        made = Row(
            row["pid"],
            row["seq"],
            row["time"],
            row["kind"],
            row["body"].encode(),
            row["label"].encode(),
            bytes.fromhex(row["prev"]),
            bytes.fromhex(row["hash"]),
        )
        found.setdefault(made.pid, []).append(made)
    return found


def whole(journals: dict[int, list[Row]], pid: int) -> list[Row]:
    """A process's rows, with those of the process that it was forked from."""
    rows = journals[pid]
    if rows[0].kind != "forked":
        return rows
    fork = wire.decode_event("forked", rows[0].body)
    return [r for r in whole(journals, fork.of) if r.pid != fork.of or r.seq <= fork.at] + rows


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_is_whole_folds_and_replays(path) -> None:
    journals = rows_of(path)
    wanted = json.loads(path.with_suffix(".json").read_text())
    for pid, rows in journals.items():
        chain.verify(rows, rows[0].prev)
        process = Process(pid)
        for row in whole(journals, pid):
            table.apply(process, wire.decode_event(row.kind, row.body), row.time)
        end = wanted[str(pid)]
        assert [process.state, process.status, process.answer] == end
        if pid > 1 and shape_of(whole(journals, pid)) != UNRELEASED.get(path.stem):
            assert replay(whole(journals, pid)).differs == ""


def shape_of(rows: list[Row]) -> str:
    return json.loads(rows[0].body)["program"]["shape"]


def test_there_is_one() -> None:
    assert FILES
