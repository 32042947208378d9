"""`twolayer results`, `show` and `diff`: what was run can be found, averaged, compared, tidied."""

import csv
import io
import json
import math
import os
import re
import shlex
import subprocess
import sys
import time
import zlib

import pytest
from command import (
    COMMAND,
    environment,
    look,
    planted,
    small,
    start,
    stored,
    twolayer,
    wait_for,
)
from twolayer import Config
from twolayer.results.compare import compare_losses
from twolayer.results.record import Record
from twolayer.results.rows import COLUMNS, labels
from twolayer.results.store import Store, loaded, read_summary

FORMATS = ("table", "json", "csv", "markdown")


def succeed(*words, cwd, **env):
    """Run `twolayer`, which is to exit with 0; returns the CompletedProcess."""
    done = look(*words, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    return done


def refused(*words, cwd, **env):
    """Run `twolayer`, which is to exit with 2 and a word or two; returns what it said."""
    done = look(*words, cwd=cwd, **env)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr


def rows_of(*words, cwd):
    """What `twolayer … --format json` prints."""
    return json.loads(succeed(*words, "--format", "json", cwd=cwd).stdout)


def lines_of(*words, cwd, **env):
    """The rows of the table that a command prints, as lists of words."""
    return [line.split() for line in succeed(*words, cwd=cwd, **env).stdout.splitlines()]


def synthetic(impl="made_up", outcome="ok", *, loss=1.0, minute=0, losses=(), key=None, **settings):
    """A record that nobody ran; `minute` orders its start."""
    record = Record(
        impl=impl,
        outcome=outcome,
        config=Config(**settings).values(),
        final_loss=loss,
        losses=list(losses),
        framework="numpy",
        versions={"numpy": "2.0", "python": "3.11"},
        machine={"host": "here", "cores": 2},
        step_us={"median": 10.0, "p10": 9.0, "p90": 11.0},
        train_s=1.5,
        source_sha256="a" * 64,
        key=key or f"{impl}-{zlib.crc32(repr(settings).encode()):010x}",
        invocation="one",
        started_at=f"2026-01-01T00:{minute:02}:00.000+00:00",
    )
    if outcome == "failed":
        error = {"type": "ValueError", "message": "a mistake | of\nlines", "signal": None}
        record.error = error | {"traceback": "Traceback …"}
    return record


def keep(folder, experiment, *records):
    """Store records; returns their folders."""
    store = Store(folder / "results", experiment)
    return [store.write(record) for record in records]


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A folder with an experiment over lr and seeds: 1e-3 diverges once, at 1e-1 all of them."""
    folder = tmp_path_factory.mktemp("grid")
    ends = {  # by impl and lr: outcome and loss of seeds 0, 1 and 2
        ("one", 1e-4): [("ok", 1.0), ("ok", 2.0), ("ok", 6.0)],
        ("one", 1e-3): [("ok", 0.5), ("diverged", 9e9), ("ok", 0.25)],
        ("one", 1e-1): [("diverged", 9e9)] * 3,
        ("two", 1e-4): [("ok", 4.0), ("failed", None), ("timeout", 3.0)],
        ("two", 1e-3): [("ok", 0.125)],
    }
    records = [
        synthetic(impl, outcome, loss=loss, lr=lr, seed=seed, minute=seed)
        for (impl, lr), runs in ends.items()
        for seed, (outcome, loss) in enumerate(runs)
    ]
    keep(folder, "grid", *records)
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder with real experiments: `small` of one seed, `more` of three."""
    folder = tmp_path_factory.mktemp("real")
    words = (*small(folder, dtype="float64"), "--impl", "numpy_manual", "--quiet")
    assert twolayer("run", *words, cwd=folder).returncode == 0
    config = json.loads((folder / "small.yaml").read_text())
    (folder / "more.yaml").write_text(json.dumps(config | {"grid": {"seed": [0, 1, 2]}}))
    words = ("more.yaml", "--impl", "numpy_manual", "--jobs", "1", "--quiet")
    done = twolayer("sweep", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


# --- the list


def test_experiments_are_listed_with_what_became_of_them(grid):
    (row,) = rows_of("results", cwd=grid)
    files = [path for path in (grid / "results").rglob("*") if path.is_file()]
    assert row == {
        "experiment": "grid",
        "runs": 13,
        "outcomes": {"ok": 7, "diverged": 4, "failed": 1, "timeout": 1},
        "latest": "2026-01-01T00:02:00.000+00:00",
        "bytes": sum(path.stat().st_size for path in files),
    }
    head, _, line = succeed("results", cwd=grid).stdout.splitlines()
    assert head.split() == [*list(row)[:-1], "size"]
    assert "7 ok, 4 diverged, 1 failed, 1 timeout" in line
    assert "  2026-01-01 01:02  " in twolayer("results", cwd=grid, TZ="CET-1").stdout
    assert line.endswith("kB")


def test_runs_are_flat_rows(real):
    (row,) = rows_of("results", "small", cwd=real)
    record = stored(real)["numpy_manual"]
    assert tuple(row) == COLUMNS
    for name, value in record["config"].items():
        assert row[name] == value or name in ("device", "threads")
    same = ("impl", "outcome", "final_loss", "epochs_done", "import_s", "setup_s", "train_s")
    for name in (*same, "peak_bytes", "device", "threads", "framework", "started_at", "key"):
        assert row[name] == record[name]
    assert row["step_us"] == record["step_us"]["median"]
    assert row["version"] == record["versions"]["numpy"]
    assert row["host"] == record["machine"]["host"]
    assert row["folder"] == record["folder"].name
    assert row["error"] is None


def test_a_table_shows_what_tells_runs_apart(real, grid):
    ends = ["outcome", "final_loss", "train_s", "step_us"]
    assert lines_of("results", "small", cwd=real)[0] == ["impl", *ends]
    assert lines_of("results", "more", cwd=real)[0] == ["impl", "seed", *ends]
    assert lines_of("results", "grid", cwd=grid)[0] == ["impl", "lr", "seed", *ends]
    one_seed = lines_of("results", "grid", "--where", "seed == 0", cwd=grid)
    assert one_seed[0] == ["impl", "lr", *ends]


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ('lr<1e-3 and outcome=="ok"', 4),
        ("final_loss < 1", 3),
        ("not final_loss < 1", 10),
        ("final_loss == null", 1),
        ("1e-4 < lr <= 1e-3", 4),
        ("seed in [0, 2] and impl == 'one'", 6),
        ("outcome not in ['ok']", 6),
        ("bias", 0),
        ("not bias", 13),
        ("lr == 'word' or lr < 'word'", 0),
        ("lr > -1 and epochs_done == 0", 13),
    ],
)
def test_where_keeps_what_fits(grid, condition, count):
    assert len(rows_of("results", "grid", "--where", condition, cwd=grid)) == count


