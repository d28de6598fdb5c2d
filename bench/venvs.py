"""Environments of peers under bench/.venvs, made when first used."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / "bench" / ".venvs"


def python(name: str, packages: list[str]) -> str:
    """The interpreter of a venv that has these packages."""
    place = VENVS / name
    if not (place / "ready").exists():
        print(f"installing {' '.join(packages)} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        pip = [place / "bin" / "python", "-m", "pip", "install", "-q", *packages]
        subprocess.run(pip, check=True)
        (place / "ready").touch()
    return str(place / "bin" / "python")


def node(name: str, package: str) -> Path:
    """The commands of a package for node. Raises: FileNotFoundError without npm."""
    place = VENVS / name
    if not (place / "ready").exists():
        print(f"installing {package} ...", file=sys.stderr)
        if shutil.which("npm") is None:
            raise FileNotFoundError("npm is not installed")
        place.mkdir(parents=True, exist_ok=True)
        quiet = subprocess.DEVNULL
        subprocess.run(["npm", "install", "--silent", package], cwd=place, check=True, stdout=quiet)
        (place / "ready").touch()
    return place / "node_modules" / ".bin"
