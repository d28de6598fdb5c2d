"""Weights that say what is written in them: a real GGUF file of a model without training.

Its last layer is a table: each token has the one that follows it, by far. So the tokens of a script
come one after another, whatever was asked, and a plain token (any byte of a prompt) leads to the
beginning, or to the first step that a grammar has a place for. The one layer of attention averages
over all that was read, and passes on nothing but cues: a cue in the prompt picks a script, so an
answer depends on the cache of its own sequence. Where a grammar has a place for no step, what is
open is closed.
"""

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path

CUES = 16
"""Scripts that a prompt can pick by a cue."""

BYTE, NORMAL, UNKNOWN, CONTROL = 6, 1, 2, 3
"""Types of tokens (llama.h)."""

EPS = 1e-6
NEXT, BEGIN, CUED, CLOSING = 1000.0, 1.0, 10.0, 0.05
"""How strongly a token is followed: in a script, to its beginning, by a cue, and by what closes."""
LOUD = 20.0
"""How strongly a cue is passed on: it is heard in a prompt of 2,000 tokens."""

SPACE = "\u2581".encode()
"""How this kind of vocabulary spells a space."""

Step = str | bytes | Sequence[str]
"""One token: its text, its one byte, or texts of which each is as likely."""


def cue(number: int) -> str:
    """What picks a script, as a character of a prompt."""
    return chr(0xE000 + number)


class Vocabulary:
    """Tokens, and which follows which; an equal text gets a token of its own each time."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.types: list[int] = []
        self.follows: list[tuple[int, int, float]] = []
        for text, kind in (("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)):
            self.add(text.encode(), kind)
        self.bytes = [self.add(b"<0x%02X>" % n, BYTE) for n in range(256)]
        self.add(b"<|im_start|>", CONTROL)
        self.end = self.add(b"<|im_end|>", CONTROL)
        self.cues = [self.add(cue(n).encode(), NORMAL) for n in range(CUES)]
        self.add(SPACE, NORMAL)
        self.plain = range(len(self.texts))

    def add(self, text: bytes, kind: int) -> int:
        """A token."""
        self.texts.append(text)
        self.types.append(kind)
        return len(self.texts) - 1

    def step(self, step: Step) -> list[int]:
        """The tokens of a step. Of a byte there may be many: the library reads two digits of it."""
        if isinstance(step, bytes):
            return [self.add(b"<0x%02X>%d" % (step[0], len(self.texts)), BYTE)]
        found = []
        for text in (step,) if isinstance(step, str) else step:
            data = text.encode().replace(b" ", SPACE)
            assert data not in self.texts, f"{text!r} twice: say it in bytes"
            found.append(self.add(data, NORMAL))
        return found

    def script(self, steps: Sequence[Step], *, loops: bool) -> list[list[int]]:
        """The tokens of a script; at its end it is over, or its last step comes again."""
        tokens = [self.step(s) for s in steps] + ([] if loops else [[self.end]])
        for at, here in enumerate(tokens):
            after = tokens[at + 1] if at + 1 < len(tokens) else here
            if here != [self.end]:
                self.follows += [(a, b, NEXT) for a in here for b in after]
        return tokens

    def begin(self, scripts: Sequence[list[list[int]]]) -> None:
        """The scripts: after a plain token the first one begins, or the one of the cue."""
        for rank, step in enumerate(scripts[0], 1):
            self.follows += [(a, b, BEGIN / rank) for a in self.plain for b in step]
        for number, steps in enumerate(scripts):
            self.follows += [(self.cues[number], first, CUED) for first in steps[0]]
        closing = [self.bytes[n] for n in b'}"]0']
        for token in range(len(self.texts)):
            for rank, close in enumerate(closing, 1):
                self.follows.append((token, close, CLOSING / rank))


def write(path: Path, *scripts: Sequence[Step], loops: bool = False, window: int = 4096) -> None:
    """A file of weights for a model that says these scripts; `loops`: and never ends."""
    words = Vocabulary()
    words.begin([words.script(steps, loops=loops) for steps in scripts])
    size = -(-len(words.texts) // 256) * 256
    square, hidden = (size, size), (size, 32)
    table = Matrix(size, len(words.texts))
    for before, after, weight in words.follows:
        table.put(before, after, weight)
    heard = Matrix(size, size)
    passed = Matrix(size, size)
    for token in words.cues:
        heard.put(token, token, 1.0)
        passed.put(token, token, LOUD)
    itself = Matrix(size, len(words.texts))
    for token in range(len(words.texts)):
        itself.put(token, token, 1.0)
    ones, nothing = array("f", [1.0]) * size, Matrix(*square).data
    tensors = {
        "token_embd.weight": ((size, len(words.texts)), itself.data),
        "output_norm.weight": ((size,), ones),
        "output.weight": ((size, len(words.texts)), table.data),
        "blk.0.attn_norm.weight": ((size,), ones),
        "blk.0.attn_q.weight": (square, nothing),
        "blk.0.attn_k.weight": (square, nothing),
        "blk.0.attn_v.weight": (square, heard.data),
        "blk.0.attn_output.weight": (square, passed.data),
        "blk.0.ffn_norm.weight": ((size,), ones),
        "blk.0.ffn_gate.weight": (hidden, Matrix(*hidden).data),
        "blk.0.ffn_up.weight": (hidden, Matrix(*hidden).data),
        "blk.0.ffn_down.weight": ((32, size), Matrix(*hidden).data),
    }
    path.write_bytes(gguf(facts(words, size, window), tensors))


class Matrix:
    """Numbers of single precision in rows of `width`, nought but where they are put."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.data = array("f", bytes(4 * width * height))

    def put(self, column: int, row: int, value: float) -> None:
        """Set one; a larger one that is there stays."""
        at = row * self.width + column
        self.data[at] = max(self.data[at], value)


