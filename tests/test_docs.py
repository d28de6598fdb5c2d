"""The documents speak of what is there."""

import importlib
import re
import shlex
from pathlib import Path

from oros.abi.errors import BY_CODE, OrosError
from oros.abi.syscalls import TABLE
from oros.shells.cli.main import VERBS
from oros.shells.cli.parse import signals

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_each_call_has_its_section() -> None:
    text = (ROOT / "docs" / "syscalls.md").read_text()
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(TABLE)


def test_each_error_stands_in_the_tree() -> None:
    import oros.abi.errors as errors

    for code, kind in BY_CODE.items():
        assert code in errors.__doc__
        assert kind.__name__ in errors.__doc__
    codes = [k.exit_code for k in OrosError.__subclasses__()]
    assert len(set(codes)) == len(codes)


def test_files_and_verbs_that_are_named_exist() -> None:
    for page in PAGES:
        text = page.read_text()
        for name in re.findall(r"`((?:docs|src|tests|tools|examples|bench)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{page.name} names {name}"
        for verb in re.findall(r"^oros (\w+)", text, re.MULTILINE):
            assert verb in VERBS, f"{page.name} names oros {verb}"
        for target in re.findall(r"make ([a-z-]+)`", text):
            assert f"\n{target}:" in (ROOT / "Makefile").read_text(), f"{page.name}: make {target}"


def test_commands_that_the_front_page_shows_are_right() -> None:
    shown = 0
    for line in (ROOT / "README.md").read_text().splitlines():
        if not line.startswith("oros "):
            continue
        for part in re.split(r"\s{2,}", line):
            name, *words = shlex.split(part, comments=True)[1:] or ["status"]
            if not part.startswith("oros ") or name not in VERBS:
                continue
            verb = importlib.import_module(f"oros.shells.cli.{VERBS[name][0]}").VERBS[name]
            verb.parser(name, "").parse_args(signals(words) if name == "kill" else words)
            shown += 1
    assert shown > 10


def test_the_project_names_no_registry_and_no_private_place() -> None:
    for page in [*PAGES, *ROOT.glob("src/**/*.py"), ROOT / "Makefile", ROOT / "constraints.txt"]:
        text = page.read_text()
        for word in ("pypi" + ".org", "files.python" + "hosted", "/" + "work/main"):
            assert word not in text, f"{page} names {word}"
