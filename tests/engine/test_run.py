"""`twolayer run` and its neighbours: what they read, run, print, keep and answer."""

import csv
import io
import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from command import (
    COMMAND,
    PLANTED,
    environment,
    left_behind,
    losses,
    on_a_terminal,
    planted,
    small,
    start,
    stored,
    twolayer,
)
from twolayer import Config
from twolayer.config import catalogue
from twolayer.config.settings import DEFAULTS
from twolayer.impls import numpy_manual
from twolayer.results import tables
from twolayer.results.record import Record

TEN = list(catalogue.LESSON)
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|9[0-7])(?:;\d+)*m")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def succeed(*words, cwd, **env):
    """Run `twolayer`, which is to exit with 0; returns the CompletedProcess."""
    done = twolayer(*words, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    return done


def records(*words, cwd):
    """The records that `twolayer run --format json` prints."""
    return json.loads(succeed("run", *words, "--format", "json", cwd=cwd).stdout)


def terminal(*words, cwd, **options):
    """Run `twolayer` on a terminal; returns its exit code and all that was written."""
    with on_a_terminal(*words, cwd=cwd, **options) as spawned:
        written = spawned.read()
    return spawned.exitstatus, written


def blocks(text):
    """The tables in a text: each a header and rows, as lists of words."""
    paragraphs = (paragraph.splitlines() for paragraph in text.split("\n\n"))
    tables = (lines for lines in paragraphs if len(lines) > 2 and set(lines[1]) == {"─", " "})
    return [[lines[0].split(), *(line.split() for line in lines[2:])] for lines in tables]


def widest(text):
    """The width of the widest table in a text; sentences are only wrapped on a terminal."""
    paragraphs = [paragraph.splitlines() for paragraph in text.split("\n\n")]
    return max(max(map(len, lines)) for lines in paragraphs if len(lines) > 2)


# --- what is run


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--impl", "numpy_manual"), ["numpy_manual"]),
        ((*planted("chunks"), *planted("plain_floats")), ["chunks", "plain_floats"]),
        (planted("plain_floats", "numpy_manual"), ["plain_floats", "numpy_manual"]),
        (
            (*planted("plain_floats", "numpy_manual"), *planted("chunks")),
            ["plain_floats", "numpy_manual", "chunks"],
        ),
    ],
    ids=["one", "repeated", "commas", "both"],
)
def test_impl_chooses_what_is_run_in_that_order(tmp_path, words, names):
    assert [r["impl"] for r in records(*small(tmp_path), *words, cwd=tmp_path)] == names
    assert set(stored(tmp_path)) == set(names)


def test_every_setting_has_an_option(tmp_path):
    settings = {
        "N": 7,
        "H": 3,
        "D_in": 4,
        "D_out": 2,
        "lr": 1e-4,
        "momentum": 0.0,
        "epochs": 6,
        "device": "cpu",
        "dtype": "float64",
        "seed": 3,
        "init": "uniform",
        "bias": False,
        "threads": 1,
        "log_every": 2,
    }
    options = [
        word
        for name, value in settings.items()
        for word in (f"--{name.replace('_', '-')}", str(value).lower())
    ]
    (record,) = records(*small(tmp_path), "--impl", "numpy_manual", *options, cwd=tmp_path)
    assert record["config"] == settings
    assert record["threads"] == 1


LAYERS = """\
name: layers
impls: [numpy_manual, sgd]
epochs: 20
seed: 4
overrides:
  numpy_manual: {epochs: 7}
"""


