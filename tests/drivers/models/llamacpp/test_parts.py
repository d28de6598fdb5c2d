"""The small pure parts of the worker: what is put away, the curve, texts from tokens, templates."""

from hypothesis import given
from hypothesis import strategies as st

from oros.abi.message import Message, TextPart, say
from oros.drivers.models.llamacpp.curve import PROBE, Curve, Way
from oros.drivers.models.llamacpp.kept import Kept, shared
from oros.drivers.models.llamacpp.speaker import Speaker
from oros.drivers.models.llamacpp.template import MARK, marked, pieces, turns_of

TOKENS = st.lists(st.integers(0, 3), max_size=30)


@given(TOKENS, TOKENS)
def test_the_shared_beginning_is_the_longest(a, b):
    size = shared(a, b)
    assert a[:size] == b[:size]
    assert size == min(len(a), len(b)) or a[size] != b[size]


@given(st.lists(st.tuples(TOKENS.filter(len), st.sampled_from("ab")), max_size=12))
def test_what_is_put_away_stays_within_its_limits_and_is_found(entries):
    kept = Kept(None, "x", ram=50, disk=0)
    for tokens, owner in entries:
        kept.put(list(tokens), owner, bytes(tokens))
        ram, disk = kept.weight()
        assert ram <= 50
        assert disk == 0
        entry, size = kept.best(tokens)
        assert size == len(tokens)
        assert kept.read(entry)[:size] == bytes(tokens)


def test_over_the_memory_it_goes_to_disk_and_over_the_disk_away(tmp_path):
    kept = Kept(tmp_path, "x", ram=100, disk=250)
    for n in range(8):
        kept.put([n] * 40, f"p{n}", bytes([n]) * 60)
    assert [kept.best([n] * 40)[1] for n in range(8)] == [0, 0, 0, 40, 40, 40, 40, 40]
    again = Kept(tmp_path, "x", ram=100, disk=250)
    assert again.read(again.best([5] * 40)[0]) == bytes([5]) * 60
    assert again.best([7] * 40)[1] == 0, "what was in memory only"
    assert len(Kept(tmp_path, "y", ram=100, disk=250)) == 0


def test_a_broken_file_is_nothing(tmp_path):
    kept = Kept(tmp_path, "x", ram=0, disk=10_000)
    kept.write([1, 2, 3], b"state" * 20)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for broken in (whole[:-1], whole[:-1] + b"?", whole[:20], b"", b"rubbish" * 9):
        file.write_bytes(broken)
        found = Kept(tmp_path, "x", ram=0, disk=10_000)
        entry, _ = found.best([1, 2, 3])
        assert entry is None or found.read(entry) is None
        assert not file.exists()
        assert len(found) == 0


def test_writing_the_same_again_is_one_file(tmp_path):
    kept = Kept(tmp_path, "x", ram=0, disk=10_000)
    for state in (b"a" * 9, b"b" * 9):
        kept.write([1, 2], state)
    assert len(list(tmp_path.iterdir())) == len(kept) == 1
    assert kept.read(kept.best([1, 2])[0]) == b"b" * 9


@given(st.dictionaries(st.integers(0, 4), st.floats(0.01, 10), min_size=5, max_size=5))
def test_the_curve_takes_the_way_that_is_best_for_those_there_are(seconds):
    curve = Curve(1)
    widths = (1, 2, 4, 8, 16)
    for _ in range(5 * (PROBE + 2)):
        way = curve.best(16)
        curve.note(way, seconds[widths.index(way.width)])
    rates = {w: w / seconds[at] for at, w in enumerate(widths)}
    assert rates[curve.best(16).width] == max(rates.values())
    assert rates[curve.best(7).width] == max(rates[w] for w in (1, 2, 4))


def test_on_a_machine_that_became_busy_all_ways_are_tried_again():
    curve, busy = Curve(2), False
    for at in range(200):
        busy = at >= 100
        curve.idle()
        way = curve.best(1)
        curve.note(way, 5.0 if busy and way.threads == 2 else {2: 1.0, 1: 1.5}[way.threads])
    curve.idle()
    assert curve.best(1) == Way(1, 1)


def test_threads_change_only_when_nothing_is_at_work():
    curve = Curve(2)
    first = curve.best(1).threads
    for at in range(60):
        way = curve.best(1 + at % 8)
        assert way.threads == first
        curve.note(way, 1.0)


@given(
    st.text(max_size=40),
    st.lists(st.text("ab|é", min_size=1, max_size=3), max_size=2),
    st.randoms(),
)
def test_text_comes_whole_up_to_the_first_stop_whatever_the_tokens(text, stops, chance):
    data = text.encode()
    speaker, said, at = Speaker(stops), "", 0
    while at < len(data) and not speaker.ended:
        size = chance.randint(1, 4)
        said += speaker.take(data[at : at + size])
        at += size
    said += speaker.rest()
    ends = [text.find(s) for s in stops if s in text]
    if ends:
        assert speaker.ended
        assert said in {text[:end] for end in (text.find(s) for s in stops) if end >= 0}
    else:
        assert said == text


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_template_is_cut_into_its_own_text_and_that_of_the_turns(texts):
    turns = [("user", t) for t in texts]
    rendered = "".join(f"<s>[{r}] {t} [/{r}]" for r, t in marked(turns))
    found = pieces(rendered, turns)
    assert "".join(t for t, _ in found) == "".join(f"<s>[user] {t} [/user]" for t in texts)
    assert [t for t, own in found if not own] == [t for t in texts if t]
    assert MARK.format(0) not in "".join(t for t, _ in found) or MARK.format(0) in "".join(texts)


def test_a_part_at_the_end_is_none_of_the_turns():
    part = Message("assistant", (TextPart("It is "),), partial=True)
    assert turns_of((say("user", "?"), part)) == ([("user", "?")], "It is ")
    assert turns_of((say("user", "?"),)) == ([("user", "?")], None)
