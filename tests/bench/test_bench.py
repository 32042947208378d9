"""`twolayer bench`: what it measures, what it concludes, what it refuses, and its gate."""

import csv
import io
import itertools
import json
import os
import re
import signal
import subprocess
from dataclasses import replace

import pexpect
import pytest
from command import (
    left_behind,
    on_a_terminal,
    planted,
    small,
    start,
    twolayer,
    wait_for,
    without,
)
from twolayer.bench import analysis
from twolayer.bench.blocks import BlockTimer, time_blocks
from twolayer.bench.gate import Slowdown
from twolayer.bench.measurement import Bench, Cell, Interval, Rates, Round, read_bench
from twolayer.bench.plan import parse_scale
from twolayer.bench.rounds import PROBED_ROUNDS
from twolayer.bench.tables import comparison, costs, findings, fits, flat, growth, remarks
from twolayer.config.settings import Config
from twolayer.errors import UserError
from twolayer.impls import autograd
from twolayer.training.contract import ContractError

ALONE = ("--threads", "1", "--impl", "numpy_manual")
THREE = (*planted("numpy_manual", "plain_floats", "chunks"), "--threads", "1")
FEW = ("--rounds", "2", "--blocks", "2")


def bench(folder, *words, **more):
    """Run `twolayer bench` on the small problem, hardly warm; returns the CompletedProcess."""
    return twolayer("bench", *small(folder), "--warmup", "0.1", *words, cwd=folder, **more)


def kept(folder, name="small"):
    """The newest bench on disk."""
    *_, last = sorted((folder / "results" / name / "bench").iterdir())
    return read_bench(last)


# --- what is measured


