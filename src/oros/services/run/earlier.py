"""What a process ran in its interpreter before, by its journal; what a cell is shown as."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from oros.abi import wire
from oros.abi.cells import CellResult
from oros.abi.cells import Part as CellPart
from oros.abi.events import CallEntered, CallReturned
from oros.abi.ids import BlobId
from oros.abi.jobs import JobResult
from oros.abi.message import FilePart, ImagePart, Json, Part
from oros.abi.ports import Row
from oros.abi.syscalls import Run
from oros.services.run.output import cut, readable


@dataclass(frozen=True, slots=True)
class Earlier:
    """A cell, and what it came to: `shown` is what its caller saw. `once`: why never again."""

    source: str
    seconds: float = 0.0
    shown: tuple[Json, ...] = ()
    once: str = ""


def earlier(rows: Iterable[Row]) -> list[Earlier]:
    """The cells of an interpreter that began with nothing, oldest first.

    A cell may be run again if its call is pure or reversible, it ended by itself and it reached
    nothing outside.
    """
    found: list[Earlier] = []
    entered: dict[str, CallEntered] = {}
    for row in rows:
        if row.kind == "call_entered":
            event: CallEntered = wire.decode(CallEntered, row.body)
            if event.name == Run.name and event.args.get("python"):
                entered[event.id] = event
        elif row.kind == "call_returned":
            back: CallReturned = wire.decode(CallReturned, row.body)
            call = entered.pop(back.id, None)
            if call is None:
                continue
            value = back.outcome.value if isinstance(back.outcome.value, dict) else {}
            if value.get("cell") == 1:
                found.clear()
            if "cell" in value:
                found.append(cell_of(call, value))
            elif found and back.outcome.error is not None and back.outcome.error.code != "EINVAL":
                found.append(Earlier("", once="one was interrupted"))
    return found


def cell_of(call: CallEntered, value: Mapping[str, Json]) -> Earlier:
    """One that was run to its end."""
    once = ""
    if call.effect not in ("pure", "reversible") or value.get("flows"):
        once = "one reached outside"
    elif value.get("ended") != "self" or value.get("signal") is not None:
        once = "one was stopped"
    shown = tuple(value.get(name) for name in ("exit", "out", "err", "value"))
    return Earlier(str(call.args["python"]), float(value.get("seconds", 0.0)), shown, once)


def shown_of(result: JobResult, cell: CellResult) -> tuple[Json, ...]:
    """What a caller sees of a cell, in the order of `Earlier.shown`."""
    out = cut(readable(result.out), result.cut_out)
    err = cut(readable(result.err), result.cut_err)
    return result.exit, out, err, shown_value(cell)


def shown_value(cell: CellResult) -> str | None:
    """The value of a cell's last expression, as it is shown."""
    return None if cell.value is None else cut(readable(cell.value.encode()))


def celled(cell: CellResult, number: int) -> dict[str, Json]:
    """What a caller is told of a cell, besides what a program's run tells."""
    value: dict[str, Json] = {"cell": number}
    if cell.value is not None:
        value["value"] = shown_value(cell)
    if cell.parts:
        value["parts"] = [{"name": name, **p.about} for name, p in named(cell.parts)]
    return value


def parts_of(cell: CellResult, put: Callable[[bytes], BlobId]) -> tuple[Part, ...]:
    """The tables and figures of a cell, kept."""
    return tuple(
        ImagePart(put(p.data), p.media, name)
        if p.media.startswith("image/")
        else FilePart(put(p.data), p.media, name, len(p.data))
        for name, p in named(cell.parts)
        if p.data
    )


def named(parts: Sequence[CellPart]) -> list[tuple[str, CellPart]]:
    """Each part with a name of its own: figure.png, figure2.png ..."""
    found: list[tuple[str, CellPart]] = []
    for part in parts:
        count = 1 + sum(p.name == part.name for _, p in found)
        stem, _, ending = part.name.rpartition(".")
        found.append((f"{stem}{count}.{ending}" if count > 1 else part.name, part))
    return found


def same(one: Earlier, result: JobResult, cell: CellResult) -> bool:
    """Whether a cell came to what it came to before, as far as it is seen."""
    return cell.ended == "self" and shown_of(result, cell) == one.shown
