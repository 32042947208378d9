"""However a run ends, it is a row and a record, and no other run notices."""

import functools
import json
import math
import os
import re
import signal
from dataclasses import dataclass
from importlib.util import find_spec

import pytest
from command import (
    PLANTED,
    children,
    left_behind,
    planted,
    processes,
    small,
    start,
    stored,
    twolayer,
    wait_for,
    without,
)

KEYS = {
    *("schema", "impl", "outcome", "error", "config", "epochs_done", "final_loss", "import_s"),
    *("setup_s", "train_s", "step_us", "peak_bytes", "device", "threads", "versions", "machine"),
    *("git", "source_sha256", "started_at"),
}
HARMONIC = [1.0 / (step + 1) for step in range(20)]
"""The losses of a planted implementation that gets to the end of its 20 epochs."""


@dataclass(frozen=True)
class Ending:
    """How a planted implementation is to end."""

    outcome: str
    kind: str = ""
    message: str = ""
    signal: str | None = None
    traceback: bool = False
    losses: int = 0
    words: tuple[str, ...] = ()

    @property
    def code(self):
        """The exit code of the command."""
        return {"ok": 0, "diverged": 4}.get(self.outcome, 3)


raised = functools.partial(Ending, "failed", traceback=True)
crashed = functools.partial(Ending, "crashed")
out_of_memory = functools.partial(
    Ending, "out_of_memory", "MemoryError", traceback=True, words=("--memory-limit", "100M")
)
timeout = functools.partial(
    Ending, "timeout", "Timeout", "took longer than 1 s", words=("--timeout", "1")
)
good = Ending("ok", losses=20)

ENDINGS = {
    "raises": raised("ValueError", "the planted mistake", losses=3),
    "runs_out": raised("RuntimeError", "generator raised StopIteration", losses=3),
    "raises_at_import": raised("RuntimeError", "the planted mistake"),
    "exits": Ending("failed", "SystemExit", "sys.exit('planted exit')", losses=1),
    "exits_hard": Ending("failed", "Exited", "exited with status 3"),
    "speaks_in_escapes": raised("ValueError", "raised", losses=1),
    "segfaults": crashed("SIGSEGV", "SIGSEGV", "SIGSEGV"),
    "aborts": crashed("SIGABRT", "SIGABRT", "SIGABRT"),
    "kills_itself": crashed("SIGKILL", "SIGKILL", "SIGKILL"),
    "eats_memory": out_of_memory(losses=3),
    "eats_memory_at_once": out_of_memory(message="2.00 GiB"),
    "nan_at_5": Ending("diverged", "Diverged", "nan at epoch 5", losses=6),
    "overflows": Ending("diverged", "Diverged", "inf at epoch 4", losses=5),
    "slow": timeout(words=("--timeout", "1", "--set", "slow.epochs=100000"), losses=1),
    "hangs": timeout(losses=3),
    "hangs_in_c": timeout(),
    "hangs_with_a_child": timeout(),
    "imports_slowly": timeout(),
    "prints_much": good,
    "forks": good,
    "plain_floats": good,
    "chunks": good,
    "leaves_a_thread": good,
    "writes_everywhere": good,
}
"""`losses`: how many are kept at least, of a run that dies while it trains."""

NOT_OK = [name for name, ending in ENDINGS.items() if ending.outcome != "ok"]
GOOD = [name for name, ending in ENDINGS.items() if ending.outcome == "ok"]


