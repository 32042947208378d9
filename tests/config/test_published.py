"""Published losses: a CSV as spreadsheets and people write it is read, or refused by its line."""

import pytest
from command import planted, small, twolayer
from twolayer.config.published import read_published
from twolayer.errors import UserError

HEADER = "implementation,epoch,loss\n"


def read(folder, content):
    """What a file with this content publishes."""
    path = folder / "p.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_published(path)


def refusal(folder, content):
    """What is said of one that is refused, from behind its name."""
    with pytest.raises(UserError) as caught:
        read(folder, content)
    return [line.partition("p.csv:")[2] for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "a,0,100.5\na,10,2e-3\n",
        "\ufeff" + HEADER + "a,0,100.5\r\na,10,2e-3\r\n",
        "implementation;epoch;loss\na;0;100,5\na;10;2e-3\n",
        "implementation;epoch;loss\na;0;100.5\na;10;0.002\n",
        "Implementation\tEpoch\tLoss\na\t0\t100,5\na\t10\t0,002",
        "# from the notebook, cell 3\n\n" + HEADER + " a , 0 , 100.5 \n\n# more\na,1e1,2e-3\n",
        HEADER.replace("loss", "loss,,") + "a,0,100.5,,\na,10,2e-3,,\n,,,,\n",
        HEADER + "a,0,100.5\na,5,\na,7\na,10,2e-3\n",
        "loss,note,epoch,implementation\n100.5,first,0,a\n2e-3,,10,a\n",
        '"implementation","epoch","loss"\n"a", "0", "100.5"\n"a","10","2e-3"\n',
    ],
)
def test_what_can_be_read_without_guessing_is_read(tmp_path, content):
    """Marks, dividers, line ends, comments and blanks of all sorts; an empty cell is no loss."""
    assert read(tmp_path, content) == {"a": {0: 100.5, 10: 0.002}}


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("epoch,loss\n0,1\n", ["1: must have one column implementation (got 'epoch,loss')"]),
        ("", [f"1: must have one column {name} (got '')" for name in HEADER.strip().split(",")]),
        (
            HEADER + "a,0,-\n\na,0.5,abc\na,2,1,5\n,3,1\n",
            [
                "2: loss: must be a number, or empty where there is none (got '-')",
                "4: epoch: must be a whole number, 0 or more (got '0.5')",
                "5: has 4 cells, the header 3; where decimals have commas, divide cells by ;",
                "6: implementation: must be a name (got nothing)",
            ],
        ),
        (HEADER + "a,0,1\nb,0,2\na,0,1\n", ["4: epoch: 0 of a is given twice; keep one"]),
        (
            "implementation;epoch;loss\na;0;1,234\na;1;0.5\n",
            ["2: loss: must be a number, or empty where there is none (got '1,234')"],
        ),
        (HEADER.encode() + b"a,0,1\nb\xff,0,1\n", ["3:2: is not UTF-8 text"]),
        (
            HEADER + f"{'a' * 140_000},0,1\n",
            [" is not CSV: field larger than field limit (131072)"],
        ),
    ],
)
def test_what_can_not_is_refused_with_its_line_and_what_is_wanted(tmp_path, content, lines):
    """A comma may be a decimal's or a thousand's, and then nobody guesses."""
    assert refusal(tmp_path, content) == lines


def test_a_file_of_mistakes_shows_the_first_ten(tmp_path):
    """And how many more there are."""
    with pytest.raises(UserError, match=r"and 4990 more like these$") as caught:
        read(tmp_path, HEADER + "a,x,1\n" * 5000)
    assert len(str(caught.value).splitlines()) == 11


def test_it_is_read_before_anything_runs(tmp_path):
    """Exit code 2, the place, and no results."""
    (tmp_path / "p.csv").write_text(HEADER + "numpy_manual,0,-\n")
    words = (*small(tmp_path, published="p.csv"), *planted("numpy_manual"))
    done = twolayer("run", *words, "--published", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("p.csv:2: loss: must be a number")
    assert {path.name for path in tmp_path.iterdir()} == {"p.csv", "small.yaml"}