@pytest.fixture(scope="module")
def interleaved(tmp_path_factory):
    """The JSON of a bench of THREE, in four rounds."""
    folder = tmp_path_factory.mktemp("interleaved")
    done = bench(folder, *THREE, "--rounds", "4", "--blocks", "2", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads(kept(folder).text())
    return found


def test_rounds_are_fresh_processes_in_shuffled_order(interleaved):
    found = interleaved
    cells = {cell["label"]: cell for cell in found["cells"]}
    ratios = [cell["ratio"]["value"] for cell in cells.values()]
    assert sorted(cells) == ["chunks", "numpy_manual", "plain_floats"]
    assert ratios == sorted(ratios)
    for cell in cells.values():
        assert [each["number"] for each in cell["rounds"]] == list(range(4))
        assert all(len(each["blocks_us"]) == 2 for each in cell["rounds"])
        assert all(each["warmup_steps"] > 0 for each in cell["rounds"])
        assert cell["step_us"]["low"] <= cell["step_us"]["value"] <= cell["step_us"]["high"]
    orders = {tuple(cells[name]["rounds"][n]["place"] for name in cells) for n in range(4)}
    assert len(orders) > 1
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert cells["numpy_manual"]["ratio"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_the_order_comes_from_its_seed(tmp_path, interleaved):
    def order(seed):
        bench(tmp_path, *THREE, "--rounds", "1", "--blocks", "1", "--order-seed", seed, "-q")
        return {cell.label: cell.rounds[0].place for cell in kept(tmp_path).cells}

    first = {cell["label"]: cell["rounds"][0]["place"] for cell in interleaved["cells"]}
    assert order("0") == first != order("2")


def test_what_is_not_the_steady_step_is_told_apart(measured):
    found = json.loads(measured)
    (cell,) = found["cells"]
    for each in cell["rounds"][:PROBED_ROUNDS]:
        assert each["dispatch_us"] > 0
    for each in cell["rounds"]:
        assert each["import_s"] > 0
        assert each["setup_s"] > 0
        assert each["first_us"] > 0
        assert each["peak_bytes"] > 0
        assert 0.1 < each["cpu_share"] < 1.5
    rates = found["rates"]
    assert rates["matmul_gflops"] > 0
    assert rates["copy_gb_s"] > 0
    assert rates["matmul_by"] == "numpy"
    assert cell["gflops"] == pytest.approx(cell["flops"] / cell["step_us"]["value"] / 1e3)
    assert cell["limit"] == "arithmetic"
    assert cell["share"] == pytest.approx(cell["gflops"] / rates["matmul_gflops"])


PARTICULAR = '''"""Holds 60 MB, and wants more than one example."""

import numpy as np


def train(cfg):
    _, _, *weights = cfg.problem()
    held = np.ones(60_000_000 // 8)
    for _ in cfg.steps():
        yield 1.0 / (cfg.N - 1)
    return weights
'''


def test_memory_is_over_the_start_and_dispatch_is_left_out_where_it_can_not_be(tmp_path):
    (tmp_path / "particular.py").write_text(PARTICULAR)
    done = bench(tmp_path, "--impl", "./particular.py", "--threads", "1", *FEW)
    assert done.returncode == 0, done.stdout
    for each in kept(tmp_path).cells[0].rounds:
        assert 60e6 <= each.peak_bytes < 90e6
        assert each.dispatch_us is None


def test_flops_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    cfg = Config(N=7, H=5, D_in=11, D_out=3, epochs=4)
    with FlopCounterMode(display=False) as counter:
        list(autograd.train(cfg))
    assert counter.get_total_flops() == cfg.epochs * analysis.flops(cfg, "sgd")


def test_an_implementation_says_what_its_step_computes(some_fail):
    _, cells = some_fail
    assert cells["gram_counted"].flops == 2 * 8**2 * 4 + 3 * 2 * 8 * 4 * 2
    message = "flops(cfg) must return a finite number greater than 0 (got -1)"
    assert cells["flops_negative"].rounds[0].error["message"] == message


def test_what_is_beyond_the_limit_has_no_share_of_it():
    cells = [a_cell("less", steady(1.0)), a_cell("told", steady(1.0), flops=1e9)]
    cells += [a_cell("as_said", steady(1.0), flops=1e5), a_cell("plain", steady(1e5))]
    found = a_bench(cells)
    found.rates = Rates(200.0, "numpy", 1e9)
    analysis.conclude(found, [])
    shares = [cell.share for cell in cells]
    assert shares == [None, None, pytest.approx(0.5), pytest.approx(cells[3].flops / 1e8 / 200)]
    assert cells[0].gflops is None
    said = [text for text in remarks(found) if "less arithmetic" in text]
    assert said == [
        "less does less arithmetic than the formula counts: by that it would be beyond the "
        "machine's limit; a function flops(cfg) beside train can say what a step computes",
        "told does less arithmetic than its flops(cfg) says: that is beyond the limit",
    ]


def test_memory_decides_only_for_what_no_cache_holds():
    def limits(**sizes):
        cell = a_cell("a", [[1e6]], config=Config(**sizes).values())
        found = a_bench([cell], machine={"cache_bytes": 1 << 20})
        found.rates = Rates(1000.0, "numpy", 1.0)
        analysis.conclude(found, [])
        return cell.limit, cell.share

    cached, _ = limits(N=8, H=8, D_in=8, D_out=8)
    beyond, share = limits(N=1, H=1000, D_in=10000, D_out=1)
    assert (cached, beyond) == ("arithmetic", "memory")
    cfg = Config(N=1, H=1000, D_in=10000, D_out=1)
    attainable = analysis.flops(cfg, "sgd") / analysis.traffic_bytes(cfg, "sgd")  # at 1 GB/s
    assert share == pytest.approx(analysis.flops(cfg, "sgd") / 1e6 / 1e3 / attainable)


def timer(blocks=2):
    return BlockTimer(blocks, warmup_s=0.1, barrier=lambda: None)


CONFIG = Config(N=2, H=2, D_in=2, D_out=2, threads=1)


def test_the_garbage_collector_is_quiet_in_a_block_and_back_afterwards():
    import gc

    seen = set()

    def train(cfg):
        for _ in cfg.steps():
            seen.add(gc.isenabled())
            yield 1.0

    assert time_blocks(train, CONFIG, timer())["outcome"] == "ok"
    assert seen == {False}
    assert gc.isenabled()


def test_blocks_are_long_and_the_first_step_is_not_in_them():
    import time

    def train(cfg):
        for step in cfg.steps():
            time.sleep(0.05 if step == 0 else 0.0005)
            yield 1.0

    found = time_blocks(train, CONFIG, timer(blocks=3))
    assert found["first_us"] > 50_000
    assert len(found["blocks_us"]) == 3
    assert max(found["blocks_us"]) < 50_000
    assert min(found["blocks_us"]) >= 500
    assert found["block_steps"] >= 2


@pytest.mark.parametrize("size", [1, 7])
def test_a_loop_that_takes_steps_in_chunks_is_cut_between_them(size):
    import itertools

    import numpy as np

    pulled = []

    def train(cfg):
        steps = iter(cfg.steps())
        while chunk := list(itertools.islice(steps, size)):
            pulled.append(len(chunk))
            yield np.ones(len(chunk))

    found = time_blocks(train, CONFIG, timer())
    assert len(found["blocks_us"]) == 2
    assert set(pulled) == {size}


def test_training_that_stops_by_itself_is_not_timed():
    def train(cfg):
        for step in cfg.steps():
            if step == 3:
                return
            yield 1.0

    with pytest.raises(ContractError, match="it ended after only 3 steps"):
        time_blocks(train, CONFIG, timer())


def test_training_that_stops_where_its_loss_is_no_number_has_diverged():
    def train(cfg):
        for step in cfg.steps():
            yield 1.0 if step < 3 else float("nan")
            if step == 3:
                return

    assert time_blocks(train, CONFIG, timer())["outcome"] == "diverged"


@pytest.mark.parametrize(
    ("losses", "said"),
    [((), "it pulled 10000 steps before their losses came"), ((1.0, 2.0), "too many losses: 2")],
)
def test_training_out_of_step_with_its_losses_is_refused(losses, said):
    def train(cfg):
        for _ in cfg.steps():
            yield from losses

    with pytest.raises(ContractError, match=said):
        time_blocks(train, CONFIG, timer())


# --- what is concluded


def a_cell(label, blocks, *, config=None, size=None, family="sgd", **more):
    config = config or Config().values()
    cfg = Config(**config)
    made = [Round(number, 0, blocks_us=list(each), **more) for number, each in enumerate(blocks)]
    return Cell(
        *(label, label, "", family, "numpy", config, "0" * 64, size),
        flops=analysis.flops(cfg, "sgd"),
        bytes=analysis.traffic_bytes(cfg, "sgd"),
        rounds=made,
    )


def a_bench(cells, *, axis="", machine=None):
    about = {"host": "here", "cpu": "some", "usable_cores": 2} | (machine or {})
    return Bench("x", "2026-01-01T00:00:00", cells[0].label, axis, 0, 1, cells, machine=about)


def steady(value, rounds=9, wobble=0.002):
    return [[value * (1 + wobble * ((r + b) % 3 - 1)) for b in range(5)] for r in range(rounds)]


def warnings_of(*cells, **more):
    found = a_bench(list(cells), **more)
    analysis.conclude(found, [])
    return found.warnings


def test_steady_rounds_on_a_quiet_machine_are_not_warned_of():
    quiet = {"cpu_share": 1.0, "others_share": 0.0}
    assert warnings_of(a_cell("a", steady(100), **quiet), a_cell("b", steady(120), **quiet)) == []


@pytest.mark.parametrize(
    ("cells", "words", "remedy"),
    [
        ([a_cell("a", steady(100, wobble=0.3), cpu_share=1.0)], "spread", "close other programs"),
        ([a_cell("a", steady(100), cpu_share=1.0, others_share=0.5)], "other processes", "close"),
        ([a_cell("a", steady(100), cpu_share=0.5)], "only 50%", "close other programs"),
        ([a_cell("a", steady(100, 3), cpu_share=1.0)], "3 rounds are few", "more --rounds"),
        ([a_cell("a", steady(100), cpu_share=1.0, settled=False)], "warm-up", "--warmup"),
    ],
    ids=["spread", "busy", "waiting", "few", "unsettled"],
)
def test_doubts_are_said_with_a_remedy(cells, words, remedy):
    (warning,) = warnings_of(*cells)
    assert words in warning
    assert remedy in warning


def test_a_remedy_fits_who_is_told():
    """No fewer threads than one, no more rounds within a budget, no shorter a warm-up."""
    wide = [a_cell(name, steady(100, 3, wobble=0.3), cpu_share=0.5, settled=False) for name in "ab"]
    found = a_bench(wide)
    analysis.conclude(found, [], False, "a longer --budget", 10.0)
    one = " ".join(found.warnings)
    assert "--threads" not in one
    assert "--rounds" not in one
    assert one.count("give it a longer --budget") == 2
    assert "--warmup 50s" in one
    found.threads = 2
    analysis.conclude(found, [])
    two = " ".join(found.warnings)
    assert "try --threads 1, or give it more --rounds" in two
    assert "try fewer --threads" in two
    busy = warnings_of(a_cell("a", steady(100, wobble=0.3), cpu_share=1.0, others_share=0.5))
    assert sum("close" in warning for warning in busy) == 1


def test_a_drift_of_all_is_told_from_one_that_got_slower():
    hot = [[100 * (1 + 0.02 * r)] * 5 for r in range(9)]
    cells = [a_cell(name, hot, cpu_share=1.0) for name in "abc"]
    assert any("cool down" in warning for warning in warnings_of(*cells))
    cells[1:] = [a_cell(name, steady(100), cpu_share=1.0) for name in "bc"]
    assert not any("cool down" in warning for warning in warnings_of(*cells))


def test_a_cost_that_does_not_grow_along_a_line_is_said_to():
    sizes = {10: 100, 20: 110, 40: 130, 80: 400}
    cells = [a_cell("a", steady(time), size=size, cpu_share=1) for size, time in sizes.items()]
    (warning,) = warnings_of(*cells, axis="N")
    assert "straight line" in warning


def test_other_work_is_not_compared_in_silence():
    cells = [a_cell(name, steady(100), cpu_share=1) for name in "ab"]
    cells[1].config |= {"dtype": "float64"}
    cells.append(a_cell("c", steady(200), cpu_share=1))
    cells.append(a_cell("d", steady(10), cpu_share=1, family="adam"))
    found = a_bench(cells)
    analysis.conclude(found, [])
    (warning,) = found.warnings
    assert "not the same work, so not all are ranked: dtype is float32 for" in warning
    assert "float64 for b" in warning
    assert {c.label: c.rank for c in cells} == {"a": (1, 1), "b": None, "c": (2, 2), "d": None}
    assert analysis.fastest(found) == ["a"]
    places = {row[0]: row[-1] for row in comparison(found).rows}
    assert places == {"d *": "*", "a": "1", "b *": "*", "c": "2"}
    assert any(text.startswith("* d: other work in a step") for text in remarks(found))
    assert list(findings(found, [], "")) == [
        "fastest: a, 2.00 (2.00 to 2.00) times as fast as c, the next"
    ]


def test_those_that_all_do_other_work_are_not_ranked():
    found = a_bench([a_cell("a", steady(100), family="adam"), a_cell("b", steady(50))])
    analysis.conclude(found, [])
    assert analysis.fastest(found) == ["b"]
    assert list(findings(found, [], "")) == ["no ranking: b and a do different work in a step"]


def test_the_fastest_comes_first_and_those_that_failed_last():
    failed = a_cell("failed", steady(1))
    failed.rounds[-1].outcome = "failed"
    never = a_cell("never", [])
    never.rounds = [Round(0, 0, "timed_out")]
    cells = [failed, a_cell("slow", steady(300)), never, a_cell("fast", steady(100))]
    found = a_bench(cells)
    analysis.conclude(found, [])
    order = ["fast", "slow", "failed", "never"]
    assert [cell.label for cell in found.cells] == order
    assert [row[0] for row in comparison(found).rows] == order
    assert [row[0] for row in costs(found).rows] == order[:3]
    assert [row[0] for row in flat(found).rows] == order
    assert next(findings(found, [], "")) == "failed failed, never timed_out"


def test_those_that_failed_do_not_decide_which_work_is_ranked():
    failed = [a_cell(f"adam{number}", [], family="adam") for number in range(3)]
    for cell in failed:
        cell.rounds = [Round(0, 0, "failed")]
    found = a_bench([*failed, a_cell("slow", steady(300)), a_cell("fast", steady(100))])
    found.baseline = analysis.first_able(found.cells)
    analysis.conclude(found, [])
    assert found.baseline == "slow"
    assert [(cell.label, cell.rank) for cell in found.cells[:2]] == [
        ("fast", (1, 1)),
        ("slow", (2, 2)),
    ]
    assert analysis.fastest(found) == ["fast"]


@pytest.mark.parametrize("against", ["", "main"])
def test_nothing_is_ranked_where_some_were_not_measured(against):
    cells = [a_cell("a", steady(100)), a_cell("b", steady(200)), a_cell("c", [])]
    found = a_bench(cells)
    analysis.conclude(found, [], cut_short=True)
    assert analysis.fastest(found) == []
    assert [cell.rank for cell in found.cells] == [None, None, None]
    what = "verdict" if against else "ranking"
    assert list(findings(found, [], against)) == [f"2 of 3 measured, interrupted: no {what}"]


@pytest.mark.parametrize("rounds", [1, 2])
def test_few_rounds_until_an_interrupt_are_warned_of_and_one_names_no_fastest(rounds):
    """A cell that was interrupted in its third round leaves two."""
    cells = [a_cell("a", steady(100, rounds + 1), cpu_share=1)]
    cells += [a_cell("b", steady(200, rounds), cpu_share=1)]
    found = a_bench(cells)
    analysis.conclude(found, [], cut_short=True, more="time to finish")
    few = "1 round is" if rounds == 1 else "2 rounds are"
    assert f"{few} few for an interval; give it time to finish" in found.warnings
    assert analysis.fastest(found) == (["a"] if rounds == 2 else [])
    (last,) = findings(found, [], "")
    alone = "no ranking: one round alone doesn't tell which is fastest"
    assert last == alone if rounds == 1 else last.startswith("fastest: a, 2.00")


def test_one_that_failed_after_a_round_leaves_the_rest_ranked():
    cells = [a_cell("a", steady(100)), a_cell("b", steady(200)), a_cell("c", steady(300, 2))]
    cells[2].rounds[1].outcome = "failed"
    found = a_bench(cells)
    analysis.conclude(found, [])
    assert analysis.fastest(found) == ["a"]


def test_what_is_usual_fits_80_columns():
    names = ("torch_manual", "custom_module", "numpy_manual", "dynamic_net")
    cells = [a_cell(name, steady(1234.5 * n), cpu_share=1) for n, name in enumerate(names, 1)]
    for each in itertools.chain(*(cell.rounds for cell in cells)):
        each.import_s = each.setup_s = each.first_us = each.peak_bytes = 12.34
        each.dispatch_us = 200.0
    cells[-1].family = "dynamic"
    found = a_bench(cells)
    analysis.conclude(found, [])
    for table in (comparison(found), costs(found, verbose=False)):
        assert "\n\n" not in table.text(80)
    sizes = [a_cell("custom_module", steady(100 * n), size=15 * n) for n in (1, 2, 4, 8, 16, 32)]
    found = a_bench(sizes, axis="N")
    analysis.conclude(found, [])
    for table in (growth(found), fits(found, verbose=False)):
        assert "\n\n" not in table.text(80)


def test_overlapping_intervals_are_not_ranked(tmp_path):
    wide = [[100 + 30 * ((r * 7) % 5 - 2)] * 5 for r in range(9)]
    cells = [a_cell("a", steady(100)), a_cell("b", wide), a_cell("c", steady(400))]
    analysis.conclude(a_bench(cells), [])
    assert [cell.rank for cell in cells] == [(1, 2), (1, 2), (3, 3)]


def test_the_fastest_is_one_or_a_tie_by_the_intervals_of_the_ratios():
    wide = [[90 + 30 * ((r * 7) % 5 - 2)] * 5 for r in range(9)]
    cells = [a_cell("a", steady(100), size=10), a_cell("b", wide, size=10)]
    cells += [a_cell("b", steady(50), size=20), a_cell("a", steady(100), size=20)]
    scaled = a_bench(cells, axis="N")
    analysis.conclude(scaled, [])
    assert analysis.fastest(scaled, 10) == ["b", "a"]
    assert analysis.fastest(scaled, 20) == analysis.fastest(scaled) == ["b"]
    by_size, largest, grows = findings(scaled, [], "")
    assert by_size == "fastest by N: b or a at 10, b at 20"
    assert largest.startswith("fastest at N=20: b, 2.00 (")
    assert largest.endswith(") times as fast as a, the next")
    assert grows == "from N=10 to 20 the time of a step grows 0.556 times (b) to 1 times (a)"
    scaled.cells += [a_cell("adam", steady(20), size=n, family="adam") for n in (10, 20)]
    analysis.conclude(scaled, [])
    assert [row[0] for row in growth(scaled).rows] == ["adam *", "b", "a"]
    assert {row[0] for row in fits(scaled).rows} == {"adam *", "b", "a"}
    assert analysis.fastest(scaled) == ["b"]
    scaled.cells = [cell for cell in scaled.cells if cell.label != "adam"]
    small = a_bench(scaled.at(10))
    for cell in small.cells:
        cell.size = None
    assert list(findings(small, [], "")) == ["b and a can't be told apart: their intervals overlap"]
    assert analysis.fastest(a_bench([a_cell("a", [])])) == []


# --- scaling


def test_scaling_shows_times_by_size_and_a_fit(tmp_path):
    done = bench(tmp_path, *ALONE, *FEW, "--scale", "N=100,1000,10000", "--lr", "1e-12")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[-3:] == ["100", "1000", "10000"]
    assert "overhead µs" in done.stdout
    assert lines[-1].startswith("from N=100 to 10000 the time of a step grows ")
    found = json.loads(kept(tmp_path).text())
    assert found["axis"] == "N"
    assert [cell["size"] for cell in found["cells"]] == [100, 1000, 10000]
    assert [cell["config"]["N"] for cell in found["cells"]] == [100, 1000, 10000]
    times = [cell["step_us"]["value"] for cell in found["cells"]]
    assert times == sorted(times)
    (fit,) = found["fits"]
    assert fit["label"] == "numpy_manual"
    assert 0 < fit["slope_us"]["value"] < times[-1] / 10000 * 1.5


def test_a_scale_lists_its_sizes_or_doubles_them():
    assert parse_scale("N=8..32") == ("N", [8, 16, 32])
    assert parse_scale(" D_in = 15 .. 100 ") == ("D_in", [15, 30, 60])
    assert parse_scale("H=3, 5 ,700") == ("H", [3, 5, 700])


@pytest.mark.parametrize(
    "scale",
    ["N", "N=1", "N=0,1", "N=0..4", "N=2,1", "N=1,1", "N=a,b", "N=1..", "M=1,2", "N=1.5,2", "N=1,"],
)
def test_what_is_no_scale_is_refused(scale):
    with pytest.raises(UserError, match=r"^--scale: "):
        parse_scale(scale)


@pytest.mark.parametrize("scale", ["", "N="])
def test_a_scale_that_is_none_is_refused(tmp_path, scale):
    done = bench(tmp_path, *ALONE, "--scale", scale)
    assert done.returncode == 2
    assert done.stderr.startswith("--scale: ")
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


def test_sizes_that_do_not_fit_in_memory_are_refused(tmp_path):
    done = bench(tmp_path, *ALONE, "--scale", "N=8,100000000000")
    assert done.returncode == 2
    assert "--scale: is too large" in done.stderr


# --- failures


@pytest.fixture(scope="module")
def some_fail(tmp_path_factory):
    """A bench of some that fail and some that don't, and its cells by label."""
    folder = tmp_path_factory.mktemp("some_fail")
    impls = planted("raises", "numpy_manual", "gram_counted", "flops_negative")
    done = bench(folder, *impls, *FEW, "--threads", "1")
    return done, {cell.label: cell for cell in kept(folder).cells}


def test_what_fails_is_a_row_and_the_others_go_on(some_fail):
    done, cells = some_fail
    assert done.returncode == 3
    table, *_ = done.stdout.split("\n\n")
    rows = {line.split()[0]: line.split()[1] for line in table.splitlines()}
    assert float(rows["numpy_manual"]) > 0
    assert "raises failed: " in done.stdout
    assert "ratio: over the step of numpy_manual" in done.stdout
    assert cells["numpy_manual"].ratio == Interval(1.0, 1.0, 1.0)
    assert "Traceback" not in done.stdout + done.stderr
    assert len(cells["raises"].rounds) == 1
    assert len(cells["numpy_manual"].rounds) == 2


def test_the_one_chosen_with_over_stays_the_base_if_it_fails(tmp_path):
    impls = planted("numpy_manual", "raises")
    done = bench(tmp_path, *impls, *FEW, "--threads", "1", "--over", "raises")
    last = done.stdout.splitlines()[-1]
    assert last == "nothing was compared, since raises failed; choose another with --over"


def test_the_base_is_the_first_that_fails_at_no_size():
    cells = [a_cell(name, steady(100, 2), size=n) for n in (10, 20) for name in "abc"]
    assert analysis.first_able(cells) == "a"
    cells[3].rounds[1].outcome = "failed"
    assert analysis.first_able(cells) == "b"


def test_losses_that_are_not_finite_are_no_training(tmp_path):
    done = bench(tmp_path, *ALONE, *FEW, "--lr", "1e30")
    assert done.returncode == 4
    assert "numpy_manual diverged: the loss is no longer finite" in done.stdout


def test_a_framework_that_is_missing_is_a_row(tmp_path):
    done = bench(tmp_path, *small(tmp_path, impls=["needs_missing.py", "numpy_manual"]), *FEW)
    assert done.returncode == 2  # not in this folder
    source = planted("needs_missing")[1]
    config = small(tmp_path, impls=[source, "numpy_manual"])
    done = twolayer("bench", *config, *FEW, cwd=tmp_path, **without(tmp_path, "jax"))
    assert done.returncode == 3
    assert "needs_missing failed: jax is not installed; pip install jax" in done.stdout


def test_an_interrupt_keeps_what_was_measured(tmp_path):
    words = (*small(tmp_path), *ALONE, "--budget", "1h", "--blocks", "1")
    command = start("bench", *words, cwd=tmp_path)
    folder = tmp_path / "results" / "small" / "bench"

    def two_rounds():
        files = list(folder.glob("[!.]*.json"))
        return files and len(read_bench(files[0]).cells[0].rounds) >= 2

    assert wait_for(two_rounds)
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=30)
    assert command.returncode == 130
    assert "finishing this turn; Ctrl-C again stops it" in stderr
    ending = r"interrupted after \d+ rounds: what was measured until then is shown and kept\n"
    assert re.search(ending, stderr)
    assert "next:" not in stderr
    assert "numpy_manual" in stdout
    assert "measuring was stopped early" in stdout
    assert len(kept(tmp_path).cells[0].good) >= 2
    assert left_behind(tmp_path) == []


WAITS = '''"""Waits for a file before its steps."""

import time
from pathlib import Path


def train(cfg):
    Path("turn").touch()
    while not Path("go").exists():
        time.sleep(0.02)
    for _ in cfg.steps():
        yield 1.0
'''


def test_on_a_terminal_a_bar_shows_the_time_left_and_ctrl_c_lets_the_turn_finish(tmp_path):
    """The second turn of the first round is the last."""
    (tmp_path / "waits.py").write_text(WAITS)
    words = ("--impl", "numpy_manual,./waits.py", "--threads", "1", "--blocks", "1")
    words = ("bench", *small(tmp_path), *words, "--warmup", "0.1", "--order-seed", "0")
    with on_a_terminal(*words, cwd=tmp_path, columns=100) as terminal:
        terminal.expect(r"(s|min) left  round 1 of 10  waits")
        terminal.sendintr()
        terminal.expect("finishing this turn; Ctrl-C again stops it")
        (tmp_path / "go").touch()
        terminal.expect("warning: 1 round is few for an interval; give it time to finish")
        terminal.expect("no ranking: one round alone doesn't tell which is fastest")
        terminal.expect("interrupted after 1 of 10 rounds: what was measured until then")
        terminal.expect(pexpect.EOF)
    assert terminal.exitstatus == 130
    rounds = {cell.label: len(cell.good) for cell in kept(tmp_path).cells}
    assert rounds == {"numpy_manual": 1, "waits": 1}


def test_a_second_ctrl_c_stops_the_turn_and_leaves_nothing_where_it_was_the_first(tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    words = ("--impl", "./waits.py", "--threads", "1", "--blocks", "1")
    command = start("bench", *small(tmp_path), *words, cwd=tmp_path)
    assert wait_for((tmp_path / "turn").exists)
    command.send_signal(signal.SIGINT)
    assert any("finishing this turn" in line for line in command.stderr)
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=30)
    assert (command.returncode, stdout) == (130, "")
    assert stderr.splitlines()[-1] == "interrupted: nothing was measured"
    assert list((tmp_path / "results").iterdir()) == []
    assert left_behind(tmp_path) == []


def test_a_budget_that_is_spent_ends_it_after_a_round(tmp_path):
    """One that is not leaves room for more: the interrupted bench has an hour, and two rounds."""
    assert bench(tmp_path, *ALONE, "--budget", "0.01", "--blocks", "1").returncode == 0
    assert len(kept(tmp_path).cells[0].rounds) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rounds", "3", "--budget", "3s"], "--rounds and --budget: choose one"),
        (["--budget", "soon"], "--budget: must be"),
        (["--max-slowdown", "1.1"], "--max-slowdown: needs --baseline or --against"),
        (["--baseline", "a", "--max-slowdown", "-1"], "--max-slowdown: must be"),
        (["--baseline", "a", "--against", "b"], "--against and --baseline: choose one"),
        (["--baseline", "missing.json"], "missing.json: can't be read"),
        (["--baseline", "small.yaml"], "small.yaml: is not a file of twolayer bench"),
        (["--other-machine"], "--other-machine: needs --baseline"),
        (["--over", "numpy_manuel"], "did you mean numpy_manual?"),
        (["--lr", "0"], "--lr: must be greater than 0"),
    ],
)
def test_mistakes_are_refused_before_anything_runs(tmp_path, words, message):
    done = bench(tmp_path, *ALONE, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert done.stdout == ""
    assert not (tmp_path / "results").exists()


# --- formats


@pytest.fixture(scope="module")
def in_csv(tmp_path_factory):
    """A quiet bench of numpy_manual in four rounds, as CSV, and its file."""
    folder = tmp_path_factory.mktemp("measured")
    return bench(folder, *ALONE, "--rounds", "4", "-q", "--format", "csv"), kept(folder)


@pytest.fixture
def measured(in_csv):
    """The text of that bench."""
    return in_csv[1].text()


def test_csv_has_every_digit_and_quiet_says_nothing(in_csv):
    done, found = in_csv
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert float(row["step_us"]) == found.cells[0].step_us.value
    assert (row["label"], row["outcome"], row["rounds"]) == ("numpy_manual", "ok", "4")
    assert float(row["ratio_low"]) == float(row["place_best"]) == 1


def test_a_pipe_gets_lines_and_markdown_is_a_table(tmp_path):
    done = bench(tmp_path, *ALONE, *FEW, "--format", "markdown")
    assert done.stdout.startswith("| implementation | µs/step |")
    assert "of limit |\n" in done.stdout
    assert re.search(r"\n\nnumpy_manual: .* µs a step\n$", done.stdout)
    assert done.stderr.endswith("\nnext: twolayer report small\n")
    assert "round 1 of 2\nround 2 of 2\n" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def file_of(folder, text):
    path = folder / "bench.json"
    path.write_text(text)
    return path


def test_a_bench_is_read_with_fields_unknown_and_fields_missing(tmp_path, measured):
    values = json.loads(measured)
    (cell,) = values["cells"]
    assert read_bench(file_of(tmp_path, measured)).text() == measured
    values["new"] = cell["new"] = cell["step_us"]["new"] = cell["rounds"][0]["new"] = [1]
    assert read_bench(file_of(tmp_path, json.dumps(values))).text() == measured
    del values["rates"], values["warnings"], cell["ratio"], cell["rank"], cell["rounds"][0]["error"]
    older = read_bench(file_of(tmp_path, json.dumps(values)))
    assert older.rates.matmul_gflops is None
    assert older.cells[0].ratio is None
    assert older.cells[0].step_us.value == cell["step_us"]["value"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda text: text[:-20], "is not a file of twolayer bench"),
        (lambda text: "[]", "is not a file of twolayer bench"),
        (lambda text: text.replace('"cells"', '"rows"'), "is not a file of twolayer bench"),
        (lambda text: text.replace('"low":', '"low": NaN, "x":'), "is not a file of twolayer"),
        (lambda text: text.replace('"low":', f'"low": {10**400}, "x":'), "is not a file of"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "has schema 2, this twolayer"),
    ],
    ids=["cut off", "no mapping", "no cells", "no number", "no float", "newer"],
)
def test_what_is_no_bench_is_told_by_its_name(tmp_path, measured, broken, message):
    with pytest.raises(UserError, match=rf"bench\.json: {message}"):
        read_bench(file_of(tmp_path, broken(measured)))


