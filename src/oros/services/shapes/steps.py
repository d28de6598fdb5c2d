"""The shape of capable models: tool calls one after another, then words."""

from oros.abi import wire
from oros.abi.actions import Action, Finish, Rest, Think
from oros.abi.errors import BadReply
from oros.abi.events import CallReturned, Event, ModelReplied, Spawned
from oros.abi.manifest import Example
from oros.abi.message import Ask, Message, TextPart, say
from oros.kernel.image import Image
from oros.paging import digest

EMPTY = "Your answer was empty. Make a call, or answer in words."
EMPTY_TRIES = 2
CUT = "\n[cut: the answer reached its limit of {} tokens]"


def absorb(image: Image, event: Event) -> None:
    """Fold what is this shape's own."""
    match event:
        case Spawned():
            image.context.add("program", say("system", event.program.prompt))
            for number, example in enumerate(event.program.examples):
                show(image, number, example)
            if event.goal:
                image.context.add("pinned", say("user", event.goal, event.label))
        case CallReturned() if image.closed is not None:
            image.answer(image.closed.ask, event.shown)
        case ModelReplied(finish="stop" | "length", about=()) if not event.error:
            if not event.message.text.strip() and not event.message.asks:
                image.tries += 1
                image.context.add("turn", say("user", EMPTY))
            else:
                image.tries = 0
        case _:
            pass


def show(image: Image, number: int, example: Example) -> None:
    """A worked example as turns; an answer that is a call is shown as one."""
    image.context.add("program", say("user", example.job))
    if not example.result:
        image.context.add("program", say("assistant", example.answer))
        return
    args = wire.arguments(example.answer)
    name = str(args.pop("call", "")) if isinstance(args, dict) else ""
    ask = Ask(f"example{number}", name, args)
    image.context.add("program", Message("assistant", (), (ask,)))
    result = Message("tool", (TextPart(example.result),), answers=ask.id)
    image.context.add("program", result)
    image.context.add("program", say("assistant", example.final))


def decide(image: Image) -> Action:
    """Think while the last word is not the model's own; its own last words are the answer."""
    program = image.program
    last = image.context.pages[-1]
    if image.tries > EMPTY_TRIES:
        empty = BadReply("the model gave empty answers", "another model, or other words")
        return Finish(empty.exit_code, "", str(empty))
    if last.kind == "program":
        return Rest("message")
    if last.message.role != "assistant" or last.message.partial:
        if program.digest and (gone := image.context.unsummed()):
            asked = digest.question(image.context, gone, program.digest)
            return Think(asked, max_tokens=program.digest, about=gone)
        temperature = program.temperature if not image.tries else 0.4
        return Think(
            image.context.window(), program.calls, (), None, program.max_tokens, temperature
        )
    if program.standing:
        return Rest("message")
    cut = CUT.format(program.max_tokens) if image.finish == "length" else ""
    return Finish(0, last.message.text + cut)