def test_nothing_fits(grid):
    lines = succeed("results", "grid", "--where", "lr > 1", cwd=grid).stdout.splitlines()
    assert lines[2:] == ["", "no run fits"]
    assert rows_of("results", "grid", "--where", "lr > 1", cwd=grid) == []


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("lrr < 1", "did you mean lr?"),
        ("nonsense < 1", "known are impl, N,"),
        ("impl == sgd", "'sgd' is not a column; if it is a value, write impl == \"sgd\"\n"),
        ("lr < 1 and impl in [sgd, 'one']", 'write impl == "sgd"'),
        ("impl == sgd or lrr < 1", 'write impl == "sgd"'),
        ("lr == lrr", "did you mean lr?"),
        ("open('x') == 1", "open('x')"),
        ("impl.__class__ == 1", "impl.__class__"),
        ("lr[0] == 1", "lr[0]"),
        ("(lambda: 1)() == 1", "lambda"),
        ("lambda: 1", "lambda"),
        ("__import__('os').system('touch x') == 0", "__import__"),
        ("[x for x in [1]] == lr", "for x in"),
        ("lr + 1 == 2", "lr + 1"),
        ("lr < 1 if seed else 0", "if seed"),
        ("f'{lr}' == 'x'", "f'"),
        ("lr is 1", "lr is 1"),
        ("lr = 1", "is not a condition"),
        ("lr <", "is not a condition"),
        ("", "is not a condition"),
        ("-" * 1900 + "1 == lr", "is not a condition"),
        ("lr" + ".a" * 900 + " == 1", "is not a condition"),
        ("(" * 900, "is not a condition"),
        ("lr == 1 or " * 500 + "lr == 1", "at most 2000 characters"),
    ],
)
def test_a_condition_is_never_run(grid, condition, said):
    told = refused("results", "grid", "--where", condition, cwd=grid)
    assert said in told
    assert "--where" in told
    assert len(told) < 500
    assert [path.name for path in grid.iterdir()] == ["results"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("final_loss", [0.125, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, *[9e9] * 4, None]),
        ("-final_loss", [*[9e9] * 4, 6.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.25, 0.125, None]),
        ("-impl", ["two"] * 4 + ["one"] * 9),
        ("error", ["ValueError: a mistake | of", *["stopped at epoch 0"] * 5, *[None] * 7]),
    ],
)
def test_sorting_puts_what_is_missing_last(grid, column, expected):
    rows = rows_of("results", "grid", "--sort", column, cwd=grid)
    assert [row[column.removeprefix("-")] for row in rows] == expected


def test_sorting_keeps_the_order_of_equals(grid):
    rows = rows_of("results", "grid", "--sort", "lr", "--columns", "lr,started_at", cwd=grid)
    pairs = [(row["lr"], row["started_at"]) for row in rows]
    assert pairs == sorted(pairs)


def test_columns_are_those_asked_for(grid):
    words = ("results", "grid", "--columns", "seed, impl,seed")
    assert lines_of(*words, cwd=grid)[0] == ["seed", "impl"]
    assert all(list(row) == ["seed", "impl"] for row in rows_of(*words, cwd=grid))
    header = succeed(*words, "--format", "csv", cwd=grid).stdout.partition("\n")[0]
    assert header == "seed,impl"


def test_csv_has_every_digit(tmp_path):
    losses = [1 / 3, 1e-300, 123456789.123456789, 5e-324]
    records = [synthetic(loss=x, lr=x % 1 or 0.1, seed=i) for i, x in enumerate(losses)]
    keep(tmp_path, "digits", *records)
    text = succeed("results", "digits", "--format", "csv", cwd=tmp_path).stdout
    rows = {int(row["seed"]): row for row in csv.DictReader(io.StringIO(text))}
    plain = {row["seed"]: row for row in rows_of("results", "digits", cwd=tmp_path)}
    for seed, record in enumerate(records):
        assert float(rows[seed]["final_loss"]) == record.final_loss == plain[seed]["final_loss"]
        assert float(rows[seed]["lr"]) == record.config["lr"] == plain[seed]["lr"]
        assert (rows[seed]["bias"], plain[seed]["bias"]) == ("false", False)
        assert (rows[seed]["error"], plain[seed]["error"]) == ("", None)


