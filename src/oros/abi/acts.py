"""What a call or a tool does, as its manifest types it: classes of act, roles, kinds of fields.

Where a manifest says nothing, the worst is assumed: every argument is a target, every field of an
outcome is text that others wrote, it changes something, and what it is given leaves the machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["target", "value", "secret", "text", "label", "enum", "when"]
"""What an argument is to the act. `target`: whom or what it reaches; `value`: how much or what it
becomes; `secret`: a password, a key; `text`: words that others read; `label`: a title, a subject;
`enum`: one of a few; `when`: a date or a time."""

FieldKind = Literal["free", "name", "structured", "secret"]
"""What a field of an outcome is. `structured`: data that the service itself vouches for; `name`:
what a record is called, in words that anybody may have chosen; `free`: text that others wrote;
`secret`: never shown to a model."""


@dataclass(frozen=True, slots=True)
class Act:
    """The type of a call or a tool.

    `name` is the class of act that a plan counts; "" is a class of its own. `roles` are named by
    the path of an argument (`recipients`, `attachments.file_id`, without the places in a list),
    `fields` by the path of a field in the outcome; "" is an outcome that is no object, `*` stands
    for any one name. `mutates`: it changes something although its effect is a read. `triggers`:
    what users say who ask for it (see oros.monitor.phrases).
    """

    name: str = ""
    about: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)
    fields: Mapping[str, FieldKind] = field(default_factory=dict)
    egress: bool = True
    mutates: bool = True
    triggers: tuple[str, ...] = ()


WORST = Act()
"""What nobody has said anything about."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a card asks the person about: a value with its role, or an act.

    `arg` is the argument's path; "" is a whole call: `parts` are its arguments then, each as path,
    role and value. `source` says where the value came from;
    `excerpt` is a piece of that, others' words. `alike`: values that the user does know and that
    look like this one; `shown` is the value as it is read by a machine (punycode), if that differs.
    """

    tool: str
    act: str
    arg: str
    role: str
    value: str
    source: str = ""
    excerpt: str = ""
    alike: tuple[str, ...] = ()
    shown: str = ""
    parts: tuple[tuple[str, Role, str], ...] = ()
