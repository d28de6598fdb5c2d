"""What a program is: a prompt, the calls its model sees, and the shape of its turns."""

from dataclasses import dataclass
from typing import Literal

Shape = Literal["steps", "code", "facts", "reader", "door"]
"""`steps`: tool calls one after another. `code`: one program does the whole job. `facts`: it notes
what another process came to. `reader`: it answers a question out of texts, as a typed value.
`door`: one answer to a client of the doors, or a key of theirs."""


GUARDED = """Texts that others wrote are kept from you: you see where they stand, such as
[text: $c12[0].body]. Pass such a value on by its place, "$c12[0].body". To take something out of a
text, call infer with read ["$c12[0].body"], your question and a schema; its answer is a value with
a place of its own, "$c14.value.name". Files and long texts: spawn with the question as goal, read
["/work/a.pdf"] and a schema, then wait for it: its value is at "$c16.value". To pick a
record by its fields, call select. In your last answer a place in double braces, {{$c14.value}}, is
shown to the user as the text itself."""
"""What a guarded process's prompt says besides."""


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example, in the very form that the model is to answer in.

    If the answer is a call, `result` is what it came to and `final` the words after it.
    """

    job: str
    answer: str
    result: str = ""
    final: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A program as a process carries it; embedded in its first event, so that it replays as it was.

    `standing`: waits for the next message instead of ending with its answer (pid 1 does).
    `max_turns`: model calls before the process pauses; `max_tokens`: of one answer;
    `tries`: how often a `code` program is mended; `look`: whether a second look judges the result.
    `digest`: tokens of the summary of what left the window, 0 for none; `recall`: tokens of what is
    found of earlier for each message of the user, 0 for none. `page`: bytes of a text that a reader
    is shown at once. `needs` of its model: sight, hearing, tools, schema, here (what it reads stays
    on this machine); `window`: tokens at least; `price`: micro-dollars per million tokens at most.
    """

    name: str
    about: str
    shape: Shape
    prompt: str
    calls: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    standing: bool = False
    max_turns: int = 40
    max_tokens: int = 1024
    temperature: float = 0.0
    tries: int = 4
    look: bool = False
    call_seconds: float = 60.0
    digest: int = 0
    recall: int = 0
    page: int = 6000
    needs: tuple[str, ...] = ()
    window: int = 0
    price: int | None = None
