"""Messages as the text that a model reads: in ChatML, or in the template that the weights bring.

ChatML, that of the built-in models, is written out here because an answer must be able to go on
from its part. Text can't end its own turn: in ChatML marks of the template inside it are broken up,
in other templates it is given to the tokenizer as plain text, apart from the template's own.
"""

from collections.abc import Sequence

from oros.abi.message import Message, stands

START, END = "<|im_start|>", "<|im_end|>"
STOPS = (END, "<|endoftext|>")
MARK = "oros{}content"
"""Stands for the text of a turn while a template is applied; the number tells which."""

Turns = Sequence[tuple[str, str]]


def turns_of(messages: Sequence[Message]) -> tuple[list[tuple[str, str]], str | None]:
    """The turns, as role and text, and the partial answer at their end, if there is one."""
    turns = [(role_of(m), plain(m)) for m in messages]
    last = messages[-1]
    if last.role == "assistant" and last.partial:
        return turns[:-1], turns[-1][1]
    return turns, None


def chatml(turns: Turns) -> str:
    """The prompt, up to where the model goes on."""
    told = [f"{START}{role}\n{broken(text)}{END}\n" for role, text in turns]
    return "".join(told) + f"{START}assistant\n"


def is_chatml(template: str) -> bool:
    """Whether a template of weights is ChatML; without one, it is."""
    return not template or START in template


def marked(turns: Turns) -> list[tuple[str, str]]:
    """The turns with a mark in each place of a text."""
    return [(role, MARK.format(at)) for at, (role, _) in enumerate(turns)]


def pieces(rendered: str, turns: Turns) -> list[tuple[str, bool]]:
    """A rendered template with its marks, as pieces: the text, and whether it is the template's."""
    found: list[tuple[str, bool]] = []
    rest = rendered
    for at, (_, text) in enumerate(turns):
        before, mark, after = rest.partition(MARK.format(at))
        if mark:
            found += [(before, True), (text, False)]
            rest = after
    found.append((rest, True))
    return [(text, own) for text, own in found if text]


def role_of(message: Message) -> str:
    """These models know no tool's turn: its result is the user's."""
    return "user" if message.role == "tool" else message.role


def plain(message: Message) -> str:
    """The text of a message; what is no text is told by what stands for it."""
    return "".join(map(stands, message.parts))


def broken(text: str) -> str:
    """A text in which no mark of ChatML can be read."""
    return text.replace("<|", "<\u200b|")
