"""The C interface of llama.cpp in the pinned build of xllamacpp: declared, loaded, checked.

Structures go by value, so their layout must be that of the build: the defaults that the library
fills in are read back at load, field by field, and anything else than what this build is known to
say is refused.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

BUILD = "2026.10.11549"

ERROR = 4
"""The level of an error in the library's log."""

KEPT: list[Any] = []
"""Functions that the library calls; it holds no reference of its own."""

DECLARED = """
struct model; struct context; struct vocab; struct memory; struct sampler;

typedef struct {
    void *devices; void *tensor_buft_overrides;
    int32_t n_gpu_layers; int32_t split_mode; int32_t load_mode; int32_t lazy_mode;
    int32_t main_gpu; float *tensor_split;
    bool (*progress)(float, void *); void *progress_data;
    void *kv_overrides;
    bool vocab_only; bool check_tensors; bool use_extra_bufts; bool no_host; bool no_alloc;
    bool load_mtp;
} model_params;

typedef struct {
    uint32_t n_ctx; uint32_t n_batch; uint32_t n_ubatch; uint32_t n_seq_max; uint32_t n_rs_seq;
    uint32_t n_outputs_max; uint32_t n_outputs_max_per_seq;
    int32_t n_threads; int32_t n_threads_batch;
    int32_t ctx_type; int32_t rope_scaling; int32_t pooling; int32_t attention;
    int32_t flash_attn;
    float rope_freq_base; float rope_freq_scale; float yarn_ext_factor; float yarn_attn_factor;
    float yarn_beta_fast; float yarn_beta_slow; uint32_t yarn_orig_ctx; float defrag_thold;
    void *cb_eval; void *cb_eval_data;
    int32_t type_k; int32_t type_v;
    void *before_flags[3];
    bool embeddings; bool offload_kqv; bool no_perf; bool op_offload; bool swa_full;
    bool kv_unified;
    void *samplers; size_t n_samplers; void *ctx_other;
} context_params;

typedef struct {
    int32_t n_tokens; int32_t *token; float *embd; int32_t *pos;
    int32_t *n_seq_id; int32_t **seq_id; int8_t *logits;
} llama_batch;

typedef struct { int32_t id; float logit; float p; } token_data;
typedef struct { token_data *data; size_t size; int64_t selected; bool sorted; } token_array;
typedef struct { bool no_perf; } chain_params;
typedef struct { const char *role; const char *content; } chat_message;

void llama_log_set(void (*)(int, const char *, void *), void *);
void llama_backend_init(void);
int64_t llama_time_us(void);
bool llama_supports_gpu_offload(void);
model_params llama_model_default_params(void);
context_params llama_context_default_params(void);
struct model *llama_model_load_from_file(const char *, model_params);
struct context *llama_init_from_model(struct model *, context_params);
struct vocab *llama_model_get_vocab(struct model *);
const char *llama_model_chat_template(struct model *, const char *);
int32_t llama_model_n_ctx_train(struct model *);
int32_t llama_model_n_embd(struct model *);
int32_t llama_model_n_layer(struct model *);
int32_t llama_model_n_head(struct model *);
int32_t llama_model_n_head_kv(struct model *);
struct memory *llama_get_memory(struct context *);
uint32_t llama_n_ctx(struct context *);
int32_t llama_vocab_n_tokens(struct vocab *);
bool llama_vocab_is_eog(struct vocab *, int32_t);
int32_t llama_tokenize(struct vocab *, const char *, int32_t, int32_t *, int32_t, bool, bool);
int32_t llama_token_to_piece(struct vocab *, int32_t, char *, int32_t, int32_t, bool);
int32_t llama_chat_apply_template(
    const char *, const chat_message *, size_t, bool, char *, int32_t);
llama_batch llama_batch_init(int32_t, int32_t, int32_t);
int32_t llama_decode(struct context *, llama_batch);
void llama_set_n_threads(struct context *, int32_t, int32_t);
bool llama_memory_seq_rm(struct memory *, int32_t, int32_t, int32_t);
void llama_memory_seq_cp(struct memory *, int32_t, int32_t, int32_t, int32_t);
size_t llama_state_seq_get_size(struct context *, int32_t);
size_t llama_state_seq_get_data(struct context *, uint8_t *, size_t, int32_t);
size_t llama_state_seq_set_data(struct context *, const uint8_t *, size_t, int32_t);
struct sampler *llama_sampler_chain_init(chain_params);
void llama_sampler_chain_add(struct sampler *, struct sampler *);
struct sampler *llama_sampler_init_greedy(void);
struct sampler *llama_sampler_init_dist(uint32_t);
struct sampler *llama_sampler_init_top_k(int32_t);
struct sampler *llama_sampler_init_top_p(float, size_t);
struct sampler *llama_sampler_init_min_p(float, size_t);
struct sampler *llama_sampler_init_temp(float);
struct sampler *llama_sampler_init_grammar(struct vocab *, const char *, const char *);
struct sampler *_Z22llama_sampler_init_llgPK11llama_vocabPKcS3_(
    struct vocab *, const char *, const char *);
int32_t llama_sampler_sample(struct sampler *, struct context *, int32_t);
void llama_sampler_accept(struct sampler *, int32_t);
void llama_sampler_apply(struct sampler *, token_array *);
struct sampler *llama_sampler_clone(struct sampler *);
void llama_sampler_free(struct sampler *);
"""

