"""The house keeps its own rules, and each contract of imports can be broken."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_house() -> None:
    spec = importlib.util.spec_from_file_location("house", ROOT / "tools" / "house.py")
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    assert house.faults() == []


BREAKS = [
    ("floors", "kernel/bad.py", "import oros.drivers.clock"),
    ("floors", "utils/__init__.py", ""),
    ("shells", "shells/cli/bad.py", "import oros.abi.wire"),
    ("drivers", "drivers/models/openai/bad.py", "import oros.drivers.store.sqlite"),
    ("pure", "kernel/bad.py", "import time"),
    ("pure", "abi/bad.py", "def f():\n    import socket"),
    ("monitor", "kernel/bad.py", "import oros.monitor.decide"),
    ("door", "kernel/bad.py", "import oros.kernel.decode"),
    ("floors", "monitor/bad.py", "import oros.kernel.process"),
    ("circles", "abi/__init__.py", "import oros.kernel"),
]


@pytest.mark.parametrize(("contract", "where", "text"), BREAKS)
def test_a_contract_that_is_broken_is_caught(tmp_path, contract, where, text) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    bad = tmp_path / "src" / "oros" / where
    bad.parent.mkdir(exist_ok=True)
    bad.write_text(f'"""A file that breaks a rule."""\n\n{text}\n')
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'src')!r});"
        "from importlinter.cli import lint_imports;"
        f"sys.exit(lint_imports(limit_to_contracts=({contract!r},), no_cache=True))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode != 0, found.stdout
    assert "BROKEN" in found.stdout or "not listed" in found.stdout or "exhaustive" in found.stdout
