"""`twolayer export`: what each format holds, as read back by the library whose format it is."""

import csv
import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from command import look, losses, small, start, twolayer
from twolayer.config.settings import DEFAULTS
from twolayer.errors import UserError
from twolayer.results import export, query
from twolayer.results import rows as results
from twolayer.results.record import Record
from twolayer.results.store import Store, loaded
from twolayer.tables import exact

ODD = "näive, \"quoted\" 'net' 100% #1; = +2|"
STARTED = "2026-03-01T12:00:00.250+00:00"
STARTED_S = 1772366400.25
FORMATS = tuple(export.WRITERS)
LIBRARIES = {"parquet": "pyarrow", "tensorboard": "tensorboardX", "mlflow": "mlflow"}


def record(name, losses, outcome="ok", **fields):
    """A record as a run leaves it."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    settings = DEFAULTS | {"epochs": max(len(losses), 1)} | fields.pop("config", {})
    made = {
        "config": settings,
        "key": f"{name}-0123456789",
        "epochs_done": len(finite),
        "final_loss": finite[-1] if finite else None,
        "setup_s": 0.5,
        "train_s": 0.25 * len(losses),
        "started_at": STARTED,
        "framework": "numpy",
        "versions": {"numpy": "2.4.6"},
        "threads": 2,
        "step_us": {"median": 12.5, "p10": 12.0, "p90": 1 / 3},
        "peak_bytes": 2**40 + 1,
    }
    return Record(impl=name, outcome=outcome, losses=losses, **made | fields)


def error(kind, message):
    return {"type": kind, "message": message, "traceback": None, "signal": None}


RECORDS = [
    record("long", [1 / (3 + epoch) for epoch in range(2500)]),
    record(ODD, [31_911_070.123456789, 0.1 + 0.2, 5e-324, 1e-310]),
    record(ODD, [31_911_070.123456789, 1.0], config={"bias": True, "lr": 0.1 + 0.2}),
    record("to_inf", [1.5, 1e308, math.inf], "diverged", error=error("Diverged", "loss is inf")),
    record("to_nan", [2.5, math.nan], "diverged", error=error("Diverged", "loss is nan")),
    record("to_minus", [2.5, -math.inf], "diverged"),
    record("stopped", [4.0, 3.0], "interrupted"),
    record("slow", [4.0], "timeout"),
    record("fell", [], "failed", error=error("ValueError", 'of "two", lines\nthat'), threads=None),
]
RECORDS[-1].train_s = RECORDS[-1].setup_s = RECORDS[-1].step_us = None


@pytest.fixture
def store(tmp_path):
    """An experiment of RECORDS."""
    made = Store(tmp_path / "results", "edge.of-divergence")
    for each in RECORDS:
        made.write(each)
    return made


def by_folder(store):
    """The records as they are stored, by the name of their folder."""
    found = {run.folder.name: run for run in map(loaded, store.read()[0])}
    assert len(found) == len(RECORDS)
    return found


def exported(store, to, tmp_path, condition=None):
    """The runs of an experiment in a format; returns where."""
    out = tmp_path / f"o ü#% {to}"
    found = condition and query.parse(condition, list(results.COLUMNS), "--where")
    export.export(store, found, to, out)
    return out


def bits(values):
    """Numbers such that equal means the same float64, nan included."""
    return [float(value).hex() for value in values]


# --- tables


def check_table(rows, store):
    """That rows, with values of Python's, are the runs, epochs and losses of an experiment."""
    runs = by_folder(store)
    assert {row["folder"] for row in rows} == set(runs)
    for name, run in runs.items():
        mine = [row for row in rows if row["folder"] == name]
        row = results.row(run)
        known = {name: None if row[name] == "auto" else row[name] for name in results.COLUMNS}
        for one in mine:
            assert {name: one[name] for name in results.COLUMNS} == known
        if run.losses:
            assert [row["epoch"] for row in mine] == list(range(len(run.losses)))
            assert bits(row["loss"] for row in mine) == bits(run.losses)
        else:
            assert [(row["epoch"], row["loss"]) for row in mine] == [(None, None)]


def parsed(row):
    """A row of the CSV with values of Python's."""
    kinds = export.TIDY | {"bias": json.loads}
    return {name: None if text in ("", "auto") else kinds[name](text) for name, text in row.items()}


