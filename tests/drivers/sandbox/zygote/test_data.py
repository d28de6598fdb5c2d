"""Tables and figures come as parts, bounded; they are tested where the libraries are installed."""

import csv
import io
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("numpy", "pandas", "matplotlib"))),
    reason="numpy, pandas and matplotlib are not installed here (pip install 'oros[data]')",
)
PD = "import pandas as pd, numpy as np\n"
PLOT = "import matplotlib.pyplot as plt\n"


def test_a_table_is_shown_and_comes_as_csv(cells) -> None:
    (found,) = cells(PD + "pd.DataFrame({'name': ['a', 'b, \"c\"'], 'n': [1, 2.5]})")
    assert found.value.splitlines()[0].split() == ["name", "n"]
    (part,) = found.parts
    assert (part.media, part.name) == ("text/csv", "table.csv")
    assert part.data == b'name,n\na,1.0\n"b, ""c""",2.5\n'
    assert part.about == {"rows": 2, "columns": 2, "held": 2}


def test_an_index_that_says_something_is_part_of_the_table(cells) -> None:
    (found,) = cells(PD + "pd.DataFrame({'k': ['x', 'y', 'x'], 'n': [1, 2, 3]}).groupby('k').sum()")
    assert found.parts[0].data == b"k,n\nx,4\ny,2\n"


def test_a_series_is_a_table(cells) -> None:
    (found,) = cells(PD + "pd.Series([1, 2], index=['a', 'b'], name='n')")
    assert found.parts[0].data == b",n\na,1\nb,2\n"


@pytest.mark.parametrize(
    "frame",
    [
        "pd.DataFrame({'n': range(1_000_000)})",
        "pd.DataFrame({'t': ['long ' * 10_000] * 100})",
        "pd.DataFrame(np.zeros((10, 5000)))",
    ],
)
def test_a_large_table_is_held_in_part(cells, frame: str) -> None:
    (found,) = cells(PD + frame)
    (part,) = found.parts
    assert len(part.data) <= 256 << 10
    assert len(found.value) < 30_000
    rows = list(csv.reader(io.StringIO(part.data.decode())))
    assert len(rows) - 1 == part.about.get("held", 0)
    assert found.seconds < 5


def test_an_empty_table(cells) -> None:
    found, none = cells(PD + "pd.DataFrame({'a': []})", "pd.DataFrame()")
    assert found.parts[0].data == b"a\n"
    assert none.error is None


def test_figures_are_drawn_and_closed(cells) -> None:
    found, after = cells(PLOT + "plt.plot([1, 2])\nplt.figure()\nplt.bar([1], [2])\nplt.show()",
                         "plt.get_fignums()", seconds=60)  # fmt: skip
    assert [p.media for p in found.parts] == ["image/png"] * 2
    assert all(p.data.startswith(b"\x89PNG\r\n") for p in found.parts)
    assert found.err == b""
    assert after.value == "[]"
    assert after.parts == ()


def test_what_was_drawn_before_an_error_is_shown(cells) -> None:
    (found,) = cells(PLOT + "plt.plot([1])\n1 / 0", seconds=60)
    assert found.error.kind == "ZeroDivisionError"
    assert len(found.parts) == 1


def test_a_figure_that_cannot_be_drawn_is_an_error_of_the_cell(cells) -> None:
    found, after = cells(PLOT + "plt.title('$\\\\frac{$')\n", "1", seconds=60)
    assert found.error is not None
    assert (after.value, after.error, after.parts) == ("1", None, ())


def test_display_shows_more_than_the_last_value(cells) -> None:
    (found,) = cells(PD + "for n in (1, 2):\n    display(pd.DataFrame({'n': [n]}))\ndisplay('x')")
    assert [p.data for p in found.parts] == [b"n\n1\n", b"n\n2\n"]
    assert found.out.decode().splitlines()[-1] == "'x'"


def test_many_figures_are_bounded(cells) -> None:
    found, after = cells(
        PLOT + "plt.rcParams['figure.max_open_warning'] = 0\n"
        "for n in range(40):\n    plt.figure(figsize=(1, 1)).text(0, 0, n)", "plt.get_fignums()",
        seconds=100,
    )  # fmt: skip
    assert len(found.parts) == 16
    assert after.value == "[]"
