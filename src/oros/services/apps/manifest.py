"""The manifest of an app: `app.toml`, which says where its tools are served and what they do.

    name = "mail"
    about = "your mailbox"

    [server]
    url = "http://127.0.0.1:8000/mcp"      # MCP over HTTP; `socket = "PATH"` for a Unix socket

    [acts."mail.send"]
    about = "send mail"
    triggers = ["send|write mail|message", "reply"]

    [tools.send]
    act = "mail.send"
    effect = "once"
    roles = {to = "target", subject = "label", body = "text"}

    [tools.inbox]
    effect = "read"
    egress = false
    mutates = false
    fields = {sender = "structured", subject = "name"}

What it does not say is taken for the worst: see oros.abi.acts.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field

from oros.abi import wire
from oros.abi.acts import Act, FieldKind, Role
from oros.abi.errors import Invalid
from oros.abi.syscalls import Effect

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Server:
    """Where the tools are served."""

    url: str = "http://localhost/mcp"
    socket: str = ""


@dataclass(frozen=True, slots=True)
class Class:
    """A class of act, in words, and what users say who ask for it."""

    about: str = ""
    triggers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolType:
    """What one tool does."""

    act: str = ""
    about: str = ""
    effect: Effect = "once"
    egress: bool = True
    mutates: bool = True
    roles: Mapping[str, Role] = field(default_factory=dict)
    fields: Mapping[str, FieldKind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class App:
    """An app as its manifest tells; `typed` says whether there was one."""

    name: str
    about: str = ""
    version: str = "0"
    server: Server = field(default_factory=Server)
    acts: Mapping[str, Class] = field(default_factory=dict)
    tools: Mapping[str, ToolType] = field(default_factory=dict)
    typed: bool = True

    def act(self, tool: str) -> Act:
        """The type of a tool; the worst if the manifest does not know it."""
        found = self.tools.get(tool)
        if found is None:
            return Act(f"{self.name}.{tool}")
        name = found.act or f"{self.name}.{tool}"
        kind = self.acts.get(found.act, Class())
        about = kind.about or found.about
        return Act(
            name, about, found.roles, found.fields, found.egress, found.mutates, kind.triggers
        )

    def effect(self, tool: str) -> Effect:
        """What a crash amid a call of a tool means."""
        found = self.tools.get(tool)
        return found.effect if found is not None else "once"


def parse(text: str, where: str) -> App:
    """An app from its TOML. Raises: Invalid, with the place of the fault."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Invalid(f"{where}: {e}", "mend the manifest") from e
    try:
        app: App = wire.decode(App, wire.dumps(data))
    except Invalid as e:
        raise Invalid(f"{where}: {e.why}", "mend the manifest") from e
    checked(app, where)
    return app


def checked(app: App, where: str) -> None:
    """Refuse what would mislead. Raises: Invalid."""
    if not NAME.fullmatch(app.name):
        raise Invalid(f"{where}: {app.name!r} is no name of an app", "say a-z, 0-9, - and _")
    if not re.match(r"https?://", app.server.url):
        raise Invalid(f"{where}: {app.server.url!r} is no address of a server")
    for name, tool in app.tools.items():
        if tool.act and tool.act not in app.acts:
            acts = " ".join(app.acts) or "none"
            raise Invalid(f"{where}: tools.{name}: no act {tool.act!r}", f"acts: {acts}")
        if tool.effect in ("pure", "read") or not tool.act or app.acts[tool.act].triggers:
            continue
        raise Invalid(f"{where}: acts.{tool.act} has no triggers", "what do users say for it?")
    for name in app.acts:
        if not name.startswith(f"{app.name}."):
            raise Invalid(f"{where}: acts.{name} is not its own", f"name it {app.name}.…")
