"""The answer of a sweep: the best settings, where runs diverge, how much is luck of the seed."""

import itertools
import json

import pytest
from command import small, twolayer
from twolayer import Config
from twolayer.results.answers import answer
from twolayer.results.record import Record
from twolayer.results.rows import row
from twolayer.results.store import Store


def made(impl, outcome, loss=None, **settings):
    """The row of a run that nobody ran."""
    return row(Record(impl, outcome, Config(**settings).values(), final_loss=loss))


def told(rows):
    """The table of an answer, as dicts, and its sentences as one text."""
    found = answer(rows)
    cells = [dict(zip(found.table.header, line, strict=True)) for line in found.table.rows]
    return cells, " ".join(found.sentences)


def over_lr(impl="sgd", edge=1e-3):
    """Three seeds of each of four learning rates, better with each until they diverge."""
    for lr, seed in itertools.product((1e-5, 1e-4, 1e-3, 1e-2), range(3)):
        ok = lr < edge
        loss = (1 + seed) * 1e-4 / lr if ok else 9e9
        yield made(impl, "ok" if ok else "diverged", loss, lr=lr, seed=seed)


def test_the_best_settings_where_runs_diverge_and_luck_are_told():
    (line,), text = told(list(over_lr()))
    assert line == {
        "impl": "sgd",
        "ok": "6/12",
        "best settings": "lr=0.0001",
        "final loss": "2.0000e+00",
        "over seeds": "1.0e+00–3.0e+00",  # noqa: RUF001
        "diverged": "lr ≥ 0.001",
    }
    best = "Best: sgd with lr=0.0001, final loss 2.0000e+00 (the median of 3 seeds, all ok)."
    assert text.startswith(best)
    assert "From lr=0.001 on no run is ok." in text
    assert "at the best settings the highest loss is 3 times the lowest." in text


def test_implementations_are_told_apart_by_where_they_diverge():
    rows = [*over_lr("one"), *over_lr("two", 1e-2), *over_lr("three", 1.0)]
    lines, text = told(rows)
    assert [line["diverged"] for line in lines] == ["lr ≥ 0.001", "lr ≥ 0.01", "none"]
    assert "From lr=0.001 on no run of one is ok." in text
    assert "Best: three with lr=0.01," in text


def test_settings_at_which_a_seed_diverged_are_not_the_best():
    rows = [made("sgd", "ok", 5.0, lr=1e-4, seed=seed) for seed in (0, 1)]
    rows += [made("sgd", "ok", 1.0, lr=1e-3, seed=0), made("sgd", "diverged", 9e9, lr=1e-3, seed=1)]
    (line,), text = told(rows)
    assert (line["best settings"], line["diverged"]) == ("lr=0.0001", "1/4")
    assert "Diverged runs: 1." in text


def test_several_settings_and_words():
    losses = itertools.count(1)
    rows = [
        made("sgd", "ok", float(next(losses)), lr=lr, dtype=dtype, init=init)
        for lr in (1e-4, 1e-3)
        for dtype in ("float64", "float32")
        for init in ("uniform", "normal")
    ]
    (line,), text = told(rows)
    assert line["best settings"] == "lr=0.0001 dtype=float64 init=uniform"
    assert "diverged" not in line
    assert "No run diverged." in text
    assert "Luck" not in text


def test_without_a_setting_that_varies_seeds_remain():
    (line,), text = told([made("sgd", "ok", float(loss), seed=loss) for loss in (1, 2, 4)])
    assert line == {"impl": "sgd", "ok": "3/3", "final loss": "2.0000e+00"} | {
        "over seeds": "1.0e+00–4.0e+00"  # noqa: RUF001
    }
    assert "4 times" in text


@pytest.mark.parametrize("losses", [(2.0, 2.0), (2.0, 2.0001), (0.0, 2.0)])
def test_of_seeds_that_are_alike_nothing_is_said(losses):
    rows = [made("sgd", "ok", loss, seed=seed) for seed, loss in enumerate(losses)]
    assert "Luck" not in told(rows)[1]


def test_where_all_settings_lose_seeds_that_is_said():
    rows = [made("sgd", "ok", 1.0), made("sgd", "diverged", 9e9, seed=1)]
    assert "final loss 1.0000e+00 (one seed, 1 not ok)." in told(rows)[1]


def test_settings_that_differ_between_implementations_are_named():
    rows = [made("one", "ok", 1.0, lr=lr) for lr in (1e-4, 1e-3)]
    rows += [made("two", "ok", 2.0, lr=lr, init="uniform") for lr in (1e-4, 1e-3)]
    assert " Implementations also differ in init." in told(rows)[1]


def test_equal_implementations_share_the_best():
    rows = [made(impl, "ok", loss) for impl, loss in zip("abcde", (1.005, 1, 1, 1, 1), strict=True)]
    _, text = told([*rows, made("f", "ok", 1.02)])
    assert "Best: a, b and 3 others, final loss 1.0000e+00." in text


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_nothing_is_ok(outcome):
    rows = [made("sgd", outcome, lr=lr) for lr in (1e-2, 1e-3)]
    (line,), text = told(rows)
    assert (line["ok"], line["final loss"]) == ("0/2", "-")
    assert "best settings" not in line
    assert text.startswith("No run is ok.")
    assert ("lr=0.001" in text) == (outcome == "diverged")
    assert answer(rows).outcomes == {outcome: 2}


def test_sizes_of_the_problem_each_have_their_best():
    rows = [made("sgd", "ok", N * lr, N=N, lr=lr) for N in (5, 50) for lr in (1e-4, 1e-3)]
    lines, text = told(rows)
    assert [line["impl"] for line in lines] == ["sgd N=5", "sgd N=50"]
    assert [line["best settings"] for line in lines] == ["lr=0.0001"] * 2
    assert "Final losses at different N don't compare" in text
    assert "Best" not in text


def test_what_was_asked_as_auto_is_no_setting_that_varies():
    rows = [
        made("sgd", "ok", loss) | {"threads": threads} for loss, threads in ((1.0, 1), (2.0, 2))
    ]
    (line,), text = told(rows)
    assert "best settings" not in line
    assert "threads" not in text


def test_a_real_sweep(tmp_path):
    small(tmp_path)
    config = json.loads((tmp_path / "small.yaml").read_text())
    config |= {"grid": {"lr": [1e-5, 10.0]}, "repeat": 2, "impls": "numpy_manual"}
    (tmp_path / "sweep.yaml").write_text(json.dumps(config))
    assert twolayer("sweep", "sweep.yaml", "--quiet", cwd=tmp_path).returncode == 4
    runs = Store(tmp_path / "results", "sweep").read()[0]
    (line,), text = told(list(map(row, runs)))
    assert (line["ok"], line["best settings"], line["diverged"]) == ("2/4", "lr=1e-05", "lr ≥ 10")
    assert "Best: numpy_manual with lr=1e-05," in text
    assert "From lr=10 on no run is ok." in text
