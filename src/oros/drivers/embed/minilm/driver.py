"""MiniLM-L6-v2 as an `Embedder`: 8-bit weights in this process, there while they are used.

A text is cut at 256 tokens; its vector is the mean over its tokens, scaled to length 1. Texts of
like length go together, as padding costs what text costs.
"""

import asyncio
import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oros.abi.errors import DeviceFailed, NoDevice

TOKENS = 256
BATCH_TOKENS = 512
"""Tokens, padding too, that the model reads at once: more is slower, and takes memory."""
IDLE = 120.0
"""Seconds without a call after which the model is let go."""
THREADS = 2


class MiniLM:
    """The model in a file and its tokenizer in another. Needs the extra `memory`."""

    def __init__(self, model: Path, tokenizer: Path, *, idle: float = IDLE) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._idle = idle
        self._loaded: Loaded | None = None
        self._busy = threading.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self.name = f"minilm-l6-v2-int8:{model.stem[:8]}"
        self.dims = 384

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> list[bytes]:  # noqa: ARG002 - the model has one way for both
        """A vector for each text. Raises: NoDevice (weights or libraries missing), DeviceFailed."""
        if not texts:
            return []
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        found = list[bytes](b"" for _ in texts)
        # Batch by batch, so that a query comes between two batches of a long job.
        for batch in await loop.run_in_executor(None, self._batches, list(texts)):
            vectors = await loop.run_in_executor(None, self._run, batch)
            for (place, _), vector in zip(batch, vectors, strict=True):
                found[place] = vector
        self._timer = loop.call_later(self._idle, self._let_go)
        return found

    def _batches(self, texts: list[str]) -> "list[list[tuple[int, list[int]]]]":
        with self._busy:
            return list(together(self._ready().tokens(texts)))

    def _run(self, batch: "list[tuple[int, list[int]]]") -> list[bytes]:
        with self._busy:
            return self._ready().vectors([ids for _, ids in batch])

    def _ready(self) -> "Loaded":
        if self._loaded is None:
            self._loaded = Loaded(self._model, self._tokenizer)
        return self._loaded

    def _let_go(self) -> None:
        if self._loaded is not None and self._busy.acquire(blocking=False):
            self._loaded = None
            self._busy.release()
            give_back()

    async def close(self) -> None:
        """Let go of the model."""
        if self._timer is not None:
            self._timer.cancel()
        self._let_go()


class Loaded:
    """The model in memory."""

    def __init__(self, model: Path, tokenizer: Path) -> None:
        # Since 1.29 it would report to its makers, and leave a folder in the user's home.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import onnxruntime
            import tokenizers
        except ImportError as e:
            hint = "pip install 'oros[memory]'"
            raise NoDevice(f"the library {e.name} is not installed", hint) from e
        if not model.exists() or not tokenizer.exists():
            hint = "oros models pull embed/minilm"
            raise NoDevice("embed/minilm is not on this machine yet (23 MB)", hint)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(THREADS, os.cpu_count() or 1)
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            self._session: onnxruntime.InferenceSession = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer: tokenizers.Tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        except Exception as e:  # both libraries raise plain ones for a file that is no model
            raise DeviceFailed(f"{model.name} can't be loaded: {e}") from e
        self._tokenizer.enable_truncation(TOKENS)
        self._tokenizer.no_padding()

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """Texts as the model reads them."""
        clean = [t.encode("utf-8", "replace").decode() for t in texts]
        return [e.ids for e in self._tokenizer.encode_batch(clean)]

    def vectors(self, texts: list[list[int]]) -> list[bytes]:
        """The vectors of a batch."""
        import numpy as np

        ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            hidden: Any = self._session.run(None, feed)[0]
        except Exception as e:  # the library's errors have no class of their own that is public
            raise DeviceFailed(f"the model failed: {e}") from e
        means = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        return [v.astype("<f4").tobytes() for v in means]


def give_back() -> None:
    """Give the memory of what was let go to the system: glibc keeps it, two thirds of it all."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def together(texts: list[list[int]]) -> "Iterator[list[tuple[int, list[int]]]]":
    """Texts with their places, in batches of like length."""
    batch: list[tuple[int, list[int]]] = []
    for place in sorted(range(len(texts)), key=lambda i: len(texts[i])):
        if batch and (len(batch) + 1) * len(texts[place]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append((place, texts[place]))
    if batch:
        yield batch
