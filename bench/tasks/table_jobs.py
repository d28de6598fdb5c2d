"""Jobs on tables: count, average, filter, join, convert, split, sort."""

from collections import Counter, defaultdict
from pathlib import Path

from bench.tasks.task import (
    Task,
    Verdict,
    both,
    cells,
    load,
    names,
    names_day,
    same_header,
    same_rows,
    says,
    table,
)

PENGUINS = ("tables/penguins.csv",)
WEATHER = ("tables/seattle-weather.csv",)
AIRPORTS = ("tables/airports.csv",)
CARS = ("tables/cars.json",)
CRIMEA = ("tables/crimea.json",)
ZONES = ("tables/zone.tab", "tables/iso3166.tab")


def species(_after: Path, answer: str, before: Path) -> Verdict:
    counts = Counter(r["species"] for r in table(before / "penguins.csv"))
    return both(says(answer, *counts.values()), names(answer, *counts))


def gentoo_mass(_after: Path, answer: str, before: Path) -> Verdict:
    mass = [
        float(r["body_mass_g"])
        for r in table(before / "penguins.csv")
        if (r["species"], r["sex"]) == ("Gentoo", "female") and r["body_mass_g"] != "NA"
    ]
    return says(answer, sum(mass) / len(mass), off=1)


def by_mass(after: Path, _answer: str, before: Path) -> Verdict:
    head, *rows = cells(before / "penguins.csv")
    at = head.index("body_mass_g")
    rows = [r for r in rows if r[at] != "NA"]
    got_head, *got = cells(after / "sorted.csv")
    falling = [[float(r[at])] for r in got]
    return both(
        same_header(got_head, head),
        same_rows(got, rows, ordered=False),
        same_rows(falling, sorted(falling, reverse=True)),
    )


def flippers(after: Path, _answer: str, before: Path) -> Verdict:
    groups = defaultdict(list)
    for r in table(before / "penguins.csv"):
        if r["flipper_length_mm"] != "NA":
            groups[r["species"]].append(float(r["flipper_length_mm"]))
    text = (after / "report.md").read_text("utf-8")
    means = [sum(x) / len(x) for x in groups.values()]
    return both(names(text, *groups, limit=2000), says(text, *means, off=0.6))


def hottest(_after: Path, answer: str, before: Path) -> Verdict:
    day = max(table(before / "seattle-weather.csv"), key=lambda r: float(r["temp_max"]))
    return both(
        names_day(answer, day["date"].replace("/", "-")), says(answer, float(day["temp_max"]))
    )


def foggy(_after: Path, answer: str, before: Path) -> Verdict:
    rows = table(before / "seattle-weather.csv")
    return says(answer, sum(r["weather"] == "fog" and r["date"].startswith("2014") for r in rows))


def monthly(after: Path, _answer: str, before: Path) -> Verdict:
    sums: dict[str, float] = defaultdict(float)
    for r in table(before / "seattle-weather.csv"):
        if r["date"].startswith("2015"):
            sums[r["date"][:7].replace("/", "-")] += float(r["precipitation"])
    rows = cells(after / "monthly.csv")
    if rows and rows[0][0] not in sums:
        rows = rows[1:]
    return same_rows(rows, [[m, round(v, 2)] for m, v in sorted(sums.items())], off=0.06)


def years(after: Path, _answer: str, before: Path) -> Verdict:
    head, *rows = cells(before / "seattle-weather.csv")
    for year in ("2012", "2013", "2014", "2015"):
        wanted = [head, *(r for r in rows if r[0].startswith(year))]
        verdict = same_rows(cells(after / f"{year}.csv"), wanted)
        if not verdict[0]:
            return verdict
    return True, ""


def californian(after: Path, _answer: str, before: Path) -> Verdict:
    head, *rows = cells(before / "airports.csv")
    wanted = [r for r in rows if r[head.index("state")] == "CA"]
    got_head, *got = cells(after / "california.csv")
    return both(same_header(got_head, head), same_rows(got, wanted, ordered=False))


def most_airports(_after: Path, answer: str, before: Path) -> Verdict:
    top = Counter(r["state"] for r in table(before / "airports.csv")).most_common(3)
    return names(answer, *(state for state, _ in top))


def northernmost(_after: Path, answer: str, before: Path) -> Verdict:
    row = max(table(before / "airports.csv"), key=lambda r: float(r["latitude"]))
    return names(answer, row["iata"])


def thirstless(_after: Path, answer: str, before: Path) -> Verdict:
    cars = load(before / "cars.json")
    best = max(cars, key=lambda c: float(str(c["Miles_per_Gallon"] or 0)))
    return names(answer, str(best["Name"]))


