"""Charts as files and in the terminal: whole, legible, the same every time."""

from __future__ import annotations

import os
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from command import on_a_terminal, planted, small, twolayer, without
from PIL import Image
from twolayer.bench import measurement
from twolayer.cli import plot as command
from twolayer.report import data as chart_data
from twolayer.report import plot as plots
from twolayer.report import scales, spec
from twolayer.report import terminal as terminal_plot
from twolayer.report.chart import MARKERS, SOLID, Chart, Look, Series
from twolayer.results.store import Store
from twolayer.tables import Table

SIZES = {"column": 3.5, "page": 7.0, "slide": 13.333}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Experiments with every chart there is: `few` is the latest of them by name only."""
    cwd = tmp_path_factory.mktemp("plot")
    impls = planted("numpy_manual", "rises", "overflows", "nan_at_5")
    done = twolayer("run", *small(cwd), *impls, "--quiet", cwd=cwd)
    assert done.returncode == 4, done.stderr
    sizes = "{N: 8, D_in: 5, D_out: 2, epochs: 20, impls: numpy_manual, "
    sweeps = {
        "line": "grid: {lr: {log: [1e-4, 1e2, 5]}, seed: {range: 2}}}",
        "heat": "grid: {lr: {log: [1e-4, 1e2, 5]}, H: [4, 8, 12]}}",
        "parallel": "sample: {n: 6, lr: {log_uniform: [1e-4, 1e2]}, H: {choice: [4, 8]}, "
        "init: {choice: [normal, uniform]}}}",
        "width": "grid: {H: [4, 8, 12]}}",
        "mixed": "runs: [{lr: 1e-4, H: 4, D_in: 5, D_out: 1, seed: 0, dtype: float32, epochs: 9}, "
        "{lr: 1e-3, H: 8, D_in: 6, D_out: 2, seed: 11, dtype: float64, epochs: 20}]}",
    }
    for name, axes in sweeps.items():
        (cwd / f"{name}.yaml").write_text(sizes + axes)
        assert twolayer("sweep", f"{name}.yaml", "--quiet", cwd=cwd).returncode in (0, 4)
    bench = cwd / "results" / "timed" / "bench"
    shutil.copytree(cwd / "results" / "line", bench.parent)
    bench.mkdir()
    (bench / "1.json").write_text(timed().text())
    return cwd


def timed():
    """A bench of two implementations at two sizes."""
    cells = [
        measurement.Cell(
            label=label,
            impl=label,
            revision="",
            family="sgd",
            framework=framework,
            config={},
            source_sha256="",
            size=size,
            flops=1e6,
            bytes=1e6,
            rounds=[measurement.Round(0, 0, blocks_us=[us])],
            step_us=measurement.Interval(us, 0.9 * us, 1.2 * us),
            ratio=measurement.Interval(us / size, 0.9 * us / size, 1.2 * us / size),
        )
        for label, framework, us in (("numpy_manual", "numpy", 100.0), ("autograd", "torch", 150.0))
        for size in (100, 400)
    ]
    return measurement.Bench("timed", "2026-01-01", "numpy_manual", "H", 0, 2, cells)


ALL = [
    ("small", "losses"),
    ("mixed", "losses"),
    ("small", "parity"),
    ("small", "steps"),
    ("line", "sweep"),
    ("heat", "sweep"),
    ("parallel", "sweep"),
    ("width", "scale"),
    ("timed", "steps"),
    ("timed", "scale"),
]


def plot(folder, *words, **env):
    return twolayer("plot", *words, cwd=folder, **env)


def draw(folder, out, name="small", chart="losses", size="column", **lengths):
    """What `plot` does, in this process; returns the path."""
    store = Store(folder / "results", name)
    found = chart_data.chart(chart, store, measurement.latest(store.folder))
    plots.save_figure(found, out, replace(plots.SIZES[size], **lengths))
    return out


def texts(path):
    """The texts of an SVG with how far down they stand, in pt."""
    found = []

    def walk(element, down):
        place = re.match(r"translate\([^,]+,([^)]+)\)", element.get("transform") or "")
        down += float(place[1]) if place else 0.0
        if element.tag.endswith("}text"):
            lines = [each.text for each in element if each.tag.endswith("}tspan")]
            found.append((" ".join(lines) or element.text, down))
        for each in element:
            walk(each, down)

    walk(ET.parse(path).getroot(), 0.0)
    return found


# --- files


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "chart"), ALL)
def test_every_chart_fits_its_figure(folder, tmp_path, name, chart, size):
    image = Image.open(draw(folder, tmp_path / "figure.png", name, chart, size)).convert("RGB")
    per_inch = 150 if size == "slide" else 300
    assert image.width == pytest.approx(SIZES[size] * per_inch, abs=1)
    pixels = np.asarray(image)
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    assert all((edge == 255).all() for edge in edges)  # nothing is cut off
    assert (pixels < 128).any()


@pytest.mark.parametrize("suffix", plots.SUFFIXES)
def test_the_same_runs_make_the_same_bytes(folder, tmp_path, suffix):
    for name, chart in (("small", "losses"), ("heat", "sweep")):
        here = draw(folder, tmp_path / f"here{suffix}", name, chart)
        out = tmp_path / f"out{suffix}"
        done = plot(folder, name, "--chart", chart, "--out", out, PYTHONHASHSEED="7")
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.startswith(f"{out}: ")
        assert unnumbered(out) == unnumbered(here)


def unnumbered(path):
    """A file without the numbers of definitions, which go on from figure to figure."""
    return re.sub(rb"(clip|gradient_)\d+", rb"\1", path.read_bytes())


def test_text_stays_text(folder, tmp_path):
    written = [text for text, _ in texts(draw(folder, tmp_path / "figure.svg"))]
    assert {"epoch", "loss", "numpy_manual", "rises"} <= set(written)
    fonts = re.findall(
        rb"/Subtype ?/(Type3|CIDFontType2|TrueType)",
        draw(folder, tmp_path / "figure.pdf").read_bytes(),
    )
    assert set(fonts) in ({b"CIDFontType2"}, {b"TrueType"})


def test_type_is_the_same_on_every_machine(folder, tmp_path):
    text = draw(folder, tmp_path / "figure.svg").read_text()
    assert set(re.findall(r'font-family="(.*?)"', text)) == {"Liberation Sans, Arial, sans-serif"}
    pdf = draw(folder, tmp_path / "figure.pdf").read_bytes()
    assert set(re.findall(rb"/FontName ?/\w+\+(\w+)", pdf)) == {b"LiberationSans"}


def test_a_diverged_curve_says_so(folder, tmp_path):
    written = " ".join(text for text, _ in texts(draw(folder, tmp_path / "figure.svg")))
    assert written.count("diverged at epoch") == 2
    assert "diverged at epoch 5" in written


def test_labels_do_not_overlap(folder, tmp_path):
    names = {"numpy_manual", "rises", "overflows", "nan_at_5"}
    labels = texts(draw(folder, tmp_path / "figure.svg"))
    places = sorted(down for text, down in labels if text.partition(" ")[0] in names)
    assert len(places) == len(names)
    apart = [below - above for above, below in pairwise(places)]
    assert min(apart) > 8  # pt, the size of the type


def test_cells_of_a_heat_map_say_their_values(folder, tmp_path):
    chart = chart_data.chart("sweep", Store(folder / "results", "heat"), None)
    values = [value for _, _, value, _ in chart.grids[0].cells]
    out = draw(folder, tmp_path / "figure.svg", "heat", "sweep", width=7.0)
    written = [text for text, _ in texts(out)]
    assert {scales.brief(value) for value in values if value is not None} <= set(written)
    crosses = values.count(None)
    assert crosses
    assert out.read_text().count("M-2") >= crosses


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("kind", ["lines", "intervals"])
def test_few_and_many_rows_have_room(tmp_path, kind, count):
    series = [
        Series(
            f"c{i}",
            Look("#000000", "#ffffff", SOLID, MARKERS[0]),
            [0.0],
            [1.0 + i],
            [0.9 + i],
            [1.1 + i],
        )
        for i in range(count)
    ]
    chart = Chart(kind, "Time", Table(("",), []), "µs", "µs", series)
    _, height = plots.save_figure(chart, tmp_path / "figure.svg", plots.SIZES["column"])
    names = [text for text, _ in texts(tmp_path / "figure.svg") if text.startswith("c")]
    assert len(names) == count
    assert height > count * 8 / 72


@pytest.mark.parametrize(
    ("lengths", "width", "height"),
    [
        ({"width": "84mm"}, 238.1, None),
        ({"width": "8.4 cm", "height": "6cm"}, 238.1, 170.1),
        ({"width": "246pt"}, 245.1, None),
        ({"size": "page", "height": "3in"}, 504, 216),
    ],
)
def test_sizes_are_those_asked_for(folder, tmp_path, lengths, width, height):
    inches = {k: plots.length(v, f"--{k}") if k != "size" else v for k, v in lengths.items()}
    root = ET.parse(draw(folder, tmp_path / "figure.svg", **inches)).getroot()
    assert float(root.get("width").removesuffix("pt")) == pytest.approx(width, abs=0.2)
    if height:
        assert float(root.get("height").removesuffix("pt")) == pytest.approx(height, abs=0.2)


def test_the_latest_experiment_is_drawn_and_the_losses(folder, tmp_path):
    assert twolayer("run", *small(tmp_path), *planted("rises"), "-q", cwd=tmp_path).returncode == 0
    done = plot(tmp_path, "--out", "figure.svg")
    assert done.stderr == "figure.svg: Loss of small, 3.50 in (89 mm) by 2.38 in (60 mm)\n"
    done = plot(tmp_path, "--out", "figure.svg", "--size", "page", "--height", "3in")
    assert done.stderr == "figure.svg: Loss of small, 7.00 in (178 mm) by 3.00 in (76 mm)\n"


# --- what is wrong


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("small", "--out", "a.gif"), "--out a.gif: must end in .png, .svg or .pdf"),
        (("small", "--out", "a"), "--out a: must end in .png, .svg or .pdf"),
        (("small", "--out", "no/a.png"), "--out no/a.png: there is no folder no; make it first"),
        (("small", "--out", "d.svg"), "--out d.svg: is a folder; give a file in it"),
        (("small", "--out", "p.svg"), "--out p.svg: is not a regular file"),
        (("small", "--out", "a.svg", "--width", "3"), "--width 3: give a length from 1in to 50in"),
        (("small", "--out", "a.svg", "--height", "9m"), "--height 9m: give a length from"),
        (("small", "--out", "a.svg", "--height", "1in", "--size", "slide"), "too small for its"),
        (("small", "--out", "a.svg", "--width", "1in"), "too small for its labels"),
        (("small", "--out", "a.svg", "--chart", "scale"), "small: has no chart scale"),
        (("smal", "--out", "a.svg"), "has no experiment smal (did you mean small?)"),
        (("small", "--out", "/proc/a.svg"), "--out /proc/a.svg: can't be written: "),
        (("small", "--out", "a.svg", "--chart", "loses"), "--chart: must be losses, "),
    ],
)
def test_mistakes_are_explained_and_nothing_is_written(folder, tmp_path, words, said):
    (tmp_path / "d.svg").mkdir()
    os.mkfifo(tmp_path / "p.svg")
    done = twolayer("plot", *words, "--results", folder / "results", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"d.svg", "p.svg"}
    assert (tmp_path / "p.svg").is_fifo()


def test_what_was_there_stays_if_it_can_t_be_drawn(folder, tmp_path):
    out = tmp_path / "a.svg"
    out.write_text("mine")
    assert plot(folder, "small", "--out", out, "--width", "1in").returncode == 2
    assert out.read_text() == "mine"
    assert plot(folder, "small", "--out", out).returncode == 0
    assert out.read_text() != "mine"


def test_a_plot_too_narrow_to_read_is_refused_and_a_legend_makes_room(folder, tmp_path):
    narrow = ("small", "--width", "58mm", "--out", tmp_path / "a.svg")
    done = plot(folder, *narrow)
    assert done.returncode == 2
    assert "too small for its labels; give a larger --size, --width or --height, --legend" in (
        done.stderr
    )
    assert plot(folder, *narrow, "--legend").returncode == 0
    down = dict(texts(tmp_path / "a.svg"))
    assert down["numpy_manual"] > down["epoch"]


def test_a_legend_is_of_curves(folder, tmp_path):
    done = plot(folder, "small", "--chart", "steps", "--legend", "--out", tmp_path / "a.svg")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--legend: Time of a step has no curves to name; leave it out\n"


def test_runs_are_chosen_by_name_and_by_condition(folder, tmp_path):
    chosen = ("--impl", "numpy_manual,rises", "--where", "impl != 'rises'")
    done = plot(folder, "small", *chosen, "--out", tmp_path / "a.svg")
    assert done.returncode == 0, done.stderr
    names = {text for text, _ in texts(tmp_path / "a.svg")}
    assert "numpy_manual" in names
    assert not {"rises", "overflows", "nan_at_5"} & names
    done = plot(folder, "small", "--impl", "numpy", "--out", tmp_path / "b.svg")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--impl numpy: small has no run of it" in done.stderr
    assert not (tmp_path / "b.svg").exists()


def test_vl_convert_is_named_if_it_is_missing(folder, tmp_path):
    done = twolayer("plot", "--out", "a.svg", cwd=folder, **without(tmp_path, "vl_convert"))
    said = "--out a.svg: needs vl-convert; pip install 'twolayer[plot]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_the_choices_are_those_that_there_are():
    assert get_args(command.Charts) == tuple(chart_data.CHARTS)
    assert get_args(command.Sizes) == tuple(plots.SIZES) == tuple(SIZES)


# --- what is drawn


def test_colours_dashes_and_markers_are_those_of_the_looks(folder, tmp_path):
    text = draw(folder, tmp_path / "figure.svg").read_text()
    chart = chart_data.chart("losses", Store(folder / "results", "small"), None)
    for each in chart.series:
        assert f'stroke="{each.look.light}"' in text
    assert len({each.look for each in chart.series}) == len(chart.series)
    assert "stroke-dasharray" in text


def test_a_diverging_curve_leaves_over_the_top_at_a_cross(folder):
    chart = chart_data.chart("losses", Store(folder / "results", "small"), None)
    (view,) = spec.views(chart, spec.Frame(400, 300, 10))
    crosses = [layer for layer in view["layer"] if layer["mark"].get("shape") == spec.CROSS]
    ends = {row["series"]: row for row in crosses[0]["data"]["values"]}
    lost = [i for i, each in enumerate(chart.series) if each.ending]
    assert sorted(ends) == lost
    top = max(row["y"] for row in ends.values())
    calm = [y for each in chart.series if not each.ending for y in each.y]
    assert max(calm) < top < 1e100


def crosses(chart):
    (view,) = spec.views(chart, spec.Frame(400, 300, 10))
    layers = [layer for layer in view["layer"] if layer["mark"].get("shape") == spec.CROSS]
    return [row for layer in layers for row in layer["data"]["values"]]


def test_a_sweep_has_no_cross_at_a_point_that_is_ok(folder):
    chart = chart_data.chart("sweep", Store(folder / "results", "line"), None)
    assert [each.ending[:10] for each in chart.series] == ["none ok at"]
    assert crosses(chart) == []


def test_a_curve_that_departs_from_the_reference_has_no_cross_at_its_end(folder):
    chart = chart_data.chart("parity", Store(folder / "results", "small"), None)
    assert any(each.ending.startswith("departs at epoch") for each in chart.series)
    assert crosses(chart) == []


def test_intervals_are_drawn_as_bars(folder):
    chart = chart_data.chart("scale", *stored(folder, "timed"))
    (view,) = spec.views(chart, spec.Frame(400, 300, 10))
    bars = [
        (row["series"], row["x"], row["low"], row["high"])
        for layer in view["layer"]
        if layer["encoding"].get("y2") == {"field": "high"}
        for row in layer["data"]["values"]
    ]
    assert sorted(bars) == [
        (i, x, low, high)
        for i, each in enumerate(chart.series)
        for x, low, high in zip(each.x, each.low, each.high, strict=True)
    ]


def stored(folder, name):
    store = Store(folder / "results", name)
    return store, measurement.latest(store.folder)


# --- labels


@pytest.mark.parametrize(
    ("wanted", "heights", "places"),
    [
        ([0.2, 0.8], [0.1, 0.1], [0.2, 0.8]),
        ([0.5, 0.5], [0.2, 0.2], [0.6, 0.4]),
        ([0.0, 1.0], [0.2, 0.2], [0.1, 0.9]),
        ([0.9, 0.9, 0.9], [0.2, 0.2, 0.2], [0.9, 0.7, 0.5]),
        ([0.3, 0.5, 0.4], [0.4, 0.2, 0.4], [0.2, 0.9, 0.6]),
    ],
)
def test_labels_are_spread(wanted, heights, places):
    assert spec.place_labels(wanted, heights) == pytest.approx(places)


# --- scales


@pytest.mark.parametrize(
    ("scale", "count", "ticks"),
    [
        (scales.Scale(0, 999), 5, [0, 200, 400, 600, 800]),
        (scales.Scale(-0.3, 0.3), 3, [-0.2, 0, 0.2]),
        (scales.Scale(1e-3, 1e3, log=True), 10, [1e-3, 1e-2, 1e-1, 1, 10, 100, 1000]),
        (scales.Scale(3e-16, 3e7, log=True), 6, [1e-12, 1e-8, 1e-4, 1, 1e4]),
        (scales.Scale(470, 610, log=True), 3, [500, 550, 600]),
    ],
)
def test_ticks_are_round(scale, count, ticks):
    assert scale.ticks(count) == pytest.approx(ticks)


def test_numbers_have_the_digits_that_tell_them_apart():
    assert scales.distinct_texts("lr", [1e-4, 3.2e-3, 140.0]) == ["1e-4", "3.2e-3", "140"]
    near = scales.distinct_texts("final_loss", [2e-6 * i for i in range(28543011, 28543014)])
    assert near == ["57.086022", "57.086024", "57.086026"]


def test_a_curve_that_diverges_does_not_flatten_the_others():
    calm = curve("calm", [1e3, 1e1, 1e-1])
    lost = curve("lost", [1e3, 1e20, 1e300], ending="diverged at epoch 3")
    _, both = scales.axes([calm, lost], log_x=False, log_y=True)
    assert (both.low, both.high) == (pytest.approx(1e-1), pytest.approx(1e4))
    assert scales.axes([calm], log_x=False, log_y=True)[1].high == pytest.approx(1e3)


# --- in the terminal


def show(folder, *words, **env):
    return twolayer("show", *words, "--plot", cwd=folder, **env)


def curve(name, y, ending=""):
    return Series(
        name,
        Look("#000000", "#ffffff", SOLID, MARKERS[0]),
        list(map(float, range(len(y)))),
        y,
        ending=ending,
    )


def drawn(*series, width=60, height=20):
    table = Table(("",), [])
    chart = Chart("lines", "Loss", table, "epoch", "loss", list(series), log_y=True)
    return terminal_plot.text(chart, width, height)


def canvas(text):
    """What is right of the y axis."""
    return [
        line[line.index("│") + 1 :] for line in text.replace("┤", "│").split("\n") if "│" in line
    ]


@pytest.mark.parametrize("columns", [30, 60, 80, 200])
def test_curves_fit_the_terminal(folder, columns):
    done = show(folder, "small", COLUMNS=str(columns), LINES="40")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) <= 39
    for name in ("numpy_manual", "rises", "overflows", "nan_at_5"):
        assert re.search(rf"^[a-z]  {name}", done.stdout, re.M)
    assert "×" in done.stdout  # noqa: RUF001
    assert "\x1b" not in done.stdout


def test_where_it_diverged_is_said(folder):
    done = show(folder, "small", COLUMNS="100")
    assert re.search(r"^[a-z]  nan_at_5 .*  diverged at epoch 5$", done.stdout, re.M)


def test_curves_that_are_the_same_share_a_letter_and_others_do_not():
    falling = [10.0 ** -(i / 10) for i in range(100)]
    text = drawn(curve("one", falling), curve("two", falling), curve("other", [1.0] * 100))
    assert re.search(r"^a  one ", text, re.M)
    assert re.search(r"^a  two ", text, re.M)
    assert re.search(r"^b  other ", text, re.M)


def test_curves_that_meet_take_turns():
    same = [10.0 ** -(i / 10) for i in range(50)]
    text = drawn(curve("one", [*same, *same[::-1]]), curve("two", same + [same[-1]] * 50))
    left = "".join(line[:25] for line in canvas(text))
    assert abs(left.count("a") - left.count("b")) <= 5
    assert left.count("a") > 5


def test_a_steep_curve_is_connected():
    lines = canvas(drawn(curve("cliff", [1e10, 1e10, 1e-10, 1e-10])))
    assert all("a" in line for line in lines)


def test_a_single_loss_is_a_letter():
    assert "".join(canvas(drawn(curve("one", [3.0])))).strip() == "a"


def test_more_curves_than_letters_are_refused(folder):
    many = [curve(f"c{i}", [1.0, 10.0**i]) for i in range(60)]
    with pytest.raises(Exception, match=r"different curves can't be told apart"):
        drawn(*many, width=300, height=24)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rows", "lr"), "--rows and --plot: choose one of them\n"),
        (("--best", "3"), "--best and --plot: choose one of them\n"),
        (("--published",), "--published and --plot: choose one of them\n"),
        (("--format", "json"), "--plot: can't be printed as json; leave out --format\n"),
        (("--format", "csv"), "--plot: can't be printed as csv; leave out --format\n"),
        (("--cols", "lr"), "--cols: needs --rows\n"),
    ],
)
def test_what_does_not_go_with_it(folder, words, said):
    done = show(folder, "small", *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_in_markdown_it_is_a_code_block(folder):
    lines = show(folder, "small", "--format", "markdown").stdout.splitlines()
    assert (lines[0], lines[-1]) == ("```text", "```")


def test_what_is_left_out_is_said(folder):
    done = show(folder, "heat")
    assert done.returncode == 0
    assert done.stderr.startswith("3 of 15 runs: ")
    with on_a_terminal("show", "heat", "--plot", cwd=folder, columns=60) as terminal:
        assert "\N{REPLACEMENT CHARACTER}" not in terminal.read()  # where a line ends


def test_a_terminal_gets_colours_unless_it_wants_none(folder):
    for env, colours in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        child = on_a_terminal("show", "small", "--plot", cwd=folder, columns=80, **env)
        shown = child.read()
        child.close()
        assert "numpy_manual" in shown
        assert bool(re.search(r"\x1b\[\d+m[a-z×]\x1b\[0m", shown)) is colours  # noqa: RUF001


@pytest.mark.parametrize("words", [("show", "small"), ("show", "small", "--plot")])
def test_ascii_has_a_character_for_each_of_ours(folder, words):
    whole = twolayer(*words, cwd=folder, COLUMNS="100").stdout
    plain = twolayer(*words, cwd=folder, COLUMNS="100", PYTHONIOENCODING="ascii").stdout
    assert not whole.isascii()
    assert plain.isascii()
    assert "?" not in plain
    assert list(map(len, plain.splitlines())) == list(map(len, whole.splitlines()))
    assert re.sub(r"[^a-z]", "", plain) != ""


def test_other_characters_are_question_marks(folder):
    shown = twolayer("show", "\N{SNOWMAN}", cwd=folder, PYTHONIOENCODING="ascii")
    assert "has no experiment ?; there are" in shown.stderr
