"""Sweeps: what a file expands to, that it is checked whole, that nothing is lost or repeated."""

import csv
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import PLANTED, losses_of, processes, start, twolayer, wait_for
from twolayer.cli.options import completion
from twolayer.config import catalogue, sweep
from twolayer.config import experiment as config
from twolayer.errors import ConfigError

SMALL = "N: 5\nH: 4\nD_in: 6\nD_out: 3\nepochs: 5\nthreads: 1\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(folder, text, **said):
    """The sweep that a text makes."""
    path = folder / "s.yaml"
    path.write_text(text)
    return sweep.Sweep(config.load(path, extra=sweep.KEYS, **said))


def values(folder, text, *names):
    """The named settings of every run, in order."""
    runs = made(folder, f"impls: numpy_manual\n{text}").runs()
    return [tuple(getattr(run.config, name) for name in names) for run in runs]


def mistakes(folder, text):
    """What is wrong with a sweep, one line each."""
    with pytest.raises(ConfigError) as caught:
        made(folder, text)
    return str(caught.value).splitlines()


def losses(folder, name="s"):
    """The losses of every finished run, as written, by the name of its folder."""
    return losses_of(folder, name)


# --- expansion


def test_no_block_is_one_point(folder):
    assert values(folder, SMALL, "N", "epochs") == [(5, 5)]


def test_grid_takes_all_combinations(folder):
    found = values(folder, "grid:\n  lr: [1e-6, 1e-5]\n  seed: {range: 3}", "lr", "seed")
    assert found == list(itertools.product([1e-6, 1e-5], [0, 1, 2]))


def test_zip_walks_lists_together(folder):
    assert values(folder, "zip:\n  N: [30, 60]\n  H: [50, 100]", "N", "H") == [(30, 50), (60, 100)]


def test_runs_are_as_listed(folder):
    text = "lr: 1e-3\nruns:\n  - {N: 3}\n  - {lr: 1e-2, H: 7}"
    assert values(folder, text, "N", "lr", "H") == [(3, 1e-3, 100), (60, 1e-2, 7)]


def test_blocks_follow_one_another(folder):
    text = "zip: {N: [1, 2]}\ngrid:\n  - {seed: [5]}\n  - {H: [8, 9]}"
    assert values(folder, text, "N", "seed", "H") == [
        (1, 0, 100),
        (2, 0, 100),
        (60, 5, 100),
        (60, 0, 8),
        (60, 0, 9),
    ]


def test_what_is_counted_is_drawn_whole(folder):
    drawn = values(folder, "sample: {n: 20, threads: {uniform: [1, 4]}}", "threads")
    assert {value for (value,) in drawn} == {1, 2, 3, 4}


def test_sample_is_drawn_from_its_seed_and_within_its_ends(folder):
    text = (
        "sample:\n  n: 200\n  seed: 7\n  lr: {log_uniform: [1e-7, 1e-4]}\n"
        "  N: {uniform: [3, 5]}\n  dtype: {choice: [float32, float64]}"
    )
    drawn = values(folder, text, "lr", "N", "dtype")
    assert drawn == values(folder, text, "lr", "N", "dtype")
    assert drawn != values(folder, text.replace("seed: 7", "seed: 8"), "lr", "N", "dtype")
    lrs, sizes, types = zip(*drawn, strict=True)
    assert 1e-7 <= min(lrs) < 1e-6 < 1e-5 < max(lrs) <= 1e-4
    assert set(sizes) == {3, 4, 5}
    assert set(types) == {"float32", "float64"}


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("{range: 3}", [0, 1, 2]),
        ("{range: [2, 8, 3]}", [2, 5]),
        ("{linear: [1, 3, 3]}", [1, 2, 3]),
        ("{log: [1, 100, 3]}", [1, 10, 100]),
        ("4", [4]),
    ],
)
def test_an_axis_may_be_a_spread(folder, axis, expected):
    name = "seed" if "range" in axis else "N"
    assert [v for (v,) in values(folder, f"grid: {{{name}: {axis}}}", name)] == expected


def test_repeat_counts_seeds_up(folder):
    found = values(folder, "seed: 4\nrepeat: 3\ngrid: {N: [1, 2]}", "N", "seed")
    assert found == [(1, 4), (1, 5), (1, 6), (2, 4), (2, 5), (2, 6)]