@pytest.mark.parametrize(
    ("words", "numpy", "sgd"),
    [
        ((), "7 layers.yaml:6:26", "20 layers.yaml:3:9"),
        (("--epochs", "5"), "5 --epochs", "5 --epochs"),
        (("--set", "epochs=5"), "5 --set epochs", "5 --set epochs"),
        (("--set", "sgd.epochs=3"), "7 layers.yaml:6:26", "3 --set sgd.epochs"),
        (("--set", "sgd.epochs=3", "--epochs", "5"), "5 --epochs", "3 --set sgd.epochs"),
    ],
)
def test_the_command_line_wins_over_the_file_and_one_over_all(tmp_path, words, numpy, sgd):
    (tmp_path / "layers.yaml").write_text(LAYERS)
    done = succeed("config", "--config", "layers.yaml", *words, cwd=tmp_path)
    epochs = re.findall(r"^  epochs: (\d+) +# (.+)$", done.stdout, re.M)
    assert [" ".join(found) for found in epochs] == [numpy, sgd]


def test_what_config_shows_is_what_is_run(tmp_path):
    words = (*small(tmp_path), "--impl", "numpy_manual", "--set", "numpy_manual.lr=5e-4")
    shown = succeed("config", *words, cwd=tmp_path).stdout
    (record,) = records(*words, cwd=tmp_path)
    printed = yaml.safe_load(shown)["numpy_manual"]
    assert {name: str(value) for name, value in printed.items()} == {
        name: str(value) for name, value in record["config"].items()
    }
    assert record["config"]["lr"] == 5e-4
    assert re.search(r"^  seed: 0 +# default$", shown, re.M)


def test_the_config_is_the_notebook_unless_said_otherwise(tmp_path):
    shown = succeed("config", cwd=tmp_path).stdout
    assert re.findall(r"^(\w+):$", shown, re.M) == TEN
    assert shown == succeed("config", "--config", "notebook", cwd=tmp_path).stdout