def test_markdown_has_as_many_cells_in_every_row(grid):
    words = ("results", "grid", "--columns", "impl,error,lr", "--format", "markdown")
    *lines, _, ending = succeed(*words, cwd=grid).stdout.splitlines()
    assert ending == "13 runs: 7 ok, 4 diverged, 1 failed, 1 timeout"
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert set(lines[1]) <= set("|:- ")


def test_runs_are_compared_from_within_their_folder(grid):
    runs = grid / "results" / "grid" / "runs"
    a, b = sorted(path.name for path in runs.iterdir())[:2]
    done = twolayer("diff", f"./{a}", f"./{b}", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert f"next: twolayer show grid --results {runs.parents[1]} --plot" in done.stderr


WIDE = (
    ("results",),
    ("results", "grid"),
    ("results", "grid", "--columns", ",".join(COLUMNS)),
    ("results", "grid", "--columns", "error,key,host"),
    ("show", "grid", "--rows", "lr", "--cols", "impl"),
    ("show", "grid", "--rows", "key", "--cols", "error"),
    ("show", "grid", "--best", "3"),
    ("diff", "grid", "grid"),
    ("results", "--prune"),
)


@pytest.mark.parametrize("words", WIDE)
def test_no_table_is_wider_than_the_terminal(tmp_path, words):
    name = "an_implementation_whose_name_goes_on_and_on_beyond_every_measure"
    keep(
        tmp_path,
        "grid",
        *(synthetic(name, lr=lr, seed=s) for lr in (1e-3, 1e-4) for s in (0, 1)),
        synthetic("failing", "failed", loss=None),
        synthetic("failing", loss=1.0, minute=1),
    )
    done = succeed(*words, cwd=tmp_path, COLUMNS="60")
    assert max(map(len, done.stdout.splitlines())) <= 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("results", "gird"), "did you mean grid?"),
        (("results", "nothing"), "there are grid"),
        (("results", "grid", "--sort", "los"), "'los' is not a column"),
        (("results", "grid", "--sort", "-final_los"), "did you mean final_loss?"),
        (("results", "grid", "--columns", "impl,outcom"), "did you mean outcome?"),
        (("results", "grid", "--columns", ""), "'' is not a column"),
        (("results", "--where", "lr < 1"), "needs the name of an experiment"),
        (("results", "--sort", "lr"), "needs the name of an experiment"),
        (("results", "--yes"), "needs --prune"),
        (("results", "grid", "--prune", "--where", "lr < 1"), "can't be used with --prune"),
        (("results", "grid", "--format", "xml"), "markdown"),
        (("results", "--results", "nowhere"), "holds no experiments"),
        (("show", "gird", "--rows", "lr"), "did you mean grid?"),
        (("show", "grid", "--rows", "lrr"), "did you mean lr?"),
        (("show", "grid", "--rows", "lr", "--cols", "imp"), "did you mean impl?"),
        (("show", "grid", "--rows", "lr", "--value", "loss"), "'loss' is not a column"),
        (("show", "grid", "--rows", "lr", "--value", "host"), "host has no mean"),
        (("show", "grid", "--cols", "lr"), "needs --rows"),
        (("show", "grid", "--value", "lr"), "needs --rows"),
        (("show", "grid", "--best", "0"), "--best"),
        (("show", "grid", "--best", "x"), "--best"),
        (("show", "grid", "--best", "1", "--rows", "lr"), "choose one"),
        (("show", "grid", "--best", "1", "--published"), "choose one"),
        (("diff", "grid"), "B"),
        (("diff", "grid", "gird"), "did you mean grid?"),
        (("diff", "grid", "grid/one-nothing"), "is neither a run nor an experiment"),
        (("diff", "grid", "./nowhere/at/all"), "is neither a run nor an experiment"),
        (("diff", "grid", "results"), "has no experiment results"),
        (("diff", "grid", "./results"), "is not the folder of a whole run"),
        (("diff", "grid", "x" * 5000), "has no experiment"),
        (("diff", "grid", "grid/" + "x" * 5000), "is neither"),
    ],
)
def test_what_can_not_be_done_exits_with_2_and_says_why(grid, words, said):
    told = refused(*words, cwd=grid, COLUMNS="300")
    assert said in told