def facts(words: Vocabulary, size: int, window: int) -> dict[str, object]:
    """What the file says of the model."""
    return {
        "general.architecture": "llama",
        "general.name": "script",
        "llama.context_length": window,
        "llama.embedding_length": size,
        "llama.block_count": 1,
        "llama.feed_forward_length": 32,
        "llama.attention.head_count": size // 64,
        "llama.attention.head_count_kv": size // 64,
        "llama.attention.layer_norm_rms_epsilon": EPS,
        "llama.rope.dimension_count": 64,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": words.texts,
        "tokenizer.ggml.scores": [-1e9 if t == NORMAL else 0.0 for t in words.types],
        "tokenizer.ggml.token_type": words.types,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
    }


# ---- the format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md -----------------------

ALIGN = 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def text(value: str | bytes) -> bytes:
    """A string."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def scalar(value: object) -> tuple[int, bytes]:
    """A value with its type."""
    match value:
        case bool():
            return BOOL, struct.pack("<?", value)
        case int():
            return U32, struct.pack("<I", value)
        case float():
            return F32, struct.pack("<f", value)
        case _:
            return STRING, text(value)


def tagged(value: object) -> bytes:
    """A value or a list of them, behind its type."""
    if not isinstance(value, list):
        kind, data = scalar(value)
        return struct.pack("<I", kind) + data
    found = [scalar(v) for v in value]
    kind = I32 if found[0][0] == U32 else found[0][0]
    return struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(data for _, data in found)


def gguf(known: dict[str, object], tensors: dict[str, tuple[tuple[int, ...], array]]) -> bytes:
    """A file, version 3: what is known, then the tensors, each of single precision."""
    head = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(known))]
    head += [text(key) + tagged(value) for key, value in known.items()]
    body, at = [], 0
    for name, (dims, data) in tensors.items():
        head.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, at))
        raw = data.tobytes()
        raw += bytes(-len(raw) % ALIGN)
        body.append(raw)
        at += len(raw)
    start = b"".join(head)
    return b"".join([start, bytes(-len(start) % ALIGN), *body])