def test_name_and_results_say_where(tmp_path):
    words = (*small(tmp_path), *planted("plain_floats"), "--results", "kept", "--name", "mine")
    done = succeed("run", *words, cwd=tmp_path)
    assert [path.name for path in tmp_path.glob("kept/mine/runs/*/result.json")] == ["result.json"]
    assert not (tmp_path / "results").exists()
    assert "kept/mine" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("frobnicate",), "frobnicate"),
        (("run", "--epoch", "3"), "--epochs"),
        (("run", "--epochs"), "--epochs"),
        (("run", "stray"), "stray"),
        (("run", "--format", "xml"), "markdown"),
        (("run", "--impl", "sdg"), "did you mean sgd?"),
        (("run", "--config", "notebok"), "did you mean notebook?"),
        (("run", "--impl", "./nowhere.py"), "nowhere.py"),
        (("run", "--impl", "numpy_manual", "--results", "/dev/null/x"), "/dev/null/x"),
        (("run", "--impl", "numpy_manual", "--name", "../up"), "../up"),
        (("run", "--config", "smoke", "--published"), "--published"),
        (("list", "--nonsense"), "--nonsense"),
        (("config", "--epochs", "none"), "'none'"),
        (("show",), "twolayer run"),
    ],
)
def test_what_can_not_be_done_exits_with_2_and_says_why(tmp_path, words, said):
    done = twolayer(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_number_of_threads_in_the_environment_is_said_to_have_no_effect(tmp_path):
    words = (*small(tmp_path), "--impl", "numpy_manual")
    said = "note: OMP_NUM_THREADS=999 has no effect, --threads decides"
    (tmp_path / "sweep.yaml").write_text("impls: numpy_manual\nepochs: 2\nN: 2\n")
    for command in (("run", *words), ("sweep", "sweep.yaml")):
        assert said in succeed(*command, cwd=tmp_path, OMP_NUM_THREADS="999").stderr
    for command in (("run", *words, "--threads", "1"), ("run", *words, "-q"), ("config", *words)):
        assert said not in succeed(*command, cwd=tmp_path, OMP_NUM_THREADS="999").stderr


def test_version(tmp_path):
    assert succeed("--version", cwd=tmp_path).stdout == f"twolayer {version('twolayer')}\n"


def test_list_shows_the_ten_with_their_frameworks_and_titles(tmp_path):
    lines = succeed("list", cwd=tmp_path).stdout.splitlines()
    shown = {line.partition(" ")[0]: line for line in lines}
    assert [name for name in shown if name in TEN] == TEN
    for item in (catalogue.find(name) for name in TEN):
        assert f"{item.framework} {version(item.framework)}" in shown[item.name]
        assert item.title in shown[item.name]


# --- what is printed


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A folder with a finished experiment: one ok, one failed, one diverged."""
    folder = tmp_path_factory.mktemp("three")
    words = (*small(folder, dtype="float64"), *planted("numpy_manual", "raises", "nan_at_5"))
    done = twolayer("run", *words, cwd=folder)
    assert done.returncode == 3
    return folder, done


def test_the_losses_in_the_file_are_those_that_were_computed(three):
    folder, _ = three
    sizes = {"N": 8, "H": 4, "D_in": 5, "D_out": 2}
    cfg = Config(**sizes, lr=1e-3, epochs=20, dtype="float64")
    computed = [float(loss) for loss in numpy_manual.train(cfg)]
    assert stored(folder)["numpy_manual"]["losses"] == computed


def test_json_is_alone_on_stdout_and_holds_the_records(tmp_path):
    words = (*small(tmp_path, dtype="float64"), *planted("numpy_manual", "raises"))
    done = twolayer("run", *words, "--format", "json", cwd=tmp_path)
    kept = stored(tmp_path)
    for record in json.loads(done.stdout):
        assert record.items() <= kept[record["impl"]].items()
    assert "raises" in done.stderr
    assert done.returncode == 3


def test_csv_has_every_digit(three):
    folder, _ = three
    done = succeed("show", "--format", "csv", cwd=folder)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    kept = stored(folder)
    lasts = {len(record["losses"]) - 1 for record in kept.values() if record["losses"]}
    epochs = sorted({0, 10} | lasts)  # log_every is 10; the last of each has a row
    assert [int(row["epoch"]) for row in rows] == epochs
    for name, losses_kept in ((name, record["losses"]) for name, record in kept.items()):
        shown = [row[name] and float(row[name]) for row in rows]
        expected = [losses_kept[e] if e < len(losses_kept) else "" for e in epochs]
        assert list(map(str, shown)) == list(map(str, expected))  # as words: nan is not nan


def test_markdown_has_as_many_cells_in_every_row(three):
    folder, _ = three
    text = succeed("show", "--format", "markdown", cwd=folder).stdout
    losses_table, summary = (part.splitlines() for part in text.split("\n\n")[:2])
    for table in (losses_table, summary):
        assert {line.count("|") for line in table} == {table[0].count("|")}
        assert set(table[1]) <= set("|:- ")
    assert losses_table[0] == "| epoch | numpy_manual | raises | nan_at_5 |"
    assert [line.split()[1] for line in summary[2:]] == ["numpy_manual", "raises", "nan_at_5"]
    assert "raises failed: ValueError: the planted mistake" in text


def test_the_table_lines_losses_up(three):
    _, done = three
    table, summary = blocks(done.stdout)
    assert table[0] == ["epoch", "numpy_manual", "raises", "nan_at_5"]
    assert table[1][0] == "0"
    assert re.fullmatch(r"\d\.\d{4}e[+-]\d\d", table[1][1])
    assert [row[:2] for row in summary[1:]] == [
        ["numpy_manual", "ok"],
        ["raises", "failed"],
        ["nan_at_5", "diverged"],
    ]
    head, _, *rows = done.stdout.splitlines()[:5]
    end = head.index("numpy_manual") + len("numpy_manual")
    assert all(row[end - 1].isdigit() and row[end : end + 1].strip() == "" for row in rows)


def test_a_verbose_summary_shows_all_that_was_measured(tmp_path):
    words = (*small(tmp_path, dtype="float64"), *planted("numpy_manual"))
    lines = succeed("run", *words, "--verbose", cwd=tmp_path).stdout.splitlines()
    head, _, row, *_ = lines[next(i for i, line in enumerate(lines) if "outcome" in line) :]
    cells = dict(zip(re.split("  +", head), re.split("  +", row), strict=True))
    record = stored(tmp_path)["numpy_manual"]
    assert cells["final loss"] == f"{record['final_loss']:.4e}"
    assert set(cells["log loss"]) <= set("▁▂▃▄▅▆▇█")
    assert cells["log loss"][0] == "█"
    assert cells["µs/step"] == f"{record['step_us']['median']:.1f}"
    assert cells["peak MB"] == f"{record['peak_bytes'] / 1e6:.0f}"
    assert (cells["device"], cells["threads"]) == ("cpu", str(record["threads"]))
    times = [cells[name] for name in ("import s", "set-up s", "train s")]
    assert times == [
        f"{record[key]:.{digits}f}"
        for key, digits in (("import_s", 2), ("setup_s", 3), ("train_s", 3))
    ]


def test_the_summary_has_the_settings_that_differ_and_a_footer_the_others(tmp_path):
    words = (*small(tmp_path), *planted("plain_floats", "numpy_manual"))
    sets = ("--set", "numpy_manual.dtype=float64", "--set", "plain_floats.epochs=7")
    done = succeed("run", *words, *sets, "--threads", 1, cwd=tmp_path)
    _, summary = blocks(done.stdout)
    assert summary[0][:3] == ["implementation", "epochs", "dtype"]
    assert [row[:3] for row in summary[1:]] == [
        ["plain_floats", "7", "float32"],
        ["numpy_manual", "20", "float64"],
    ]
    assert "outcome" not in summary[0]
    assert not {"import", "device", "threads"} & set(summary[0])
    footer, verdict = done.stdout.strip().split("\n\n")[-2:]
    assert footer.startswith("all: cpu, 1 thread, N=8, H=4, D_in=5, D_out=2, lr=0.001, seed=0")
    assert verdict == (
        "2 of 2 ok; epochs and dtype differ: "
        "losses and times compare only between runs that agree in them"
    )


def test_the_same_work_is_compared(tmp_path):
    words = (*small(tmp_path), *planted("plain_floats", "rises"))
    verdict = succeed("run", *words, cwd=tmp_path).stdout.strip().split("\n\n")[-1]
    kept = {name: f"{record['final_loss']:.4e}" for name, record in stored(tmp_path).items()}
    ends = f"{kept['plain_floats']} (plain_floats) to {kept['rises']} (rises)"
    assert verdict == f"2 of 2 ok, with the same settings; final losses from {ends}"
    words = (*small(tmp_path), "--impl", "numpy_manual,torch_manual", "--dtype", "float64")
    verdict = succeed("run", *words, cwd=tmp_path).stdout.strip().split("\n\n")[-1]
    assert re.fullmatch(
        r"2 of 2 ok, with the same settings and final loss \d\.\d{4}e.\d\d", verdict
    )


def test_the_verdict_counts_what_did_not_end_well(three):
    _, done = three
    verdict = done.stdout.strip().split("\n\n")[-1]
    assert verdict == "1 of 3 ok, 1 failed, 1 diverged (a smaller lr may help)"
    assert done.stderr.splitlines()[-1] == f"next: twolayer check {PLANTED}/raises.py"


def test_what_comes_next_can_be_called_as_it_is_printed(tmp_path):
    words = (*small(tmp_path), *planted("numpy_manual"), "--results", "kept", "--log-every=5")
    done = succeed("run", *words, "--lr", "1e-4", "--epochs", "6", cwd=tmp_path)
    commands = re.split(r"; |\n +", done.stderr.partition("\nnext: ")[2].strip())
    assert commands == [
        "twolayer report small --results kept",
        "twolayer verify --config small.yaml --impl numpy_manual --lr 1e-4 --epochs 6",
        "twolayer bench --config small.yaml --impl numpy_manual --lr 1e-4",
    ]
    succeed(*commands[1].split()[1:], cwd=tmp_path)


def test_in_80_columns_the_notebook_is_one_block(tmp_path):
    """And what has no room is named; on a wider terminal it is there."""
    rows = "--impl", "numpy_manual,dynamic_net", "--set", "numpy_manual.epochs=3"
    succeed("run", *rows, "--set", "dynamic_net.epochs=2", cwd=tmp_path)
    narrow = succeed("show", cwd=tmp_path, COLUMNS="80").stdout
    names = ["implementation", "lr", "momentum", "epochs", "dtype", "init", "bias"]
    assert [block[0] for block in blocks(narrow)[1:]] == [[*names, "final", "loss"]]
    assert "\n(a wider terminal shows log loss, train s, µs/step, peak MB)\n" in narrow
    wide = succeed("show", cwd=tmp_path, COLUMNS="150").stdout
    assert blocks(wide)[1][0][-6:] == ["loss", "train", "s", "µs/step", "peak", "MB"]


def test_a_pipe_gets_plain_lines(three):
    _, done = three
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    ended = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert [line.split()[:2] for line in ended] == [
        ["[1/3]", "numpy_manual"],
        ["[2/3]", "raises"],
        ["[3/3]", "nan_at_5"],
    ]


def test_quiet_shows_results_only(tmp_path):
    words = (*small(tmp_path), *planted("plain_floats", "numpy_manual"))
    done = succeed("run", *words, "--quiet", cwd=tmp_path)
    assert done.stderr == ""
    assert len(blocks(done.stdout)) == 2


def test_show_repeats_what_run_printed(three):
    folder, done = three
    assert succeed("show", cwd=folder).stdout == done.stdout
    assert succeed("show", "small", cwd=folder).stdout == done.stdout
    shown = json.loads(succeed("show", "--format", "json", cwd=folder).stdout)
    assert [record["impl"] for record in shown] == ["numpy_manual", "raises", "nan_at_5"]


def test_show_takes_the_latest_run_unless_told_which(tmp_path):
    words = (*small(tmp_path), *planted("plain_floats"))
    first = succeed("run", *words, "--name", "z_first", cwd=tmp_path).stdout
    again = succeed("run", *words, "--name", "a_second", "--epochs", "5", cwd=tmp_path).stdout
    assert first != again
    assert succeed("show", cwd=tmp_path).stdout == again
    assert succeed("show", "z_first", cwd=tmp_path).stdout == first
    done = twolayer("show", "z_frist", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean z_first?" in done.stderr


PUBLISHED = "implementation,epoch,loss\nnumpy_manual,0,123.5\nplain_floats,10,0.25\n"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with a config that names published losses, and what its run printed."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "printed.csv").write_text(PUBLISHED)
    words = (*small(folder, published="printed.csv"), *planted("numpy_manual", "plain_floats"))
    return folder, succeed("run", *words, "--published", cwd=folder).stdout


def test_published_losses_stand_beside_ours(published):
    _, text = published
    lines = [line for line in text.splitlines() if line[:6].strip().isdigit()]
    assert text.splitlines()[0].count("notebook") == 2
    assert [len(line.split()) for line in lines] == [4, 4, 3]  # the last epoch is ours
    assert lines[0].split()[2] == "1.2350e+02"
    assert lines[1].split()[3] == "2.5000e-01"


def test_the_notebook_comes_with_what_it_printed(tmp_path):
    words = ("--impl", "numpy_manual", "--epochs", "2", "--published")
    shown = blocks(succeed("run", *words, cwd=tmp_path).stdout)[0]
    assert shown[1][2] == "2.7440e+07"
    words = ("show", "--published")
    assert blocks(succeed(*words, cwd=tmp_path).stdout)[0] == shown


@pytest.mark.parametrize("columns", [31, 45, 56])
def test_a_published_column_is_never_split_from_ours(published, columns):
    folder, _ = published
    words = (*small(folder, published="printed.csv"), *planted("numpy_manual", "plain_floats"))
    done = succeed("run", *words, "--published", cwd=folder, COLUMNS=str(columns))
    heads = [block[0] for block in blocks(done.stdout) if block[0][0] == "epoch"]
    assert widest(done.stdout) <= columns
    assert heads == [
        ["epoch", "numpy_manual", "(notebook)"],
        ["epoch", "plain_floats", "(notebook)"],
    ]


# --- on a terminal


def test_a_terminal_gets_colour_and_live_lines(tmp_path):
    words = (*small(tmp_path, epochs=150), *planted("raises", "slow"))
    code, written = terminal("run", *words, cwd=tmp_path)
    live, results = written.rsplit("\x1b[?25h", 1)
    assert code == 3
    assert COLOUR.search(live)
    assert "steps/s" in live
    assert "s left" in live
    assert live.count("raises") > 1  # drawn more than once
    assert COLOUR.search(results)
    assert len(blocks(ESCAPE.sub("", results).replace("\r\n", "\n"))) == 2


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_a_terminal_that_wants_no_colour_gets_none(tmp_path, env):
    words = (*small(tmp_path, epochs=100), *planted("raises", "slow"))
    code, written = terminal("run", *words, cwd=tmp_path, **env)
    assert code == 3
    assert not COLOUR.search(written)
    assert "raises" in written


def test_a_dumb_terminal_gets_plain_lines(tmp_path):
    words = (*small(tmp_path), *planted("plain_floats", "raises"))
    _, written = terminal("run", *words, cwd=tmp_path, TERM="dumb")
    assert "\x1b" not in written
    assert "[1/2] plain_floats" in written
    assert "[2/2] raises" in written


def test_quiet_on_a_terminal_draws_nothing(tmp_path):
    words = (*small(tmp_path), *planted("plain_floats"), "--quiet")
    code, written = terminal("run", *words, cwd=tmp_path)
    assert code == 0
    assert "\x1b[?25l" not in written
    assert written.startswith("epoch")


@pytest.mark.parametrize("columns", [60, 90])
def test_no_line_is_wider_than_the_terminal(tmp_path, columns):
    names = ("plain_floats", "chunks", "numpy_manual", "leaves_a_thread", "forks", "slow")
    words = (*small(tmp_path, epochs=100), *planted(*names))
    code, written = terminal("run", *words, cwd=tmp_path, columns=columns)
    lines = re.split(r"\r?\n|\r", ESCAPE.sub("", written))
    assert code == 0
    assert len(lines) > 20
    assert [line for line in lines if len(line) > columns and "  twolayer " not in line] == []


# --- what is kept


def test_a_second_run_never_replaces_the_first(tmp_path):
    words = ("run", *small(tmp_path), *planted("numpy_manual"))
    succeed(*words, cwd=tmp_path)
    (first,) = (tmp_path / "results" / "small" / "runs").iterdir()
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.iterdir()}
    succeed(*words, cwd=tmp_path)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.iterdir()}
    assert after == before
    runs = sorted(path.name for path in first.parent.iterdir())
    assert runs == [first.name, f"{first.name}.2"]
    started = [json.loads((first.parent / run / "result.json").read_text()) for run in runs]
    assert started[0]["started_at"] < started[1]["started_at"]


def test_a_record_can_be_run_again_from_its_own_config(tmp_path):
    succeed("run", *small(tmp_path, dtype="float64"), *planted("numpy_manual"), cwd=tmp_path)
    first = stored(tmp_path)["numpy_manual"]
    words = ("run", "--config", first["folder"] / "config.yaml", "--name", "again")
    succeed(*words, cwd=tmp_path)
    second = stored(tmp_path, "again")["numpy_manual"]
    assert second["folder"].name == first["folder"].name
    assert second["losses"] == first["losses"]


def test_two_settings_are_two_folders(tmp_path):
    words = ("run", *small(tmp_path), *planted("numpy_manual"))
    succeed(*words, cwd=tmp_path)
    succeed(*words, "--seed", "1", cwd=tmp_path)
    runs = [path.name for path in (tmp_path / "results" / "small" / "runs").iterdir()]
    assert all(re.fullmatch(r"numpy_manual-[0-9a-f]{10}", name) for name in runs)
    assert len(runs) == 2


def test_several_commands_may_write_one_experiment_at_once(tmp_path):
    words = ("run", *small(tmp_path), *planted("plain_floats", "chunks"))
    commands = [start(*words, cwd=tmp_path) for _ in range(3)]
    ended = [(*command.communicate(timeout=60), command.returncode) for command in commands]
    assert [code for _, _, code in ended] == [0, 0, 0]
    runs = list((tmp_path / "results" / "small" / "runs").iterdir())
    assert len(runs) == 6
    assert all(len(losses(run)) == 20 for run in runs)


def test_results_csv_has_a_row_for_each_run(three):
    folder, _ = three
    with (folder / "results" / "small" / "results.csv").open(newline="") as file:
        rows = {row["impl"]: row for row in csv.DictReader(file)}
    kept = stored(folder)
    assert {name: row["outcome"] for name, row in rows.items()} == {
        name: record["outcome"] for name, record in kept.items()
    }
    assert float(rows["numpy_manual"]["final_loss"]) == kept["numpy_manual"]["final_loss"]


# --- nobody reads on


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_closed_pipe_loses_no_result(tmp_path, stream):
    command = start("run", *small(tmp_path), *planted("plain_floats", "chunks"), cwd=tmp_path)
    getattr(command, stream).close()
    other = getattr(command, "stderr" if stream == "stdout" else "stdout")
    with other:
        shown = other.read()
    assert command.wait(timeout=60) == 0
    assert set(stored(tmp_path)) == {"plain_floats", "chunks"}
    assert (tmp_path / "results" / "small" / "results.csv").is_file()
    assert "Traceback" not in shown
    assert "Exception ignored" not in shown


@pytest.mark.parametrize(
    "words", [("list",), ("config",), ("run", "--config", "smoke", *planted("numpy_manual"))]
)
def test_a_pipe_into_head_gives_no_traceback(tmp_path, words):
    line = 'set -o pipefail; "$@" | head -n 1'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND, *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_standard_stream_may_be_missing(tmp_path, closed):
    words = (*small(tmp_path), *planted("plain_floats"))
    done = subprocess.run(
        ["bash", "-c", f'"$@" {closed}', "bash", *COMMAND, "run", *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(stored(tmp_path)) == {"plain_floats"}


# --- the smoke test


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A folder with two runs of the smoke test: what the first printed, the second's records."""
    folder = tmp_path_factory.mktemp("smoke")
    first = twolayer("run", "--config", "smoke", cwd=folder)
    kept = twolayer("show", "--format", "json", cwd=folder)
    second = twolayer("run", "--config", "smoke", "--format", "json", cwd=folder)
    return folder, first, json.loads(kept.stdout), json.loads(second.stdout)


def test_the_smoke_test_passes_and_runs_all_ten(smoke):
    folder, first, kept, _ = smoke
    assert first.returncode == 0, first.stdout + first.stderr
    assert [record["impl"] for record in kept] == TEN
    assert {record["outcome"] for record in kept} == {"ok"}
    assert all(record["losses"][-1] < record["losses"][0] for record in kept)
    assert left_behind(folder) == []


@pytest.mark.parametrize("name", TEN)
def test_the_same_settings_and_seed_give_the_same_bits_twice(smoke, name):
    _, _, kept, again = smoke
    losses_of = [{r["impl"]: r["losses"] for r in run}[name] for run in (kept, again)]
    assert len(losses_of[0]) == 50
    assert losses_of[0] == losses_of[1]


@pytest.mark.parametrize("name", TEN)
def test_a_record_says_where_it_comes_from(smoke, name):
    _, _, kept, _ = smoke
    record = next(record for record in kept if record["impl"] == name)
    framework = catalogue.find(name).framework
    assert record["versions"][framework] == version(framework)
    assert {"python", "numpy", "blas", "twolayer"} <= set(record["versions"])
    assert {"os", "cpu", "cores", "memory_bytes"} <= set(record["machine"])
    if (Path(__file__).parents[2] / ".git").exists():  # a source archive has no commit
        assert set(record["git"]) == {"commit", "dirty"}
    assert record["threads"] == record["machine"]["usable_cores"]
    assert all(record[key] >= 0 for key in ("import_s", "setup_s", "train_s", "peak_bytes"))
    step = record["step_us"]
    assert 0 < step["p10"] <= step["median"] <= step["p90"]


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_table_is_split_into_blocks_that_fit(smoke, columns):
    folder, *_ = smoke
    done = twolayer("show", cwd=folder, COLUMNS=str(columns))
    wide = twolayer("show", cwd=folder, COLUMNS="300")
    assert widest(done.stdout) <= columns
    narrow, whole = blocks(done.stdout), blocks(wide.stdout)
    assert len(whole) == 2
    assert len([block for block in narrow if block[0][0] == "implementation"]) == 1
    table = whole[0]  # of the losses; the other leaves columns out, and says so
    parts = [part for part in narrow if part[0][0] == table[0][0]]
    assert len(parts) > 1
    assert all(len(part) == len(table) for part in parts)
    assert [row[0] for row in parts[-1]] == [row[0] for row in table]
    joined = [[row[0], *(c for p in parts for c in p[i][1:])] for i, row in enumerate(table)]
    assert joined == table
    left_out = {c for row in whole[1][:1] for c in row}.difference(*(b[0] for b in narrow))
    assert ("wider terminal shows" in done.stdout.replace("\n", " ")) == bool(left_out)


def test_a_run_splits_its_table_too(tmp_path):
    words = (*small(tmp_path), *planted("plain_floats", "chunks", "numpy_manual", "forks"))
    done = succeed("run", *words, cwd=tmp_path, COLUMNS="40")
    assert widest(done.stdout) <= 40
    heads = [block[0] for block in blocks(done.stdout) if block[0][0] == "epoch"]
    assert len(heads) > 1
    assert [name for head in heads for name in head[1:]] == [
        *("plain_floats", "chunks", "numpy_manual", "forks")
    ]


@pytest.mark.parametrize("name", ["rises", "constant"])
@pytest.mark.parametrize(("must_fall", "code"), [(True, 4), (False, 0)])
def test_a_loss_that_does_not_fall_fails_where_it_must(tmp_path, name, must_fall, code):
    words = (*small(tmp_path, loss_must_fall=must_fall), *planted("plain_floats", name))
    done = twolayer("run", *words, cwd=tmp_path)
    assert done.returncode == code
    assert (f"the loss did not fall: {name}\n" in done.stderr) == must_fall
    assert stored(tmp_path)[name]["outcome"] == "ok"


def test_the_smoke_test_itself_catches_a_loss_that_rises(tmp_path):
    done = twolayer("run", "--config", "smoke", *planted("numpy_manual", "rises"), cwd=tmp_path)
    assert done.returncode == 4
    assert "the loss did not fall: rises\n" in done.stderr


def test_a_failure_weighs_more_than_a_loss_that_rises(tmp_path):
    words = (*small(tmp_path, loss_must_fall=True), *planted("rises", "raises"))
    done = twolayer("run", *words, cwd=tmp_path)
    assert done.returncode == 3
    assert "the loss did not fall: rises\n" in done.stderr


def test_nothing_is_written_beside_the_results(smoke):
    folder = Path(smoke[0])
    assert [path.name for path in folder.iterdir()] == ["results"]
    assert {path.name for path in (folder / "results" / "smoke").iterdir()} == {
        "runs",
        "results.csv",
    }


def test_threads_that_auto_chose_are_no_setting_that_differs():
    common = {"impl": "sgd", "outcome": "ok", "config": DEFAULTS, "device": "cpu"}
    runs = [Record(**common, threads=number, final_loss=1.0) for number in (1, 2)]
    assert "threads" not in tables.summary(runs).header
    assert tables.common(runs).startswith("all: cpu, N=60, ")
    assert tables.verdict(runs).startswith("2 of 2 ok, with the same settings")
    runs[0].device = "cuda"
    assert "device differs" in tables.verdict(runs)