def test_an_empty_results_folder_holds_no_experiments(tmp_path):
    (tmp_path / "results").mkdir()
    for line in ("results", "show --rows lr", "results --prune", "diff a b"):
        words = line.split()
        assert "holds no experiments yet" in refused(*words, cwd=tmp_path)
    (tmp_path / "results" / "a" / "runs").mkdir(parents=True)
    assert rows_of("results", cwd=tmp_path)[0]["runs"] == 0
    assert rows_of("results", "a", cwd=tmp_path) == []
    assert succeed("results", "a", cwd=tmp_path).stdout.splitlines()[-1] == "no runs"
    for words in (("show", "a"), ("show", "a", "--best", "1"), ("diff", "a", "a")):
        assert "holds no finished run" in refused(*words, cwd=tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        '{"impl": "made_up", "outco',
        "[]",
        "3",
        "null",
        "{}",
        "[" * 100_000,
        '{"impl": 3, "outcome": "ok", "config": {}}',
        '{"impl": "x", "outcome": "ok", "config": []}',
        '{"impl": "x", "outcome": "ok", "config": {}, "final_loss": "low"}',
        '{"impl": "x", "outcome": "ok", "config": {}, "step_us": [1]}',
        '{"impl": "x", "outcome": "ok", "config": {}, "final_loss": Infinity}',
        '{"impl": "x", "outcome": "ok", "config": {"lr": 1e999}}',
        f'{{"impl": "x", "outcome": "ok", "config": {{}}, "final_loss": {"9" * 400}}}',
        '{"impl": "x", "outcome": "failed", "config": {}, "error": {"type": "E"}}',
        b"\xff\xfe\x00",
    ],
    ids=lambda text: repr(text)[:25],
)
def test_what_is_no_whole_run_is_left_out_and_counted(tmp_path, text):
    (whole,) = keep(tmp_path, "torn", synthetic())
    torn = whole.with_name("made_up-0000000000")
    torn.mkdir()
    if text is not None:
        (torn / "result.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    (whole.parent / "a_file").write_text("stray")
    (whole.parent / ".tmp-old").mkdir()
    for words in (("results",), ("results", "torn"), ("show", "torn", "--best", "2")):
        done = succeed(*words, cwd=tmp_path)
        assert "left out 2 folders without a whole run" in done.stderr
        assert done.stdout.count("made_up") == (words != ("results",)) * (1 + (words[0] == "show"))
    succeed("show", "torn", cwd=tmp_path)
    succeed("diff", "torn", "torn", cwd=tmp_path)
    done = succeed("export", "torn", "--to", "jsonl", "--out", "torn.jsonl", cwd=tmp_path)
    assert done.stdout.startswith("1 run is in torn.jsonl; ")


def test_a_record_of_another_version_is_read(tmp_path):
    text = '{"impl": "x", "outcome": "ok", "config": {}, "source_sha256": "ab", "final_loss": 1'
    (tmp_path / "result.json").write_text(f'{text}, "made_up_later": [1e3]}}')
    record = read_summary(tmp_path)
    assert (record.source_sha256, record.final_loss, record.notes) == ({"x.py": "ab"}, 1, [])
    assert "made_up_later" not in record.summary()


def test_a_summary_is_a_record_without_losses_and_log(real):
    (folder,) = Store(real / "results", "small").folders()
    summary = read_summary(folder)
    whole = loaded(summary)
    assert len(whole.losses) == 20
    assert summary.losses == []
    assert summary.summary() == whole.summary()


def test_a_pipe_into_head_gives_no_traceback(grid):
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -n 1', "bash", *COMMAND, "results", "grid"],
        cwd=grid,
        env=environment(grid),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- averages and best runs


def test_a_pivot_is_what_hand_and_head_make_of_it(grid):
    words = ("show", "grid", "--rows", "lr", "--cols", "impl", "--value", "final_loss")
    cells = {(row["lr"], row["impl"]): row for row in rows_of(*words, cwd=grid)}
    assert list(cells) == [
        *((1e-4, "one"), (1e-4, "two"), (1e-3, "one"), (1e-3, "two"), (1e-1, "one"))
    ]
    low = cells[1e-4, "one"]  # 1, 2 and 6: mean 3, squares of the deviations 4 + 1 + 9 = 14
    assert (low["mean"], low["n"], low["others"]) == (3.0, 3, {})
    assert low["sd"] == pytest.approx(math.sqrt(14 / 2), rel=1e-15)
    high = cells[1e-3, "one"]  # 0.5 and 0.25
    assert (high["mean"], high["n"], high["others"]) == (0.375, 2, {"diverged": 1})
    assert high["sd"] == pytest.approx(0.125 * math.sqrt(2), rel=1e-15)
    two = cells[1e-4, "two"]
    assert (two["mean"], two["sd"], two["n"]) == (4.0, None, 1)
    assert two["others"] == {"failed": 1, "timeout": 1}
    assert cells[1e-1, "one"]["mean"] is None
    assert cells[1e-1, "one"]["others"] == {"diverged": 3}


def test_a_pivot_as_a_table(grid):
    text = succeed("show", "grid", "--rows", "lr", "--cols", "impl", cwd=grid).stdout
    head, _, *rows, _, caption = text.splitlines()
    assert head.split() == ["lr", "one", "two"]
    assert [re.split("  +", row.strip()) for row in rows] == [
        ["0.0001", "3.0000e+00 ± 2.6e+00 (3)", "4.0000e+00, 1 failed, 1 timeout"],
        ["0.001", "3.7500e-01 ± 1.8e-01 (2), 1 diverged", "1.2500e-01"],
        ["0.1", "3 diverged"],
    ]
    assert caption.startswith("final_loss of runs that ended as ok: mean ± standard deviation")
    assert caption.endswith("over seed")


def test_a_pivot_says_what_its_cells_average_over(grid):
    text = succeed("show", "grid", "--rows", "outcome", cwd=grid).stdout
    assert text.splitlines()[0].split() == ["outcome", "final_loss"]
    assert "over impl and lr and seed" in text


def test_a_pivot_without_columns_has_one(grid):
    (all_of_it,) = rows_of("show", "grid", "--rows", "epochs", "--value", "step_us", cwd=grid)
    assert (all_of_it["mean"], all_of_it["sd"], all_of_it["n"]) == (10.0, 0.0, 7)
    text = succeed("show", "grid", "--rows", "epochs", "--format", "csv", cwd=grid).stdout
    assert text.splitlines()[0] == "epochs,mean,sd,n,others"
    across = lines_of("show", "grid", "--rows", "impl", "--cols", "seed", cwd=grid)
    assert across[0] == ["impl", "seed=0", "seed=1", "seed=2"]


def test_what_was_made_again_counts_once(tmp_path):
    keep(
        tmp_path,
        "again",
        synthetic(loss=1.0, minute=0),
        synthetic(loss=2.0, minute=2, key="made_up-another000"),  # another source
        synthetic(loss=3.0, minute=1),
        synthetic("failing", "failed", loss=None, minute=3, seed=1),
        synthetic("failing", loss=5.0, minute=2, seed=1),
    )
    cells = rows_of("show", "again", "--rows", "impl", cwd=tmp_path)
    assert [(c["impl"], c["mean"], c["n"]) for c in cells] == [
        ("made_up", 2.0, 1),
        ("failing", 5.0, 1),
    ]
    assert len(rows_of("results", "again", cwd=tmp_path)) == 5


def test_best_are_the_lowest_final_losses(grid, real):
    rows = rows_of("show", "grid", "--best", "3", cwd=grid)
    assert [(row["impl"], row["lr"], row["final_loss"]) for row in rows] == [
        *(("two", 1e-3, 0.125), ("one", 1e-3, 0.25), ("one", 1e-3, 0.5))
    ]
    assert len(rows_of("show", "grid", "--best", "100", cwd=grid)) == 7
    (first, *_) = rows_of("show", "more", "--best", "1", cwd=real)
    assert first["final_loss"] == min(r["final_loss"] for r in rows_of("results", "more", cwd=real))


def test_show_without_a_name_takes_the_latest(real):
    seeds = {row["seed"] for row in rows_of("show", "--rows", "seed", cwd=real)}
    assert seeds == {0, 1, 2}


# --- the loss table


def epochs_shown(folder, *records):
    """The epochs that have a row in the loss table of some runs."""
    keep(folder, "one", *records)
    rows = list(
        csv.DictReader(succeed("show", "one", "--format", "csv", cwd=folder).stdout.split())
    )
    return [int(row["epoch"]) for row in rows]


@pytest.mark.parametrize(
    ("length", "step"), [(1, 1), (7, 1), (20, 2), (50, 5), (200, 20), (1000, 100), (3000, 500)]
)
def test_about_ten_epochs_have_a_row_and_the_last_does(tmp_path, length, step):
    run = synthetic(losses=[1.0] * length)
    assert epochs_shown(tmp_path, run) == sorted({*range(0, length, step), length - 1})


def test_the_longest_run_sets_the_step_and_each_has_its_last_epoch(tmp_path):
    old = synthetic("old", losses=[1.0] * 300, log_every=250)
    lengths = {"long": 1000, "half": 500, "short": 12}
    runs = [synthetic(name, losses=[1.0] * length) for name, length in lengths.items()]
    made_before = synthetic("made_before", losses=[1.0] * 3)
    del made_before.config["log_every"]
    shown = epochs_shown(tmp_path, *runs, old, made_before)
    assert shown == sorted({*range(0, 1000, 100), 999, 499, 11, 250, 299, 2})


# --- a summary of many


def test_show_answers_where_there_are_many_runs(tmp_path):
    losses = [1.0, 0.5]
    ok = [synthetic(loss=2.0 + seed, seed=seed, losses=losses) for seed in range(9)]
    keep(tmp_path, "many", *ok, synthetic("other", "diverged", loss=None, losses=losses))
    assert re.search(r"^epoch ", succeed("show", cwd=tmp_path).stdout)
    keep(tmp_path, "many", synthetic("other", "failed", loss=None, seed=1, minute=1))
    done = succeed("show", cwd=tmp_path)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["made_up", "9/9", "6.0000e+00", "2.0e+00–1.0e+01", "none"] in lines  # noqa: RUF001
    assert ["other", "0/2", "-", "1/2"] in lines
    assert [line[1] for line in lines if line[:1] == ["made_up"]][:-1] == list("01234")  # the best
    ending = done.stdout.rpartition("\n\n")[2].splitlines()
    assert ending[0] == "11 runs: 9 ok, 1 diverged, 1 failed."
    assert ending[1].startswith("Best: made_up, final loss 6.0000e+00 (the median of 9 seeds")
    for words in following(done):
        succeed(*words, cwd=tmp_path)
    table = succeed("show", "--format", "csv", cwd=tmp_path).stdout
    assert table.splitlines()[0].count(",") == 11


def following(done):
    """The commands that are said to come next, but for reports, which take long."""
    (line,) = re.findall(r"^next: (.*)$", done.stderr, re.M)
    commands = [shlex.split(command) for command in line.split("; ")]
    return [words[1:] for words in commands if words[1] != "report"]


# --- the latest call


def called(command, time, *records):
    """Records of one call of twolayer."""
    for record in records:
        record.command, record.invocation = f"twolayer {command}", time
    return records


def test_show_looks_at_the_latest_call_and_says_what_is_left_out(tmp_path):
    keep(tmp_path, "calls", *called("run", "1", synthetic("one"), synthetic("two"), synthetic("c")))
    assert succeed("show", cwd=tmp_path).stderr == ""
    keep(tmp_path, "calls", *called("run", "2", synthetic("two", lr=1e-3, losses=[1.0])))
    for words in ((), ("--format", "csv"), ("--best", "9"), ("--rows", "impl")):
        done = succeed("show", *words, cwd=tmp_path)
        assert "one" not in done.stdout
        assert done.stderr == "3 other runs of calls are left out; --all shows them\n"
        whole = succeed("show", "--all", *words, cwd=tmp_path)
        assert "one" in whole.stdout
        assert whole.stderr == ""


def test_curves_are_of_the_latest_call(tmp_path):
    losses = [2.0, 1.0]
    keep(tmp_path, "calls", *called("run", "1", synthetic("one", losses=losses)))
    keep(tmp_path, "calls", *called("run", "2", synthetic("two", losses=losses)))
    assert "one" not in succeed("show", "--plot", cwd=tmp_path).stdout
    assert "one" in succeed("show", "--plot", "--all", cwd=tmp_path).stdout


def test_labels_are_what_was_asked():
    runs = [Record("sgd", "ok", Config(threads=n).values(), threads=2) for n in ("auto", 2)]
    assert labels(runs) == ["sgd threads=auto", "sgd threads=2"]


def test_a_resumed_sweep_is_shown_whole_and_labelled_by_what_varies(tmp_path):
    keep(tmp_path, "s", *called("run --impl x", "0", synthetic("x")))
    first = called("sweep s.yaml", "1", *(synthetic(lr=lr, losses=[2.0]) for lr in (1e-4, 1e-3)))
    rest = called("sweep s.yaml", "2", synthetic(lr=1e-2, losses=[1.0], loss=0.5, minute=1))
    keep(tmp_path, "s", *first, *rest)
    done = succeed("show", "--format", "csv", cwd=tmp_path)
    header = done.stdout.splitlines()[0]
    assert header == "epoch,made_up lr=0.0001,made_up lr=0.001,made_up lr=0.01"
    assert done.stderr == "1 other run of s is left out; --all shows it\n"
    ending = succeed("show", cwd=tmp_path).stdout.rpartition("\n\n")[2].splitlines()
    best = "Best: made_up with lr=0.01, final loss 5.0000e-01."
    assert ending == ["3 runs: 3 ok.", best, "No run diverged."]


# --- diff


def compare(*words, cwd):
    """What `twolayer diff --format json` prints, and its differences as a dict by name."""
    found = rows_of("diff", *words, cwd=cwd)
    return found, [
        {(d["section"], d["name"]): (d["a"], d["b"]) for d in pair["differences"]}
        for pair in found["pairs"]
    ]


def test_the_same_run_twice_differs_in_time_only(real):
    found, (what,) = compare("small", "more", cwd=real)  # seed 0 has its like in both
    (pair,) = found["pairs"]
    assert pair["bit_equal"] is True
    assert (pair["first_apart"], pair["largest_deviation"]) == (None, 0.0)
    assert what == {}
    assert pair["train_ratio"] > 0
    assert pair["step_ratio"] > 0
    assert len(found["only_b"]) == 2
    done = succeed("diff", "small", "more", cwd=real)
    assert "bit-equal" in done.stdout
    assert "what differs" not in done.stdout
    assert re.search("^Only in more: numpy_manual-", done.stdout, re.M)


def test_runs_by_name_and_by_folder(real):
    folders = {row["seed"]: f"more/{row['folder']}" for row in rows_of("results", "more", cwd=real)}
    path = real / "results" / "more" / "runs" / folders[2].removeprefix("more/")
    for b in (folders[2], path, path.relative_to(real), f"{path}/"):
        found, (what,) = compare(folders[1], b, cwd=real)
        (pair,) = found["pairs"]
        assert what == {("settings", "seed"): (1, 2)}
        assert (pair["bit_equal"], pair["first_apart"]) == (False, 0)
        assert 0 < pair["largest_deviation"] <= 2
    found, _ = compare("./results/more", f"{real}/results/more/", cwd=real)
    assert [pair["bit_equal"] for pair in found["pairs"]] == [True] * 3
    assert "did you mean" in refused("diff", "small", f"{folders[1]}x", cwd=real)


def test_another_learning_rate_and_the_epoch_where_the_losses_part(tmp_path):
    a = synthetic(lr=1e-3, losses=[8.0, 4.0, 2.0, 1.0])
    b = synthetic(lr=1e-4, losses=[8.0, 4.0, 2.5, 0.5])
    b.train_s, b.step_us = 3.0, a.step_us | {"median": 5.0}
    keep(tmp_path, "a", a)
    keep(tmp_path, "b", b)
    found, (what,) = compare("a", "b", cwd=tmp_path)
    (pair,) = found["pairs"]
    assert what == {("settings", "lr"): (1e-3, 1e-4)}
    assert (pair["bit_equal"], pair["first_apart"]) == (False, 2)
    assert pair["largest_deviation"] == 0.5  # of 1 and 0.5
    assert (pair["train_ratio"], pair["step_ratio"]) == (2.0, 0.5)
    text = succeed("diff", "a", "b", cwd=tmp_path).stdout
    assert re.search(r"^settings: lr +0.001 +0.0001$", text, re.M)
    (row,) = csv.DictReader(
        io.StringIO(succeed("diff", "a", "b", "--format", "csv", cwd=tmp_path).stdout)
    )
    assert (row["first_apart"], row["bit_equal"], row["train_ratio"]) == ("2", "false", "2.0")
    assert text.endswith("\n\nThe losses are different from epoch 2 on, by up to 5.0e-01.\n")
    assert found["verdict"] in text


def test_a_longer_run_is_bit_equal_over_what_both_have(tmp_path):
    keep(tmp_path, "a", synthetic(losses=[8.0, 4.0], epochs=2))
    keep(tmp_path, "b", synthetic(losses=[8.0, 4.0, 2.0], epochs=3), synthetic("other"))
    done = succeed("diff", "a", "b", cwd=tmp_path)
    assert "  bit-equal for 2  " in done.stdout
    assert "differ " not in done.stdout
    only, ending = done.stdout.splitlines()[-2:]
    assert only.startswith("Only in b: other-")
    assert ending == "The losses are bit-equal over the 2 epochs that both have."


def test_the_verdict_on_several_pairs(tmp_path):
    for name, end in (("a", 1.0), ("b", 2.0)):
        equal = [synthetic(impl, losses=[2.0, 1.0]) for impl in ("one", "two")]
        keep(tmp_path, name, *equal, synthetic("three", losses=[4.0, end]))
    done = succeed("diff", "a", "b", cwd=tmp_path)
    parts = "2 bit-equal (one and two), 1 different from epoch 1 on, by up to 5.0e-01 (three)"
    assert done.stdout.splitlines()[-1] == f"Losses of 3 pairs: {parts}."
    assert len(following(done)) == 2
    same = succeed("diff", "a", "a", cwd=tmp_path)
    assert same.stdout.splitlines()[-1] == "The losses of all 3 pairs are bit-equal."
    assert same.stderr == ""


def test_another_source_version_and_machine(tmp_path):
    a, b = (synthetic(losses=[1.0]) for _ in range(2))
    b.source_sha256, b.versions = "b" * 64, a.versions | {"numpy": "2.1"}
    b.machine, b.git = a.machine | {"cores": 64}, {"commit": "c", "dirty": False}
    keep(tmp_path, "a", a)
    keep(tmp_path, "b", b)
    found, (what,) = compare("a", "b", cwd=tmp_path)
    assert found["pairs"][0]["bit_equal"] is True
    assert what == {
        ("source", "sha256 of made_up.py"): ("a" * 10, "b" * 10),
        ("source", "git commit"): (None, "c"),
        ("source", "git dirty"): (None, False),
        ("versions", "numpy"): ("2.0", "2.1"),
        ("machine", "cores"): (2, 64),
    }


def test_one_diverged(tmp_path):
    keep(tmp_path, "a", synthetic(losses=[4.0, 2.0, 1.0], loss=1.0))
    keep(tmp_path, "b", synthetic(outcome="diverged", losses=[4.0, 8.0, math.inf], loss=8.0))
    found, (what,) = compare("a", "b", cwd=tmp_path)
    (pair,) = found["pairs"]
    assert what == {("outcome", ""): ("ok", "diverged")}
    assert (pair["first_apart"], pair["largest_deviation"]) == (1, 0.75)  # of 2 and 8
    assert "ok → diverged" in succeed("diff", "a", "b", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], (True, None, 0.0)),
        ([1.0, 2.0], [1.0], (False, 1, 0.0)),
        ([1.0], [math.nextafter(1.0, 2)], (False, 0, 2.0**-52)),
        ([0.0], [0.0], (True, None, 0.0)),
        ([0.0], [-0.0], (False, 0, 0.0)),
        ([0.0, 1.0], [1.0, -1.0], (False, 0, 2.0)),
        ([1.0, math.nan], [1.0, math.nan], (True, None, 0.0)),
        ([math.nan], [1.0], (False, 0, None)),
        ([1e308], [-1e308], (False, 0, 2.0)),
        ([], [], (False, None, None)),
        ([], [1.0], (False, 0, None)),
    ],
)
def test_losses_are_compared_as_bits(a, b, expected):
    found = compare_losses(a, b)
    deviation = found["largest_deviation"]
    assert (found["bit_equal"], found["first_apart"]) == expected[:2]
    assert found["shared"] == min(len(a), len(b))
    assert deviation is expected[2] or math.isclose(deviation, expected[2])


