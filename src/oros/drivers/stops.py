"""Stop strings, watched for servers that don't take them and for the model in the box. Pure."""

from collections.abc import Sequence


class Stops:
    """Passes text on until a stop string is whole; what may be the beginning of one is held back.

    The one that is whole first ends the text, so that it ends at the same place however it came
    in parts: a text that was said cannot be taken back when a longer one turns out to be whole.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [s for s in stops if s]
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """The text that can be said by now."""
        if self.hit:
            return ""
        text = self._held + text
        found = [(at + len(s), at) for s in self._stops if (at := text.find(s)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)[1]]
        held = max((begun(text, s) for s in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What was held back, when nothing more comes."""
        rest, self._held = self._held, ""
        return rest


def begun(text: str, stop: str) -> int:
    """How many characters at the end of a text are a beginning of a stop string."""
    return next(
        (n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0
    )
