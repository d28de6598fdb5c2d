"""The sandbox by bubblewrap: surveyed once, then every job runs in what was found to hold.

When the survey finds a property open, or a limit can't be set, nothing runs: there is no fallback
to an open program here. Which properties a policy needs is decided above.
"""

from oros.abi.errors import NotEnforced
from oros.abi.jobs import Job, JobResult, Report
from oros.drivers.sandbox.bwrap import argv, limits
from oros.drivers.sandbox.bwrap.execute import Setup, execute
from oros.drivers.sandbox.bwrap.output import Spool
from oros.drivers.sandbox.bwrap.survey import survey
from oros.drivers.walls import Walls

UID = 60942
"""For a root daemon; in 60706-61183, which systemd's table of uids leaves unused."""


class BwrapSandbox:
    """Runs jobs behind bubblewrap. Linux; the port is `oros.abi.ports.Sandbox`."""

    def __init__(self, *, uid: int | None = None) -> None:
        """Make it; nothing runs yet.

        Args:
            uid: what a daemon of root drops to, an id that nothing else uses; `UID` if None. The
                files that a job makes belong to the owner of their folder all the same.
        """
        self._uid = UID if uid is None else uid
        self._found: tuple[Report, Setup | None] | None = None

    async def probe(self) -> Report:
        """Run a program that tries to get out and tell what is enforced; done once."""
        report, _ = await self._survey()
        return report

    def python(self) -> tuple[str, ...]:
        """How Python is called inside: put `-c SOURCE`, a file or `-` (source on stdin) after it.

        An argument can hold 128 KiB at most; longer source goes through stdin or a file.

        Raises:
            NotEnforced: there was no probe yet, or it failed.
        """
        return self._setup().python.argv

    async def walls(self) -> Walls:
        """What it holds programs with, for a sandbox of another make. Raises: NotEnforced."""
        await self._survey()
        setup = self._setup()
        if setup.layers != "overlayfs":
            raise NotEnforced("warm interpreters need overlayfs, which is not to be had here")
        return Walls(
            setup.filter, setup.python.path, setup.python.binds, argv.check,
            lambda job, grouped: limits.table(job, grouped=grouped), argv.INSIDE_UID,
            setup.uid, setup.stage, argv.SYSTEM, argv.ROOTS, argv.SETTINGS, argv.MASKED,
            argv.FILES, lambda job: argv.environment(job, setup.python.path), argv.HOME,
            argv.SHM_SIZE, setup.groups, limits.OWN,
        )  # fmt: skip

    async def run(self, job: Job, spool: Spool | None = None) -> JobResult:
        """Run a job to its end; when cancelled, all of its processes are dead before this returns.

        Status 128 + n is told as signal n, as shells do: the two can't be told apart.

        Args:
            job: the program and its bounds.
            spool: gets each piece of output as it comes, with "out" or "err", up to `job.flood`
                bytes in all: what `JobResult` cuts away can be kept so.

        Raises:
            NotEnforced: the machine can't hold the program; the hint says what would help.
            Invalid: no such program or folder. DeviceFailed: the sandbox did not stand in time.
        """
        await self._survey()
        return await execute(self._setup(), job, spool)

    async def _survey(self) -> tuple[Report, Setup | None]:
        if self._found is None:
            self._found = await survey(self._uid)
        return self._found

    def _setup(self) -> Setup:
        if self._found is None:
            raise NotEnforced("the sandbox was not probed yet", "call probe() first")
        report, setup = self._found
        if setup is None or not report.works:
            why = "; ".join(f"{name}: {reason}" for name, reason in report.not_held.items())
            raise NotEnforced(f"programs can't be held on this machine: {why}", report.fix)
        return setup