def test_experiments_are_paired_by_settings_or_where_there_is_one_each(tmp_path):
    keep(tmp_path, "a", *(synthetic(seed=s, minute=s, losses=[s + 1.0]) for s in (0, 1, 2)))
    keep(tmp_path, "a", synthetic("single", lr=1e-2), synthetic("alone"))
    keep(tmp_path, "b", *(synthetic(seed=s, losses=[2.0], log_every=7) for s in (1, 2, 3)))
    keep(tmp_path, "b", synthetic("single", lr=1e-3))
    found, _ = compare("a", "b", cwd=tmp_path)
    made_up = [pair for pair in found["pairs"] if pair["impl"] == "made_up"]
    assert [pair["bit_equal"] for pair in made_up] == [True, False]
    assert [pair["impl"] for pair in found["pairs"]].count("single") == 1
    assert [name.partition("-")[0] for name in found["only_a"]] == ["alone", "made_up"]
    assert len(found["only_b"]) == 1
    lines = succeed("diff", "a", "b", cwd=tmp_path).stdout
    assert re.search(r"^settings: log_every +auto +7 +made_up$", lines, re.M)


def test_nothing_to_compare(tmp_path):
    keep(tmp_path, "a", synthetic("one"))
    keep(tmp_path, "b", synthetic("two"))
    assert "no implementation is in both" in refused("diff", "a", "b", cwd=tmp_path)
    folders = [f"{e}/{next((tmp_path / f'results/{e}/runs').iterdir()).name}" for e in "ab"]
    _, (what,) = compare(*folders, cwd=tmp_path)  # two runs are compared whatever they are
    assert what[("source", "implementation")] == ("one", "two")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "words",
    [
        ("results",),
        ("results", "grid"),
        ("show", "grid", "--rows", "lr", "--cols", "impl"),
        ("show", "grid", "--best", "2"),
        ("diff", "grid", "grid"),
        ("results", "--prune"),
    ],
)
def test_every_command_has_every_format(grid, words, form):
    text = succeed(*words, "--format", form, cwd=grid).stdout
    if form == "json":
        assert json.loads(text) or words[-1] == "--prune"
    if form == "csv":
        assert len({len(line) for line in csv.reader(io.StringIO(text))}) <= 1
    assert "Traceback" not in text


