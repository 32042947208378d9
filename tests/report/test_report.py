"""The report: one file that says it all, escaped, fetching nothing, and alive in a browser."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import math
import os
import re
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import vl_convert
from command import COMMAND, planted, small, start, twolayer, wait_for, without
from test_charts import bench, from_source, kept, swept, timed, trained
from twolayer.bench import measurement
from twolayer.report import data as chart_data
from twolayer.report import page as report
from twolayer.report.material import gather
from twolayer.results.store import Store

EVIL = (
    "</script><script>alert(1)</script></style><img src=x onerror=alert(1)>\u2028%{x} {{x}} &amp;"
)


class Page(html.parser.HTMLParser):
    """A page read as a browser does: its elements, the texts in them, its tables."""

    def __init__(self, text):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.raw, self.cell = "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self.cell = tag in ("td", "th")
        self.raw = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self.cell, self.raw = False, ""

    def handle_data(self, data):
        if self.raw == "script":
            self.scripts[-1] += data
        elif not self.raw:
            self.text += data
        if self.cell:
            self.tables[-1][-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """The folder for what may be kept from report to report."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "twolayer"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", "x")


def written(store):
    """The report of an experiment, in its folder."""
    material = gather(store, measurement.latest(store.folder))
    return report.write_report(material, store.folder / "report.html")


def page_of(store):
    return Page(written(store).read_text(encoding="utf-8"))


