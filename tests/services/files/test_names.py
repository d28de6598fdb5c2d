import json
import os

from hypothesis import given
from hypothesis import strategies as st

from oros.services.files.names import show, spell

BYTES = st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\0", b"x"))


@given(BYTES)
def test_any_name_is_shown_printable_and_is_found_again(raw) -> None:
    name = os.fsdecode(raw)
    shown = show(name)
    assert shown.isprintable()
    json.dumps(shown).encode("utf-8")
    assert shown == name or spell(shown) == name


def test_plain_names_stay() -> None:
    assert show("a\\n b/ünï.txt") == "a\\n b/ünï.txt"
    assert show(os.fsdecode(b"caf\xe9\n")) == "caf\\xe9\\n"
    assert show("a\u202eb") == "a\\u202eb"