def cars_csv(after: Path, _answer: str, before: Path) -> Verdict:
    cars = load(before / "cars.json")
    head, *rows = cells(after / "cars.csv")
    blank = [["" if x in ("None", "null") else x for x in r] for r in rows]
    return both(same_header(head, cars[0]), same_rows(blank, [list(c.values()) for c in cars]))


def power(_after: Path, answer: str, before: Path) -> Verdict:
    groups = defaultdict(list)
    for car in load(before / "cars.json"):
        if car["Horsepower"] is not None:
            groups[car["Origin"]].append(float(str(car["Horsepower"])))
    return says(answer, *(sum(x) / len(x) for x in groups.values()), off=0.6)


def japanese(after: Path, _answer: str, before: Path) -> Verdict:
    wanted = [
        c for c in load(before / "cars.json") if c["Origin"] == "Japan" and str(c["Year"]) >= "1980"
    ]
    got = load(after / "japan.json")
    return (
        (True, "") if got == wanted else (False, f"{len(got)} cars, not {len(wanted)}, or others")
    )


def worst_month(_after: Path, answer: str, before: Path) -> Verdict:
    def dead(row: dict[str, object]) -> int:
        return sum(int(str(row[k])) for k in ("wounds", "other", "disease"))

    return names_day(answer, str(max(load(before / "crimea.json"), key=dead)["date"])[:7])


def crimea_total(after: Path, _answer: str, before: Path) -> Verdict:
    rows = load(before / "crimea.json")
    keys = ["date", "wounds", "other", "disease"]
    wanted = [[*(r[k] for k in keys), sum(int(str(r[k])) for k in keys[1:])] for r in rows]
    head, *got = cells(after / "crimea.csv")
    return both(same_header(head, [*keys, "total"]), same_rows(got, wanted))


def zones(folder: Path) -> list[list[str]]:
    codes = dict(r for r in cells(folder / "iso3166.tab", "\t") if not r[0].startswith("#"))
    rows = [r for r in cells(folder / "zone.tab", "\t") if not r[0].startswith("#")]
    return [[codes[r[0]], r[2]] for r in rows]


def zone_names(after: Path, _answer: str, before: Path) -> Verdict:
    head, *rows = cells(after / "zones.csv")
    return both(
        same_header(head, ["country", "zone"]), same_rows(rows, zones(before), ordered=False)
    )


TABLE_JOBS = (
    Task("species", "How many penguins of each species are in penguins.csv?", PENGUINS, species),
    Task("gentoo-mass", "What do female Gentoo penguins weigh on average, in grams?", PENGUINS,
         gentoo_mass),
    Task("by-mass", "Sort the penguins by body mass, heaviest first, and save them with the same "
         "columns as sorted.csv. Leave out those without a body mass.", PENGUINS, by_mass),
    Task("flippers", "Write report.md: a heading, then a table with the average flipper length of "
         "each penguin species.", PENGUINS, flippers),
    Task("hottest", "Which day was the hottest in Seattle, and how hot was it?", WEATHER, hottest),
    Task("foggy", "How many foggy days did Seattle have in 2014?", WEATHER, foggy),
    Task("monthly", "Make monthly.csv with two columns, month (like 2015-01) and the total "
         "precipitation of that month, for the year 2015.", WEATHER, monthly),
    Task("years", "Split the weather table into one file per year: 2012.csv, 2013.csv and so on.",
         WEATHER, years),
    Task("californian", "Save all airports in California as california.csv, same columns.",
         AIRPORTS, californian),
    Task("most-airports", "Which three states have the most airports?", AIRPORTS, most_airports),
    Task("northernmost", "What is the code of the northernmost airport?", AIRPORTS, northernmost),
    Task("thirstless", "Which car goes the most miles on a gallon?", CARS, thirstless),
    Task("cars-csv", "Convert cars.json to cars.csv.", CARS, cars_csv),
    Task("power", "What is the average horsepower of the cars from each origin? Leave out cars "
         "whose horsepower is not known.", CARS, power),
    Task("japanese", "Save the Japanese cars from 1980 and later as japan.json.", CARS, japanese),
    Task("worst-month", "In which month did the most soldiers die, counting wounds, other causes "
         "and disease together?", CRIMEA, worst_month),
    Task("crimea-total", "Turn crimea.json into crimea.csv and add a last column named total: "
         "wounds, other and disease added up.", CRIMEA, crimea_total),
    Task("zone-names", "Make zones.csv with the columns country and zone: every time zone of "
         "zone.tab with the country's name from iso3166.tab.", ZONES, zone_names),
)  # fmt: skip