def reported(folder, *words):
    done = twolayer("report", *words, "--quiet", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of real runs, some of which went wrong, and of real sweeps, with their reports."""
    cwd = tmp_path_factory.mktemp("report")
    mixed = planted("numpy_manual", "autograd", "overflows", "nan_at_5", "raises", "segfaults")
    assert twolayer("run", *small(cwd, lr=1e-3), *mixed, "--quiet", cwd=cwd).returncode == 3
    sizes = "{N: 8, D_in: 5, D_out: 2, epochs: 20, impls: [numpy_manual, autograd], "
    for name, axes in SWEEPS.items():
        (cwd / f"{name}.yaml").write_text(f"{sizes}{axes}}}")
        assert twolayer("sweep", f"{name}.yaml", "--quiet", cwd=cwd).returncode in (0, 4)
    timings = cwd / "results" / "line" / "bench"
    timings.mkdir()
    found = bench("numpy_manual", "autograd", sizes=(10, 100, 1000), ratios=(1.0, 0.8))
    (timings / "1.json").write_text(found.text())
    for name in ("small", *SWEEPS):
        written(Store(cwd / "results", name))
    return cwd


SWEEPS = {
    "line": "grid: {lr: {log: [1e-4, 1e2, 5]}, seed: {range: 2}}",
    "heat": "grid: {lr: {log: [1e-4, 1e2, 5]}, H: [4, 8, 12]}",
    "parallel": "sample: {n: 8, lr: {log_uniform: [1e-4, 1e2]}, H: {choice: [4, 8]}, "
    "init: {choice: [normal, uniform]}}",
}


# --- the command


def test_it_says_where_the_report_is_and_leaves_nothing_else(tmp_path):
    assert twolayer("run", *small(tmp_path), "--impl", "numpy_manual", cwd=tmp_path).returncode == 0
    experiment = tmp_path / "results" / "small"
    before = {path.name for path in experiment.iterdir()}
    assert reported(tmp_path) == "report: results/small/report.html\n"
    assert {path.name for path in experiment.iterdir()} - before == {"report.html"}
    first = (experiment / "report.html").read_bytes()
    reported(tmp_path, "small", "--out", "elsewhere.html")
    assert (tmp_path / "elsewhere.html").read_bytes() == first


def test_a_bench_without_runs_is_an_experiment_too(tmp_path):
    folder = tmp_path / "results" / "b" / "bench"
    folder.mkdir(parents=True)
    (folder / "2026-01-01T00-00-00.json").write_text(bench("slow", "fast").text())
    assert reported(tmp_path) == reported(tmp_path, "b") == "report: results/b/report.html\n"
    text = (tmp_path / "results" / "b" / "report.html").read_text()
    assert "A bench: 2 implementations, 10 rounds." in Page(text).text
    killed = bench("slow", "fast")
    for cell in killed.cells:
        cell.rounds = []
    (folder / "2026-01-02T00-00-00.json").write_text(killed.text())
    reported(tmp_path)
    text = (tmp_path / "results" / "b" / "report.html").read_text()
    assert "A bench: 2 implementations, 10 rounds." in Page(text).text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("smal",), "results: has no experiment smal (did you mean small?)"),
        (
            ("small", "--out", "no/such/folder.html"),
            "--out no/such/folder.html: there is no folder no/such; make it first",
        ),
        (("small", "--out", "."), "--out .: is a folder; give a file in it"),
        (("small", "--out", "pipe.html"), "--out pipe.html: is not a regular file"),
        (("small", "--results", "nowhere"), "nowhere: holds no experiments yet"),
        (("broken",), "is not a file of twolayer bench"),
    ],
)
def test_mistakes_are_said_in_a_line(folder, words, said):
    broken = folder / "results" / "broken" / "bench"
    broken.mkdir(parents=True, exist_ok=True)
    (broken / "1.json").write_text("{}")
    os.mkfifo(folder / "pipe.html")
    done = twolayer("report", *words, "--quiet", cwd=folder)
    assert (folder / "pipe.html").is_fifo()
    (folder / "pipe.html").unlink()
    shutil.rmtree(broken.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(folder.glob("**/.tmp-*"))


@pytest.mark.parametrize(
    ("module", "package"), [("vl_convert", "vl-convert"), ("jinja2", "jinja2")]
)
def test_without_its_libraries_it_says_what_to_install(folder, tmp_path, module, package):
    done = twolayer("report", "small", cwd=folder, **without(tmp_path, module))
    assert done.returncode == 2
    assert done.stderr == f"report: needs {package}; pip install 'twolayer[report]'\n"


def test_stopped_by_ctrl_c_it_leaves_no_half_file(folder, tmp_path):
    shutil.copytree(folder / "results" / "small", tmp_path / "results" / "small")
    (tmp_path / "results" / "small" / "report.html").write_text("before")
    process = start("report", "small", cwd=tmp_path)
    process.send_signal(2)
    process.communicate(timeout=60)
    found = (tmp_path / "results" / "small" / "report.html").read_text()
    assert found == "before" or found.rstrip().endswith("</html>")


def test_the_libraries_of_the_page_are_bundled_once(cache, monkeypatch, store):
    kept(store)
    first = written(store).read_bytes()
    (bundle,) = cache.iterdir()
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda: pytest.fail("bundled again"))
    assert written(store).read_bytes() == first
    whole = bundle.read_bytes()
    for damaged in (b"", b"\n", whole[:-9], whole.replace(b"vega", b"evil"), b"\xff" + whole):
        bundle.write_bytes(damaged)
        monkeypatch.undo()
        assert written(store).read_bytes() == first
        assert bundle.read_bytes() == whole


@pytest.mark.parametrize("place", ["a file", "relative", "no home"])
def test_a_cache_that_can_not_be_used_costs_only_time(tmp_path, monkeypatch, store, place):
    kept(store)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", "here" if place == "relative" else str(tmp_path / "file"))
    if place != "a file":
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "file"))
    if place == "no home":
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        monkeypatch.setattr("pathlib.Path.home", lambda: Path("~nobody").expanduser())
    assert "vegaEmbed" in page_of(store).scripts[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "results"]


# --- the file


@pytest.mark.parametrize("name", ["small", *SWEEPS])
def test_it_refers_to_nothing_outside_itself(folder, name):
    text = (folder / "results" / name / "report.html").read_text()
    page = Page(text)
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "action", "formaction", "data", "poster"} & set(attributes), (
            tag
        )
        assert attributes.get("href") in (None, "data:,"), tag
        assert not [each for each in attributes if each.startswith("on")], tag
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert "url(" not in style
    assert "@import" not in style


def test_only_its_own_two_scripts_may_run(folder):
    page = Page((folder / "results" / "small" / "report.html").read_text())
    (policy,) = [
        meta["content"]
        for meta in page.all("meta")
        if "Content-Security" in str(meta.get("http-equiv"))
    ]
    rules = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    data, *scripts = page.scripts
    assert page.all("script")[0]["type"] == "application/json"
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [f"'sha256-{each}'" for each in hashes]
    assert set(rules) == {
        *("default-src", "script-src", "style-src", "img-src", "base-uri", "form-action")
    }
    assert json.loads(data)["figures"]
    assert "vegaEmbed" in scripts[0]
    assert '"ast":true' in scripts[1].replace(" ", "").replace("ast:", '"ast":')  # no eval


@pytest.mark.parametrize("name", ["small", *SWEEPS])
def test_every_chart_has_its_table(folder, name):
    store = Store(folder / "results", name)
    text = (store.folder / "report.html").read_text()
    page = Page(text)
    charts = chart_data.charts(gather(store, measurement.latest(store.folder)))
    assert len(charts) >= 2
    for key, chart in charts.items():
        wanted = [list(chart.table.header), *map(list, chart.table.rows)]
        assert wanted in page.tables, key
        assert f'<section id="{key}">' in text
    assert len(page.all("div")) >= len(figures_of(page)) >= len(charts)
    boxes = [each for each in page.all("div") if each.get("class") == "figure"]
    assert all(each["role"] == "img" and each["aria-label"] for each in boxes)
    named = [each["aria-label"] for each in boxes if "reference" in each["aria-label"]]
    assert named == ["Deviation from the reference, with a line at 1; the table says the same"]


def test_without_javascript_there_are_no_keys(folder):
    text = (folder / "results" / "small" / "report.html").read_text()
    assert "html:not(.drawn) .keys { display: none; }" in text
    assert 'aria-label="Curves to show: Loss"' in text


def test_what_people_wrote_is_text_and_nothing_else(store):
    error = {"type": EVIL, "message": EVIL, "traceback": f"{EVIL}\n  File {EVIL}", "signal": None}
    for outcome, losses in (("ok", (2.0, 1.0)), ("failed", (2.0,)), ("diverged", (2.0, math.nan))):
        kept(
            *(store, EVIL + outcome, losses, outcome),
            error=None if outcome == "ok" else error,
            log=EVIL,
            versions={EVIL: EVIL},
            machine={"host": EVIL, "cpu": EVIL},
            framework=EVIL,
            init=EVIL,
            device=EVIL,
            git={"commit": EVIL},
            step_us=timed(),
            source=f"/tmp/{EVIL}.py",
        )
    page = page_of(store)
    assert len(page.all("script")) == 3
    assert not page.all("img")
    assert len(page.all("style")) == 1
    shown = EVIL.replace("\u2028", "\N{REPLACEMENT CHARACTER}")
    assert page.text.count(shown) >= 6
    assert "<" not in page.scripts[0]
    names = {name for figure in figures_of(page) for name in values(figure, "name")}
    assert any(EVIL.strip("\u2028")[:20] in name for name in names)  # data, not Vega's expressions


def figures_of(page):
    """The Vega specifications on a page."""
    return json.loads(page.scripts[0])["figures"]


def values(figure, field):
    """What a field is in the data of a figure."""
    rows = (row for data in figure["data"] for row in data.get("values", ()))
    return [row[field] for row in rows if field in row]


def test_colours_for_the_dark_are_paired_with_those_for_light(folder):
    page = Page((folder / "results" / "small" / "report.html").read_text())
    dark = json.loads(page.scripts[0])["dark"]
    chart = chart_data.chart("losses", Store(folder / "results", "small"), None)
    assert {each.look.light: each.look.dark for each in chart.series}.items() <= dark.items()
    colours = set(re.findall(r'"(#[0-9a-f]{6})"', json.dumps(figures_of(page))))
    assert colours <= set(dark)


def test_every_curve_has_a_key_and_says_how_it_ended(folder):
    page = Page((folder / "results" / "small" / "report.html").read_text())
    keys = [each for each in page.all("button") if each["class"] == "key"]
    assert all(each["aria-pressed"] == "true" and each["type"] == "button" for each in keys)
    assert "overflows diverged at epoch 4" in page.text
    chart = chart_data.chart("losses", Store(folder / "results", "small"), None)
    numbers = [int(each["data-series"]) for each in keys]
    assert numbers[: len(chart.series)] == list(range(len(chart.series)))
    figure = figures_of(page)[0]
    assert [each for each in figure["signals"] if each["name"] == "hidden"]
    assert {row for row in values(figure, "series") if row >= 0} == set(
        numbers[: len(chart.series)]
    )


@pytest.mark.parametrize("width", [328, 752, 1112])
@pytest.mark.parametrize("name", ["small", "line", "heat", "parallel"])
def test_figures_are_as_wide_as_the_window(folder, name, width):
    for figure in figures_of(Page((folder / "results" / name / "report.html").read_text())):
        drawn = vl_convert.vega_to_scenegraph(as_wide_as(figure, width))
        assert drawn["width"] == width
        (plot,) = drawn["scenegraph"]["items"]
        assert plot["width"] > 0.3 * width


def as_wide_as(figure, width):
    """A figure in a window of that width, as the page's script makes it."""
    text = json.dumps(figure | {"width": width})
    return json.loads(text.replace("windowSize()[0]", str(width)))


@pytest.mark.parametrize("width", [328, 752])
def test_names_at_the_ends_of_curves_do_not_overlap(folder, width):
    for figure in figures_of(Page((folder / "results" / "small" / "report.html").read_text()))[:2]:
        svg = vl_convert.vega_to_svg(as_wide_as(figure, width))
        labels = re.findall(
            r'<text text-anchor="start" transform="translate\(([\d.]+),([-\d.]+)', svg
        )
        down = sorted(float(y) for x, y in labels if float(x) > 50)
        assert len(down) >= 3
        assert min(b - a for a, b in pairwise(down)) > 11


def test_the_same_runs_make_the_same_page(folder, tmp_path):
    out = tmp_path / "report.html"
    reported(folder, "heat", "--out", str(out))
    assert out.read_bytes() == (folder / "results" / "heat" / "report.html").read_bytes()


def test_a_config_that_was_run_does_not_end_early(store):
    kept(store, command="twolayer sweep x.yaml", config_file="x.yaml", invocation="1")
    store.keep_config("1", write(store.folder / "x.yaml", "# a\nEND\ntouch owned\n"))
    assert "cat > x.yaml <<'END_'\n# a\nEND\ntouch owned\nEND_\n" in report_commands(store)


def write(path, text):
    path.write_text(text)
    return path


def test_each_command_that_made_the_runs_is_shown_once(store):
    for number in range(3):
        kept(store, lr=10.0**-number, command="twolayer sweep lr", invocation=f"{number}")
    lines = report_commands(store).splitlines()
    assert lines[-3:] == ["python -m pip install .", "twolayer sweep lr", "twolayer report x"]


def test_runs_without_a_command_are_run_again_from_their_configs(store):
    for seed in range(25):
        kept(store, seed=seed)
    *_, first, more, _ = report_commands(store).splitlines()
    config = "results/x/runs/run-0019/config.yaml"
    assert first == f"twolayer run {config} --name x"
    assert more == "# and 5 more commands"


def report_commands(store):
    text = written(store).read_text()
    return html.unescape(re.search(r'id="commands">.*?<pre[^>]*>(.*?)</pre>', text, re.S)[1])


# --- the first thing to read


def sentences(store):
    return " ".join(
        re.search(r"<p class=\"verdict\".*?</p>", written(store).read_text())[0].split()
    )


def verdict(store):
    text = written(store).read_text()
    (found,) = re.findall(r'<p class="verdict" data-mood="(\w+)">(.*?)</p>', text, re.S)
    return found[0], html.unescape(re.sub(r"<[^>]*>", "", found[1]))


def test_all_is_well(store):
    kept(store, losses=trained(), lr=1e-3, dtype="float64", **from_source("numpy_manual"))
    kept(store, "sgd", trained(), lr=1e-3, dtype="float64", **from_source("sgd"))
    mood, words = verdict(store)
    assert mood == "good"
    assert words.startswith("2 runs, all ok. All judged against the reference, inside the band")


def test_one_is_outside(store):
    kept(store, losses=trained(), lr=1e-3, dtype="float64", **from_source("numpy_manual"))
    kept(store, "sgd", trained(lr=2e-3), lr=1e-3, dtype="float64", **from_source("sgd"))
    mood, words = verdict(store)
    assert mood == "bad"
    assert "1 of 2 judged inside the band of rounding; outside: sgd." in words


def test_some_did_not_end_well(store):
    kept(store)
    kept(store, "sgd", (2.0, math.nan), "diverged")
    assert verdict(store)[0] == "mixed"
    kept(store, "adam", (2.0,), "out_of_memory")
    mood, words = verdict(store)
    assert mood == "bad"
    assert words.startswith("3 runs: 1 ok, 1 out of memory and 1 diverged.")


@pytest.mark.parametrize(
    ("ranks", "ratios", "said"),
    [
        (((2, 2), (1, 1)), (1.0, 0.5), "Fastest: b, 0.50 (0.45 to 0.55) times a's step."),
        (((1, 1), (2, 2)), (1.0, 1.5), "Fastest: a; next b, 1.50 (1.35 to 1.65) times a's step."),
        (
            ((1, 2), (1, 2)),
            (1.0, 0.99),
            "Fastest: b or a, which can't be told apart; b, 0.99 (",
        ),
    ],
)
def test_the_fastest_is_named_with_its_interval_if_it_is_certain(store, ranks, ratios, said):
    kept(store)
    found = bench("a", "b", ratios=ratios)
    for cell, rank in zip(found.cells, ranks, strict=True):
        cell.rank = rank
    assert said in verdict_with(store, found)


def test_the_next_fastest_does_the_same_work(store):
    kept(store)
    found = bench("a", "adam", "b", ratios=(1.0, 1.2, 1.5))
    ranks, families = [(1, 1), None, (2, 2)], ["sgd", "adam", "sgd"]
    for cell, rank, family in zip(found.cells, ranks, families, strict=True):
        cell.rank, cell.family = rank, family
    assert "Fastest: a; next b, 1.50 (" in verdict_with(store, found)
    found.cells.pop()
    assert "Fastest" not in verdict_with(store, found)


def verdict_with(store, found):
    (store.folder / "bench").mkdir(exist_ok=True)
    (store.folder / "bench" / "1.json").write_text(found.text())
    return verdict(store)[1]


def test_without_a_bench_step_times_are_ranked_among_runs_that_are_the_same_work(store):
    kept(store, step_us=timed(200.0), threads=2)
    kept(store, "sgd", step_us=timed(100.0), threads=2)
    assert "Shortest step time: sgd, 100 µs, the median of one run" in verdict(store)[1]
    kept(store, "adam", step_us=timed(50.0), threads=1, dtype="float64")
    said = "Step times are not ranked: the runs differ in dtype, threads and algorithm."
    assert said in verdict(store)[1]


def test_a_sweep_says_where_the_loss_is_lowest(store):
    swept(store, lr=(1e-3, 1e-2, 1.0))
    mood, words = verdict(store)
    assert mood == "mixed"
    assert "Best: numpy_manual and sgd with lr=0.001, final loss 1.0000e+00" in words
    answer = next(table for table in page_of(store).tables if "best settings" in table[0])
    assert [row[0] for row in answer] == ["impl", "numpy_manual", "sgd"]


# --- what went wrong, where it ran, how to run it again


def test_runs_that_are_not_ok_are_shown_with_the_end_of_their_logs(folder):
    page = Page((folder / "results" / "small" / "report.html").read_text())
    for said in (
        "three steps, then the end",
        "ValueError: the planted mistake",
        "the process was ended by SIGSEGV",
        "Fatal Python error: Segmentation fault",
        "loss is nan at epoch 5; the last finite loss is 0.2",
    ):
        assert said in page.text


def test_hundreds_of_failures_are_a_table_and_few_logs(store):
    for i in range(120):
        kept(store, "sgd", (), "failed", seed=i, log=f"the log of {i}\n")
    page = page_of(store)
    assert page.text.count("the log of") == 20
    assert max(len(table) for table in page.tables) >= 121


def test_the_environment_says_what_differs(store):
    kept(store, machine={"cpu": "one", "cores": 2, "usable_cores": 2}, versions={"numpy": "2.0"})
    kept(store, "sgd", machine={"cpu": "two"}, versions={"numpy": "2.0"}, gpu={"name": "G"})
    tables = page_of(store).tables
    rows = {row[0]: row[1] for table in tables for row in table if len(row) == 2}
    assert rows["processor"] == "one (1 run), two (1 run)"
    assert rows["numpy"] == "2.0"
    assert rows["GPU"] == "G"


def test_of_those_that_diverged_one_is_shown_in_full(store):
    kept(store, "adam", (), "failed", log="the log of a failure\n")
    for i in range(9):
        kept(store, "sgd", (2.0, math.nan), "diverged", seed=i, log=f"the log of {i}\n")
    page = page_of(store)
    assert page.text.count("the log of") == 2
    (table,) = (t for t in page.tables if t[0] == ["run", "outcome", "reason"])
    assert len(table) == 11


def test_a_report_names_no_machine_and_no_folder(store):
    error = {
        "type": "ValueError",
        "message": "/home/ada/work/mine.py is wrong",
        "traceback": 'Traceback:\n  File "/home/ada/work/mine.py", line 3, in train\n',
        "signal": None,
    }
    command = "twolayer sweep /home/ada/work/lr.yaml --set threads=2 --impl /home/ada/a.py,sgd"
    about = {"config_file": "/home/ada/work/lr.yaml", "machine": {"host": "ada-laptop", "cpu": "C"}}
    kept(store, "mine", (), "failed", error=error, log="x\n", command=command, **about)
    store.keep_config("", write(store.folder / "x.yaml", "impls: [/home/ada/a.py]\n"))
    text = written(store).read_text().replace(str(store.folder), "")
    body = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert "ada" not in body
    assert "./mine.py is wrong" in body
    commands = report_commands(store)
    assert "cat > ./lr.yaml <<'END'\nimpls: [./a.py]\nEND\n" in commands
    assert "twolayer sweep ./lr.yaml --set threads=2 --impl ./a.py,sgd\n" in commands


def test_what_is_left_out_is_said_on_the_page_and_beside_it(store):
    for number, impl in enumerate(("numpy_manual", "sgd", "adam")):
        kept(store, impl, command="twolayer run", invocation=str(number // 2))
    said = "2 other runs of x are left out; --all shows them"
    done = twolayer("report", cwd=store.folder.parent.parent)
    assert done.stdout.startswith("report: results/x/report.html\n1 run, ok.")
    assert done.stderr.splitlines()[-1] == said
    assert f"{said}." in page_of(store).text
    done = twolayer("report", "--all", cwd=store.folder.parent.parent)
    assert done.stdout.startswith("report: results/x/report.html\n3 runs, all ok.")
    assert said not in done.stderr


def test_it_opens_the_page_that_it_wrote(store):
    kept(store)
    cwd = store.folder.parent.parent
    browser = cwd / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    done = twolayer("report", "--open", cwd=cwd, BROWSER=str(browser))
    assert "opened in a browser" in done.stderr
    assert wait_for((cwd / "opened").is_file)
    assert (cwd / "opened").read_text().startswith((store.folder / "report.html").as_uri())


def runs_in(folder, experiment):
    return {path.name for path in (folder / "results" / experiment / "runs").iterdir()}


@pytest.mark.parametrize("name", ["small", *SWEEPS])
def test_the_commands_make_the_same_runs_again(folder, tmp_path, name):
    commands = report_commands(Store(folder / "results", name))
    wanted = commands[commands.index("cat >") :]
    script = wanted[: wanted.rindex("twolayer report")]
    script = re.sub(r"^twolayer bench.*", "", script, flags=re.M)
    for each in (Path(__file__).parent.parent / "planted").glob("*.py"):
        shutil.copy(each, tmp_path)
    command = f'twolayer() {{ {shlex.join(COMMAND)} "$@"; }}\n'
    subprocess.run(["bash", "-c", command + script], cwd=tmp_path, capture_output=True, timeout=120)
    assert runs_in(tmp_path, name) == runs_in(folder, name)


def test_what_is_installed_is_what_was_installed(store):
    versions = {
        "python": "3.12",
        "twolayer": "1",
        "torch": "2.9+cpu",
        "blas": "x",
        "numpy": "2.1",
    }
    kept(store, versions=versions, git={"commit": "abc", "dirty": False})
    commands = report_commands(store)
    assert "git checkout abc\n" in commands
    assert "python -m pip install . torch==2.9 numpy==2.1\n" in commands


# --- in a browser


CHROMIUM = next(
    filter(
        None,
        map(
            shutil.which,
            ("chromium", "chromium-browser", "google-chrome", "chrome", "chrome-browser"),
        ),
    ),
    None,
)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser):
    """Opens a report; in the end, no page may have complained, asked for more, or popped up."""
    pages, wrong = [], []

    def open_report(path, width=1000, scheme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, **options
        )
        page = context.new_page()
        page.on("console", lambda said: wrong.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda asked: requests.append(asked.url))
        requests: list[str] = []
        page.goto(path.as_uri())
        pages.append((context, path.as_uri(), requests))
        return page

    yield open_report
    for context, url, requests in pages:
        context.close()
        wrong += [f"request: {each}" for each in requests if each != url]
    assert wrong == []


def report_in(folder, name):
    return folder / "results" / name / "report.html"


def drawn(page, selector):
    """How many elements that a selector finds are of some size."""
    return page.evaluate(
        "selector => [...document.querySelectorAll(selector)]"
        ".filter(e => e.getBoundingClientRect().width > 0).length",
        selector,
    )


SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LINES = "#losses .mark-line path"


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
@pytest.mark.parametrize("name", ["small", *SWEEPS])
def test_it_is_drawn_and_fits(folder, opened, name, width, scheme):
    page = opened(report_in(folder, name), width, scheme)
    figures = page.locator(".figure").count()
    assert figures >= 2
    assert wait_for(lambda: drawn(page, ".figure svg") == figures, seconds=20)
    assert drawn(page, LINES) >= 2
    assert page.evaluate(SIDEWAYS) == 0


@in_a_browser
def test_a_curve_can_be_switched_off_and_on(folder, opened):
    page = opened(report_in(folder, "small"))
    section = page.locator("#losses")
    page.locator(LINES).first.wait_for()
    before = drawn(page, LINES)
    key = section.get_by_role("button", name="numpy_manual")
    label = section.locator("svg text", has_text="numpy_manual")
    assert (label.count(), key.get_attribute("aria-pressed")) == (1, "true")
    key.click()
    assert wait_for(lambda: drawn(page, LINES) == before - 1, seconds=20)
    assert (label.count(), key.get_attribute("aria-pressed")) == (0, "false")
    key.press("Enter")
    assert wait_for(lambda: drawn(page, LINES) == before, seconds=20)
    section.get_by_role("button", name="hide all").click()
    assert wait_for(lambda: drawn(page, LINES) == 0, seconds=20)
    section.get_by_role("button", name="show all").click()
    assert wait_for(lambda: drawn(page, LINES) == before, seconds=20)


@in_a_browser
def test_pointing_at_a_curve_says_its_value(folder, opened):
    page = opened(report_in(folder, "small"))
    page.locator("#losses .mark-symbol path[opacity='0']").first.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for(timeout=5000)
    assert re.search(r"epoch\s*\d+", tip.text_content())


@in_a_browser
def test_it_follows_the_system_into_the_dark(folder, opened):
    page = opened(report_in(folder, "small"), scheme="light")
    page.locator(LINES).first.wait_for()
    stroke = f"document.querySelector({LINES!r})?.getAttribute('stroke')"
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(stroke), page.evaluate(paper)
    page.emulate_media(color_scheme="dark")
    assert wait_for(lambda: page.evaluate(stroke) not in (light[0], None), seconds=20)
    assert page.evaluate(paper) != light[1]


@in_a_browser
def test_nothing_that_people_wrote_runs(store, opened):
    error = {"type": EVIL, "message": EVIL, "traceback": EVIL, "signal": None}
    kept(store, EVIL, (2.0, 1.5, 1.0), log=EVIL, framework=EVIL, step_us=timed(), init=EVIL)
    kept(store, "b" + EVIL, (2.0, 1.0), "failed", log=EVIL, error=error, lr=0.5)
    kept(store, "<b>bold</b><a href='https://example.org'>link</a>", (3.0, 1.0), step_us=timed())
    page = opened(written(store))
    assert wait_for(lambda: drawn(page, LINES) == 3, seconds=20)
    labels = page.locator("#losses svg text").all_text_contents()
    assert any("<b>bold</b>" in label for label in labels)
    assert page.locator(".figure a, main a, main img").count() == 0


@in_a_browser
def test_without_javascript_the_tables_are_there(folder, opened):
    page = opened(report_in(folder, "small"), java_script_enabled=False)
    assert page.locator("#losses table").is_visible()
    assert page.locator("noscript").is_visible()
    assert not page.locator(".keys").first.is_visible()


def test_hundreds_of_runs_stay_small(store):
    for i in range(500):
        kept(store, "numpy_manual", (9.0, 1.0 + i), seed=i, lr=1e-3 * (1 + i % 7), H=4 + i % 5)
    path = written(store)
    assert path.stat().st_size < 2e6
    figures = figures_of(Page(path.read_text()))
    assert len(values(figures[0], "brief")) == 35
    assert len(set(values(figures[1], "series"))) == 3


def test_the_material_of_an_empty_experiment_is_said_to_be_empty(store):
    store.prepare()
    with pytest.raises(report.UserError, match="holds no finished run and no bench"):
        report.page(gather(store, None))
