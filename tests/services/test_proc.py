"""Parts of outcomes that are no text: bytes for the person, the part itself for a model."""

from oros.abi.ids import PERSON, BlobId, Pid
from oros.abi.labels import USER
from oros.abi.message import FilePart, ImagePart
from oros.abi.ports import Caller
from oros.services.proc import name_of, picture

PNG = ImagePart(BlobId("b"), "image/png", "figure.png")


def test_the_bytes_are_the_persons_alone() -> None:
    mine = picture(Caller(PERSON, "k", USER), "2/calls/c5/figure.png", PNG, b"\x89PNG", USER)
    assert mine.value["base64"] == "iVBORw=="
    models = picture(Caller(Pid(7), "k", USER), "7/calls/c5/figure.png", PNG, b"\x89PNG", USER)
    assert "base64" not in models.value
    assert models.value["kind"] == "image/png"
    assert models.parts == (PNG,)


def test_a_part_is_called_by_its_name() -> None:
    assert name_of(PNG) == "figure.png"
    assert name_of(FilePart(BlobId("b"), "text/csv", "table.csv", 3)) == "table.csv"
