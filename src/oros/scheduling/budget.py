"""Accounts: a tree of processes shares its limits, checked before each call, settled after.

Reserve, then settle: what a call may cost at most is held while it is in flight, so that calls side
by side can't pass a limit together. What a call that was lost in a crash cost is not known; if its
model has a price, all that was held for it counts as spent.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from oros.abi.errors import AccessDenied, OverBudget
from oros.abi.grants import NO_USAGE, Limits, Usage, tightest
from oros.abi.ids import Pid
from oros.abi.ports import ModelInfo

LEAST_TOKENS = 16
"""Of an answer; for fewer no model is asked."""


def reserve(info: ModelInfo, read: int, most: int, room: Limits) -> Usage:
    """What a call may cost that reads so many tokens and answers in `most`, or fewer if it has to.

    Raises: OverBudget.
    """
    if room.tokens is not None and room.tokens - read < most:
        most = max(room.tokens - read, LEAST_TOKENS)
    if room.seconds is not None and room.seconds <= 0:
        raise OverBudget("no seconds are left in the budget")
    return Usage(read, most, 0, info.cost(Usage(read, most)), 0.0, 1)


class Payer(Protocol):
    """Who pays: `accounts` bind it, `reserved` is what it held when the machine stopped."""

    pid: Pid
    accounts: tuple[Pid, ...]
    reserved: Usage


@dataclass(slots=True)
class Account:
    """Limits of a process, and what its whole tree has spent and holds."""

    limits: Limits
    spent: Usage = NO_USAGE
    held: Usage = NO_USAGE
    members: int = 0

    @property
    def left(self) -> Limits:
        """What is neither spent nor held."""
        return self.limits.less(self.spent + self.held)


@dataclass(slots=True)
class Accounts:
    """The open accounts, by the process that owns each."""

    _open: dict[Pid, Account] = field(default_factory=dict)
    _kept: dict[Pid, Usage] = field(default_factory=dict)
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self, pid: Pid, limits: Limits) -> None:
        """Open the account of a process that was given limits."""
        self._open[pid] = Account(limits)

    def enter(self, process: Payer) -> None:
        """A process of the tree begins."""
        for owner in process.accounts:
            if owner in self._open:
                self._open[owner].members += 1

    def leave(self, process: Payer) -> None:
        """A process is gone; an account goes with the last of its tree, not with its owner."""
        for owner in process.accounts:
            account = self._open.get(owner)
            if account is not None:
                account.members -= 1
                if account.members == 0:
                    del self._open[owner]

    def spent(self, pid: Pid) -> Usage | None:
        """What the tree of an account has spent; None if the process has no account."""
        account = self._open.get(pid)
        return account.spent if account else None

    def charge(self, process: Payer, used: Usage) -> None:
        """Book usage on every account that binds the process."""
        for owner in process.accounts:
            account = self._open.get(owner)
            if account is not None:
                account.spent += used

    def hold(self, process: Payer, need: Usage) -> None:
        """Reserve on every account that binds the process. Raises: OverBudget, holding nothing."""
        for owner in process.accounts:
            self._check(owner, need)
        self._hold(process, need)

    def keep(self, process: Payer) -> None:
        """Hold what a process had reserved when the machine stopped, until `settle`."""
        if process.reserved != NO_USAGE:
            self._kept[process.pid] = process.reserved
            self._hold(process, process.reserved)

    def settle(self, process: Payer) -> None:
        """It is known what came of a reservation that was kept, or its process has ended."""
        kept = self._kept.pop(process.pid, None)
        if kept is not None:
            self.release(process, kept)

    def _hold(self, process: Payer, need: Usage) -> None:
        for owner in process.accounts:
            if owner in self._open:
                self._open[owner].held += need

    def release(self, process: Payer, need: Usage) -> None:
        """Give a reservation back."""
        for owner in process.accounts:
            if owner in self._open:
                self._open[owner].held -= need
        if process.accounts:
            self.freed.set()
            self.freed = asyncio.Event()

    def busy(self, process: Payer) -> bool:
        """Whether others of its tree hold something that may come back."""
        return any(o in self._open and self._open[o].held != NO_USAGE for o in process.accounts)

    def room(self, process: Payer) -> Limits:
        """What is left to a process: the least over the accounts that bind it."""
        return tightest([self._open[o].left for o in process.accounts if o in self._open])

    def permits(self, process: Payer, model: ModelInfo) -> bool:
        """Whether a process may ask a model."""
        opened = (self._open[o].limits for o in process.accounts if o in self._open)
        return all(limits.opens(model.name) for limits in opened)

    def permit(self, process: Payer, model: ModelInfo) -> None:
        """Raises: AccessDenied, if an account that binds the process does not name the model."""
        if not self.permits(process, model):
            raise AccessDenied(f"process {process.pid} may not ask the model {model.name}")

    def _check(self, owner: Pid, need: Usage) -> None:
        account = self._open.get(owner)
        if account is None:
            return
        if account.limits.micros is not None and need.micros is None:
            raise OverBudget(
                f"the budget of process {owner} is in money and the price of this model is unknown",
                "give it a price, or a budget in tokens",
            )
        left = account.left
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