def test_csv_is_a_row_for_each_run_and_epoch(store, tmp_path):
    with exported(store, "csv", tmp_path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [parsed(row) for row in reader]
    assert reader.fieldnames == list(export.TIDY)
    check_table(rows, store)


def test_parquet_is_the_same_table_with_types(store, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(export, "_BLOCK", 2**16)  # so that there are several
    table = parquet.read_table(exported(store, "parquet", tmp_path))
    assert table.column_names == list(export.TIDY)
    types = {name: str(table.schema.field(name).type) for name in ("N", "lr", "bias", "impl")}
    assert types == {"N": "int64", "lr": "double", "bias": "bool", "impl": "string"}
    assert str(table.schema.field("loss").type) == "double"
    check_table(table.to_pylist(), store)


def test_every_column_is_of_the_type_of_its_values(store):
    for run in by_folder(store).values():
        row = results.row(run)
        for name in results.COLUMNS:
            assert row[name] in (None, "auto") or type(row[name]) is export.TIDY[name]


def test_a_number_that_parquet_can_not_hold_is_said(tmp_path):
    pytest.importorskip("pyarrow")
    store = Store(tmp_path / "results", "big")
    store.write(record("big", [1.0], config={"seed": 2**70}))
    with pytest.raises(UserError, match="--to parquet: can't be said in this format"):
        exported(store, "parquet", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


# --- records


def test_jsonl_is_a_record_a_line(store, tmp_path):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    text = exported(store, "jsonl", tmp_path).read_text(encoding="utf-8")
    read = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    runs = by_folder(store)
    assert len(read) == len(runs)
    for each in read:
        assert each == {"folder": each["folder"]} | runs[each["folder"]].full()


# --- TensorBoard


def scalars_of(folder):
    """What TensorBoard reads in the folder of a run: its EventAccumulator."""
    pytest.importorskip("tensorboard")
    # Its own switch: it reads by itself, and does not wait for TensorFlow.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    return read


def test_tensorboard_reads_each_run(store, tmp_path):
    pytest.importorskip("tensorboardX")
    out = exported(store, "tensorboard", tmp_path)
    runs = by_folder(store)
    assert {path.name for path in out.iterdir()} == set(runs)
    for name, run in runs.items():
        read = scalars_of(out / name)
        assert read.Tags()["scalars"] == (["loss"] if run.losses else [])
        events = read.Scalars("loss") if run.losses else []
        assert [event.step for event in events] == list(range(len(run.losses)))
        with np.errstate(over="ignore"):  # its scalars are float32: 1e308 is inf there
            single = np.array(run.losses, np.float32)
        assert bits(event.value for event in events) == bits(single)
        times = [STARTED_S + 0.5 + 0.25 * epoch for epoch in range(len(run.losses))]
        assert [event.wall_time for event in events] == pytest.approx(times, abs=1e-6)


def test_tensorboard_has_the_settings(store, tmp_path):
    pytest.importorskip("tensorboardX")
    out = exported(store, "tensorboard", tmp_path)
    from tensorboard.plugins.hparams import plugin_data_pb2

    for name, run in by_folder(store).items():
        metadata = scalars_of(out / name).summary_metadata["_hparams_/session_start_info"]
        data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
        said = data.session_start_info.hparams
        assert said["impl"].string_value == run.impl
        assert said["outcome"].string_value == run.outcome
        assert said["lr"].number_value == run.config["lr"]
        assert said["bias"].bool_value == run.config["bias"]
        assert said["dtype"].string_value == "float32"


def test_tensorboard_keeps_a_seed_that_is_no_float64(tmp_path):
    pytest.importorskip("tensorboardX")
    store = Store(tmp_path / "results", "big")
    store.write(record("big", [1.0], config={"seed": 2**70}))
    out = exported(store, "tensorboard", tmp_path)
    content = next(out.glob("*/events*")).read_bytes()
    assert str(2**70).encode() in content


# --- MLflow


def client_of(folder, monkeypatch):
    """An MLflow client of an exported store."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    place = f"sqlite:///{folder}/mlflow.db"
    return mlflow.MlflowClient(place, registry_uri=place)


def runs_of(client, experiment):
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    return {run.info.run_name: run for run in runs}


STATUS = {"ok": "FINISHED", "interrupted": "KILLED", "timeout": "KILLED"}


@pytest.fixture
def hasty_sqlite():
    """SQLite that does not wait for the disk: MLflow makes its tables in a hundred steps."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("mlflow")

    def relax(connection, _):
        connection.execute("PRAGMA synchronous=OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


@pytest.mark.usefixtures("hasty_sqlite")
def test_mlflow_reads_each_run(store, tmp_path, monkeypatch):
    out = exported(store, "mlflow", tmp_path)
    assert [path.name for path in out.iterdir()] == ["mlflow.db"]
    client = client_of(out, monkeypatch)
    read, runs = runs_of(client, "edge.of-divergence"), by_folder(store)
    assert set(read) == set(runs)
    for name, run in runs.items():
        found = read[name]
        wanted = {k: exact(v) for k, v in run.config.items()}
        wanted |= {"impl": run.impl, "threads": str(run.threads or "auto")}
        assert found.data.params == wanted
        assert found.data.tags["outcome"] == run.outcome
        assert found.data.tags["key"] == run.key
        assert found.data.tags.get("error", "") == run.reason
        assert found.info.status == STATUS.get(run.outcome, "FAILED")
        assert found.info.start_time == STARTED_S * 1000
        history = sorted(client.get_metric_history(found.info.run_id, "loss"), key=by_step)
        assert [metric.step for metric in history] == list(range(len(run.losses)))
        assert bits(metric.value for metric in history) == bits(map(mlflow_loss, run.losses))
        assert found.data.metrics.get("step_us") == (run.step_us or {}).get("median")
        assert found.data.metrics["peak_bytes"] == run.peak_bytes


def by_step(metric):
    return metric.step


def mlflow_loss(loss):
    """A loss as MLflow's SQL store keeps it: the largest float64 stands for infinity."""
    return math.copysign(np.finfo(float).max, loss) if math.isinf(loss) else loss


def test_mlflow_and_a_question_mark(store, tmp_path):
    pytest.importorskip("mlflow")
    (tmp_path / "why?").mkdir()
    with pytest.raises(UserError, match=r"why\?/out: MLflow can't keep a database"):
        export.export(store, None, "mlflow", tmp_path / "why?" / "out")
    assert list((tmp_path / "why?").iterdir()) == []


# --- which runs, and where to


@pytest.mark.parametrize("to", ["csv", "jsonl"])
def test_a_condition_chooses(store, tmp_path, to):
    condition = 'outcome == "diverged" and epochs_done < 2'
    text = exported(store, to, tmp_path, condition).read_text(encoding="utf-8")
    names = ("long", "to_inf", "to_nan", "to_minus", "stopped")
    assert [name for name in names if f"{name}-01" in text] == ["to_nan", "to_minus"]


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_is_written_over(store, tmp_path, to):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    folder.mkdir()
    (folder / "mine").touch()
    for out in (file, folder, Path(os.devnull)):
        with pytest.raises(UserError, match="is there already; nothing is written over"):
            export.export(store, None, to, out)
    assert file.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.rglob("mine")) == ["mine"]
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder", "results"}


def test_what_is_empty_is_free_and_a_link_stays_one(store, tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("empty")
    export.export(store, None, "jsonl", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len((tmp_path / "empty").read_text().splitlines()) == len(RECORDS)


def test_an_empty_folder_is_free_for_a_folder(store, tmp_path):
    pytest.importorskip("tensorboardX")
    (tmp_path / "empty").mkdir()
    export.export(store, None, "tensorboard", tmp_path / "empty")
    assert len(list((tmp_path / "empty").iterdir())) == len(RECORDS)


@pytest.mark.parametrize(
    ("to", "make", "message"),
    [
        ("csv", Path.mkdir, "is a folder; --to csv makes a file"),
        ("tensorboard", Path.touch, "is a file; --to tensorboard makes a folder"),
    ],
)
def test_an_empty_thing_of_the_other_kind_is_refused(store, tmp_path, to, make, message):
    make(tmp_path / "there")
    with pytest.raises(UserError, match=message):
        export.export(store, None, to, tmp_path / "there")


def test_an_export_that_fails_leaves_nothing(store, tmp_path, monkeypatch):
    def fail(export):
        export.path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(export.WRITERS, "csv", fail)
    with pytest.raises(UserError, match=r"out\.csv: can't be written: No space left on device$"):
        export.export(store, None, "csv", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


# --- the command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with results of two runs, of which one diverges."""
    folder = tmp_path_factory.mktemp("trained")
    words = (*small(folder, dtype="float64", D_in=50), "--impl", "numpy_manual", "--quiet")
    assert twolayer("run", *words, cwd=folder).returncode == 0
    assert twolayer("run", *words, "--lr", "10", cwd=folder).returncode == 4
    return folder


def test_the_command_exports_what_was_run(trained):
    words = ("export", "small", "--to", "csv", "--where", 'outcome == "ok"', "--out", "ok.csv")
    done = twolayer(*words, cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 run is in ok.csv; to read: pandas.read_csv('ok.csv')\n"
    with (trained / "ok.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    stored = losses(trained / "results" / "small" / "runs" / rows[0]["folder"])
    assert bits(row["loss"] for row in rows) == bits(stored)


@pytest.mark.parametrize("to", LIBRARIES)
def test_the_command_writes_what_needs_a_library(trained, tmp_path, monkeypatch, to):
    """Quietly, whatever address a tracker is told to call elsewhere, and from an experiment that
    has the name of the one that MLflow makes by itself.
    """
    pytest.importorskip(LIBRARIES[to])
    shutil.copytree(trained / "results" / "small", tmp_path / "results" / "Default")
    words = ("export", "Default", "--to", to, "--out", "out")
    done = twolayer(*words, cwd=tmp_path, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 0
    assert done.stdout.startswith("2 runs are in out; to read: ")
    assert done.stderr in ("", f"preparing {to} …\n")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "results"}
    if to == "mlflow":
        stored = os.listdir(tmp_path / "results" / "Default" / "runs")
        assert sorted(runs_of(client_of(tmp_path / "out", monkeypatch), "Default")) == sorted(
            stored
        )


@pytest.mark.parametrize("to", ["csv", "jsonl"])
def test_text_goes_to_standard_output(trained, to):
    done = look("export", "small", "--to", to, "--out", "-", cwd=trained)
    assert (done.returncode, done.stderr) == (0, "")
    look("export", "small", "--to", to, "--out", f"same.{to}", cwd=trained)
    assert done.stdout == (trained / f"same.{to}").read_text()
    assert not (trained / "-").exists()


@pytest.mark.parametrize(
    ("to", "kind"), [("parquet", "binary"), ("tensorboard", "a folder"), ("mlflow", "a folder")]
)
def test_what_is_no_text_does_not_go_to_standard_output(trained, to, kind):
    done = look("export", "small", "--to", to, "--out", "-", cwd=trained)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"--out -: {to} is {kind}; name a path, or choose --to csv or jsonl\n"
    assert not (trained / "-").exists()


def test_an_export_that_takes_long_shows_how_far_it_is(trained, monkeypatch):
    monkeypatch.setattr("twolayer.cli.export.PATIENCE_S", -1.0)
    done = look("export", "small", "--to", "csv", "--out", "watched.csv", cwd=trained)
    assert done.stderr.splitlines() == ["0% of 2 runs", "50% of 2 runs"]


def test_ctrl_c_is_acknowledged_and_stops_an_export(store, tmp_path):
    command = start("export", store.folder.name, "--to", "csv", "--out", "-", cwd=tmp_path)
    assert command.stdout.read(1) == "i"  # more than a pipe holds is to follow
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130
    assert said.startswith("stopping …\ninterrupted")


BLOCKED = "import sys\nsys.modules[{!r}] = None\n"


@pytest.mark.parametrize(
    ("to", "module"), [*LIBRARIES.items(), ("mlflow", "sqlalchemy"), ("mlflow", "alembic")]
)
def test_a_library_that_is_missing_is_named(trained, tmp_path, to, module):
    (tmp_path / "sitecustomize.py").write_text(BLOCKED.format(module))
    words = ("export", "small", "--results", trained / "results", "--to", to, "--out", "out")
    done = twolayer(*words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"--to {to} needs {module}; pip install 'twolayer[{to}]'\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("smal", "--out", "out"), "results: has no experiment smal (did you mean small?)"),
        (("small", "--out", "no/out"), "--out no/out: can't be written: No such file or directory"),
        (("small", "--out", "small.yaml"), "--out small.yaml: is there already; nothing is"),
        (("small", "--out", "small.yaml/x"), "--out small.yaml/x: can't be written: Not a direc"),
        (("small", "--out", "x", "--where", "lr <"), "--where 'lr <': is not a condition"),
        (("small", "--out", "x", "--where", "rl < 1"), "--where: 'rl' is not a column"),
        (("small", "--out", "x", "--where", "lr > 99"), "results/small: holds no finished run tha"),
        (("small", "--out", "x", "--results", "none"), "none: holds no experiments yet"),
    ],
)
def test_wrong_input_is_one_line(trained, words, message):
    before = sorted(trained.rglob("*"))
    done = look("export", *words, "--to", "csv", cwd=trained)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert sorted(trained.rglob("*")) == before


@pytest.mark.parametrize(
    "words", [("small", "--to", "xls", "--out", "x"), ("small", "--to", "csv"), ("small",), ()]
)
def test_wrong_usage_is_refused(trained, words):
    done = look("export", *words, cwd=trained)
    assert done.returncode == 2
    assert not (trained / "x").exists()
