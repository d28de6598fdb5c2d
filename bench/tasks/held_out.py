"""Twenty jobs of the same kinds on other files: never looked at while a program is tuned."""

import email
import re
from collections import defaultdict
from pathlib import Path

from bench.tasks.task import (
    OK,
    Task,
    Verdict,
    both,
    cells,
    lines,
    load,
    mended,
    names,
    names_day,
    runs,
    same_header,
    same_rows,
    says,
    table,
)

IOWA = ("tables/iowa-electricity.csv",)
JOBLESS = ("tables/us-employment.csv",)
STATES = ("tables/statecrime.csv",)
ELNINO = ("tables/elnino.csv",)
NILE = ("tables/nile.csv",)
BURTIN = ("tables/burtin.json",)
LEAP = ("tables/leapseconds",)
LAW = ("texts/constitution.txt",)
LICENCES = ("licences/GPL-1", "licences/LGPL-3", "licences/MPL-2.0")


def nuclear(_after: Path, answer: str, before: Path) -> Verdict:
    rows = [r for r in table(before / "iowa-electricity.csv") if r["source"] == "Nuclear Energy"]
    best = max(rows, key=lambda r: float(r["net_generation"]))
    return says(re.sub(r"-\d\d-\d\d", "", answer), int(best["year"][:4]))


def by_source(_after: Path, answer: str, before: Path) -> Verdict:
    groups = defaultdict(list)
    for r in table(before / "iowa-electricity.csv"):
        groups[r["source"]].append(float(r["net_generation"]))
    return says(answer, *(sum(x) / len(x) for x in groups.values()), off=0.6)


def wide(after: Path, _answer: str, before: Path) -> Verdict:
    years: dict[str, dict[str, str]] = defaultdict(dict)
    for r in table(before / "iowa-electricity.csv"):
        years[r["year"][:4]][r["source"]] = r["net_generation"]
    sources = ["Fossil Fuels", "Nuclear Energy", "Renewables"]
    head, *rows = cells(after / "wide.csv")
    got = [[r[0][:4], *r[1:]] for r in rows]
    wanted = [[year, *(found[s] for s in sources)] for year, found in sorted(years.items())]
    return both(same_header(head, ["year", *sources]), same_rows(got, wanted))


def worst_drop(_after: Path, answer: str, before: Path) -> Verdict:
    rows = table(before / "us-employment.csv")
    return names_day(answer, min(rows, key=lambda r: float(r["nonfarm_change"]))["month"][:7])


def year_2009(after: Path, _answer: str, before: Path) -> Verdict:
    head, *rows = cells(before / "us-employment.csv")
    got_head, *got = cells(after / "2009.csv")
    return both(
        same_header(got_head, head), same_rows(got, [r for r in rows if r[0].startswith("2009")])
    )


def murders(_after: Path, answer: str, before: Path) -> Verdict:
    rows = table(before / "statecrime.csv")
    return names(answer, max(rows, key=lambda r: float(r["murder"]))["state"])


def poor(after: Path, _answer: str, before: Path) -> Verdict:
    rows = [r for r in table(before / "statecrime.csv") if float(r["poverty"]) > 15]
    rows.sort(key=lambda r: -float(r["poverty"]))
    head, *got = cells(after / "poor.csv")
    wanted = [[r["state"], r["poverty"]] for r in rows]
    return both(
        same_header(head, ["state", "poverty"]),
        same_rows([[r[1]] for r in got], [[r[1]] for r in wanted]),
        same_rows(got, wanted, ordered=False),
    )


def longer(after: Path, _answer: str, before: Path) -> Verdict:
    head, *rows = cells(before / "elnino.csv")
    wanted = [[r[0], m, t] for r in rows for m, t in zip(head[1:], r[1:], strict=True)]
    got_head, *got = cells(after / "long.csv")
    return both(
        same_header([x.lower() for x in got_head], ["year", "month", "temperature"]),
        same_rows(got, wanted, ordered=False),
    )


def warm_december(_after: Path, answer: str, before: Path) -> Verdict:
    return says(
        answer, int(max(table(before / "elnino.csv"), key=lambda r: float(r["DEC"]))["YEAR"])
    )


def two_niles(_after: Path, answer: str, before: Path) -> Verdict:
    rows = [(int(r["year"]), float(r["volume"])) for r in table(before / "nile.csv")]
    old, new = [v for y, v in rows if y < 1900], [v for y, v in rows if y >= 1900]
    return says(answer, sum(old) / len(old), sum(new) / len(new), off=0.6)


def nile_json(after: Path, _answer: str, before: Path) -> Verdict:
    got = [[r["year"], r["volume"]] for r in load(after / "nile.json")]
    return same_rows(got, cells(before / "nile.csv")[1:])


def negative(_after: Path, answer: str, before: Path) -> Verdict:
    return says(answer, sum(r["Gram_Staining"] == "negative" for r in load(before / "burtin.json")))


