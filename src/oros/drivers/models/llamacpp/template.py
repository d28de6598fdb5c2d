"""ChatML, the chat template of the built-in models: messages as the text that the model reads.

Written out here because an answer must be able to go on from its part. Marks of the template inside
a message's text are broken up: text can't end its own turn.
"""

from collections.abc import Sequence

from oros.abi.message import Message, stands

START, END = "<|im_start|>", "<|im_end|>"
STOPS = (END, "<|endoftext|>")


def render(messages: Sequence[Message]) -> str:
    """The prompt, up to where the model goes on."""
    turns = [f"{START}{role_of(m)}\n{plain(m)}{END}\n" for m in messages]
    last = messages[-1]
    if last.role == "assistant" and last.partial:
        return "".join(turns[:-1]) + f"{START}assistant\n{plain(last)}"
    return "".join(turns) + f"{START}assistant\n"


def role_of(message: Message) -> str:
    """These models know no tool's turn: its result is the user's."""
    return "user" if message.role == "tool" else message.role


def plain(message: Message) -> str:
    """The text of a message; what is no text is told by what stands for it."""
    return "".join(map(stands, message.parts)).replace("<|", "<\u200b|")
