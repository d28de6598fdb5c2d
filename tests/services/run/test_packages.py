"""pip in a process's folder: with a way out to an index; what it brings is a change like others."""

import io
import zipfile

import pytest

INDEX = "--index-url http://index.example.com/simple --trusted-host index.example.com"
PIP = (
    "import subprocess, sys\n"
    f"subprocess.run([sys.executable, '-m', 'pip', 'install', *{INDEX.split()!r}, 'tiny', *{{}}])"
)
USE = "import tiny; print('tiny', tiny.SIZE, tiny.__file__)"


def wheel(version: str) -> bytes:
    """A package of one module and one program."""
    about, info = f"tiny-{version}.dist-info", io.BytesIO()
    files = {
        "tiny.py": f"SIZE = {version!r}\ndef main():\n    print('tiny says', SIZE)\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(info, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return info.getvalue()


@pytest.fixture
def index(perform):
    """An index that has two versions of a package."""
    names = [f"tiny-{version}-py3-none-any.whl" for version in ("1.0", "2.0")]
    page = "".join(f'<a href="/{name}">{name}</a>' for name in names)
    perform.pages["/simple/tiny/"] = f"<!DOCTYPE html><html><body>{page}</body></html>".encode()
    perform.pages |= {f"/{name}": wheel(name.split("-")[1]) for name in names}
    return perform


def test_what_pip_brings_is_found_by_the_next_runs(index, user, work) -> None:
    early, first, second, shell, newer, third, gone, last = index(
        user, ["index.example.com"],
        "import importlib.util; print(importlib.util.find_spec('tiny'))",
        PIP.format(["tiny<2"]), USE,
        "import subprocess\nsubprocess.run(['tiny']); subprocess.run(['python', '-c', '1; "
        "import tiny'], check=True)",
        PIP.format(["--upgrade"]), USE,
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'pip', 'uninstall', '-y', 'tiny'])",
        "import tiny",
    )  # fmt: skip
    place = "/work/.python/lib/python3."
    assert early.value["out"] == "None\n"
    assert "Successfully installed tiny-1.0" in first.value["out"], first.value
    assert {f["host"] for f in first.value["flows"]} == {"index.example.com"}
    assert any(place in c["path"] for c in first.value["changed"])
    assert second.value["out"].startswith(f"tiny 1.0 {place}"), second.value
    assert "tiny says 1.0" in shell.value["out"], shell.value
    assert "Successfully installed tiny-2.0" in newer.value["out"], newer.value
    assert third.value["out"].startswith("tiny 2.0"), third.value
    assert "Successfully uninstalled tiny-2.0" in gone.value["out"], gone.value
    assert "No module named 'tiny'" in last.value["error"]
    # It came from elsewhere, so it waits for the person, and nothing is in the folder yet.
    assert first.value["waits"] == "all of it, for a review"
    assert not list(work.rglob("tiny*"))


def test_without_a_way_out_pip_fails_at_once_and_why_is_told(perform, user, work) -> None:
    (found,) = perform(user, [], PIP.format([]))
    assert "No matching distribution found for tiny" in found.value["err"]
    assert "--net HOST" in found.value["note"]
    assert found.value["seconds"] < 20
    assert [*work.iterdir()] == []
