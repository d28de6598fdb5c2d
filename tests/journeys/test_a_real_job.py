"""I have a table and a question; the model in the box does the job, on real files, for real."""

import csv
import shutil
from collections import Counter

import pytest
from tests.journeys.conftest import ROOT


@pytest.mark.model
@pytest.mark.timeout(900)
def test_count_by_species_into_a_new_file(boxed) -> None:
    shutil.copytree(ROOT / "examples" / "tables", boxed.work, dirs_exist_ok=True)
    pulled = boxed.oros("models", "pull", timeout=600)
    assert pulled.returncode == 0, pulled.stderr

    found = boxed.oros(
        "run",
        "How many penguins of each species are in penguins.csv? Write the counts to counts.csv "
        "with the columns species and count.",
        timeout=300,
    )

    assert found.returncode == 0, found.stderr
    with (boxed.work / "penguins.csv").open(newline="") as f:
        wanted = Counter(row["species"] for row in csv.DictReader(f))
    with (boxed.work / "counts.csv").open(newline="") as f:
        counts = {row["species"]: int(row["count"]) for row in csv.DictReader(f)}
    assert counts == dict(wanted)
    assert "counts.csv" in found.stderr + found.stdout  # it tells which files it changed

    # What it did: it looked at the folder, ran a program in the sandbox, and can be replayed.
    log = boxed.oros("log", "2")
    assert "list" in log.stdout
    assert "run" in log.stdout
    replayed = boxed.json("replay", "2")
    assert replayed["same"], replayed["differs"]

    # I take it back, and have it again.
    assert boxed.oros("undo", "2", "--to", "0").returncode == 0
    assert not (boxed.work / "counts.csv").exists()
    while boxed.oros("redo", "2").returncode == 0:
        pass
    with (boxed.work / "counts.csv").open(newline="") as f:
        assert {row["species"]: int(row["count"]) for row in csv.DictReader(f)} == counts
