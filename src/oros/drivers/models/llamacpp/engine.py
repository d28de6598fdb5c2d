"""The engine: one model and its cache of many sequences, by llama.cpp's C interface.

Needs the library, so it lives in the worker. Who runs when is not decided here (`loop.py`).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from oros.drivers.models.llamacpp import binding

GRAMMARS = 32
"""Grammars that are kept ready: making one takes milliseconds, cloning it microseconds."""

WINDOWS = 2
"""Windows of tokens that the cache has room for, where there is memory: an idle sequence costs a
copy to put away, a cell that is not there costs nothing."""

SMALLEST = 2048
"""Tokens of a window that is had even where memory is short."""

UNIFIED = 256
"""The library rounds the size of its cache up to this many tokens."""

NO_JSON = "!"
"""How no JSON begins."""

TOP_K, TOP_P, MIN_P = 40, 0.95, 0.05
"""Of a sampled answer (temperature > 0): as llama.cpp's own server has them."""


class Refused(Exception):
    """The library will not do it: an unknown grammar, a template that it does not know."""


class Input(NamedTuple):
    """One token that goes into a step: at which place of which sequence; `out` wants its answer."""

    token: int
    place: int
    seq: int
    out: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is loaded.

    The cache holds the tokens of a `window`, and more, up to `WINDOWS` of them, if they fit in
    `memory` bytes; if one does not, the window is smaller. A step takes at most `batch` tokens.
    """

    path: Path
    window: int
    memory: int
    batch: int
    threads: int
    sequences: int = 32
    repack: bool = True
    gpu_layers: int = -1


class Sampler:
    """How the next token of one sequence is chosen, under a grammar or without."""

    def __init__(self, ffi: Any, lib: Any, final: Any, grammar: Any) -> None:
        self._ffi, self._lib = ffi, lib
        self._final = final
        self._grammar = grammar
        self._one = ffi.new("token_data[1]")
        self._bound = None
        if grammar is not None:
            self._bound = self._lib.llama_sampler_chain_init(
                ffi.new("chain_params *", {"no_perf": True})[0]
            )
            lib.llama_sampler_chain_add(self._bound, grammar)
            lib.llama_sampler_chain_add(self._bound, lib.llama_sampler_clone(final))

    def follow(self, token: int) -> bool:
        """Go on after a token that stands already; False if the grammar has no place for it."""
        if self._grammar is None:
            return True
        if not fits(self._ffi, self._lib, self._grammar, self._one, token):
            return False
        self._lib.llama_sampler_accept(self._grammar, token)
        return True

    def sample(self, context: Any, row: int) -> int:
        """The next token. A whole vocabulary goes through the grammar only if it must."""
        token = int(self._lib.llama_sampler_sample(self._final, context, row))
        if self._bound is None or self.follow(token):
            return token
        return int(self._lib.llama_sampler_sample(self._bound, context, row))

    def free(self) -> None:
        """Let go of it."""
        if self._bound is not None:
            self._lib.llama_sampler_free(self._bound)
        self._lib.llama_sampler_free(self._final)
        self._final = self._bound = self._grammar = None


def fits(ffi: Any, lib: Any, grammar: Any, one: Any, token: int) -> bool:
    """Whether a grammar has a place for a token; `one`: room for it (a `token_data[1]`)."""
    one[0].id, one[0].logit = token, 0.0
    array = ffi.new("token_array *", {"data": one, "size": 1, "selected": -1})
    lib.llama_sampler_apply(grammar, array)
    return bool(one[0].logit > -1e30)


class Engine:
    """A loaded model. Sequences are numbers below `Settings.sequences`."""

    def __init__(self, settings: Settings) -> None:
        """Load. Raises: ImportError, binding.OtherBuild, Refused."""
        self._ffi, self._lib = binding.load()
        lib = self._lib
        lib.llama_backend_init()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = settings.gpu_layers if lib.llama_supports_gpu_offload() else 0
        params.use_extra_bufts = settings.repack
        self._model = lib.llama_model_load_from_file(str(settings.path).encode(), params)
        if not self._model:
            raise Refused(f"{settings.path.name} can't be loaded")
        self._vocab = lib.llama_model_get_vocab(self._model)
        trained = int(lib.llama_model_n_ctx_train(self._model))
        fits = max(SMALLEST, settings.memory // max(1, self._token_bytes()))
        self.window = min(settings.window, fits, trained if trained > 0 else settings.window)
        self.sequences = settings.sequences
        self._context = self._made(settings)
        self.cells = int(lib.llama_n_ctx(self._context))
        self._memory = lib.llama_get_memory(self._context)
        self.batch = settings.batch
        self._batch = lib.llama_batch_init(settings.batch, 0, 1)
        self._pieces: dict[int, bytes] = {}
        self._grammars: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def _made(self, settings: Settings) -> Any:
        most = WINDOWS * self.window
        cells = min(max(self.window, settings.memory // max(1, self._token_bytes())), most)
        params = self._lib.llama_context_default_params()
        params.n_ctx = -(-cells // UNIFIED) * UNIFIED
        params.n_batch = params.n_ubatch = settings.batch
        params.n_seq_max = settings.sequences
        params.n_threads = params.n_threads_batch = settings.threads
        params.kv_unified = True
        context = self._lib.llama_init_from_model(self._model, params)
        if not context:
            raise Refused(f"no memory for {cells} tokens of {settings.path.name}")
        return context

    def _token_bytes(self) -> int:
        """Bytes of the cache for one token: keys and values of two bytes a number."""
        lib, model = self._lib, self._model
        head = lib.llama_model_n_embd(model) // max(1, lib.llama_model_n_head(model))
        layers = lib.llama_model_n_layer(model)
        return int(layers * lib.llama_model_n_head_kv(model) * head * 2 * 2)

    def now(self) -> float:
        """Seconds that never go back."""
        return float(self._lib.llama_time_us()) / 1e6

    # ---- text ------------------------------------------------------------------------------------

    def tokens(self, text: str, *, first: bool = False, marks: bool = False) -> list[int]:
        """Tokens of a text.

        `first`: with what the model has before a text; `marks`: with special tokens where the text
        spells them.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        found = self._ffi.new("int32_t[]", room)
        size = self._lib.llama_tokenize(self._vocab, data, len(data), found, room, first, marks)
        if size < 0:
            raise Refused("a text that has no tokens")
        return list(self._ffi.unpack(found, size)) if size else []

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a special one."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._spelled(token, 256)
        return known

    def _spelled(self, token: int, room: int) -> bytes:
        data = self._ffi.new("char[]", room)
        size = self._lib.llama_token_to_piece(self._vocab, token, data, room, 0, 0)
        if size < 0:
            return self._spelled(token, -size)
        return bytes(self._ffi.buffer(data, size))

    def ends(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def template(self) -> str:
        """The chat template that the weights bring; "" if they bring none."""
        found = self._lib.llama_model_chat_template(self._model, self._ffi.NULL)
        return self._ffi.string(found).decode("utf-8", "replace") if found else ""

    def templated(self, turns: Sequence[tuple[str, str]]) -> str:
        """A conversation in the model's own template, up to where it goes on. Raises: Refused."""
        kept = [self._ffi.new("char[]", part.encode()) for turn in turns for part in turn]
        chat = self._ffi.new("chat_message[]", len(turns))
        for at in range(len(turns)):
            chat[at].role, chat[at].content = kept[2 * at], kept[2 * at + 1]
        template = self.template().encode()
        room = 1024 + 2 * sum(map(len, kept)) + 64 * len(turns)
        text = self._ffi.new("char[]", room)
        size = self._lib.llama_chat_apply_template(template, chat, len(turns), 1, text, room)
        if not 0 < size <= room:
            raise Refused("its chat template is not one that the library knows")
        return bytes(self._ffi.buffer(text, size)).decode("utf-8", "replace")

    # ---- steps -----------------------------------------------------------------------------------

    def step(self, inputs: Sequence[Input]) -> bool:
        """Compute all inputs at once; False if the cache has no room. Raises: Refused."""
        batch = self._batch
        for at, (token, place, seq, out) in enumerate(inputs):
            batch.token[at], batch.pos[at], batch.logits[at] = token, place, out
            batch.n_seq_id[at], batch.seq_id[at][0] = 1, seq
        batch.n_tokens = len(inputs)
        code = int(self._lib.llama_decode(self._context, batch))
        if code not in (0, 1):
            raise Refused(f"llama_decode: {code}")
        return code == 0

    def threads(self, count: int) -> None:
        """Compute on so many threads from now on."""
        self._lib.llama_set_n_threads(self._context, count, count)

    def sampler(self, temperature: float, seed: int, schema: str, grammar: str) -> Sampler:
        """How one answer is sampled. `schema` as JSON, or a GBNF grammar. Raises: Refused."""
        lib = self._lib
        final = lib.llama_sampler_chain_init(self._ffi.new("chain_params *", {"no_perf": True})[0])
        if temperature > 0:
            lib.llama_sampler_chain_add(final, lib.llama_sampler_init_top_k(TOP_K))
            lib.llama_sampler_chain_add(final, lib.llama_sampler_init_top_p(TOP_P, 1))
            lib.llama_sampler_chain_add(final, lib.llama_sampler_init_min_p(MIN_P, 1))
            lib.llama_sampler_chain_add(final, lib.llama_sampler_init_temp(temperature))
            lib.llama_sampler_chain_add(final, lib.llama_sampler_init_dist(seed & 0xFFFFFFFF))
        else:
            lib.llama_sampler_chain_add(final, lib.llama_sampler_init_greedy())
        try:
            bound = self._bound(schema, grammar) if schema or grammar else None
        except Refused:
            lib.llama_sampler_free(final)
            raise
        return Sampler(self._ffi, lib, final, bound)

    def _bound(self, schema: str, grammar: str) -> Any:
        """A fresh copy of a grammar, made once."""
        known = self._grammars.pop((schema, grammar), None)
        if known is None:
            known = self._compiled(schema, grammar)
        self._grammars[schema, grammar] = known
        while len(self._grammars) > GRAMMARS:
            self._lib.llama_sampler_free(self._grammars.popitem(last=False)[1])
        return self._lib.llama_sampler_clone(known)

    def _compiled(self, schema: str, grammar: str) -> Any:
        try:
            text = (binding.grammar_of(schema) if schema else grammar).encode()
        except ValueError as e:
            raise Refused(f"no grammar for this schema: {e}") from e
        if text.startswith(b"%llguidance"):
            lark = self._lib._Z22llama_sampler_init_llgPK11llama_vocabPKcS3_
            found = lark(self._vocab, b"lark", text)
        else:
            found = self._lib.llama_sampler_init_grammar(self._vocab, text, b"root")
        if not found:
            raise Refused("a grammar that can't be read")
        if schema and self._unbound(found):
            self._lib.llama_sampler_free(found)
            raise Refused("no grammar for this schema: it has something that is not known")
        return found

    def _unbound(self, grammar: Any) -> bool:
        """Whether anything passes: what the library gives for a schema that it can't read."""
        one = self._ffi.new("token_data[1]")
        return fits(self._ffi, self._lib, grammar, one, self.tokens(NO_JSON)[0])

    def sample(self, sampler: Sampler, row: int) -> int:
        """The next token after the input `row` of the last step, which had `out`."""
        return sampler.sample(self._context, row)

    # ---- sequences -------------------------------------------------------------------------------

    def copy(self, source: int, target: int, size: int) -> None:
        """Let `target` share the first `size` tokens of `source`."""
        self._lib.llama_memory_seq_cp(self._memory, source, target, 0, size)

    def cut(self, seq: int, size: int) -> bool:
        """Forget all after the first `size` tokens; False if this model can't in the middle."""
        return bool(self._lib.llama_memory_seq_rm(self._memory, seq, size, -1))

    def drop(self, seq: int) -> None:
        """Forget a sequence; cells that others share stay."""
        self._lib.llama_memory_seq_rm(self._memory, seq, -1, -1)

    def save(self, seq: int) -> bytes:
        """The state of a sequence."""
        size = int(self._lib.llama_state_seq_get_size(self._context, seq))
        data = self._ffi.new("uint8_t[]", size)
        done = int(self._lib.llama_state_seq_get_data(self._context, data, size, seq))
        return bytes(self._ffi.buffer(data, done))

    def load(self, seq: int, state: bytes) -> bool:
        """Give a sequence a saved state; False if it does not fit."""
        data = self._ffi.from_buffer("uint8_t[]", state)
        return int(self._lib.llama_state_seq_set_data(self._context, data, len(state), seq)) > 0


def free_memory() -> int:
    """Bytes that programs can have now; 0 if the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 0
    found = [x for x in lines if x.startswith("MemAvailable:")]
    return int(found[0].split()[1]) * 1024 if found else 0