# --- prune


def prune(*words, cwd):
    """Prune; returns the paths that are listed and what is said of them."""
    listed = rows_of("results", "--prune", *(word for word in words if word != "--yes"), cwd=cwd)
    done = succeed("results", "--prune", *words, cwd=cwd)
    return [row["path"] for row in listed], done.stdout + done.stderr


def leave(folder, *, days):
    """Leave what a command that was killed so many days ago leaves; returns it."""
    left = folder / f".tmp-{len(list(folder.iterdir()))}"
    left.mkdir()
    (left / "losses.csv").write_bytes(b"x" * 1000)
    then = time.time() - 86400 * days
    os.utime(left, (then, then))
    return left


def test_only_temporaries_older_than_a_day_go(tmp_path):
    (run,) = keep(tmp_path, "mine", synthetic())
    old = leave(run.parent, days=1.01)
    bench = tmp_path / "results" / "mine" / "bench"
    bench.mkdir()
    old_bench = leave(bench, days=400)
    table = run.parent.parent / ".tmp-table"  # one of results.csv
    table.write_bytes(b"y" * 500)
    os.utime(table, (0, 0))
    new = leave(run.parent, days=0.99)
    other = run.parent / "notes.txt"
    other.write_text("mine")
    os.utime(other, (0, 0))
    everything = set(tmp_path.rglob("*"))

    listed, said = prune(cwd=tmp_path)
    assert {tmp_path / path for path in listed} == {old, old_bench, table}
    assert "\n3 folders and files can be deleted, 2.5 kB\n" in said
    assert said.endswith("\nnext: twolayer results --prune --yes\n")
    assert f"{new.name} stays: written to within the last day" in said
    assert set(tmp_path.rglob("*")) == everything

    listed, said = prune("--yes", cwd=tmp_path)
    assert {tmp_path / path for path in listed} == {old, old_bench, table}
    assert "\n3 folders and files deleted, 2.5 kB\n" in said
    gone = {old, old_bench, table, old / "losses.csv", old_bench / "losses.csv"}
    assert set(tmp_path.rglob("*")) == everything - gone
    assert prune("--yes", cwd=tmp_path)[0] == []


