"""What both of OpenAI's dialects have in common: the key, refusals, and what is learned of them."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from oros.abi.errors import NoDevice, NotAuthorized, OrosError, TooBig
from oros.abi.message import Json
from oros.abi.ports import ModelInfo, ModelRequest
from oros.drivers.models.openai.places import Places
from oros.drivers.models.openai.quirks import Quirks
from oros.drivers.models.openai.refusals import Without, error_of, refused_in
from oros.drivers.streaming import Dialect


class OpenAIDialect(Dialect):
    """`without`: parameters that this server refused once; they are not sent again.

    `effort`: how much the model thinks; "" leaves it to the model. `place` is what follows the
    base URL, `resumes` whether a partial answer may be gone on with.
    """

    place: ClassVar[str]
    resumes: ClassVar[bool] = False

    def __init__(self, quirks: Quirks, model: str, effort: str = "") -> None:
        self.quirks = quirks
        self.model = model
        self.effort = effort
        self.without: set[str] = set()
        self.places = Places()

    def path(self, model: str) -> str:  # noqa: ARG002 - here it is in the body
        """One for all models."""
        return self.place

    @abstractmethod
    def parameters(self, request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
        """The body of a request, before what this server takes no more is left out."""

    def body(self, request: ModelRequest, model: str, info: ModelInfo) -> dict[str, Json]:
        """The body of a request."""
        found = self.parameters(request, model, info)
        return {k: v for k, v in found.items() if k not in self.without}

    def kept(self, request: ModelRequest) -> dict[str, Json]:
        """The key for what begins alike, where the platform takes one."""
        kind, who = self.quirks.kept, request.affinity
        kin = who.partition("/")[0] if kind == "tree" else who
        return {"prompt_cache_key": f"oros-{kin}"} if kind and kin else {}

    def headers(self, key: str | None) -> dict[str, str]:
        """The key."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def refused(
        self, why: str, status: int, error: Mapping[str, Json], wait: float | None
    ) -> OrosError | None:
        """A parameter to go without, the window, an empty account; in a stream, any error."""
        if status in (400, 422) and (name := refused_in(error)):
            again = name == "strict" and name in self.without  # the schema itself is refused
            return Without("response_format" if again else name, why)
        found = error_of(why, status, error, wait)
        return found if status == 200 or isinstance(found, TooBig | NotAuthorized) else None

    def again(self, error: OrosError, request: ModelRequest) -> ModelRequest | None:
        """The same without a parameter that is not taken, or without thoughts."""
        if isinstance(error, Without):
            self.without.add(error.name)
            return request
        return super().again(error, request)

    def spoiled(self, error: OrosError) -> bool:
        """Seals that are not opened any more, items that stand where they may not."""
        why = error.why.lower()
        return isinstance(error, NoDevice) and ("encrypted" in why or "reasoning" in why)