def test_exclude_leaves_out_what_matches_all_of_a_rule(folder):
    text = (
        "impls: [numpy_manual, autograd]\ngrid: {N: [1, 2], H: [1, 2]}\n"
        "exclude:\n  - {N: 1, H: [2]}\n  - {impl: autograd, N: 2}"
    )
    found = [(run.name, run.config.N, run.config.H) for run in made(folder, text).runs()]
    assert found == [
        ("numpy_manual", 1, 1),
        ("autograd", 1, 1),
        ("numpy_manual", 2, 1),
        ("numpy_manual", 2, 2),
    ]


def test_the_same_run_is_planned_once(folder):
    assert values(folder, "grid: {N: [1, 2]}\nruns: [{N: 2}, {N: 3}]", "N") == [(1,), (2,), (3,)]


def test_a_point_overrides_the_file_and_the_command_line_a_point(folder):
    text = "impls: [sgd]\nlr: 1\noverrides: {sgd: {lr: 2, momentum: 0.5}}\ngrid: {lr: [3, 4]}"
    assert [run.config.lr for run in made(folder, text).runs()] == [3, 4]
    said = [config.parse_set("sgd.lr=9")]
    (run,) = made(folder, text, assignments=said).runs()
    assert (run.config.lr, run.config.momentum) == (9, 0.5)


def test_the_sweeps_that_come_with_it_are_valid():
    names = config.config_names("sweeps")
    assert {"lr-edge", "width", "examples", "depth-seeds", "precision"} <= set(names)
    for name in names:
        path = config.find_config(name, "sweeps")
        planned = sweep.Sweep(config.load(path, extra=sweep.KEYS))
        assert 1 < len(list(planned.runs())) == planned.size


def test_a_large_sweep_is_never_held_whole(folder):
    text = "grid:\n  lr: {log: [1e-9, 1e-6, 200]}\n  seed: {range: 100}"
    planned = made(folder, f"impls: numpy_manual\n{text}")
    assert planned.size == 20_000
    assert len(list(itertools.islice(planned.runs(), 10))) == 10


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("grid: {lrr: [1]}", "2:8: lrr: is not a setting (did you mean lr?)"),
        ("grid: {lr: [1e-3, -1]}", "2:19: lr: must be greater than 0 (got -1)"),
        ("grid: {lr: []}", "2:12: lr: must have at least one value (got [])"),
        ("grid: 3", "2:7: grid: must map settings to values (got 3)"),
        ("zip: {N: [1, 2], H: [1]}", "2:6: zip: must have lists of one length (N has 2, H has 1)"),
        ("runs: {N: 1}", "2:7: runs: must be a list of mappings of settings (got {N: 1})"),
        ("repeat: 0", "2:9: repeat: must be a whole number from 1 to 1000000 (got 0)"),
        ("sample: {lr: [1]}", "2:9: n: must be a whole number from 1 to 1000000 (got {lr: [1]})"),
        ("sample: {n: 3}", "2:9: sample: must say which settings to draw (got {n: 3})"),
        (
            "exclude: {impl: sgd}",
            "2:17: impl: must be one of the sweep's implementations (got 'sgd')",
        ),
        (
            "grid: {momentum: [0.5]}",
            "2:19: momentum: must be 0 for numpy_manual, which never reads",
        ),
        ("grid: {N: [1, 1e15]}", "2:15: N: is too large: training would need at least"),
        ("grid: {seed: {range: 1e12}}", "2:14: seed: must be a list, or one of {range: 5}"),
        ("grid: {seed: {range: 0}}", "2:14: seed: must be a list, or one of {range: 5}"),
        ("sample: {n: 2, lr: {log_uniform: [0, 1]}}", "2:20: lr: must be one of {uniform: [a, b]}"),
        (
            "grid: {lr: {range: [0.1, 0.5, 0.1]}}",
            "2:12: lr: range counts in whole numbers; write {linear: [0.1, 0.5, 5]}",
        ),
        ("grid: {N: {linear: [1, .inf, 3]}}", "2:11: N: must be a list, or one of {range: 5}"),
        (
            "grid: {impl: [sgd]}",
            "2:8: impl: is not a setting here; impls is a key of the whole config",
        ),
        ("grid: {eta: [1]}", "2:8: eta: is not a setting here; write lr"),
        ("parameters: {lr: [1]}", "2:1: parameters: is not a key here; write grid"),
        (
            "seed: 9223372036854775806\nrepeat: 3",
            "3:9: repeat: goes beyond the largest seed when it starts at 9223372036854775806",
        ),
        (
            "grid: {lr: {log: [1e-6, 1, 1000]}, seed: {range: 1000}, N: {range: [1, 1001]}}",
            " asks for 1,000,000,000 runs; at most 1,000,000 can be checked",
        ),
        ("grids: {lr: [1]}", "2:1: grids: is not a key (did you mean grid?)"),
    ],
)
def test_a_mistake_is_said_with_its_place(folder, text, line):
    (said,) = mistakes(folder, f"impls: numpy_manual\n{text}")
    assert said.startswith(f"s.yaml:{line}")