# --- the gate


def made_slower(folder, measured, factor, **changes):
    """Write a baseline in which all took 1 / factor of the time."""
    found = read_bench(file_of(folder, measured))
    for cell in found.cells:
        for each in cell.rounds:
            each.blocks_us = [time / factor for time in each.blocks_us]
    found.machine |= changes
    (folder / "base.json").write_text(found.text())
    return "--baseline", "base.json"


def test_slower_than_the_baseline_is_exit_5_once_a_rerun_confirms_it(tmp_path, measured):
    baseline = made_slower(tmp_path, measured, 100)
    done = bench(tmp_path, *ALONE, *baseline, *FEW, "--max-slowdown", "1.5")
    assert done.returncode == 5
    assert "SLOWER" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("numpy_manual is ")
    assert last.endswith("times as slow as base.json; the limit is 1.50")
    assert "next:" not in done.stderr
    assert "measuring again, to be sure: numpy_manual" in done.stderr
    assert len(kept(tmp_path).cells[0].rounds) == 4


def test_too_noisy_to_say_is_exit_6(tmp_path, measured):
    baseline = made_slower(tmp_path, measured, 1)
    noisy = read_bench(tmp_path / "base.json")
    for each in noisy.cells[0].rounds:
        factor = 100 if each.number % 2 else 0.01
        each.blocks_us = [time * factor for time in each.blocks_us]
    (tmp_path / "base.json").write_text(noisy.text())
    done = bench(tmp_path, *ALONE, *baseline, *FEW)
    assert done.returncode == 6
    assert "too noisy to say" in done.stdout


