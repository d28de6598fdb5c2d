"""Accounts: a tree of processes shares its limits, checked before each call, settled after.

Reserve, then settle: what a call may cost at most is held while it is in flight, so that calls side
by side can't pass a limit together. What a call that was lost in a crash cost is not known; if its
model has a price, all that was held for it counts as spent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from oros.abi.errors import OverBudget
from oros.abi.grants import NO_USAGE, Limits, Usage
from oros.abi.ids import Pid
from oros.kernel.process import Process

N = TypeVar("N", int, float)


@dataclass(slots=True)
class Account:
    """Limits of a process, and what its whole tree has spent and holds."""

    limits: Limits
    spent: Usage = NO_USAGE
    held: Usage = NO_USAGE


def minus(a: Usage, b: Usage) -> Usage:
    """Difference; an unknown price stays unknown."""
    unknown = a.micros is None or b.micros is None
    return Usage(
        a.tokens_in - b.tokens_in,
        a.tokens_out - b.tokens_out,
        a.cached - b.cached,
        None if unknown else (a.micros or 0) - (b.micros or 0),
        a.seconds - b.seconds,
        a.calls - b.calls,
    )


@dataclass(slots=True)
class Accounts:
    """The open accounts, by the process that owns each."""

    _open: dict[Pid, Account] = field(default_factory=dict)

    def open(self, pid: Pid, limits: Limits) -> None:
        """Open the account of a process that was given limits."""
        self._open[pid] = Account(limits)

    def spent(self, pid: Pid) -> Usage | None:
        """What the tree of an account has spent; None if the process has no account."""
        account = self._open.get(pid)
        return account.spent if account else None

    def charge(self, process: Process, used: Usage) -> None:
        """Book usage on every account that binds the process."""
        for owner in process.accounts:
            account = self._open.get(owner)
            if account is not None:
                account.spent += used

    def hold(self, process: Process, need: Usage) -> None:
        """Reserve on every account that binds the process. Raises: OverBudget, holding nothing."""
        for owner in process.accounts:
            self._check(owner, need)
        for owner in process.accounts:
            if owner in self._open:
                self._open[owner].held += need

    def release(self, process: Process, need: Usage) -> None:
        """Give a reservation back."""
        for owner in process.accounts:
            if owner in self._open:
                self._open[owner].held = minus(self._open[owner].held, need)

    def room(self, process: Process) -> Limits:
        """What is left to a process: the least over the accounts that bind it."""
        left = [self._left(self._open[o]) for o in process.accounts if o in self._open]
        return Limits(
            least([x.tokens for x in left]),
            least([x.micros for x in left]),
            least([x.seconds for x in left]),
            least([x.calls for x in left]),
        )

    @staticmethod
    def _left(account: Account) -> Limits:
        limits, used = account.limits, account.spent + account.held
        micros = None if limits.micros is None else limits.micros - (used.micros or 0)
        return Limits(
            None if limits.tokens is None else limits.tokens - used.tokens,
            micros,
            None if limits.seconds is None else limits.seconds - used.seconds,
            None if limits.calls is None else limits.calls - used.calls,
        )

    def _check(self, owner: Pid, need: Usage) -> None:
        account = self._open.get(owner)
        if account is None:
            return
        if account.limits.micros is not None and need.micros is None:
            raise OverBudget(
                f"the budget of process {owner} is in money and the price of this model is unknown",
                "give it a price, or a budget in tokens",
            )
        left = self._left(account)
        wants = (
            ("tokens", left.tokens, need.tokens),
            ("micro-dollars", left.micros, need.micros or 0),
            ("seconds", left.seconds, need.seconds),
            ("calls", left.calls, need.calls),
        )
        for what, room, wanted in wants:
            if room is not None and (wanted > room or (room <= 0 and what == "seconds")):
                raise OverBudget(
                    f"{wanted:g} {what} would pass the budget of process {owner}, {room:g} left"
                )


def least(values: Sequence[N | None]) -> N | None:
    """The smallest number; None means no limit."""
    return min((v for v in values if v is not None), default=None)
