"""Every error has a code, a reason, a hint and says whether trying again can help.

BaseException
├── Interruption             never caught by `except Exception`: a driver must not swallow it
│   ├── Killed               the process was told to end
│   └── Panic                the machine can't keep its promises (journal lost): stop at once
└── Exception
    └── OrosError            data for the model and the person: `EACCES: why (hint)`
        ├── AccessDenied     EACCES    the rights or the policy say no
        ├── NotFound         ENOENT    no such file, page or blob
        ├── NoProcess        ESRCH     no such process
        ├── Exists           EEXIST    it is there already
        ├── Invalid          EINVAL    the arguments are wrong; says which
        ├── NoCall           ENOSYS    no such call, or not for this program
        ├── Unsupported      ENOTSUP   this device can't do that
        ├── NoDevice         ENODEV    no such model, tool or mount
        ├── OverBudget       EDQUOT    the budget would be passed
        ├── NoSpace          ENOSPC    the disk is full
        ├── TooBig           E2BIG     over the window or a size limit
        ├── Busy             EAGAIN    rate limit or no slot; later it may work
        ├── TimedOut         ETIMEDOUT it took longer than allowed
        ├── Interrupted      EINTR     a signal ended the call
        ├── Deadlock         EDEADLK   waiting would close a circle
        ├── NoChild          ECHILD    there is no child to wait for
        ├── DeviceFailed     EIO       a device broke: a server, a worker, the disk
        ├── Unreachable      ECONN     nobody answers there
        ├── NotAuthorized    EAUTH     the platform refused the key
        ├── BadReply         EPROTO    the device answered rubbish
        ├── NotEnforced      ENOSYSBOX the sandbox can't hold what the policy needs
        ├── Corrupt          ECORRUPT  a stored file differs from its hash or format
        └── Newer            ENEWER    the store was written by a newer version
"""

from typing import ClassVar


class Interruption(BaseException):
    """A process or the machine must stop; passes every `except Exception`."""


class Killed(Interruption):
    """The process was told to end."""


class Panic(Interruption):
    """The machine can't keep its promises any more."""


class OrosError(Exception):
    """An error as data: `code`, `why`, `hint`, `retryable`, `retry_after` seconds.

    `exit_code` is what a shell command ends with.
    """

    code: ClassVar[str] = "EIO"
    exit_code: ClassVar[int] = 10
    retryable: ClassVar[bool] = False

    def __init__(self, why: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(why, hint)
        self.why = why
        self.hint = hint
        self.retry_after = retry_after

    def __str__(self) -> str:
        """One line: what, why, what to do."""
        return f"{self.code}: {self.why}" + (f" ({self.hint})" if self.hint else "")


class AccessDenied(OrosError):
    """The rights or the policy say no."""

    code, exit_code = "EACCES", 13


class NotFound(OrosError):
    """No such file, page or blob."""

    code, exit_code = "ENOENT", 12


class NoProcess(OrosError):
    """No such process."""

    code, exit_code = "ESRCH", 3


class Exists(OrosError):
    """It is there already."""

    code, exit_code = "EEXIST", 17


class Invalid(OrosError):
    """The arguments are wrong."""

    code, exit_code = "EINVAL", 2


class NoCall(OrosError):
    """No such call, or not for this program."""

    code, exit_code = "ENOSYS", 38


class Unsupported(OrosError):
    """This device can't do that."""

    code, exit_code = "ENOTSUP", 39


class NoDevice(OrosError):
    """No such model, tool or mount."""

    code, exit_code = "ENODEV", 19


class OverBudget(OrosError):
    """The budget would be passed."""

    code, exit_code = "EDQUOT", 22


class NoSpace(OrosError):
    """The disk is full."""

    code, exit_code = "ENOSPC", 28


class TooBig(OrosError):
    """Over the window or a size limit."""

    code, exit_code = "E2BIG", 7


class Busy(OrosError):
    """A rate limit, or nothing free; later it may work."""

    code, exit_code, retryable = "EAGAIN", 11, True


class TimedOut(OrosError):
    """It took longer than allowed."""

    code, exit_code, retryable = "ETIMEDOUT", 24, True


class Interrupted(OrosError):
    """A signal ended the call."""

    code, exit_code, retryable = "EINTR", 4, True


class Deadlock(OrosError):
    """Waiting would close a circle."""

    code, exit_code = "EDEADLK", 35


class NoChild(OrosError):
    """There is no child to wait for."""

    code, exit_code = "ECHILD", 36


class DeviceFailed(OrosError):
    """A device broke: a server, a worker, the disk."""

    code, exit_code, retryable = "EIO", 5, True


class Unreachable(OrosError):
    """Nobody answers there."""

    code, exit_code, retryable = "ECONN", 6, True


class NotAuthorized(OrosError):
    """The platform refused the key."""

    code, exit_code = "EAUTH", 14


class BadReply(OrosError):
    """The device answered rubbish."""

    code, exit_code, retryable = "EPROTO", 15, True


class NotEnforced(OrosError):
    """The sandbox can't hold what the policy needs."""

    code, exit_code = "ENOSYSBOX", 16


class Corrupt(OrosError):
    """A stored file differs from its hash or its format."""

    code, exit_code = "ECORRUPT", 18


class Newer(OrosError):
    """The store was written by a newer version."""

    code, exit_code = "ENEWER", 20


BY_CODE: dict[str, type[OrosError]] = {c.code: c for c in OrosError.__subclasses__()}


def revive(code: str, why: str, hint: str = "") -> OrosError:
    """Make the error that `code` names; an unknown code is a plain OrosError."""
    return BY_CODE.get(code, OrosError)(why, hint)


def cause(e: BaseException) -> OrosError:
    """The error behind a panic or a group; in a group a panic comes before what it dragged down."""
    if isinstance(e, OrosError):
        return e
    if isinstance(e, BaseExceptionGroup):
        return cause(min(e.exceptions, key=lambda x: isinstance(x, Exception)))
    if e.__cause__ is not None:
        return cause(e.__cause__)
    return DeviceFailed(f"the machine failed: {e!r}", "see its log")
