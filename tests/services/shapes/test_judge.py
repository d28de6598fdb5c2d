"""What a program or its run is told to mend, and what passes."""

import pytest

from oros.services.shapes.judge import faults, judge, repeatable, unmended, unreadable
from oros.services.shapes.requote import requote

ADDED = [{"path": "/work/out.csv", "change": "added"}]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("print(1", "does not parse"),
        ("import pandas", "no module pandas"),
        ("def main():\n    print(1)", "never calls it"),
        ("x = input()", "nobody is there to type"),
        ("print(1)", ""),
        ("import csv\nfrom kit import *", ""),
    ],
)
def test_faults_before_a_run(source, words) -> None:
    assert words in faults(source)
    assert bool(words) == bool(faults(source))


@pytest.mark.parametrize(
    ("goal", "value", "words"),
    [
        ("How many?", {"exit": 1, "err": "KeyError: 'x'"}, "column and key names"),
        ("How many?", {"exit": 0, "out": "", "changed": []}, "printed nothing"),
        ("How many?", {"exit": 0, "out": "3", "changed": ADDED}, "asks a question"),
        ("How many?", {"exit": 0, "out": "3", "changed": []}, ""),
        ("Which day was best?", {"exit": 0, "out": "1\n" * 40, "changed": []}, "a whole list"),
        ("What is each mean?", {"exit": 0, "out": "1\n" * 40, "changed": []}, ""),
        ("How many?", {"exit": 0, "out": "Counter({'a': 1})", "changed": []}, "one by one"),
        ("Save it as b.csv.", {"exit": 0, "out": "ok", "changed": ADDED}, "names b.csv"),
        ("Save it as out.csv.", {"exit": 0, "out": "ok", "changed": ADDED}, ""),
        ("Sort the table.", {"exit": 0, "out": "ok", "changed": []}, "changed no file"),
    ],
)
def test_a_run_is_judged(goal, value, words) -> None:
    found = judge(goal, ["a.csv"], value)
    assert words in found
    assert bool(words) == bool(found)


def entry(name: str, size: int, head: str = "") -> dict:
    return {"path": f"/work/{name}", "size": size, "head": head}


def test_a_summary_that_is_as_long_as_its_text_is_none() -> None:
    goal = "Write a summary of BSD into s.txt."
    assert "as long as BSD" in unreadable(goal, ["s.txt"], [entry("BSD", 99), entry("s.txt", 100)])
    assert unreadable(goal, ["s.txt"], [entry("BSD", 99), entry("s.txt", 50)]) == ""
    copied = [entry("BSD", 99), entry("s.txt", 100)]
    assert unreadable("Copy BSD to s.txt.", ["s.txt"], copied) == ""


def test_the_inside_of_a_value_is_no_text() -> None:
    entries = [entry("r.md", 60, "# Means\ndefaultdict(<class 'list'>, {...})")]
    assert "one by one" in unreadable("Write r.md", ["r.md"], entries)


def test_a_second_program_may_follow_only_where_nothing_is_lost() -> None:
    assert repeatable(ADDED)
    assert repeatable([])
    assert not repeatable([*ADDED, {"path": "/work/a", "change": "modified"}])
    assert not repeatable([{"path": "/work/a", "change": "removed"}])


def test_a_repair_is_tried_out() -> None:
    assert unmended({"exit": 1}, {"exit": 1})
    assert not unmended({"exit": 1}, {"exit": 0})
    assert unmended({"exit": 0, "out": "x"}, {"exit": 0, "out": "x"})
    assert not unmended({"exit": 0, "out": "x"}, {"exit": 0, "out": "y"})


def test_quotes_inside_the_braces() -> None:
    assert requote('print(f"{r["a"]}")') in ('print(f"{r["a"]}")', "print(f\"{r['a']}\")")
    compile(requote("""print(f'{r['a']} {r["b"]}')"""), "x", "exec")
    assert requote("print(") == "print("
    assert requote("""s = "it's" + f'{x}'""") == """s = "it's" + f'{x}'"""