def least_penicillin(_after: Path, answer: str, before: Path) -> Verdict:
    rows = load(before / "burtin.json")
    least = min(float(str(r["Penicillin"])) for r in rows)
    best = [str(r["Bacteria"]) for r in rows if float(str(r["Penicillin"])) == least]
    return next((v for b in best if (v := names(answer, b))[0]), names(answer, best[0]))


def leaps(folder: Path) -> list[list[str]]:
    text = (folder / "leapseconds").read_text("utf-8")
    return [x.split()[1:4] for x in text.splitlines() if x.startswith("Leap")]


def leap_count(_after: Path, answer: str, before: Path) -> Verdict:
    return says(answer, len(leaps(before)))


def leap_csv(after: Path, _answer: str, before: Path) -> Verdict:
    head, *rows = cells(after / "leap.csv")
    return both(same_header(head, ["year", "month", "day"]), same_rows(rows, leaps(before)))


def presidents(_after: Path, answer: str, before: Path) -> Verdict:
    text = (before / "constitution.txt").read_text("utf-8")
    counts = [
        len(re.findall(r"\bPresident\b", text)),
        text.count("President"),
        text.lower().count("president"),
        len(re.findall(r"\bpresident\b", text, re.IGNORECASE)),
    ]
    return next((v for n in counts if (v := says(answer, n))[0]), says(answer, counts[0]))


def articles(after: Path, _answer: str, before: Path) -> Verdict:
    wanted = [x for x in lines(before / "constitution.txt") if x.startswith("Article")]
    return OK if lines(after / "articles.txt") == wanted else (False, "other lines than those")


def vector(after: Path, _answer: str, before: Path) -> Verdict:
    code, out = runs(after, "vector.py")
    return both(
        (code == 0 and not out.strip(), "its test fails"), mended(after, before, "vector.py")
    )


def dated(after: Path, _answer: str, before: Path) -> Verdict:
    for path in before.iterdir():
        if (after / path.name).exists():
            return False, f"{path.name} still has its old name"
        if (after / f"2026-{path.name}").read_bytes() != path.read_bytes():
            return False, f"2026-{path.name} is another text"
    return OK


def attachment(after: Path, _answer: str, before: Path) -> Verdict:
    mail = email.message_from_bytes((before / "clock.eml").read_bytes())
    wanted = next(p.get_payload(decode=True) for p in mail.walk() if p.get_filename())
    got = (after / "clock.bmp").read_bytes()
    return OK if got == wanted else (False, f"{len(got)} bytes, or others")


HELD_OUT: tuple[Task, ...] = (
    Task("nuclear", "In which year did Iowa make the most nuclear energy?", IOWA, nuclear),
    Task("by-source", "What is the average net generation of each source of electricity?", IOWA,
         by_source),
    Task("wide", "Make wide.csv with one row per year and the columns year, Fossil Fuels, Nuclear "
         "Energy and Renewables.", IOWA, wide),
    Task("worst-drop", "In which month did nonfarm jobs drop the most?", JOBLESS, worst_drop),
    Task("year-2009", "Save the rows of the year 2009 as 2009.csv, same columns.", JOBLESS,
         year_2009),
    Task("murders", "Which state has the highest murder rate?", STATES, murders),
    Task("poor", "Write poor.csv with the columns state and poverty: the states whose poverty is "
         "above 15, the poorest first.", STATES, poor),
    Task("longer", "Turn elnino.csv into long.csv with the columns year, month and temperature, "
         "one row per month.", ELNINO, longer),
    Task("warm-december", "Which year had the warmest December?", ELNINO, warm_december),
    Task("two-niles", "What was the mean volume of the Nile before 1900, and what from 1900 on?",
         NILE, two_niles),
    Task("nile-json", "Convert nile.csv to nile.json, a list of objects.", NILE, nile_json),
    Task("negative", "How many of the bacteria are gram negative?", BURTIN, negative),
    Task("least-penicillin", "Which bacterium is stopped by the smallest amount of penicillin?",
         BURTIN, least_penicillin),
    Task("leap-count", "How many leap seconds does the file list?", LEAP, leap_count),
    Task("leap-csv", "Make leap.csv with the columns year, month and day: one row per leap second.",
         LEAP, leap_csv),
    Task("presidents", "How often does the word President occur in the constitution?", LAW,
         presidents),
    Task("articles", "Put all lines of constitution.txt that begin with Article into "
         "articles.txt.", LAW, articles),
    Task("vector", "Running vector.py reports a failed test. Repair vector.py.",
         ("scripts/vector.py",), vector, ("vector.py",)),
    Task("dated", "Put 2026- in front of the name of every file here.", LICENCES, dated, ("*",)),
    Task("attachment", "Save the attachment of clock.eml as a file under its own name.",
         ("mail/clock.eml",), attachment),
)  # fmt: skip
