"""The worker: llama.cpp's own server on a Unix socket; it dies with the process that started it.

    python -m oros.drivers.models.llamacpp.worker '{"model": ..., "socket": ..., ...}'

A crash in native code ends this process, not the kernel's.
"""

import ctypes
import json
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie_to_parent() -> None:
    """Die when the parent does (prctl(2)), also if it died before this call."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def serve(options: dict[str, object]) -> None:
    """Load the model, serve, and end with the parent's pipe."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options["model"]
    params.hostnames = [options["socket"]]
    params.n_ctx = options["window"]
    params.n_parallel = 1
    params.n_batch = options["batch"]
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    params.no_extra_bufts = not options["repack"]
    params.cache_ram_mib = options["cache_mib"]
    params.endpoint_slots = True
    if options["keep"]:
        params.slot_save_path = f"{options['keep']}/"
    params.ctx_shift = False
    server = xllamacpp.Server(params)
    sys.stdin.buffer.read()
    del server
    os._exit(0)


if __name__ == "__main__":
    tie_to_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(json.loads(sys.argv[1]))
