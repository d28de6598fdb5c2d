"""The kit: tables whose numbers are numbers, written back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oros.services import kit


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_numbers_are_numbers_and_missing_ones_are_none() -> None:
    kit.write_text("a.csv", "name,mass,code\nAnn,3750,007\nBob,NA,012\nCy,3.50,1\n")
    rows = kit.read_table("a.csv")
    assert [r["mass"] for r in rows] == [3750, None, 3.5]
    assert [r["code"] for r in rows] == ["007", "012", "1"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_what_is_read_is_written_back_to_the_byte(name) -> None:
    text = "name,mass\nAnn,3.50\nBob,NA\nCy,10\n".replace(",", "\t" if name[2] == "t" else ",")
    kit.write_text(name, text)
    kit.write_table(f"out-{name}", kit.read_table(name))
    assert kit.read_text(f"out-{name}") == text


@given(
    st.lists(
        st.tuples(st.text("ab ,;\"'\n", max_size=5), st.integers(-(10**15), 10**15)), min_size=1
    )
)
def test_any_table_survives(rows) -> None:
    made = [{"text": f"x{t}", "number": n} for t, n in rows]
    kit.write_table("t.csv", made)
    assert kit.read_table("t.csv") == made


def test_a_column_is_found_however_it_is_spelt() -> None:
    kit.write_text("a.csv", "Body Mass,b\n1,2\n")
    row = kit.read_table("a.csv")[0]
    assert row["body_mass"] == row["BODYMASS"] == 1
    with pytest.raises(KeyError, match="columns: Body Mass, b"):
        row["weight"]


def test_a_header_in_a_remark() -> None:
    kit.write_text("zone.tab", "# zones\n#code\tname\nAD\tAndorra\nCH\tZurich\n")
    assert kit.read_table("zone.tab")[1] == {"code": "CH", "name": "Zurich"}


def test_sums_have_no_dust() -> None:
    kit.write_table("s.csv", [{"sum": 0.1 + 0.2}])
    assert kit.read_text("s.csv") == "sum\n0.3\n"


def test_json_and_markdown_by_the_ending() -> None:
    kit.write_table("t.md", [{"a": 1, "b": "x|y"}])
    assert kit.read_text("t.md") == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n"
    kit.write_table("t.json", [{"a": 1}])
    assert kit.read_table("t.json") == [{"a": 1}]


def test_faults_are_loud_and_say_what_is_near() -> None:
    with pytest.raises(ValueError, match="no rows"):
        kit.write_table("t.csv", [])
    with pytest.raises(TypeError, match="each row is a dict"):
        kit.write_table("t.csv", ["ab"])
    kit.write_text("a.py", "print(hello)\n")
    with pytest.raises(ValueError, match=r"nearest line is 'print\(hello\)'"):
        kit.replace_text("a.py", "print(helo)", "x")
    with pytest.raises(FileNotFoundError, match=r"there are: a\.py"):
        kit.files("*.txt")


def test_bytes_that_are_no_text_survive_a_replacement(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 Britain\r\n")
    assert kit.replace_text("a.txt", "Britain", "Ruritania") == 1
    assert (tmp_path / "a.txt").read_bytes() == b"caf\xe9 Ruritania\r\n"


def test_a_move_overwrites_nothing(tmp_path) -> None:
    for name in ("a", "b"):
        kit.write_text(name, name)
    with pytest.raises(FileExistsError):
        kit.move_file("a", "b")
    kit.move_file("a", "old/")
    assert (tmp_path / "old" / "a").read_text() == "a"