def test_repeat_and_a_seed_axis_contradict_each_other(folder):
    (said,) = mistakes(folder, "impls: numpy_manual\nrepeat: 2\ngrid: {seed: [1]}")
    assert (
        said
        == "s.yaml:2:9: repeat: must not stand beside a block that sets the seed; keep one of them"
    )


@pytest.mark.parametrize("words", [("--seed", "3"), ("--set", "numpy_manual.seed=3")])
def test_one_seed_for_all_repetitions_is_refused(folder, words):
    file = sweep_file(folder, "impls: numpy_manual\nrepeat: 2")
    done = twolayer("sweep", file, *words, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert " would give every repetition the same seed; s.yaml has repeat: 2" in done.stderr


def test_all_mistakes_come_at_once_and_nothing_is_written(folder):
    (folder / "s.yaml").write_text("impls: [numpy_manul]\nN: 0\ngrid: {lr: [-1]}\n")
    done = twolayer("sweep", "s.yaml", cwd=folder)
    assert done.returncode == 2
    assert [line.split(":")[3].strip() for line in done.stderr.splitlines()] == ["impls", "N", "lr"]
    assert not (folder / "results").exists()


# --- running


def sweep_file(folder, text, name="s"):
    (folder / f"{name}.yaml").write_text(f"{SMALL}{text}\n")
    return f"{name}.yaml"


def test_a_second_call_runs_nothing(folder):
    file = sweep_file(folder, "impls: numpy_manual\ngrid: {seed: {range: 4}}")
    first = twolayer("sweep", file, cwd=folder)
    before = losses(folder)
    again = twolayer("sweep", file, cwd=folder)
    assert (first.returncode, again.returncode) == (0, 0)
    assert "4 runs: 0 finished, 4 to do" in first.stderr
    assert "4 runs: 4 finished, 0 to do" in again.stderr
    assert again.stdout.startswith("4 of 4 runs finished: 4 ok\n\n")
    assert again.stdout == first.stdout
    assert losses(folder) == before
    assert len(before) == 4


def test_fresh_runs_all_again_and_loses_nothing(folder):
    file = sweep_file(folder, "impls: numpy_manual\ngrid: {seed: {range: 2}}")
    twolayer("sweep", file, cwd=folder)
    before = losses(folder)
    twolayer("sweep", file, "--fresh", cwd=folder)
    after = losses(folder)
    assert len(after) == 4
    assert before.items() <= after.items()


def test_plan_runs_nothing_and_says_what_is_left(folder):
    file = sweep_file(folder, "impls: numpy_manual\ngrid: {seed: {range: 4}}")
    done = twolayer("sweep", file, "--plan", cwd=folder)
    assert (done.returncode, "4 runs: 0 finished, 4 to do" in done.stdout) == (0, True)
    assert not (folder / "results").exists()
    twolayer("sweep", file, "--filter", "seed < 3", cwd=folder)
    done = twolayer("sweep", file, "--plan", cwd=folder)
    assert "4 runs: 3 finished, 1 to do, about" in done.stdout


def test_filter_impl_and_set_narrow_it(folder):
    file = sweep_file(
        folder, "impls: [numpy_manual, autograd]\ngrid: {seed: {range: 3}, N: [4, 5]}"
    )
    words = ("--impl", "numpy_manual", "--set", "N=7", "--filter", "seed != 1 and N == 7")
    done = twolayer("sweep", file, *words, cwd=folder)
    assert done.stdout.startswith("2 of 2 runs finished: 2 ok\n\n")


def test_a_bad_filter_is_refused(folder):
    file = sweep_file(folder, "impls: numpy_manual")
    done = twolayer("sweep", file, "--filter", "__import__('os')", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--filter: can't use")


def test_failures_are_rows_and_are_run_again_only_when_asked(folder):
    flag = folder / "mended"
    (folder / "flaky.py").write_text(
        '"""Fails until a file is there."""\nfrom pathlib import Path\n\n\ndef train(cfg):\n'
        f"    for step in cfg.steps():\n        if not Path({str(flag)!r}).exists():\n"
        '            raise RuntimeError("not yet")\n        yield 1.0 / (step + 1)\n'
    )
    file = sweep_file(folder, "impls: [./flaky.py, numpy_manual]\ngrid: {seed: [0, 1]}")
    first = twolayer("sweep", file, cwd=folder)
    assert (first.returncode, "2 ok" in first.stdout, "2 failed" in first.stdout) == (3, True, True)
    assert "RuntimeError: not yet" in first.stderr
    assert first.stderr.endswith(f"next: twolayer sweep {file} --retry failed\n")
    flag.touch()
    assert twolayer("sweep", file, cwd=folder).returncode == 3
    assert twolayer("sweep", file, "--retry", "failed", cwd=folder).returncode == 0


def test_a_changed_source_is_run_again(folder):
    source = (PLANTED / "plain_floats.py").read_text()
    (folder / "mine.py").write_text(source)
    file = sweep_file(folder, "impls: ./mine.py")
    twolayer("sweep", file, cwd=folder)
    assert "made with" not in twolayer("sweep", file, cwd=folder).stderr
    (folder / "mine.py").write_text(f"{source}# another\n")
    assert "1 run: 0 finished, 1 to do" in twolayer("sweep", file, cwd=folder).stderr


def test_another_framework_version_is_noticed(folder):
    file = sweep_file(folder, "impls: numpy_manual")
    twolayer("sweep", file, cwd=folder)
    (path,) = (folder / "results" / "s" / "runs").glob("*/result.json")
    summary = json.loads(path.read_text())
    summary["versions"]["numpy"] = "0.1"
    path.write_text(json.dumps(summary))
    done = twolayer("sweep", file, cwd=folder)
    assert "note: 1 finished run was made with numpy 0.1; here is" in done.stderr


def test_the_sweep_in_the_documentation_is_valid(folder):
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    planned = made(folder, page.partition("```yaml\n")[2].partition("```")[0])
    assert planned.size == (15 + 3 + 20 + 1) * planned.repeat * len(planned.implementations)
    assert "15 + 3 + 20 + 1 points" in page


def test_a_sweep_is_no_config(folder):
    file = sweep_file(folder, "impls: numpy_manual\ngrid: {seed: [1]}")
    done = twolayer("run", "--config", file, cwd=folder)
    assert done.stderr == "s.yaml:8:1: grid: is for sweeps; write twolayer sweep FILE\n"


def test_parallel_runs_give_the_same_bits(folder):
    text = "impls: [numpy_manual, torch_manual]\ngrid: {seed: {range: 3}}"
    for jobs, name in ((1, "alone"), (2, "together")):
        done = twolayer("sweep", sweep_file(folder, text, name), "--jobs", jobs, cwd=folder)
        assert done.returncode == 0, done.stderr
        paths = folder.glob(f"results/{name}/runs/*/result.json")
        assert max(json.loads(path.read_text())["neighbours"] for path in paths) == jobs - 1
        assert ("runs shared the machine" in done.stderr) == (jobs == 2)
    assert losses(folder, "together") == losses(folder, "alone")


def test_one_run_alone_has_shared_nothing(folder):
    done = twolayer("sweep", sweep_file(folder, "impls: numpy_manual"), "--jobs", "2", cwd=folder)
    again = twolayer("sweep", "s.yaml", "--jobs", "2", cwd=folder)
    assert "shared" not in done.stderr + again.stderr
    (path,) = folder.glob("results/s/runs/*/result.json")
    assert json.loads(path.read_text())["neighbours"] == 0


EDGE = "impls: [numpy_manual, autograd]\nrepeat: 2\ngrid: {lr: [1e-5, 1e-3, 1e3]}\nepochs: 30\n"


def test_it_ends_with_its_answer(folder):
    """The best settings, where runs diverge and the luck of the seed; then what to call next."""
    sizes = "N: 8\nH: 6\nD_in: 10\nD_out: 2\nthreads: 1\n"
    (folder / "edge.yaml").write_text(f"{sizes}{EDGE}")
    done = twolayer("sweep", "edge.yaml", cwd=folder)
    assert done.returncode == 4
    count, table, sentences = done.stdout.strip().split("\n\n")
    assert count == "12 of 12 runs finished: 8 ok, 4 diverged"
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["numpy_manual", "autograd"]
    assert "best settings" in table.splitlines()[0]
    assert "with lr=0.001" in sentences
    assert "From lr=1000 on no run is ok." in sentences
    assert "Luck of the seed" in sentences
    assert done.stderr.endswith("next: twolayer report edge\n")
    done = twolayer("sweep", "edge.yaml", "--format", "json", cwd=folder)
    whole = json.loads(done.stdout)
    assert (done.returncode, whole["planned"]) == (4, 12)
    assert whole["outcomes"] == {"ok": 8, "diverged": 4}
    assert whole["answer"] == sentences.splitlines()
    assert whole["best"][0]["best settings"] == "lr=0.001"
    assert len(whole["runs"]) == 12


def test_losses_are_headed_by_what_varies(folder):
    twolayer("sweep", sweep_file(folder, "impls: numpy_manual\nrepeat: 2"), cwd=folder)
    header = twolayer("show", "--format", "csv", cwd=folder).stdout.partition("\n")[0]
    assert header == "epoch,numpy_manual seed=0,numpy_manual seed=1"


def test_a_plan_for_programs_has_every_run(folder):
    file = sweep_file(folder, "impls: numpy_manual\ngrid: {seed: {range: 3}}")
    twolayer("sweep", file, "--filter", "seed < 1", cwd=folder)
    planned = json.loads(twolayer("sweep", file, "--plan", "--format", "json", cwd=folder).stdout)
    assert [(run["seed"], run["to_do"], run["outcome"]) for run in planned] == [
        (0, False, "ok"),
        (1, True, ""),
        (2, True, ""),
    ]
    assert planned[0]["key"] in losses(folder)
    text = twolayer("sweep", file, "--plan", "--format", "csv", cwd=folder).stdout
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["impl"], row["N"], row["to_do"]) for row in rows] == [
        ("numpy_manual", "5", done) for done in ("false", "true", "true")
    ]
    text = twolayer("sweep", file, "--plan", "--format", "markdown", cwd=folder).stdout
    assert text.startswith("| implementation | runs | finished | to do | time |\n")


