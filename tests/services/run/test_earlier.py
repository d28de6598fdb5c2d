"""Which cells of a journal may be run again, and what a cell is shown as."""

import pytest

from oros.abi import wire
from oros.abi.cells import CellResult, Part
from oros.abi.events import CallEntered, CallReturned
from oros.abi.ids import CallId, Pid, Seq
from oros.abi.message import FilePart, ImagePart
from oros.abi.ports import Row
from oros.abi.syscalls import Failure, Outcome
from oros.services.run.cells import as_program
from oros.services.run.earlier import Earlier, celled, earlier, parts_of, same, shown_of


def rows(*calls) -> list[Row]:
    """A journal of calls: each (arguments or name, value or failure)."""
    made = []
    for n, (args, back) in enumerate(calls):
        name, args = ("run", args) if isinstance(args, dict) else (args, {})
        entered = CallEntered(CallId(f"c{n}"), name, args, "reversible", "k")
        outcome = Outcome(error=back) if isinstance(back, Failure) else Outcome(value=back)
        made += [entered, CallReturned(entered.id, outcome)]
    return [Row(Pid(7), Seq(n), 0.0, e.kind, wire.encode(e), b"", b"", b"")
            for n, e in enumerate(made, 1)]  # fmt: skip


def cell(number: int, **more) -> dict:
    return {"exit": 0, "signal": None, "out": "o", "err": "", "seconds": 0.5, "ended": "self",
            "cell": number, **more}  # fmt: skip


def test_the_cells_since_an_interpreter_that_knew_nothing() -> None:
    found = earlier(rows(
        ({"python": "old"}, cell(1)),
        ({"python": "a"}, cell(1, value="1")),
        ({"argv": ["ls"]}, {"exit": 0, "out": "x"}),
        ("list", []),
        ({"python": "b", "fresh": True}, {"exit": 0, "out": "x", "ended": "self"}),
        ({"python": "c"}, cell(2)),
    ))  # fmt: skip
    assert found == [Earlier("a", 0.5, (0, "o", "", "1")), Earlier("c", 0.5, (0, "o", "", None))]


@pytest.mark.parametrize(
    ("value", "once"),
    [
        (cell(2, ended="time"), "one was stopped"),
        (cell(2, ended="flood"), "one was stopped"),
        (cell(2, signal=9), "one was stopped"),
        (cell(2, flows=[{"host": "example.org"}]), "one reached outside"),
        (Failure("EINTR", "a signal"), "one was interrupted"),
        (Failure("ENOSPC", "the disk is full"), "one was interrupted"),
        (Failure("EINVAL", "no such thing"), None),
        (cell(2, exit=1), ""),
    ],
)
def test_one_that_must_not_be_run_again(value, once) -> None:
    found = earlier(rows(({"python": "a"}, cell(1)), ({"python": "b"}, value)))
    assert [e.once for e in found] == (["", once] if once is not None else [""])


def test_nothing_before_is_nothing() -> None:
    assert earlier([]) == []
    assert earlier(rows(({"python": "a"}, Failure("EINTR", "a signal")))) == []


@pytest.mark.parametrize(
    ("more", "like"),
    [({}, True), ({"out": b"O"}, False), ({"value": "2"}, False), ({"exit": 1}, False),
     ({"err": b"e"}, False), ({"seconds": 9.0}, True), ({"ended": "time"}, False)],
)  # fmt: skip
def test_a_cell_is_compared_by_all_that_was_seen_of_it(more, like) -> None:
    def result(**more) -> CellResult:
        return CellResult(**{"ended": "self", "out": b"o", "value": "1", **more})

    first, again = result(), result(**more)
    one = Earlier("x", 0.1, shown_of(as_program(first, None), first))
    assert same(one, as_program(again, None), again) is like


def test_parts_have_names_of_their_own() -> None:
    png, csv = b"\x89PNG", b"a\n1\n"
    parts = (Part("image/png", "figure.png", png, {}),
             Part("text/csv", "table.csv", csv, {"rows": 1}),
             Part("image/png", "figure.png", png, {}),
             Part("text/csv", "table.csv", b"", {"left_out": 7}))  # fmt: skip
    found = CellResult("self", parts=parts)
    told = [{"name": "figure.png"}, {"name": "table.csv", "rows": 1}, {"name": "figure2.png"},
            {"name": "table2.csv", "left_out": 7}]  # fmt: skip
    assert celled(found, 3) == {"cell": 3, "parts": told}
    kept = parts_of(found, lambda data: data.hex())
    assert kept == (ImagePart(png.hex(), "image/png", "figure.png"),
                    FilePart(csv.hex(), "text/csv", "table.csv", 4),
                    ImagePart(png.hex(), "image/png", "figure2.png"))  # fmt: skip