def test_a_baseline_from_another_machine_is_refused_unless_asked_for(tmp_path, measured):
    """No slower than the baseline, it then is exit 0, with nothing measured again."""
    baseline = made_slower(tmp_path, measured, 1 / 100, cpu="another processor")
    done = bench(tmp_path, *ALONE, *baseline)
    assert done.returncode == 2
    assert "another machine" in done.stderr
    assert "--other-machine" in done.stderr
    done = bench(tmp_path, *ALONE, *FEW, *baseline, "--other-machine", "--max-slowdown", "1.5")
    assert done.returncode == 0
    assert "measuring again" not in done.stderr
    last = done.stdout.splitlines()[-1]
    assert last == "numpy_manual is not slower than base.json; the limit is 1.50"


def test_a_baseline_of_other_work_is_refused(tmp_path, measured):
    baseline = made_slower(tmp_path, measured, 1)
    done = bench(tmp_path, *ALONE, *baseline, "--H", "5")
    assert (done.returncode, "with H 4" in done.stderr) == (2, True)
    done = bench(tmp_path, "--impl", "autograd", "--threads", "1", *baseline)
    assert (done.returncode, "no measurement of autograd" in done.stderr) == (2, True)
    done = bench(tmp_path, "--impl", "numpy_manual", "--threads", "2", *baseline)
    assert (done.returncode, "use --threads 1" in done.stderr) == (2, True)