def test_two_sweeps_at_once_lose_and_repeat_nothing(folder):
    file = sweep_file(folder, "impls: numpy_manual\ngrid: {seed: {range: 30}}")
    both = [start("sweep", file, cwd=folder) for _ in range(2)]
    said = [command.communicate(timeout=100) for command in both]
    assert [command.returncode for command in both] == [0, 0], said
    names = sorted(losses(folder))
    assert len(names) == 30
    assert not any("." in name for name in names)


def test_interrupted_once_it_finishes_what_it_is_at(folder):
    file = sweep_file(folder, f"impls: {PLANTED / 'slow.py'}\ngrid: {{seed: {{range: 50}}}}")
    command = start("sweep", file, cwd=folder)
    assert wait_for(lambda: losses(folder))
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert command.returncode == 130
    assert f"to go on: twolayer sweep {file}" in err
    assert "finishing this run; Ctrl-C again stops it\n" in err
    assert "next: " not in err
    count = len(losses(folder))
    assert 0 < count < 50
    assert out == f"{count} of 50 runs finished: {count} ok\n"
    assert wait_for(lambda: not processes(folder))


def test_interrupted_twice_it_stops_what_it_is_at(folder):
    file = sweep_file(folder, f"impls: {PLANTED / 'hangs.py'}\ngrid: {{seed: {{range: 3}}}}")
    command = start("sweep", file, cwd=folder)
    assert wait_for((folder / "started").is_file)
    command.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(1)
    command.send_signal(signal.SIGINT)
    out, _ = command.communicate(timeout=30)
    assert (command.returncode, out) == (130, "0 of 3 runs finished: none\n")
    assert not losses(folder)
    assert wait_for(lambda: not processes(folder))