CONTEXT: dict[str, float] = {
    "n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "n_rs_seq": 0,
    "n_outputs_max": 0, "n_outputs_max_per_seq": 1, "n_threads": 4, "n_threads_batch": 4,
    "ctx_type": 0, "rope_scaling": -1, "pooling": -1, "attention": -1, "flash_attn": -1,
    "rope_freq_base": 0, "rope_freq_scale": 0, "yarn_ext_factor": -1, "yarn_attn_factor": -1,
    "yarn_beta_fast": -1, "yarn_beta_slow": -1, "yarn_orig_ctx": 0, "defrag_thold": -1,
    "type_k": 1, "type_v": 1, "embeddings": 0, "offload_kqv": 1, "no_perf": 1, "op_offload": 1,
    "swa_full": 1, "kv_unified": 0,
}  # fmt: skip
MODEL: dict[str, float] = {
    "n_gpu_layers": -1, "split_mode": 1, "load_mode": -1, "lazy_mode": 1, "main_gpu": 0,
    "vocab_only": 0, "check_tensors": 0, "use_extra_bufts": 1, "no_host": 0, "no_alloc": 0,
    "load_mtp": 0,
}  # fmt: skip


class OtherBuild(Exception):
    """The library is not the one that the declarations above were written for."""


def load() -> tuple[Any, Any]:
    """The foreign-function interface and the library. Raises: ImportError, OtherBuild."""
    import cffi  # type: ignore[import-untyped]  # it has no types
    import xllamacpp

    found = version("xllamacpp")
    if found != BUILD:
        raise OtherBuild(f"xllamacpp is {found}, its C interface is declared for {BUILD}")
    ffi = cffi.FFI()
    ffi.cdef(DECLARED)
    lib = ffi.dlopen(str(next(Path(xllamacpp.__file__).parent.glob("xllamacpp.*.so"))))
    quieted(ffi, lib)
    checked("context", lib.llama_context_default_params(), CONTEXT)
    checked("model", lib.llama_model_default_params(), MODEL)
    return ffi, lib


def quieted(ffi: Any, lib: Any) -> None:
    """Let the library say errors only: it tells of every change of threads."""

    def said(level: int, text: Any, _: Any) -> None:
        if level == ERROR:
            sys.stderr.write(ffi.string(text).decode("utf-8", "replace"))

    KEPT.append(ffi.callback("void(int, const char *, void *)", said))
    lib.llama_log_set(KEPT[-1], ffi.NULL)


def checked(what: str, params: Any, known: dict[str, float]) -> None:
    """Compare what the library fills in with what this build is known to. Raises: OtherBuild."""
    for name, value in known.items():
        found = getattr(params, name)
        if found != value:
            raise OtherBuild(f"{what}.{name} reads {found}, not {value}: another layout")


SPACING = {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", "}
"""How an answer under a schema is spaced (llguidance's options). With its default a model that does
not know what to say next may say spaces until its tokens are used up."""


def grammar_of(schema: str) -> str:
    """A JSON schema as a grammar, by the library's own converter. Raises: ValueError."""
    import xllamacpp

    told = json.loads(schema)
    if isinstance(told, dict):
        told = {**told, "x-guidance": SPACING}
    return str(xllamacpp.json_schema_to_grammar(json.dumps(told)))
