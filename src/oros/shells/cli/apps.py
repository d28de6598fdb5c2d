"""Apps on the command line: apps, install, remove."""

from argparse import ArgumentParser
from pathlib import Path

from oros.shells.cli import draw
from oros.shells.cli.machine import long
from oros.shells.cli.parse import Options, Verb, nothing
from oros.shells.cli.session import Session


def apps(session: Session, options: Options) -> int:
    """List apps: their tools, and what these may do if you ask for it."""
    found = session.machine().query("apps")
    lines = []
    for app in found:
        state = "SUSPENDED: its tools changed" if app["suspended"] else f"{len(app['tools'])} tools"
        typed = "" if app["typed"] else " · no manifest: all that it does is asked about"
        lines.append(f"{app['name']} {app['version']}  {state}{typed}  {app['about']}")
        lines += [f"  {draw.fit(line, 110)}" for line in app["suspended"]]
        lines += [f"  {act:28} {about}" for act, about in app["acts"].items()]
    session.give(options.output, found, lines or ["no app is installed (oros install FOLDER)"])
    return 0


def install(session: Session, options: Options) -> int:
    """Install an app from its folder, or a server of tools by its address."""
    source = options.source
    if not source.startswith(("http://", "https://")):
        source = str(Path(source).absolute())
    args = {"source": source} | ({"name": options.name} if options.name else {})
    return long(session, "apps.install", args, options.output)


def remove(session: Session, options: Options) -> int:
    """Forget an app and its tools."""
    return long(session, "apps.remove", {"name": options.name}, options.output)


def install_options(parser: ArgumentParser) -> None:
    """Words of install."""
    parser.add_argument("source", metavar="FOLDER|URL", help="with an app.toml, or an MCP server")
    parser.add_argument("--name", default="", metavar="NAME", help="what to call a server")


def remove_options(parser: ArgumentParser) -> None:
    """Words of remove."""
    parser.add_argument("name", metavar="NAME", help="as `oros apps` lists it")


VERBS = {
    "apps": Verb(apps, nothing, ("oros apps", "oros apps -o json")),
    "install": Verb(
        install,
        install_options,
        ("oros install ./mail", "oros install http://127.0.0.1:8000/mcp --name files"),
    ),
    "remove": Verb(remove, remove_options, ("oros remove mail", "oros remove mail -o json")),
}
