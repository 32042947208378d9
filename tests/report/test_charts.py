"""What charts show: the runs that count, their numbers, and looks that can be told apart."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from command import planted, small, twolayer
from twolayer.bench.measurement import Bench, Cell, Fit, Interval, Round
from twolayer.config import catalogue
from twolayer.config.settings import Config
from twolayer.errors import UserError
from twolayer.report import data as chart_data
from twolayer.report.chart import HUES, looks
from twolayer.report.material import gather
from twolayer.results.record import Record
from twolayer.results.store import Store
from twolayer.verify.reference import Reference

SIZES = {"N": 8, "H": 4, "D_in": 5, "D_out": 2, "epochs": 20, "log_every": 10}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", "x")


def kept(store, impl="numpy_manual", losses=(2.0, 1.0), outcome="ok", **about):
    """Write a run as `twolayer run` would; words that are settings go into its config."""
    config = Config(**SIZES).values()
    config |= {name: about.pop(name) for name in list(about) if name in config}
    number = len(store.folders())
    record = Record(
        impl=impl,
        outcome=outcome,
        config=config,
        epochs_done=sum(map(math.isfinite, losses)),
        final_loss=next((v for v in reversed(losses) if math.isfinite(v)), None),
        framework=about.pop("framework", "numpy"),
        key=f"run-{number:04}",
        started_at=f"2026-01-01T00:00:{number:06}",
        neighbours=about.pop("neighbours", 0),
        losses=list(losses),
        **about,
    )
    return store.write(record)


def timed(median=100.0):
    return {"median": median, "p10": 0.9 * median, "p90": 1.2 * median}


def bench(*labels, sizes=(None,), ratios=(1.0, 0.5)):
    """A bench of some implementations, each with a ratio, at each size."""
    cells = [
        Cell(
            *(label, label, "", "sgd", "torch", {}, "", size, 1e6, 1e6),
            rounds=[Round(number, 0, blocks_us=[100.0]) for number in range(10)],
            step_us=Interval(ratio * (size or 100), ratio * 90, ratio * 2000),
            ratio=Interval(ratio, 0.9 * ratio, 1.1 * ratio),
            rank=(1, 1),
        )
        for size in sizes
        for label, ratio in zip(labels, ratios, strict=True)
    ]
    axis = "" if sizes == (None,) else "H"
    return Bench("x", "2026-01-01T00:00:00.000+00:00", labels[0], axis, 0, 2, cells)


# --- looks


BUILT_IN = {each.name: each.framework for each in catalogue.installed()}


def test_no_two_of_the_ten_look_alike_without_their_colour():
    found = looks(BUILT_IN)
    shapes = [(BUILT_IN[name], look.dash, look.marker) for name, look in found.items()]
    assert len(set(shapes)) == len(shapes) == len(BUILT_IN)


def test_a_built_in_implementation_looks_the_same_in_any_company():
    whole = looks(BUILT_IN)
    some = {"mine": "torch", "custom_module": "torch", "tf_graph": "tensorflow"}
    found = looks(some)
    assert found["custom_module"] == whole["custom_module"]
    assert found["tf_graph"] == whole["tf_graph"]
    assert found["mine"] != found["custom_module"]


def test_forty_of_a_framework_and_frameworks_that_nobody_knows_all_differ():
    many = looks({f"mine{i}": "torch" for i in range(40)})
    assert len(set(many.values())) == 40
    assert len(set(looks({"a": "one", "b": "two", "c": "numpy"}).values())) == 3


def linear(colour):
    """The linear light of #rrggbb."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lightness(light):
    """CIE L*a*b* of linear light, for D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratios = xyz @ np.clip(light, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratios > 216 / 24389, np.cbrt(ratios), (ratios * 24389 / 27 + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


EYES = {
    "all cones": np.eye(3),
    "no long cones": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no medium cones": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "no short cones": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
"""What is seen of linear light, after Machado, Oliveira and Fernandes (2009)."""


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("background", [0, 1], ids=["light", "dark"])
def test_frameworks_are_told_apart_by_any_eye(eye, background):
    seen = {
        name: lightness(np.array(EYES[eye]) @ linear(shades[0][background]))
        for name, shades in HUES.items()
    }
    for a, b in itertools.combinations(seen, 2):
        wanted = 20 if {a, b} <= set(BUILT_IN.values()) else 10  # 2.3 is just noticeable
        assert np.linalg.norm(seen[a] - seen[b]) > wanted, (a, b)


@pytest.mark.parametrize(("background", "paper"), [(0, "#ffffff"), (1, "#14171b")])
def test_every_colour_is_as_legible_as_text_has_to_be(background, paper):
    def luminance(colour):
        return float(linear(colour) @ [0.2126, 0.7152, 0.0722])

    for shades in HUES.values():
        for shade in shades:
            light = sorted((luminance(shade[background]), luminance(paper)))
            assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, shade


# --- losses


def test_a_curve_is_the_losses_of_a_run(store):
    kept(store, losses=(3.0, 2.0, 1.0))
    kept(store, "sgd", (3.0, 2.5, math.inf), "diverged")
    chart = chart_data.chart("losses", store, None)
    assert [each.name for each in chart.series] == ["numpy_manual", "sgd"]
    assert chart.series[0].x == [0, 1, 2]
    assert chart.series[0].y == [3.0, 2.0, 1.0]
    assert chart.series[1].y == [3.0, 2.5, None]
    assert [each.ending for each in chart.series] == ["", "diverged at epoch 2"]
    assert list(chart.table.header) == ["epoch", "numpy_manual", "sgd"]


def test_a_long_curve_is_thinned_and_loses_no_peak(store):
    losses = [1.0 + 0.5 * math.sin(i) for i in range(50_000)]
    losses[31_007], losses[40_003], losses[123] = 1e9, 1e-9, math.nan
    kept(store, losses=losses)
    (series,) = chart_data.chart("losses", store, None).series
    assert len(series.x) <= 1000
    assert series.x[0] == 0
    assert series.x[-1] == 49_999
    points = dict(zip(series.x, series.y, strict=True))
    assert (points[31_007], points[40_003], points[123]) == (1e9, 1e-9, None)
    assert sorted(series.x) == series.x


def test_a_loss_of_zero_is_said_not_to_be_drawn(store):
    kept(store, losses=(1.0, 0.0))
    chart = chart_data.chart("losses", store, None)
    assert chart.series[0].y == [1.0, None]
    assert "exactly 0" in chart.note


def test_of_many_runs_a_few_stand_for_all_and_the_note_says_which(store):
    for i in range(150):
        kept(store, "numpy_manual", (9.0, 1.0 + i), seed=i)
        kept(store, "sgd", (9.0, math.nan), "diverged", seed=i, framework="torch")
    chart = chart_data.chart("losses", store, None)
    assert chart.note.startswith("6 of 300 runs: the best, middle and worst of each")
    finals = {each.name: each.y[-1] for each in chart.series}
    assert finals["numpy_manual seed=0 (best)"] == 1.0
    assert finals["numpy_manual seed=74 (middle)"] == 75.0
    assert finals["numpy_manual seed=149 (worst)"] == 150.0
    assert "numpy_manual seed=149 (worst)" in chart.table.header


def test_the_curves_of_an_implementation_have_its_shade_and_marker_in_every_chart():
    names = {f"sgd {word}": "torch" for word in ("best", "middle", "worst")}
    alone = looks(names, dict.fromkeys(names, "sgd"))
    beside = looks({"nn": "torch"} | names, {"nn": "nn"} | dict.fromkeys(names, "sgd"))
    assert {name: beside[name] for name in names} == alone
    assert alone["sgd best"] == looks(BUILT_IN)["sgd"]
    assert len({(look.light, look.marker) for look in alone.values()}) == 1
    assert len({look.dash for look in alone.values()}) == 3


def test_twenty_curves_of_one_implementation_all_differ():
    names = {f"sgd {i}": "torch" for i in range(20)}
    assert len(set(looks(names, dict.fromkeys(names, "sgd")).values())) == 20


def two_calls(store):
    """Three runs, then two of another call of `twolayer run`, in one experiment."""
    for impl in ("numpy_manual", "sgd", "adam"):
        kept(store, impl, command="twolayer run", invocation="1")
    for impl in ("sgd", "adam"):
        kept(store, impl, lr=1e-2, command="twolayer run --lr 1e-2", invocation="2")


def test_charts_are_of_the_latest_call_and_say_what_is_left_out(store):
    two_calls(store)
    chart = chart_data.chart("losses", store, None)
    assert [each.name for each in chart.series] == ["adam", "sgd"]
    assert chart.note == "3 other runs of x are left out; --all shows them."
    with pytest.raises(UserError, match="has no chart sweep"):
        chart_data.chart("sweep", store, None)
    assert len(chart_data.chart("losses", store, None, everything=True).series) == 5


def test_what_is_drawn_can_be_chosen(store):
    two_calls(store)
    only = {"everything": True, "impls": ["sgd"]}
    chart = chart_data.chart("losses", store, None, **only)
    assert [each.name for each in chart.series] == ["sgd lr=1e-06", "sgd lr=0.01"]
    chart = chart_data.chart("losses", store, None, where=lambda row: row["lr"] > 1e-3, **only)
    assert [each.name for each in chart.series] == ["sgd"]
    with pytest.raises(UserError, match=r"--impl sdg: x has no run of it \(did you mean sgd\?\)"):
        chart_data.chart("losses", store, None, impls=["sdg"])
    with pytest.raises(UserError, match="--where: fits none of the 2 runs of x"):
        chart_data.chart("losses", store, None, where=lambda row: False)


def test_a_sweep_that_went_on_with_other_automatic_threads_has_no_axis_of_them(store):
    for number, threads in enumerate((2, 1)):
        folder = kept(store, seed=number, command="twolayer sweep x", invocation=str(number))
        record = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps(record | {"threads": threads}))
    with pytest.raises(UserError, match="has no chart sweep"):
        chart_data.chart("sweep", store, None)


def test_more_implementations_than_curves_show_the_best(store):
    for i in range(20):
        kept(store, f"mine{i}", (9.0, 1.0 + i))
    chart = chart_data.chart("losses", store, None)
    assert [each.name for each in chart.series] == [f"mine{i}" for i in range(12)]
    assert "12 best of 20" in chart.note


def test_what_was_made_again_counts_once(store):
    kept(store, losses=(3.0, 2.0))
    kept(store, losses=(3.0, 1.0))
    (series,) = chart_data.chart("losses", store, None).series
    assert series.y == [3.0, 1.0]


def test_two_runs_of_one_implementation_are_told_apart_by_their_settings(store):
    kept(store, lr=1e-3)
    kept(store, lr=1e-2)
    names = [each.name for each in chart_data.chart("losses", store, None).series]
    assert names == ["numpy_manual lr=0.001", "numpy_manual lr=0.01"]


# --- parity


def trained(dtype="float64", **settings):
    """The losses that a right implementation gets, its sums in an order of its own."""
    config = Config(**SIZES | {"lr": 1e-3, "dtype": dtype} | settings)
    return [float(loss) for loss in Reference(config).train(permutation=99).losses]


def verdicts(store):
    return {row[0]: row for row in chart_data.chart("parity", store, None).table.rows}


def from_source(name):
    """What a record says of the source of a built-in implementation."""
    found = catalogue.find(name)
    return {"source": found.module, "source_sha256": found.sha256, "framework": found.framework}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_right_run_is_inside(store, dtype):
    kept(store, losses=trained(dtype), lr=1e-3, dtype=dtype, **from_source("numpy_manual"))
    chart = chart_data.chart("parity", store, None)
    assert verdicts(store)["numpy_manual"][-1] == "inside"
    assert all(y <= 1 for y in chart.series[0].y)
    assert (chart.reference, chart.log_y) == (1.0, True)


def test_a_learning_rate_off_by_a_millionth_is_outside(store):
    wrong = trained(lr=1e-3 * (1 + 1e-6))
    kept(store, losses=wrong, lr=1e-3, dtype="float64", **from_source("numpy_manual"))
    chart = chart_data.chart("parity", store, None)
    row = verdicts(store)["numpy_manual"]
    assert row[-1] == "OUTSIDE"
    assert chart.series[0].ending == f"departs at epoch {row[-3]}"
    assert max(chart.series[0].y) > 1


def test_of_long_runs_the_beginning_is_judged(store, monkeypatch):
    about = {"lr": 1e-3, "dtype": "float64"} | from_source("numpy_manual")
    kept(store, losses=[*trained(epochs=30), *[1.0] * 970], epochs=1000, **about)
    monkeypatch.setattr("twolayer.verify.stored.WORK", 5e7)
    chart = chart_data.chart("parity", store, None)
    assert verdicts(store)["numpy_manual"][3] == "24 of 1000"
    assert verdicts(store)["numpy_manual"][-1] == "inside"
    assert "Of longer runs the first 24 epochs are judged;" in chart.note


def test_references_are_trained_once_for_runs_that_share_them(store, monkeypatch):
    done = []
    train = Reference.train

    def counted(reference, **options):
        done.append(reference.config.dtype)
        return train(reference, **options)

    for dtype in ("float64", "float32"):
        for impl in ("numpy_manual", "torch_manual"):
            about = {"lr": 1e-3, "dtype": dtype, "seed": 77} | from_source(impl)
            kept(store, impl, trained(dtype, seed=77), **about)
    monkeypatch.setattr(Reference, "train", counted)
    assert {row[-1] for row in verdicts(store).values()} == {"inside"}
    assert sorted(done) == ["float32", "float64", "float64", "float64"]  # two for each dtype


def test_of_many_runs_a_sample_is_judged_as_far_as_that_takes_seconds(store):
    for seed in range(13):
        about = {"lr": 1e-3, "dtype": "float64", "seed": seed} | from_source("numpy_manual")
        kept(store, losses=trained(seed=seed), **about)
    kept(store, losses=(2.0, 1e-9), N=300_000_000, **from_source("numpy_manual"))
    chart = chart_data.chart("parity", store, None)
    best, *others = (row[-1] for row in chart.table.rows)
    assert (best[:20], others) == ("not judged: the refe", ["inside"] * 2)
    assert "2 of 14 runs are judged, chosen as for the loss chart; the rest of" in chart.note


def test_a_run_that_ended_early_is_judged_as_far_as_it_got(store):
    source = from_source("numpy_manual")
    kept(store, losses=trained()[:7], outcome="timeout", lr=1e-3, dtype="float64", **source)
    assert verdicts(store)["numpy_manual"][3:] == [
        *("7 of 20", *verdicts(store)["numpy_manual"][4:7], "-", "-", "inside")
    ]


def test_what_can_not_be_judged_says_why(store):
    kept(store, losses=trained(), lr=1e-3, dtype="float64", **from_source("numpy_manual"))
    kept(store, "gone", trained(), source="/nowhere/gone.py")
    kept(store, "sgd", (), "crashed", **from_source("sgd"))
    kept(store, "autograd", trained()[::-1], **from_source("autograd") | {"source_sha256": "0"})
    big = {"N": 5000, "D_in": 5000, "H": 5000}
    kept(store, "custom_relu", trained(), **big, **from_source("custom_relu"))
    reasons = {name: row[-1] for name, row in verdicts(store).items()}
    assert reasons == {
        "numpy_manual": "inside",
        "gone": "not judged: its source is not here any more",
        "sgd": "not judged: it has no losses",
        "autograd": "not judged: its source has changed since, and with it perhaps its family",
        "custom_relu": "not judged: the reference would take too long here; see `twolayer verify`",
    }


def test_runs_as_they_come_are_inside(tmp_path):
    """The whole way: trained by the command, judged from what it left on disk."""
    config = small(tmp_path, lr=1e-3)
    impls = planted("numpy_manual", "overflows")
    assert twolayer("run", *config, *impls, cwd=tmp_path).returncode == 4
    rows = verdicts(Store(tmp_path / "results", "small"))
    assert rows["numpy_manual"][-1] == "inside"
    assert rows["overflows"][-1] == "OUTSIDE"


# --- what a step costs


def test_ratios_come_from_the_bench_the_fastest_first(store):
    kept(store, step_us=timed())
    chart = chart_data.chart("steps", store, bench("slow", "fast"))
    assert [(each.name, each.y, each.low, each.high) for each in chart.series] == [
        ("fast", [0.5], [0.45], [0.55]),
        ("slow", [1.0], [0.9], [1.1]),
    ]
    assert (chart.kind, chart.reference) == ("intervals", 1.0)
    assert "slow's" in chart.x_label


def test_without_a_bench_the_steps_of_runs_are_shown_as_what_they_are(store):
    kept(store, step_us=timed(200.0))
    kept(store, "sgd", step_us=timed(100.0), framework="torch")
    kept(store, "adam", step_us=timed(50.0), framework="torch", neighbours=1)
    chart = chart_data.chart("steps", store, None)
    assert [(each.name, each.y) for each in chart.series] == [
        ("sgd", [100.0]),
        ("numpy_manual", [200.0]),
    ]
    assert chart.reference is None
    assert "not how certain the median is" in chart.note
    assert "twolayer bench --name x" in chart.note
    assert "Left out: 1 run that shared the machine." in chart.note


@pytest.mark.parametrize(("key", "sizes"), [("steps", (4,)), ("scale", (4, 8))])
def test_times_say_how_many_runs_are_left_out(store, key, sizes):
    for size in sizes:
        kept(store, H=size, step_us=timed())
    for seed in (1, 2):
        kept(store, losses=(9.0, math.nan), outcome="diverged", seed=seed, step_us=timed())
    kept(store, seed=3, step_us=timed(), neighbours=1)
    note = chart_data.chart(key, store, None).note
    assert note.endswith(
        "Left out: 2 runs that did not end as ok and 1 run that shared the machine."
    )


def test_times_of_different_work_are_shown_in_the_order_of_the_lesson(store):
    kept(store, step_us=timed(200.0), dtype="float64")
    kept(store, "sgd", step_us=timed(100.0), framework="torch", dtype="float32")
    chart = chart_data.chart("steps", store, None)
    assert [each.name for each in chart.series] == ["numpy_manual", "sgd"]
    assert "Not ranked: the runs differ in dtype." in chart.note


def test_times_of_different_problems_are_not_laid_side_by_side(store):
    kept(store, H=4, step_us=timed())
    kept(store, H=8, step_us=timed())
    with pytest.raises(UserError, match=r"has no chart steps; .*; it has losses, scale and sweep"):
        chart_data.chart("steps", store, None)


def test_cost_against_size_comes_from_the_bench_with_its_fit(store):
    found = bench("a", "b", sizes=(10, 100, 1000))
    found.fits = [Fit("a", Interval(20, 19, 21), Interval(0.5, 0.4, 0.6), 12.0)]
    chart = chart_data.chart("scale", store, found)
    assert (chart.log_x, chart.log_y, chart.x_label) == (True, True, "H")
    assert chart.series[0].x == [10, 100, 1000]
    assert chart.series[1].y == [5, 50, 500]
    assert chart.table.rows[0][4:6] == ["20.0", "19.0 to 21.0"]
    assert chart.table.rows[1][4:6] == ["-", "-"]


def test_cost_against_size_comes_from_a_sweep_where_runs_were_alone(store):
    for size, neighbours in itertools.product((10, 20), (0, 1)):
        time = timed(size * (1 + neighbours))
        kept(store, H=size, seed=neighbours, step_us=time, neighbours=neighbours)
    chart = chart_data.chart("scale", store, None)
    assert [(each.x, each.y) for each in chart.series] == [([10, 20], [10, 20])]


# --- sweeps


def swept(store, **axes):
    """Runs at all combinations; those with a learning rate of 1 diverge."""
    for impl in ("numpy_manual", "sgd"):
        for number, values in enumerate(itertools.product(*axes.values())):
            point = dict(zip(axes, values, strict=True))
            lost = point.get("lr") == 1.0
            losses = (9.0, math.nan) if lost else (9.0, 1.0 + number)
            kept(store, impl, losses, "diverged" if lost else "ok", **point)


def test_one_setting_is_a_line_of_means_over_seeds(store):
    swept(store, lr=(1e-3, 1e-2, 1.0), seed=(0, 1))
    chart = chart_data.chart("sweep", store, None)
    assert (chart.kind, chart.log_x) == ("lines", True)
    series = chart.series[0]
    assert series.x == [1e-3, 1e-2, 1.0]
    assert series.y == [1.5, 3.5, None]
    assert (series.low[:2], series.high[:2]) == ([1.0, 3.0], [2.0, 4.0])
    assert series.ending == "none ok at lr=1"
    assert chart.table.rows[2][1] == "2 diverged"


INITS = ("normal", "uniform")


def test_one_setting_of_words_is_a_row_each(store):
    swept(store, init=INITS, seed=(0, 1))
    chart = chart_data.chart("sweep", store, None)
    assert chart.kind == "intervals"
    names = [each.name for each in chart.series]
    assert names == [f"{impl} {init}" for impl in ("numpy_manual", "sgd") for init in INITS]


def test_two_settings_are_a_heat_map_for_each_implementation(store):
    swept(store, lr=(1e-3, 1e-2, 1.0), H=(4, 8))
    chart = chart_data.chart("sweep", store, None)
    assert (chart.kind, [grid.name for grid in chart.grids]) == ("heat", ["numpy_manual", "sgd"])
    grid = chart.grids[0]
    assert (chart.y_label, grid.rows) == ("H", ["4", "8"])
    assert (chart.x_label, grid.columns) == ("lr", ["0.001", "0.01", "1"])
    assert {(row, column): value for row, column, value, _ in grid.cells} == {
        ("4", "0.001"): 1.0,
        ("4", "0.01"): 3.0,
        ("4", "1"): None,
        ("8", "0.001"): 2.0,
        ("8", "0.01"): 4.0,
        ("8", "1"): None,
    }
    assert [text for *_, value, text in grid.cells if value is None] == ["1 diverged"] * 2
    assert len(chart.table.rows) == 12


def test_scattered_settings_are_parallel_coordinates(store):
    swept(store, lr=(1e-3, 1e-2, 1.0), H=(4, 8), N=(8, 16))
    chart = chart_data.chart("sweep", store, None)
    assert chart.kind == "parallel"
    assert [axis.label for axis in chart.axes] == ["impl", "N", "H", "lr", "final loss"]
    lost, finite = chart.series
    assert len(lost.y) + len(finite.y) == 24 * 6  # five axes and a gap, for each run
    assert finite.y.count(None) == sum("ok" in run for run in chart.table.rows)
    assert all(y is None or 0 <= y <= 1 for y in finite.y)
    assert set(lost.y[4::6]) == {1.0}
    finals = finite.y[4::6]
    assert finals == sorted(finals, reverse=True)  # the best is drawn last, on top
    assert max(finals) < 1.0
    assert chart.axes[-1].ticks[-1] == (1.0, "not ok")
    assert len(chart.table.rows) == 24


def test_few_of_many_combinations_are_parallel_not_a_sparse_map(store):
    for i in range(6):
        kept(store, lr=1e-3 * (i + 1), H=4 + i)
    assert chart_data.chart("sweep", store, None).kind == "parallel"


# --- which there are


def test_all_charts_come_in_their_order(store):
    source = from_source("numpy_manual")
    for size in (4, 8):
        losses = trained(H=size)
        kept(store, losses=losses, H=size, lr=1e-3, dtype="float64", step_us=timed(), **source)
    found = chart_data.charts(gather(store, bench("a", "b")))
    assert [*found] == ["losses", "parity", "steps", "scale", "sweep"]
    assert all(each.table.rows and each.title for each in found.values())


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (
            "sweep",
            "x: has no chart sweep; `twolayer sweep` .*; it has losses, and parity if",
        ),
        (
            "scale",
            "x: has no chart scale; `twolayer bench --name x .*; it has losses, and parity",
        ),
    ],
)
def test_a_chart_that_is_not_there_says_what_makes_it(store, key, said):
    kept(store)
    with pytest.raises(UserError, match=said):
        chart_data.chart(key, store, None)


def test_an_error_names_parity_and_trains_no_reference_for_it(store, monkeypatch):
    kept(store, seed=5, **from_source("numpy_manual"))
    monkeypatch.setattr(Reference, "train", None)
    with pytest.raises(UserError, match="it has losses, and parity if a run is small enough"):
        chart_data.chart("sweep", store, None)
