"""The driver of Responses, by the suite of its port."""

from tests.drivers.models.conformance import Conformance
from tests.drivers.models.responses import ResponsesDialect

from oros.drivers.models.openai.driver import ResponsesModel


def make(url, info, key, idle):
    base = f"{url}/v1"
    return ResponsesModel(
        info.name, base, "there", info=info, key=key, idle=idle, platform="openai"
    )


class TestResponses(Conformance):
    dialect = ResponsesDialect(make)
