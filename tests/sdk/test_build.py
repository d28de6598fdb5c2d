"""Which build a program is of, and whether a machine is of another."""

import shutil

from oros.sdk.build import build, is_other, place


def told(**more):
    return {"id": build(), "at": str(place()), "stale": False, "spawned": True} | more


def test_a_build_is_that_of_every_file(tmp_path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "a" / "__pycache__").mkdir(parents=True)
        (folder / "a" / "x.py").write_text("x = 1\n")
        (folder / "y.toml").write_text("y = 1\n")
    assert build(one) == build(two)
    (two / "a" / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    assert build(one) == build(two)
    (two / "a" / "x.py").write_text("x = 2\n")
    assert build(one) != build(two)
    (two / "a" / "x.py").write_text("x = 1\n")
    (two / "y.toml").rename(two / "z.toml")
    assert build(one) != build(two)


def test_a_copy_of_the_code_is_the_same_build_and_a_change_is_not(tmp_path) -> None:
    copy = shutil.copytree(place(), tmp_path / "oros", ignore=shutil.ignore_patterns("__pycache__"))
    assert build(copy) == build()
    assert not is_other(told(at=str(copy), id=build(copy)))
    (copy / "__main__.py").write_text("")
    assert is_other(told(at=str(copy), id=build(copy)))


def test_who_is_of_another_build() -> None:
    assert not is_other(told())
    assert not is_other(told(id=""))  # it is from our folder, and that has not changed
    assert not is_other(told(id="", at="/elsewhere"))  # it will know in a moment
    assert is_other(told(stale=True))
    assert is_other(told(id="0.1.0+000000000000", at="/elsewhere"))
    assert is_other(None)  # one that knows of no builds is older