@dataclass(frozen=True)
class Ran:
    """A command that ran a planted implementation, then a good one, and what it left."""

    done: object
    records: dict
    left: list


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A function that runs a planted implementation, then numpy_manual; once for all tests."""

    @functools.cache
    def run(name):
        folder = tmp_path_factory.mktemp(name)
        words = (*small(folder), *planted(name, "numpy_manual"), *ENDINGS[name].words)
        done = twolayer("run", *words, cwd=folder)
        left = left_behind(folder)
        return Ran(done, stored(folder), left)

    return run


@pytest.mark.parametrize("name", ENDINGS)
def test_outcome_and_exit_code(ran, name):
    record = ran(name).records[name]
    assert (record["outcome"], ran(name).done.returncode) == (
        ENDINGS[name].outcome,
        ENDINGS[name].code,
    )


@pytest.mark.parametrize("name", ENDINGS)
def test_the_next_run_goes_on(ran, name):
    record = ran(name).records["numpy_manual"]
    assert record["outcome"] == "ok"
    assert len(record["losses"]) == record["config"]["epochs"]


@pytest.mark.parametrize("name", ENDINGS)
def test_no_process_is_left_behind(ran, name):
    assert ran(name).left == []


@pytest.mark.parametrize("name", ENDINGS)
def test_no_traceback_of_our_own(ran, name):
    assert "Traceback" not in ran(name).done.stderr


@pytest.mark.parametrize("name", ENDINGS)
def test_the_record_is_whole(ran, name):
    record = ran(name).records[name]
    assert set(record) >= KEYS
    assert record["schema"] == 1
    assert record["folder"].name.startswith(f"{name}-")


@pytest.mark.parametrize("name", ENDINGS)
def test_where_a_record_comes_from_is_known_however_it_ended(ran, name):
    record = ran(name).records[name]
    assert set(record["versions"]) >= {"python", "twolayer", "numpy"}
    assert record["machine"]["cpu"]
    assert [len(sha256) for sha256 in record["source_sha256"].values()] == [64]
    assert record["started_at"]


@pytest.mark.parametrize("name", ENDINGS)
def test_the_losses_are_those_before_the_end(ran, name):
    record = ran(name).records[name]
    finite = [loss for loss in record["losses"] if math.isfinite(loss)]
    assert len(record["losses"]) >= ENDINGS[name].losses
    assert record["epochs_done"] == len(finite)
    assert record["final_loss"] == (finite[-1] if finite else None)
    if name != "overflows":
        epochs = range(len(finite))
        assert finite == [1.0 / (epoch + 1) for epoch in epochs]


@pytest.mark.parametrize("name", NOT_OK)
def test_the_error_says_why(ran, name):
    error, ending = ran(name).records[name]["error"], ENDINGS[name]
    assert error["type"] == ending.kind
    assert ending.message in error["message"]
    assert error["signal"] == ending.signal
    assert bool(error["traceback"]) == ending.traceback
    if ending.traceback:
        first = error["traceback"].splitlines()[1]
        assert f"{name}.py" in first, "a traceback begins at the user's code"


@pytest.mark.parametrize("name", NOT_OK)
def test_the_reason_is_shown(ran, name):
    lines = ran(name).done.stdout.splitlines()
    assert any(line.startswith(f"{name} {ENDINGS[name].outcome}: ") for line in lines)
    assert any(ENDINGS[name].message in line for line in lines)
    row = next(line.split() for line in lines if line.startswith(f"{name} "))
    assert ENDINGS[name].outcome in row[1:]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_run_has_no_error_and_keeps_every_loss(ran, name):
    record = ran(name).records[name]
    assert record["error"] is None
    assert record["losses"] == HARMONIC
    assert f"{name} ok:" not in ran(name).done.stdout


@pytest.mark.parametrize(
    ("name", "printed", "shown"),
    [
        ("raises", "three steps, then the end\n", "    three steps, then the end"),
        ("hangs", "three steps, then for ever\n", "    three steps, then for ever"),
        ("speaks_in_escapes", "\x1b[2Jlogged\a\n", "    \ufffd[2Jlogged\ufffd"),
    ],
)
def test_what_a_run_printed_is_kept_and_its_end_shown(ran, name, printed, shown):
    log = (ran(name).records[name]["folder"] / "log.txt").read_text()
    assert log.startswith(printed)
    assert shown in ran(name).done.stdout.splitlines()


def test_a_crash_is_shown_with_the_line_where_it_happened(ran):
    log = (ran("segfaults").records["segfaults"]["folder"] / "log.txt").read_text()
    assert log.startswith("about to read address 0\nFatal Python error: Segmentation fault")
    assert re.search(r'segfaults\.py", line \d+ in train', log)
    assert re.search(r'segfaults\.py", line \d+ in train', ran("segfaults").done.stdout)


def test_much_output_is_kept_to_its_beginning_and_end(ran):
    log = (ran("prints_much").records["prints_much"]["folder"] / "log.txt").read_text()
    assert len(log) < 2**20
    assert log.startswith("line      0 ")
    assert log.rstrip().splitlines()[-1].startswith("line 199999 ")
    assert "bytes left out" in log


def test_neither_error_nor_log_can_steer_the_terminal(ran):
    done = ran("speaks_in_escapes").done
    shown = done.stdout + done.stderr
    assert "raised" in shown
    assert "logged" in shown
    assert not set(shown) & {"\x1b", "\a"}


def test_a_diverged_run_shows_the_epoch_where_it_did(ran):
    rows = [line.split() for line in ran("nan_at_5").done.stdout.splitlines()]
    assert ["5", "nan"] in [row[:2] for row in rows]
    assert "the last finite loss is 0.2" in ran("nan_at_5").done.stdout


def test_a_diverged_run_is_stopped_long_before_its_end(tmp_path):
    words = (*planted("nan_at_5"), "--epochs", "100000000", "--timeout", "20")
    done = twolayer("run", *small(tmp_path), *words, cwd=tmp_path)
    record = stored(tmp_path)["nan_at_5"]
    assert (done.returncode, record["outcome"], record["epochs_done"]) == (4, "diverged", 5)


def test_json_has_no_word_for_nan(tmp_path):
    words = (*planted("nan_at_5", "overflows"), "--format", "json")
    done = twolayer("run", *small(tmp_path), *words, cwd=tmp_path)
    first, second = json.loads(done.stdout, parse_constant=pytest.fail)
    assert first["losses"] == [*HARMONIC[:5], None]
    assert second["losses"][3:] == [1e300, None]


def test_failure_weighs_more_than_divergence(tmp_path):
    words = planted("nan_at_5", "raises", "plain_floats")
    done = twolayer("run", *small(tmp_path), *words, cwd=tmp_path)
    assert done.returncode == 3
    assert len(stored(tmp_path)) == 3


@pytest.mark.parametrize(("name", "code"), [("raises", 3), ("nan_at_5", 4)])
def test_fail_fast_stops_at_the_first_that_is_not_ok(tmp_path, name, code):
    words = (*planted("plain_floats", name, "numpy_manual"), "--fail-fast")
    done = twolayer("run", *small(tmp_path), *words, cwd=tmp_path)
    assert done.returncode == code
    assert set(stored(tmp_path)) == {"plain_floats", name}
    assert "numpy_manual" not in done.stdout
    assert "stopped early: 2 of 3 runs finished\n" in done.stderr


@pytest.mark.parametrize(("key", "value"), [("timeout", "500ms"), ("memory_limit", "lots")])
def test_a_limit_that_is_none_is_refused(tmp_path, key, value):
    option = f"--{key.replace('_', '-')}"
    words = (*small(tmp_path), *planted("plain_floats"), option, value)
    done = twolayer("run", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{option}: ")
    assert not (tmp_path / "results").exists()


def test_limits_can_stand_in_the_config(tmp_path):
    words = small(tmp_path, memory_limit="100MiB", timeout="1s", epochs=100_000)
    done = twolayer("run", *words, *planted("eats_memory", "slow"), cwd=tmp_path)
    outcomes = {name: record["outcome"] for name, record in stored(tmp_path).items()}
    assert done.returncode == 3
    assert outcomes == {"eats_memory": "out_of_memory", "slow": "timeout"}


def test_a_memory_limit_beyond_any_machine_limits_nothing(tmp_path):
    limit = ("--memory-limit", "100000T")
    done = twolayer("run", *small(tmp_path), "--impl", "numpy_manual", *limit, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_memory_limit_is_what_a_run_takes_beyond_its_framework(tmp_path):
    words = (*planted("numpy_manual", "plain_floats"), "--memory-limit", "100M")
    done = twolayer("run", *small(tmp_path), *words, cwd=tmp_path)
    assert done.returncode == 0
    assert all(record["peak_bytes"] > 0 for record in stored(tmp_path).values())


def test_a_missing_framework_that_is_named_is_refused(tmp_path):
    words = planted("plain_floats", "needs_missing")
    done = twolayer("run", *small(tmp_path), *words, cwd=tmp_path, **without(tmp_path, "jax"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "pip install jax" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_missing_framework_in_a_config_is_a_row(tmp_path):
    names = planted("needs_missing", "plain_floats")[1].split(",")
    config = small(tmp_path, impls=names)
    done = twolayer("run", *config, cwd=tmp_path, **without(tmp_path, "jax"))
    records = stored(tmp_path)
    assert done.returncode == 3
    assert records["needs_missing"]["outcome"] == "failed"
    assert "pip install jax" in records["needs_missing"]["error"]["message"]
    assert "pip install jax" in done.stdout
    assert records["plain_floats"]["outcome"] == "ok"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("raise ImportError('libmissing.so.12: cannot open')", "libmissing.so.12"),
        ("import sys; sys.exit('no licence')", "no licence"),
        ("import os; os._exit(5)", "status 5"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
    ],
    ids=["raises", "exits", "exits hard", "is an illegal instruction"],
)
def test_a_framework_that_can_not_be_imported(tmp_path, line, reason):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text(line)
    words = (*small(tmp_path), "--impl", "torch_manual,numpy_manual")
    done = twolayer("run", *words, cwd=tmp_path, PYTHONPATH=str(tmp_path / "broken"))
    records = stored(tmp_path)
    assert done.returncode == 3
    assert records["torch_manual"]["outcome"] in ("failed", "crashed")
    assert reason in records["torch_manual"]["error"]["message"]
    assert records["numpy_manual"]["outcome"] == "ok"
    assert left_behind(tmp_path) == []


def test_a_host_that_is_killed_takes_only_its_run_with_it(tmp_path):
    command = start("run", *small(tmp_path), *planted("hangs", "plain_floats"), cwd=tmp_path)
    assert wait_for((tmp_path / "started").exists)
    (host,) = children(command.pid)
    os.kill(host, signal.SIGKILL)
    _, stderr = command.communicate(timeout=60)
    outcomes = {name: record["outcome"] for name, record in stored(tmp_path).items()}
    assert command.returncode == 3
    assert "Traceback" not in stderr
    assert outcomes == {"hangs": "crashed", "plain_floats": "ok"}
    assert left_behind(tmp_path) == []


def test_a_detached_child_does_not_outlive_its_run(tmp_path):
    (tmp_path / "detaches.py").write_text(
        '"""Starts a process in a session of its own."""\nimport subprocess\n\n\ndef train(cfg):\n'
        '    subprocess.Popen(["sleep", "60"], start_new_session=True)\n'
        "    for step in cfg.steps():\n        yield 1.0 / (step + 1)\n"
    )
    done = twolayer("run", *small(tmp_path), "--impl", "./detaches.py", cwd=tmp_path)
    assert done.returncode == 0
    assert not processes(tmp_path)


@pytest.mark.parametrize(
    ("yields", "outcome", "reason"),
    [
        ("1.0", "ok", ""),
        ('"a"', "failed", "must yield numbers"),
        ("10**400", "failed", "must yield numbers"),
    ],
)
def test_a_literal_may_be_yielded_again(tmp_path, yields, outcome, reason):
    body = f"def train(cfg):\n    for _ in cfg.steps():\n        yield {yields}\n"
    (tmp_path / "same.py").write_text(f'"""The same loss."""\n\n\n{body}')
    done = twolayer("run", *small(tmp_path), "--impl", "./same.py", "-q", cwd=tmp_path)
    assert outcome in done.stdout
    assert reason in done.stdout


# --- broken rules of the contract


BROKEN = {
    "range_loop": (
        "it never pulled a step from cfg.steps(); write `for _ in cfg.steps():` "
        "where range_loop.py:5 loops over range(cfg.epochs)"
    ),
    "returns_list": (
        "train(cfg) must yield its losses, it returned a list (returns_list.py:5); "
        "write `yield loss` in a loop over cfg.steps()"
    ),
    "adds_biases": (
        "it returned 4 arrays where 2 were handed out (adds_biases.py:10); "
        "if it has biases, reading cfg.bias in train declares them; "
    ),
    "object_weights": (
        "its weights are of type object (object_weights.py:8); "
        "they must be real floating-point arrays of the shapes handed out"
    ),
    "breaks_off": "it ended after 10 of 20 steps (breaks_off.py:8); ",
    "returns_early": "it ended after 6 of 20 steps; the loop must go on until cfg.steps() ends",
}
ALL_AT_ONCE = "`islice(steps, 100)`"
FEW = ("--rounds", "1", "--blocks", "1", "--warmup", "0.1")


@pytest.fixture(scope="module")
def breakers(tmp_path_factory):
    """A folder where all of them were run, and the command that did."""
    folder = tmp_path_factory.mktemp("breakers")
    others = ("listed", "chunks", "stops_at_nan", "single", "plain_floats")
    words = (*small(folder, dtype="float64"), *planted(*BROKEN, *others))
    done = twolayer("run", *words, cwd=folder)
    assert "Traceback" not in done.stdout + done.stderr
    return Ran(done, stored(folder), folder)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_a_sentence_that_says_what_to_write(breakers, name):
    record = breakers.records[name]
    error = record["error"]
    assert (record["outcome"], error["type"]) == ("failed", "ContractError")
    assert error["message"].startswith(BROKEN[name])
    assert error["traceback"] is None
    lines = breakers.done.stdout.splitlines()
    assert f"{name} failed: {error['message']}" in lines


def test_a_broken_rule_is_said_in_the_same_words_by_every_command(breakers):
    said = {name: breakers.records[name]["error"]["message"] for name in BROKEN}
    alike = ("range_loop", "returns_list", "object_weights")
    files = planted(*alike, "listed")[1].split(",")
    chosen = (*small(breakers.left), "--impl", ",".join(files))
    for command in (("check", *files), ("bench", *FEW, *chosen), ("verify", *chosen)):
        done = twolayer(*command, cwd=breakers.left)
        assert "Traceback" not in done.stdout + done.stderr
        assert [name for name in alike if said[name] not in done.stdout] == []
        assert (ALL_AT_ONCE in done.stdout) == (command[0] != "verify")


def test_steps_pulled_at_once_are_not_timed(breakers):
    listed, chunks, each = (breakers.records[n] for n in ("listed", "chunks", "plain_floats"))
    assert (listed["outcome"], listed["step_us"]) == ("ok", None)
    assert listed["train_s"] > 0
    assert chunks["step_us"]["median"] > 0
    assert (chunks["notes"], each["notes"]) == ([], [])
    (note,) = listed["notes"]
    assert ALL_AT_ONCE in note
    assert f"listed: {note}" in breakers.done.stdout.splitlines()


def test_one_that_breaks_off_where_its_loss_is_no_number_has_diverged(breakers):
    record = breakers.records["stops_at_nan"]
    assert (record["outcome"], record["epochs_done"]) == ("diverged", 5)


def test_another_type_than_asked_for_is_said(breakers):
    record = breakers.records["single"]
    assert (record["outcome"], record["computed_dtype"]) == ("ok", "float32")
    assert "single: asked for float64, computed in float32" in breakers.done.stdout.splitlines()
    assert breakers.records["plain_floats"]["computed_dtype"] is None


GOOD = (PLANTED / "plain_floats.py").read_text()
JAX = '''\
"""Descends in JAX, whose floats are of 32 bits unless it is told otherwise."""

import jax.numpy as jnp
import numpy as np


def train(cfg):
    _, _, *weights = map(jnp.asarray, cfg.problem())
    for _ in cfg.steps():
        yield (weights[0] @ weights[1]).sum()
        weights = [weight * 0.9 for weight in weights]
    return [np.asarray(weight) for weight in weights]
'''


@pytest.mark.skipif(find_spec("jax") is None, reason="jax is no dependency of ours")
def test_jax_has_the_threads_and_the_type_that_its_record_says(tmp_path):
    (tmp_path / "jx.py").write_text(JAX)
    words = (*small(tmp_path, dtype="float64", threads=3), "--impl", "./jx.py")
    done = twolayer("run", *words, cwd=tmp_path)
    record = stored(tmp_path)["jx"]
    assert (record["outcome"], record["threads"]) == ("ok", 3)
    said = "jx: asked for float64, computed in float32; in JAX, set jax_enable_x64"
    assert said in done.stdout.splitlines()


def test_threads_of_an_unknown_framework_are_unknown(tmp_path):
    (tmp_path / "own.py").write_text(f"import threadpoolctl\n{GOOD}")
    twolayer("run", *small(tmp_path), "--impl", "./own.py", cwd=tmp_path)
    assert stored(tmp_path)["own"]["threads"] is None


def test_one_that_has_pulled_all_its_steps_is_stopped_when_it_diverges(tmp_path):
    words = (*planted("listed_nan"), "--epochs", "100000", "--timeout", "60")
    done = twolayer("run", *small(tmp_path), *words, cwd=tmp_path)
    record = stored(tmp_path)["listed_nan"]
    assert (done.returncode, record["outcome"], record["epochs_done"]) == (4, "diverged", 5)


def test_tensors_that_come_back_on_their_graph_are_told_of_both(tmp_path):
    done = twolayer("run", *small(tmp_path), *planted("tensors_back"), cwd=tmp_path)
    message = stored(tmp_path)["tensors_back"]["error"]["message"]
    assert done.returncode == 3
    assert message.startswith("it returned a Tensor among its weights (tensors_back.py:11); ")
    assert "weight.numpy(force=True)" in message
    assert message.endswith(
        "its losses are attached to their graph, which keeps every step in "
        "memory; yield loss.detach()"
    )


def test_what_a_run_prints_can_not_fail_it(tmp_path):
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = twolayer("run", *small(tmp_path), *planted("prints_arrows"), cwd=tmp_path, **plain)
    record = stored(tmp_path)["prints_arrows"]
    assert (done.returncode, record["outcome"]) == (0, "ok")
    log = (record["folder"] / "log.txt").read_text(encoding="utf-8")
    assert log == "".join(f"loss \N{DOWNWARDS ARROW} at {step}\n" for step in range(3))
