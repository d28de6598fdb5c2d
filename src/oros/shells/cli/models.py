"""Models on the command line: models list, pull, test, add."""

from argparse import ArgumentParser
from typing import Any

from oros.shells.cli import draw
from oros.shells.cli.add_model import add, add_options
from oros.shells.cli.machine import long
from oros.shells.cli.parse import Options, Verb
from oros.shells.cli.session import Session


def models(session: Session, options: Options) -> int:
    """List models, or fetch, test or add one."""
    if options.act == "list":
        found = session.machine().query("models")
        rows = [model_row(m) for m in found]
        head = ("NAME", "STATE", "SIZE", "ABOUT")
        lines = draw.table(head, rows, session.terminal.width, "NAME STATE ABOUT")
        session.give(options.output, found, lines)
        return 0
    if options.act == "add":
        return add(session, options)
    args = {"name": options.name} if options.name else {}
    return long(session, f"models.{options.act}", args, options.output)


def model_row(model: dict[str, Any]) -> list[str]:
    """A model as a row; `*` marks the default one."""
    called = f" ({', '.join(model['aliases'])})" if model.get("aliases") else ""
    name = model["name"] + ("*" if model.get("default") else "") + called
    size = draw.size(model.get("size") or None)
    return [name, str(model.get("state", "-")), size, model.get("about", "")]


def models_options(parser: ArgumentParser) -> None:
    """Words of models."""
    acts = ("list", "pull", "test", "add")
    parser.add_argument("act", nargs="?", default="list", choices=acts, metavar="|".join(acts))
    note = "a model, else the default one; of add: a server's address, a vendor, or a .gguf file"
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help=note)
    add_options(parser)


VERBS = {
    "models": Verb(
        models, models_options, ("oros models pull", "oros models add http://127.0.0.1:8000/v1")
    ),
}