def test_a_sweep_killed_at_random_moments_ends_as_if_never_killed(folder):
    text = "impls: [numpy_manual, ./mine.py]\ngrid: {seed: {range: 12}, N: [4, 5]}"
    (folder / "mine.py").write_text((PLANTED / "plain_floats.py").read_text())
    twolayer("sweep", sweep_file(folder, text, "whole"), cwd=folder)
    file, rng = sweep_file(folder, text), random.Random(1)
    for _ in range(5):
        command = start("sweep", file, "--jobs", "2", cwd=folder)
        time.sleep(rng.uniform(0.3, 1.3))
        alive = processes(folder)
        os.kill(rng.choice(alive) if alive else command.pid, signal.SIGKILL)
        command.kill()
        command.communicate()
        assert wait_for(lambda: not processes(folder))
        assert all(text.endswith("\n") for text in losses(folder).values())
    done = twolayer("sweep", file, "--retry", "failed", cwd=folder)
    assert done.returncode == 0, done.stderr
    ours = {
        name.partition(".")[0]: text
        for name, text in losses(folder).items()
        if text.count("\n") > 5
    }
    assert ours == losses(folder, "whole")


FULL = """
import os, sys
real = os.fsync
count = 0
def fsync(handle):
    global count
    count += 1
    if count > 20:
        raise OSError(28, "No space left on device")
    real(handle)
os.fsync = fsync
from twolayer.cli.app import main
sys.argv = ["twolayer", *sys.argv[1:]]
main()
"""


