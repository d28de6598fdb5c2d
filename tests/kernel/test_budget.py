"""Accounts of trees: the sum of the leaves is the root's, and no call passes a limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.abi.errors import AccessDenied, OverBudget
from oros.abi.grants import Limits, Usage
from oros.abi.ids import Pid
from oros.abi.ports import ModelInfo
from oros.kernel.process import Process
from oros.scheduling.budget import Accounts

needs = st.builds(
    Usage,
    tokens_in=st.integers(0, 50),
    tokens_out=st.integers(0, 50),
    cached=st.just(0),
    micros=st.integers(0, 50),
    seconds=st.just(0.0),
    calls=st.integers(0, 3),
)


@given(st.lists(st.tuples(st.integers(0, 2), needs, st.floats(0, 1)), max_size=40))
def test_a_tree_never_passes_its_account(acts) -> None:
    accounts = Accounts()
    accounts.open(Pid(2), Limits(tokens=300, micros=200, calls=12))
    accounts.open(Pid(4), Limits(tokens=100))
    family = [Process(Pid(2)), Process(Pid(3)), Process(Pid(4))]
    for row, owners in zip(family, ((2,), (2,), (2, 4)), strict=True):
        row.accounts = tuple(Pid(o) for o in owners)
    spent = Usage()
    for who, need, share in acts:
        try:
            accounts.hold(family[who], need)
        except OverBudget:
            continue
        used = Usage(int(need.tokens_in * share), need.tokens_out, 0, need.micros, 0.0, need.calls)
        accounts.release(family[who], need)
        accounts.charge(family[who], used)
        spent += used
    whole = accounts.spent(Pid(2))
    assert whole == spent
    assert whole.tokens <= 300
    assert whole.micros <= 200
    assert whole.calls <= 12
    assert accounts.spent(Pid(4)).tokens <= 100


def test_side_by_side_calls_can_not_pass_it_together() -> None:
    accounts = Accounts()
    accounts.open(Pid(2), Limits(tokens=100))
    row = Process(Pid(2), accounts=(Pid(2),))
    accounts.hold(row, Usage(60, 0))
    with pytest.raises(OverBudget, match="40 left"):
        accounts.hold(row, Usage(60, 0))


def test_money_and_a_model_without_a_price() -> None:
    accounts = Accounts()
    accounts.open(Pid(2), Limits(micros=100))
    row = Process(Pid(2), accounts=(Pid(2),))
    with pytest.raises(OverBudget, match="unknown"):
        accounts.hold(row, Usage(1, 1, 0, None))


def test_models_are_bound_by_every_account_of_the_chain() -> None:
    accounts = Accounts()
    accounts.open(2, Limits(models=("acme/*", "tiny", "odd[1]")))
    accounts.open(3, Limits(models=("acme/small", "other/one")))
    parent, child = Process(2, accounts=(2,)), Process(3, accounts=(2, 3))
    names = ("acme/small", "acme/large", "other/one", "tiny", "odd[1]")

    def may(process):
        return {n for n in names if accounts.permits(process, ModelInfo(n, 4096))}

    assert may(parent) == {"acme/small", "acme/large", "tiny", "odd[1]"}
    assert may(child) == {"acme/small"}
    assert may(Process(4)) == {*names}
    with pytest.raises(AccessDenied, match="may not ask the model other/one"):
        accounts.permit(child, ModelInfo("other/one", 4096))
