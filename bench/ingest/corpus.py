"""A folder of mixed files: from what is installed here, and documents made of the same words."""

import random
import shutil
import sysconfig
from pathlib import Path

from tests.services.index import samples

SHARES = {"py": 300, "md": 60, "txt": 80, "html": 100, "csv": 40, "json": 40, "c": 60}
"""Of installed files, as far as they are there."""
MADE = {"pdf": 120, "docx": 80, "xlsx": 60, "pptx": 20, "eml": 30, "epub": 20, "ipynb": 30}
ENDINGS = {
    "py": (".py",),
    "md": (".md", ".rst"),
    "txt": (".txt",),
    "html": (".html", ".htm"),
    "csv": (".csv", ".tsv"),
    "json": (".json",),
    "c": (".c", ".h", ".js", ".pyx"),
}


def installed() -> dict[str, list[Path]]:
    """Files of the packages and the library here, by kind, not the tiny and the huge ones."""
    tops = [Path(sysconfig.get_path(n)) for n in ("purelib", "stdlib", "include")]
    found: dict[str, list[Path]] = {kind: [] for kind in ENDINGS}
    for top in tops:
        for path in sorted(top.rglob("*")):
            for kind, endings in ENDINGS.items():
                if (
                    path.suffix in endings
                    and path.is_file()
                    and 500 < path.stat().st_size < 400_000
                ):
                    found[kind].append(path)
    return found


def words_of(paths: list[Path]) -> list[str]:
    """Sentences of English from docstrings, for the documents that are made."""
    lines = [
        line.strip()
        for path in paths[:200]
        for line in path.read_text("utf-8", "replace").splitlines()
    ]
    return [x for x in lines if len(x) > 50 and x.isascii() and " the " in x]


def build(top: Path, files: int = 1000, seed: int = 1) -> dict[str, int]:
    """Fill a folder with `files` files; how many of each kind."""
    chance, found, counts = random.Random(seed), installed(), dict[str, int]()
    lines = words_of(found["py"])
    scale = files / (sum(SHARES.values()) + sum(MADE.values()))
    for kind, paths in found.items():
        few = chance.sample(paths, min(len(paths), round(SHARES[kind] * scale)))
        for n, path in enumerate(few):
            place = top / kind / f"{n % 20}"
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / f"{n}-{path.name}")
        counts[kind] = len(few)
    for kind, share in MADE.items():
        (top / kind).mkdir(exist_ok=True)
        for n in range(round(share * scale)):
            make(kind, top / kind / f"{n}.{kind}", n, chance, lines)
        counts[kind] = round(share * scale)
    for n in range(files - sum(counts.values())):
        text = "\n".join(chance.sample(lines, 40))
        (top / "txt" / f"made-{n}.txt").write_text(text)
        counts["txt"] += 1
    return counts


def make(kind: str, path: Path, n: int, chance: random.Random, lines: list[str]) -> None:
    """One document of some pages."""

    def text(count: int) -> str:
        return f"Fact {kind}{n}. " + " ".join(chance.sample(lines, count))

    if kind == "pdf":
        samples.pdf(path, [text(25) for _ in range(chance.randint(1, 20))])
    elif kind == "docx":
        samples.docx(path, [(f"Part {p}", [text(5) for _ in range(8)]) for p in range(4)])
    elif kind == "xlsx":
        rows = [["name", "count", "note"], *([f"n{r}", r, text(1)] for r in range(300))]
        samples.xlsx(path, {"Sheet": rows})
    elif kind == "pptx":
        samples.pptx(path, [escaped(text(2)) for _ in range(12)])
    elif kind == "eml":
        samples.eml(path, f"Subject {n}", text(20))
    elif kind == "epub":
        samples.epub(path, f"Chapter {n}", escaped(text(150)))
    else:
        samples.ipynb(path, [("markdown", text(3)) for _ in range(10)])


def escaped(text: str) -> str:
    """For XML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
