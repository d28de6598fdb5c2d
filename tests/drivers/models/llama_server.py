"""llama.cpp's own HTTP server, as people run it: TCP, a key, templates. It ends with its stdin.

python -m tests.drivers.models.llama_server MODEL.gguf [SLOTS]     prints the base URL (without /v1)

Without SLOTS it has one; with 0 as many as it likes, over one cache, as it does by itself.
"""

import os
import socket
import sys

KEY = "sk-llama"
WINDOW = 4096


def serve(path: str, slots: int = 1) -> None:
    """Serve until stdin is closed."""
    import xllamacpp

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [KEY]
    params.n_ctx = WINDOW
    params.n_parallel = slots or -1
    params.use_jinja = True
    params.endpoint_slots = True
    params.ctx_shift = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    server = xllamacpp.Server(params)
    print(f"http://127.0.0.1:{port}", flush=True)
    sys.stdin.buffer.read()
    del server
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1], *map(int, sys.argv[2:]))