def test_two_measurements_must_agree_that_it_is_slower():
    slower, unsure = (Slowdown("a", Interval(1.3, low, 1.4), 1.1) for low in (1.2, 1.0))
    fine = Slowdown("a", Interval(1.0, 0.9, 1.05), 1.1)
    assert [each.state for each in (slower, unsure, fine)] == ["slower", "unsure", "ok"]
    again = [replace(each, confirmed=False) for each in (slower, unsure, fine)]
    assert [each.state for each in again] == ["unsure", "unsure", "ok"]


def test_a_verdict_names_the_slowest():
    def verdict(*ratios):
        slowdowns = [Slowdown(f"i{n}", Interval(*each), 1.1) for n, each in enumerate(ratios)]
        cells = [a_cell(each.label, steady(1)) for each in slowdowns] or [a_cell("a", steady(1))]
        return list(findings(a_bench(cells), slowdowns, "main"))

    fine, slow, unsure = (1.0, 0.9, 1.05), (1.21, 1.15, 1.27), (1.08, 1.0, 1.3)
    assert verdict(fine, fine) == ["no implementation is slower than main; the limit is 1.10"]
    assert verdict(fine, unsure, slow) == [
        "i1 is 1.08 (1.00 to 1.30) times as slow as main, too noisy to say; the limit is 1.10",
        "i2 is 1.21 (1.15 to 1.27) times as slow as main; the limit is 1.10",
    ]
    (many,) = verdict(*[slow] * 5)
    assert many.endswith(
        "and i2 is 1.21 (1.15 to 1.27) times as slow as main, 2 more too; the limit is 1.10"
    )
    assert verdict() == ["nothing was compared"]


