"""ChatML, the chat template of the built-in models: messages as the text that the model reads.

Written out here because an answer must be able to go on from its part. Marks of the template inside
a message's text are broken up: text can't end its own turn.
"""

from collections.abc import Sequence

from oros.abi.message import Message, TextPart

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
    texts: list[str] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif part.kind == "image":
            texts.append(f"[picture: {part.alt or 'without a description'}]")
        elif part.kind == "audio":
            texts.append(f"[sound: {part.transcript or 'without a transcript'}]")
        else:
            texts.append(f"[file {part.name}, {part.size} bytes]")
    return "".join(texts).replace("<|", "<\u200b|")