def test_attempts_older_than_the_newest_finished_go(tmp_path):
    keep(
        tmp_path,
        "mine",
        synthetic(outcome="failed", loss=None, minute=0, key="made_up-0"),
        synthetic(loss=1.0, minute=1, key="made_up-0"),
        synthetic(outcome="interrupted", minute=2, key="made_up-0"),
        synthetic(outcome="failed", loss=None, minute=0, key="made_up-1"),
        synthetic(outcome="failed", loss=None, minute=1, key="made_up-1"),
        synthetic(loss=1.0, minute=3, key="made_up-2"),
        synthetic(outcome="diverged", minute=2, key="made_up-2"),
        synthetic(loss=1.0, key="made_up-3"),
    )
    listed, said = prune("mine", cwd=tmp_path)
    assert [path.rpartition("/")[2] for path in listed] == ["made_up-0", "made_up-2.2"]
    runs = tmp_path / "results" / "mine" / "runs"
    size = sum(f.stat().st_size for path in listed for f in (tmp_path / path).iterdir())
    assert f"{size / 1000:.3g} kB" in said
    prune("mine", "--yes", cwd=tmp_path)
    assert sorted(path.name for path in runs.iterdir()) == [
        *("made_up-0.2", "made_up-0.3", "made_up-1", "made_up-1.2", "made_up-2", "made_up-3")
    ]
    table = succeed("results", "--prune", cwd=tmp_path)
    assert (table.stdout, table.stderr) == ("nothing to delete\n", "")


