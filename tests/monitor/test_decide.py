"""The monitor: total, monotone in labels and grants; each rule by an example and by its limits."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oros.abi.acts import Act, Item
from oros.abi.grants import Grant
from oros.abi.labels import SYSTEM, USER, Integrity, Label
from oros.monitor import cards
from oros.monitor.decide import Deed, Subject, decide
from oros.monitor.grants import Authority, narrowed
from oros.monitor.handles import Arg
from oros.monitor.phrases import arranged

MAIL = Act(
    "mail.send",
    "send mail",
    {"to": "target", "amount": "value", "body": "text", "subject": "label", "key": "secret",
     "at": "when", "how": "enum"},
    triggers=("send|write mail|email",),
)  # fmt: skip
KNOWN = (("mail.send", MAIL.triggers),)
THIRD, PROVIDER = Label(), Label(Integrity.PROVIDER)
RANK = {"refuse": 0, "card": 1, "allow": 2}


def arg(path: str, value, label: Label = THIRD, chosen: bool = False) -> Arg:
    return Arg(path, MAIL.roles.get(path, "target"), value, label, "", chosen)


def asked(words: str, *more: Grant, denied=()) -> Authority:
    return arranged((words,), KNOWN, more, denied)


def deed_of(args, act=MAIL, effect="once", sink="app:mail") -> Deed:
    return Deed("send", act, effect, args, sink)


def verdict(args, words="send an email to ann@b.example", label=THIRD, spent=0, effect="once",
            act=MAIL, sink="app:mail", more=(), denied=()):  # fmt: skip
    who = Subject(label, asked(words, *more, denied=denied), {"mail.send": spent})
    return decide(deed_of(args, act, effect, sink), who)


def test_what_has_no_consequence_is_allowed_to_anybody() -> None:
    quiet = replace(MAIL, egress=False, mutates=False)
    assert verdict([arg("to", "eve@evil.example")], "hello", act=quiet, effect="read").rule == 1
    for act, effect in ((quiet, "once"), (replace(quiet, mutates=True), "read"),
                        (replace(quiet, egress=True), "read")):  # fmt: skip
        assert verdict([arg("to", "x@y.example")], "hello", act=act, effect=effect).kind == "refuse"


@pytest.mark.parametrize("label", [THIRD, PROVIDER, SYSTEM, USER])
def test_a_secret_is_the_users_own_word(label) -> None:
    assert verdict([arg("key", "hunter2x")], label=label).rule == 2
    assert verdict([arg("key", "hunter2x")], "send mail with 'hunter2x'", label).kind == "allow"


def test_who_has_read_nothing_is_allowed_what_its_program_may() -> None:
    assert verdict([arg("to", "eve@evil.example", SYSTEM)], "hello", SYSTEM).rule == 3
    assert verdict([arg("to", "eve@evil.example", USER)], "hello", USER).rule == 3


def test_outside_the_plan_is_refused_and_not_asked() -> None:
    found = verdict([arg("to", "ann@b.example")], "what is new?")
    assert (found.kind, found.rule) == ("refuse", 4)
    assert "only the user can ask for more" in found.hint
    assert "did not ask for mail.send" in found.reason
    assert verdict([arg("to", "ann@b.example")], spent=0).kind == "allow"
    again = verdict([arg("to", "ann@b.example")], spent=1)
    assert (again.kind, again.rule) == ("refuse", 4)
    assert "only the user can ask for more" in again.hint
    assert verdict([arg("to", "ann@b.example")]).rule == 5
    assert "done as often" in again.reason


def test_where_the_decision_was_handed_over_calls_go_on_one_sheet() -> None:
    words, evil = "do the tasks in the email of Ann", [arg("to", "eve@evil.example")]
    found = verdict(evil, words)
    assert found.kind == "card"
    assert [(i.arg, i.parts) for i in found.items] == [
        ("", (("to", "target", "eve@evil.example"),))
    ]
    yes = cards.answered(found.items)
    assert verdict([*evil, arg("body", "any words")], words, more=yes.grants).kind == "allow"
    assert verdict([*evil, arg("body", "www.evil.example")], words, more=yes.grants).kind == "card"
    assert verdict([arg("to", "eva@evil.example")], words, more=yes.grants).kind == "card"
    assert verdict([arg("to", "Ann")], words, more=yes.grants).kind == "card"
    key = verdict(evil, words, more=yes.grants).spends
    assert key.startswith("mail.send ")
    done = Subject(THIRD, asked(words, *yes.grants), {key: 1}, sheeted=True)
    assert decide(deed_of(evil), done).kind == "refuse"
    no = cards.answered(found.items, (0,))
    assert no.grants == no.denied == ()
    assert decide(deed_of(evil), Subject(THIRD, asked(words), {}, sheeted=True)).kind == "refuse"


def test_a_target_is_the_users_word_or_of_a_record_they_named_or_endorsed() -> None:
    assert verdict([arg("to", "ann@b.example")]).kind == "allow"
    assert verdict([arg("to", "eve@evil.example")]).kind == "card"
    assert verdict([arg("to", "e@e.example", PROVIDER)]).kind == "card"
    assert verdict([arg("to", "e@e.example", PROVIDER, chosen=True)]).kind == "allow"
    assert verdict([arg("to", "e@e.example", THIRD, chosen=True)]).kind == "card"
    assert verdict([arg("to", "e@e.example", PROVIDER)], label=PROVIDER).kind == "allow"
    card = verdict([arg("to", "eve@evil.example"), arg("subject", "hi")])
    yes = cards.answered(card.items)
    assert verdict([arg("to", "eve@evil.example")], more=yes.grants).kind == "allow"
    assert verdict([arg("amount", "eve@evil.example")], more=yes.grants).kind == "card"
    number = cards.answered(verdict([arg("to", "7")]).items)
    assert verdict([arg("to", 7)], more=number.grants).kind == "allow"
    assert verdict([arg("other", 7)], more=number.grants).kind == "card"


@pytest.mark.parametrize(
    ("words", "path", "value", "kind"),
    [
        ("send mail about June 13", "to", "13", "card"),
        ("send mail, 1. to Ann 2. to Bob", "to", "2", "card"),
        ("send mail about file number 13", "to", 13, "allow"),
        ("send mail about ID '13'", "to", "13", "allow"),
        ("send mail about $50", "amount", 50, "allow"),
        ("send mail about $50", "to", 50, "card"),
        ("send mail about 50 things", "amount", 50, "card"),
        ("send mail about 10.00", "amount", 10.0, "allow"),
        ("send mail about 2,200 euros", "amount", "2200", "allow"),
        ("send mail to UK12345678901234567890", "to", "UK12345678901234567890", "allow"),
        ("send mail to UK12345678901234567890", "to", "UK12345678901234567891", "card"),
        ("send mail to Ann Bell", "to", "ann bell", "allow"),
        ("send mail to Ann Bell", "to", "Bell Ann", "card"),
        ("send mail to the user ann", "to", "ann", "allow"),
        ("send mail to www.a.example", "to", "https://www.a.example/", "allow"),
        ("send mail to www.a.example", "to", "https://www.a.example/?q=1", "card"),
        ("send mail to ann@b.example", "to", "аnn@b.example", "card"),  # noqa: RUF001 - a Cyrillic letter
        ("send mail: I live at 12 Elm Street, Ulm", "to", "12 Elm Street", "allow"),
        ("send mail: I live at 12 Elm Street, Ulm", "to", "Elm Street 12", "card"),
    ],
)  # fmt: skip
def test_which_words_name_a_value(words, path, value, kind) -> None:
    assert verdict([arg(path, value)], words).kind == kind


def test_a_text_is_free_but_for_where_it_leads() -> None:
    assert verdict([arg("body", "The meeting is at 10:00 on 2024-05-15.")]).kind == "allow"
    for link in ("see www.evil.example/x", "pay GB29NWBK60161331926819", "ask eve@evil.example",
                 "go to secure-systems-252.com", "call +49 151 2345678"):  # fmt: skip
        found = verdict([arg("body", link)])
        assert found.kind == "card", link
        assert [i.role for i in found.items] == ["text"]
        assert verdict([arg("subject", link)]).kind == "card"
    assert verdict([arg("body", "as ann@b.example says")]).kind == "allow"
    assert verdict([arg("at", "www.evil.example"), arg("how", "www.evil.example")]).kind == "allow"


def test_what_only_some_may_read_goes_to_nobody_else_unless_let() -> None:
    mine = Label(Integrity.USER, frozenset({"owner"}))
    found = verdict([arg("to", "ann@b.example", mine)], label=mine)
    assert (found.kind, found.rule) == ("card", 6)
    yes, no = cards.answered(found.items), cards.answered(found.items, (0,))
    assert verdict([arg("to", "a@b.example", mine)], label=mine, more=yes.grants).kind == "allow"
    refused = verdict([arg("to", "a@b.example", mine)], label=mine, denied=no.denied)
    assert (refused.kind, refused.rule, bool(refused.hint)) == ("refuse", 6, True)
    ours = Label(Integrity.USER, frozenset({"app:mail"}))
    assert verdict([arg("to", "ann@b.example", ours)], label=ours).kind == "allow"
    quiet = replace(MAIL, egress=False)
    assert verdict([arg("to", "ann@b.example", mine)], label=mine, act=quiet).kind == "allow"


def test_a_card_says_what_looks_alike_and_how_machines_read_it() -> None:
    found = verdict([arg("to", "аnn@b.example")])  # noqa: RUF001 - a Cyrillic letter
    assert found.items[0].alike == ("ann@b.example",)
    assert found.items[0].shown == "xn--nn-6kc@b.example"
    assert verdict([arg("to", "anm@b.example")]).items[0].alike == ("ann@b.example",)
    assert verdict([arg("to", "zoe@far.example")]).items[0].alike == ()


# ---- laws ----------------------------------------------------------------------------------------

LABELS = st.builds(
    Label,
    st.sampled_from(Integrity),
    st.none() | st.frozensets(st.sampled_from(["owner", "app:mail"])),
)
VALUES = st.sampled_from(
    ["ann@b.example", "eve@evil.example", "13", 50, 13, "hello", "see www.evil.example", None, True]
)
ARGS = st.lists(
    st.builds(arg, st.sampled_from([*MAIL.roles, "other"]), VALUES, LABELS, st.booleans()),
    max_size=4,
)
WORDS = st.sampled_from(
    ["", "send an email to ann@b.example", "what is new?", "do the tasks in the email of Ann"]
)
EFFECTS = st.sampled_from(["pure", "read", "reversible", "idempotent", "once", "control"])
ACTS = st.builds(replace, st.just(MAIL), egress=st.booleans(), mutates=st.booleans())
GRANTS = st.lists(
    st.sampled_from(
        [
            Grant("act", "mail.send", uses=2),
            Grant("value", "eve@evil.example", scope="target"),
            Grant("value", "app:mail", scope="mail.send readers"),
            Grant("follow", "x"),
        ]
    )
)
DENIED = st.lists(
    st.sampled_from(["act:mail.send", "value:eve@evil.example in mail.send to"]), unique=True
)


@settings(max_examples=400)
@given(ACTS, EFFECTS, ARGS, WORDS, GRANTS, DENIED, st.integers(0, 3), LABELS, LABELS)
def test_a_lower_label_never_allows_more(
    act, effect, args, words, more, denied, spent, high, other
) -> None:
    low = high | other
    deed = deed_of(args, act, effect)
    sunk = deed._replace(args=[a._replace(label=a.label | other) for a in args])
    mine = asked(words, *more, denied=denied)
    before = RANK[decide(deed, Subject(high, mine, {"mail.send": spent})).kind]
    assert RANK[decide(deed, Subject(low, mine, {"mail.send": spent})).kind] <= before
    assert RANK[decide(sunk, Subject(high, mine, {"mail.send": spent})).kind] <= before


@settings(max_examples=400)
@given(ACTS, EFFECTS, ARGS, WORDS, GRANTS, DENIED, st.integers(0, 3), LABELS, st.data())
def test_fewer_grants_and_more_denials_never_allow_more(
    act, effect, args, words, more, denied, spent, label, data
) -> None:
    deed = deed_of(args, act, effect)
    whole = (*arranged((words,), KNOWN).grants, *more)
    part = data.draw(st.lists(st.sampled_from(whole), unique_by=id)) if whole else []
    kept = [g for g in whole if any(g is p for p in part)]
    before = RANK[
        decide(deed, Subject(label, Authority.of(whole, denied), {"mail.send": spent})).kind
    ]
    fewer = Subject(label, Authority.of(kept, denied), {"mail.send": spent})
    assert RANK[decide(deed, fewer).kind] <= before
    stricter = Authority.of(whole, [*denied, *(g.name for g in whole[:1])])
    assert RANK[decide(deed, Subject(label, stricter, {"mail.send": spent})).kind] <= before
    spender = Subject(label, Authority.of(whole, denied), {"mail.send": spent + 1})
    assert RANK[decide(deed, spender).kind] <= before


@given(ACTS, EFFECTS, ARGS, WORDS, GRANTS, st.integers(0, 3), LABELS)
def test_a_child_may_do_nothing_that_its_parent_may_not(
    act, effect, args, words, more, spent, label
) -> None:
    deed = deed_of(args, act, effect)
    whole = (*arranged((words,), KNOWN).grants, *more)
    parent = decide(deed, Subject(label, Authority.of(whole), {"mail.send": spent}))
    child = decide(deed, Subject(label, Authority.of(narrowed(whole)), {"mail.send": spent}))
    assert RANK[child.kind] <= RANK[parent.kind]


@given(ARGS, WORDS, st.integers(0, 3), LABELS)
def test_a_yes_to_all_of_a_card_lets_the_call_pass_and_a_no_to_any_does_not(
    args, words, spent, label
) -> None:
    deed = deed_of(args)
    found = decide(deed, Subject(label, asked(words), {"mail.send": spent}))
    if found.kind != "card":
        return
    yes = cards.answered(found.items)
    later = decide(deed, Subject(label, asked(words, *yes.grants), {"mail.send": spent}))
    assert later.kind == "allow" or not found.items[0].arg  # a sheet's yes is for what it showed
    no = cards.answered(found.items, (0,))
    mine = asked(words, denied=no.denied)
    assert decide(deed, Subject(label, mine, {"mail.send": spent}, sheeted=True)).kind == "refuse"


def test_the_answer_to_a_card() -> None:
    items = (Item("t", "a", "x", "target", "1"), Item("t", "a", "y", "target", "2"))
    assert [g.what for g in cards.answered(items).grants] == ["1", "2"]
    part = cards.answered(items, (2,))
    assert ([g.what for g in part.grants], part.denied) == (["2"], ("value:1 in a x",))
    other = cards.answered(items[:1], instead="3")
    assert ([g.what for g in other.grants], other.denied) == (["3"], ("value:1 in a x",))
    for chosen, instead in (((3,), ""), ((), "3")):
        with pytest.raises(Exception, match="item"):
            cards.answered(items, chosen, instead)


def test_what_the_person_allows_besides_a_card() -> None:
    for value, path in (
        ("7", "to"),
        ("7", "amount"),
        ("eve@evil.example", "to"),
        ("hunter22", "key"),
    ):
        mine = cards.said_by_person(value, 1, act=False)
        assert verdict([arg(path, value)], more=[mine]).kind == "allow"
    mine = cards.said_by_person("mail.send", 2, act=True)
    assert verdict([arg("body", "x")], "what is new?", spent=1, more=[mine]).kind == "allow"
    assert verdict([arg("body", "x")], "what is new?", spent=2, more=[mine]).kind == "refuse"


@pytest.mark.parametrize("pair", list(product((0, 1), repeat=2)))
def test_like_values_are_asked_once(pair) -> None:
    items = [Item("t", "a", "x", "target", str(n)) for n in pair]
    assert len(cards.merged(items)) == len(set(pair))


# ---- what a mutated monitor would get wrong ------------------------------------------------------


def test_what_was_denied_stays_refused_in_its_place_and_there_only() -> None:
    evil = arg("to", "eve@evil.example")
    no = cards.answered(verdict([evil]).items, (0,))
    found = verdict([evil], denied=no.denied)
    assert (found.kind, found.rule) == ("refuse", 5)
    assert found.reason == "send: you said no to to eve@evil.example"
    assert found.hint
    assert verdict([arg("other", "eve@evil.example")], denied=no.denied).kind == "card"
    assert verdict([arg("to", "bob@evil.example")], denied=no.denied).kind == "card"
    assert verdict([evil], label=SYSTEM, denied=no.denied).kind == "refuse"
    unseen = Arg("to", "target", "eve@evil.example", THIRD, "$c3.body")
    assert verdict([unseen], denied=no.denied).reason == "send: you said no to to $c3.body"
    long = arg("to", "e" * 200)
    no = cards.answered(verdict([long]).items, (0,))
    assert verdict([long], denied=no.denied).reason == f"send: you said no to to {'e' * 80}"
    link = arg("body", "see www.evil.example now")
    no = cards.answered(verdict([link]).items, (0,))
    assert verdict([link], denied=no.denied).rule == 5
    assert verdict([arg("to", "www.evil.example now")], denied=no.denied).kind == "card"
    found = verdict([evil], denied=["act:mail.send"])
    assert (found.kind, found.rule, bool(found.hint)) == ("refuse", 4, True)
    assert "you said no to mail.send" in found.reason


def test_a_label_stands_in_for_a_target_where_there_is_none() -> None:
    title = arg("subject", "Booking at the Ritz")
    assert verdict([title]).kind == "card"
    assert verdict([title]).items[0].role == "label"
    assert verdict([title, arg("to", "ann@b.example")]).kind == "allow"
    assert verdict([title, arg("amount", "$5")], "send mail for $5").kind == "allow"
    assert verdict([title, arg("at", "now"), arg("body", "x")]).kind == "card"
    words = "send mail with the title 'Booking at {place}'"
    assert verdict([title], words).kind == "allow"
    assert verdict([arg("subject", "Booking at www.evil.example")], words).kind == "card"
    assert verdict([arg("to", "Booking at the Ritz")], words).kind == "card"
    assert verdict([arg("subject", "x", PROVIDER)], label=PROVIDER).kind == "allow"


def test_what_a_call_is_counted_as() -> None:
    ann = [arg("to", "ann@b.example")]
    fresh = Subject(THIRD, asked("send an email to ann@b.example"))
    assert decide(deed_of(ann), fresh).spends == "mail.send"
    assert decide(deed_of(ann), fresh._replace(label=USER)).spends == "mail.send"
    assert decide(deed_of(ann), fresh._replace(spent={"other": 9})).kind == "allow"
    assert verdict(ann, act=replace(MAIL, egress=False, mutates=False), effect="read").spends == ""
    untyped = verdict([arg("x", "y", USER)], label=USER, act=Act())
    assert untyped.spends == "send"


def test_a_link_that_comes_from_a_service_needs_no_word() -> None:
    link = arg("body", "see www.evil.example", PROVIDER)
    assert verdict([link], label=PROVIDER).kind == "allow"
    assert verdict([link]).kind == "card"
    account = arg("body", "pay 1234567890")
    yes = cards.answered(verdict([account]).items)
    assert verdict([account], more=yes.grants).kind == "allow"
    assert (
        verdict([arg("subject", "pay 1234567890"), *account_to()], more=yes.grants).kind == "card"
    )
    target = cards.answered(verdict([arg("to", "www.new.example")]).items)
    assert verdict([arg("body", "at www.new.example")], more=target.grants).kind == "allow"


def account_to() -> list[Arg]:
    return [arg("to", "ann@b.example")]


def test_a_card_holds_just_what_the_person_needs() -> None:
    by_handle = Arg("to", "target", "eve@evil.example", THIRD, "$c3[0].body")
    assert verdict([by_handle]).items == (
        Item("send", "mail.send", "to", "target", "eve@evil.example", "$c3[0].body"),
    )
    assert verdict([arg("to", "eve@evil.example")]).items[0].source == "the model's words"
    sheet = verdict([arg("to", "Zoë")], "do the tasks in the email of Ann")
    shown = '{"tool": "send", "args": [["to", "target", "Zoë"]]}'
    parts = (("to", "target", "Zoë"),)
    assert sheet.items == (
        Item("send", "mail.send", "", "act", shown, "what you said to follow", parts=parts),
    )
    assert (sheet.kind, sheet.rule) == ("card", 4)
    assert verdict([by_handle]).rule == 5


def test_the_readers_of_any_argument_count() -> None:
    mine, ours = (Label(Integrity.USER, frozenset({r})) for r in ("owner", "app:mail"))
    for args in ([arg("to", "a", mine)], [arg("to", "a", mine), arg("body", "b", USER)],
                 [arg("to", "a", ours), arg("body", "b", mine)]):  # fmt: skip
        found = verdict(args, label=USER)
        assert (found.kind, found.rule) == ("card", 6)
        only = "nobody" if len(args) == 2 and args[0].label == ours else "owner"
        asks = Item("send", "mail.send", "readers", "readers", "app:mail", f"only for {only}")
        assert found.items == (asks,)
    assert verdict([arg("to", "a", ours)], label=USER).kind == "allow"


def test_a_secret_is_found_among_other_arguments() -> None:
    args = [arg("to", "ann@b.example"), arg("key", "not-said-1"), arg("body", "x")]
    found = verdict(args)
    assert (found.kind, found.rule, bool(found.hint)) == ("refuse", 2, True)
    assert "key must be a secret that you gave" in found.reason
    assert verdict([arg("to", "not-said-1")], label=USER).kind == "allow"
    assert verdict([arg("key", "hunterxx")], "send mail with hunterxx").kind == "refuse"
    assert verdict([arg("key", "send mail")], "send mail with hunterxx").kind == "refuse"
