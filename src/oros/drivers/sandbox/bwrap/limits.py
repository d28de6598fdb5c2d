"""Resource limits of a sandbox's first process; all others inherit them.

RLIMIT_NPROC is set from outside, once the user namespace stands: set before, it would count all of
the user's processes, desktop included (measured: exec fails with EAGAIN). The others may be set
that way too, or by the stage of a root daemon: root without CAP_SYS_RESOURCE, as containers
often have it, may not change the limits of another uid's process (measured: EPERM).
"""

import math
import resource
from collections.abc import Mapping
from pathlib import Path

from oros.abi.errors import NotEnforced
from oros.abi.jobs import Job

FILES = 1024
OWN = 2  # bubblewrap's own processes inside
PROCESSES = resource.RLIMIT_NPROC


def table(job: Job, *, grouped: bool) -> dict[int, int]:
    """Resource -> limit for each process of a job.

    Args:
        job: `cpu` seconds, `memory` bytes, `file_size` bytes for each file, `processes` in all.
        grouped: a cgroup holds memory and processes; then RLIMIT_AS, which counts address space
            and so breaks JavaScript and Go, is not needed.
    """
    limits = {
        resource.RLIMIT_CPU: math.ceil(job.cpu),
        resource.RLIMIT_FSIZE: job.file_size,
        resource.RLIMIT_NOFILE: FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if not grouped:
        limits |= {resource.RLIMIT_AS: job.memory, PROCESSES: job.processes + OWN}
    return limits


def bound(pid: int, limits: Mapping[int, int]) -> None:
    """Set limits of a process that waits, and make it the first to go when memory is short.

    Raises:
        NotEnforced: one was refused. ProcessLookupError: it is dead.
    """
    try:
        for kind, value in limits.items():
            ceiling = resource.prlimit(pid, kind)[1]
            held = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
            resource.prlimit(pid, kind, (held, held))
        Path(f"/proc/{pid}/oom_score_adj").write_text("800")
    except (ProcessLookupError, FileNotFoundError) as e:
        raise ProcessLookupError(pid) from e
    except OSError as e:
        raise NotEnforced(f"a limit of the sandbox was refused: {e}") from e