def test_prune_follows_no_link_out(tmp_path):
    (kept,) = keep(tmp_path, "mine", synthetic(key="made_up-0", minute=1))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "result.json").write_text(json.dumps(synthetic(key="made_up-0", minute=0).summary()))
    (kept.parent / "made_up-0.2").symlink_to(outside)
    link = kept.parent / ".tmp-link"
    link.symlink_to(outside)
    os.utime(link, (0, 0), follow_symlinks=False)
    listed, _ = prune("--yes", cwd=tmp_path)
    assert [tmp_path / path for path in listed] == [link]
    assert not link.is_symlink()
    assert (outside / "result.json").is_file()


WRITER = """
import sys, time
from pathlib import Path
from twolayer.results import store
def wait(path, text, was=store.put):
    was(path, text)
    print("half", flush=True)
    sys.stdin.read()
store.put = wait
from twolayer.results.record import Record
store.Store(Path("results"), "mine").write(Record("made_up", "ok", {}, key="made_up-0"))
"""


def test_a_run_that_is_being_saved_is_left_alone(tmp_path):
    command = [sys.executable, "-P", "-c", WRITER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as writer:
        assert writer.stdout.readline() == "half\n"
        listed, said = prune("--yes", cwd=tmp_path)
        assert (listed, "stays: written to within the last day" in said) == ([], True)
        writer.kill()
        writer.wait()
    (left,) = (tmp_path / "results" / "mine" / "runs").iterdir()
    os.utime(left, (0, 0))
    listed, _ = prune("--yes", cwd=tmp_path)
    assert [tmp_path / path for path in listed] == [left]
    assert not left.exists()


def test_pruning_while_a_command_runs_loses_nothing(tmp_path):
    words = ("run", *small(tmp_path), *planted("plain_floats", "chunks", "numpy_manual"))
    command = start(*words, "--quiet", cwd=tmp_path)
    folder = tmp_path / "results" / "small" / "runs"
    assert wait_for(folder.is_dir)
    while command.poll() is None:
        prune("--yes", cwd=tmp_path)
    command.communicate()
    assert command.returncode == 0
    assert set(stored(tmp_path)) == {"plain_floats", "chunks", "numpy_manual"}