def full(*words, cwd):
    """A command on whose disk there is room for three runs."""
    command = [sys.executable, "-P", "-c", FULL, *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_a_full_disk_ends_it_with_what_is_finished_whole(folder):
    file = sweep_file(folder, "impls: numpy_manual\ngrid: {seed: {range: 10}}")
    done = full("sweep", file, "--jobs", "2", cwd=folder)
    assert (done.returncode, done.stdout) == (3, "3 of 10 runs finished: 3 ok\n")
    message = "results/s/runs: can't be written: No space left on device; 3 of 10 runs finished"
    assert message in done.stderr
    kept = losses(folder)
    assert len(kept) == 3
    assert not processes(folder)
    assert not list((folder / "results" / "s" / "runs").glob(".tmp-*"))
    assert "10 ok" in twolayer("sweep", file, cwd=folder).stdout
    assert kept.items() <= losses(folder).items()


def test_a_full_disk_ends_a_run_with_what_is_finished(folder):
    impls = ",".join(str(PLANTED / f"{n}.py") for n in ("chunks", "plain_floats", "slow", "rises"))
    done = full("run", "--impl", impls, *SMALL_RUN, cwd=folder)
    assert done.returncode == 3, done.stderr
    assert done.stderr.endswith("No space left on device; 3 of 4 runs finished and kept\n")
    assert "slow" in done.stdout


SMALL_RUN = ("--N", "5", "--H", "4", "--D-in", "6", "--D-out", "3", "--epochs", "5")


def test_without_locks_one_sweep_at_a_time_is_said_and_works(folder):
    library = str(folder / "nolock.so")
    source = str(PLANTED / "nolock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    file = sweep_file(folder, "impls: numpy_manual\ngrid: {seed: {range: 2}}")
    done = twolayer("sweep", file, cwd=folder, timeout=60, LD_PRELOAD=library)
    assert done.returncode == 0
    assert done.stdout.startswith("2 of 2 runs finished: 2 ok\n")
    said = "results/s: this file system has no locks (No locks available), so run one sweep at a"
    assert done.stderr.count(said) == 1


def test_a_sweep_that_waits_for_another_says_so_and_imports_nothing(folder):
    """Both runs wait for a file that is there when the second sweep has said what it waits for."""
    text = f"impls: {PLANTED / 'waits.py'}\ngrid: {{seed: [0, 1]}}"
    words = ("sweep", sweep_file(folder, text), "--set", "H=2", "--jobs", "2")
    first = start(*words, cwd=folder)
    assert wait_for(lambda: len(processes(folder)) >= 4)  # the sweep, its host and both runs
    second = start(*words, cwd=folder)
    lines = [second.stderr.readline() for _ in range(2)]
    (folder / "at-last").touch()
    both = [command.communicate(timeout=60) for command in (first, second)]
    who = f"process {first.pid} on this host"
    assert lines[1] == f"2 runs are being done by another sweep, {who}; waiting\n"
    assert [out.partition("\n")[0] for out, _ in both] == ["2 of 2 runs finished: 2 ok"] * 2
    assert ["importing numpy" in err for _, err in both] == [True, False]


def test_names_of_sweeps_are_completed(folder):
    sweep_file(folder, "impls: numpy_manual", "mine")
    complete_sweeps = completion("sweeps")
    assert complete_sweeps("lr") == ["lr-edge"]
    assert complete_sweeps("mi") == ["mine.yaml"]


def test_every_built_in_takes_part_in_a_sweep(folder):
    text = f"impls: [{', '.join(catalogue.LESSON)}]\nrepeat: 2"
    done = twolayer("sweep", sweep_file(folder, text), "--jobs", "2", cwd=folder)
    assert done.stdout.startswith("20 of 20 runs finished: 20 ok\n")