QUICK = '''"""Mine."""

def train(cfg):
    x, y, *weights = cfg.problem()
    for _ in cfg.steps():
        yield helper.cost()
    return weights
'''


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository whose implementation became 20 times as slow, through its neighbour."""
    (tmp_path / "mine.py").write_text(QUICK.replace("\n\ndef", "\n\nimport helper\n\n\ndef"))
    helper = tmp_path / "helper.py"
    helper.write_text("def cost():\n    return float(sum(range(500)))\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "quick")
    helper.write_text("def cost():\n    return float(sum(range(10000)))\n")
    return tmp_path


def test_a_revision_is_measured_in_the_same_rounds(repository):
    words = ("--impl", "./mine.py", "--threads", "1", *FEW)
    done = bench(repository, *words, "--against", "HEAD")
    assert done.returncode == 5, done.stdout + done.stderr
    then, now = kept(repository).cells
    assert (now.label, then.label, then.revision) == ("mine", "mine@HEAD", "HEAD")
    assert [each.number for each in now.rounds] == [each.number for each in then.rounds]
    assert now.step_us.value > 3 * then.step_us.value
    git(repository, "commit", "-qam", "slow")
    done = bench(repository, *words, "--against", "HEAD", "--max-slowdown", "5")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("revision", "message"),
    [("nowhere", "nowhere is not a revision"), ("--all", "--all is not a revision")],
)
def test_a_revision_that_is_none_is_refused(repository, revision, message):
    done = bench(repository, "--impl", "./mine.py", f"--against={revision}")
    assert done.returncode == 2
    assert message in done.stderr
    assert not (repository / "results").exists()


def test_an_implementation_without_a_history_has_no_revisions(tmp_path):
    (tmp_path / "mine.py").write_text(QUICK)
    outside = {"GIT_CEILING_DIRECTORIES": os.fspath(tmp_path.parent)}
    done = bench(tmp_path, "--impl", "./mine.py", "--against", "HEAD", **outside)
    assert done.returncode == 2
    assert "is in no git repository" in done.stderr


def test_one_that_was_not_there_yet_is_refused(repository):
    (repository / "new.py").write_text(QUICK)
    done = bench(repository, "--impl", "./new.py", "--against", "HEAD")
    assert done.returncode == 2
    assert "new is not there yet" in done.stderr
