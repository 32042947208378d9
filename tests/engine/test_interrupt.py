"""Whoever stops a run stops all of it, and keeps what was finished."""

import json
import os
import signal

import pytest
from command import left_behind, on_a_terminal, planted, small, start, stored, wait_for

SLOW_IMPORT = "import pathlib, time; pathlib.Path('started').touch(); time.sleep(900)"
BETWEEN = ("plain_floats", "numpy_manual")
"""What is planted stands between these two: one is finished before it, one is never begun."""


def begin(folder, name, *words, **env):
    """Start a run of three; returns it when the second of them, `name`, is under way."""
    names = planted(BETWEEN[0], name, BETWEEN[1])
    every = ("--set", f"{name}.epochs=100000")
    command = start("run", *small(folder), *names, *every, *words, cwd=folder, **env)
    assert wait_for((folder / "started").exists)
    return command


def begin_imports(folder):
    """Start a run of two whose framework takes for ever to import; returns it as it does."""
    (folder / "slow").mkdir()
    (folder / "slow" / "torch.py").write_text(SLOW_IMPORT)
    words = ("--impl", "torch_manual,numpy_manual")
    command = start("run", *small(folder), *words, cwd=folder, PYTHONPATH=str(folder / "slow"))
    assert wait_for((folder / "started").exists)
    return command


def end(command, *signals):
    """Send signals, half a second apart while it lives; returns what was printed."""
    for number in signals:
        command.send_signal(number)
        wait_for(lambda: command.poll() is not None, 0.5)
    return command.communicate(timeout=30)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("slow", signal.SIGINT),
        ("slow", signal.SIGTERM),
        ("hangs_in_c", signal.SIGTERM),
        ("hangs_with_a_child", signal.SIGINT),
        ("imports_slowly", signal.SIGINT),
    ],
)
def test_a_second_interrupt_ends_the_run_and_keeps_the_finished(tmp_path, name, number):
    command = begin(tmp_path, name)
    stdout, stderr = end(command, number, number)
    left = left_behind(tmp_path)
    outcomes = {impl: record["outcome"] for impl, record in stored(tmp_path).items()}
    assert command.returncode == 130
    assert outcomes == {"plain_floats": "ok", name: "interrupted"}
    assert "finishing this run; Ctrl-C again stops it\nstopping …\n" in stderr
    assert "interrupted: 1 of 3 runs finished" in stderr
    assert "next: " not in stderr
    assert "Traceback" not in stderr
    assert f"\n{name} interrupted" in stdout
    assert left == []


def test_an_interrupt_lets_the_run_under_way_finish(tmp_path):
    command = begin(tmp_path, "slow", "--set", "slow.epochs=300")
    stdout, stderr = end(command, signal.SIGINT)
    assert command.returncode == 130
    assert {name: r["outcome"] for name, r in stored(tmp_path).items()} == {
        "plain_floats": "ok",
        "slow": "ok",
    }
    assert stderr.count("finishing this run; Ctrl-C again stops it\n") == 1
    assert "interrupted: 2 of 3 runs finished and kept" in stderr
    assert "\n2 of 2 ok" in stdout


def test_the_losses_up_to_an_interrupt_are_kept(tmp_path):
    """And JSON is whole, and --quiet still says how many runs were kept."""
    command = begin(tmp_path, "slow", "--quiet", "--format", "json")
    stdout, stderr = end(command, signal.SIGINT, signal.SIGINT)
    assert [record["outcome"] for record in json.loads(stdout)] == ["ok", "interrupted"]
    assert stderr == "interrupted: 1 of 3 runs finished, 1 in part, and kept\n"
    record = stored(tmp_path)["slow"]
    count = len(record["losses"])
    assert 3 <= count < 100_000
    assert record["losses"] == [1.0 / (epoch + 1) for epoch in range(count)]
    assert (record["epochs_done"], record["final_loss"]) == (count, 1.0 / count)
    assert record["train_s"] > 0


@pytest.mark.parametrize("name", ["hangs", "hangs_in_c"])
def test_a_third_interrupt_stops_at_once(tmp_path, name):
    command = begin(tmp_path, name)
    _, stderr = end(command, *[signal.SIGINT] * 3)
    left = left_behind(tmp_path)
    assert command.returncode == 130
    assert "Traceback" not in stderr
    assert stored(tmp_path)["plain_floats"]["outcome"] == "ok"
    assert "numpy_manual" not in stored(tmp_path)
    assert left == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_imports(tmp_path, number):
    command = begin_imports(tmp_path)
    stdout, stderr = end(command, number)
    left = left_behind(tmp_path)
    assert command.returncode == 130
    assert "interrupted: 0 of 2 runs finished" in stderr
    assert "Traceback" not in stderr
    assert stdout.strip() == ""
    assert stored(tmp_path) == {}
    assert left == []


def test_a_second_interrupt_of_imports_leaves_no_process(tmp_path):
    command = begin_imports(tmp_path)
    _, stderr = end(command, signal.SIGINT, signal.SIGINT)
    left = left_behind(tmp_path)
    assert command.returncode == 130
    assert "Traceback" not in stderr
    assert left == []


@pytest.mark.parametrize("name", ["slow", "hangs", "hangs_in_c", "hangs_with_a_child"])
def test_a_killed_command_leaves_no_process(tmp_path, name):
    command = begin(tmp_path, name)
    end(command, signal.SIGKILL)
    left = left_behind(tmp_path)
    assert command.returncode == -signal.SIGKILL
    assert set(stored(tmp_path)) == {"plain_floats"}
    assert left == []


def test_a_command_killed_during_imports_leaves_no_process(tmp_path):
    command = begin_imports(tmp_path)
    end(command, signal.SIGKILL)
    left = left_behind(tmp_path)
    assert command.returncode == -signal.SIGKILL
    assert left == []


def test_a_closed_terminal_leaves_no_process(tmp_path):
    end(begin(tmp_path, "hangs"), signal.SIGHUP)
    left = left_behind(tmp_path)
    assert set(stored(tmp_path)) >= {"plain_floats"}
    assert left == []


def test_ctrl_c_in_a_terminal(tmp_path):
    names = planted(BETWEEN[0], "slow", BETWEEN[1])
    words = ("run", *small(tmp_path, epochs=1000), *names)
    with on_a_terminal(*words, cwd=tmp_path) as terminal:
        terminal.expect("steps/s")
        terminal.sendintr()
        terminal.expect("finishing this run; Ctrl-C again stops it")
        terminal.sendintr()
        shown = terminal.read()
    left = left_behind(tmp_path)
    outcomes = {name: record["outcome"] for name, record in stored(tmp_path).items()}
    assert os.waitstatus_to_exitcode(terminal.status) == 130
    assert outcomes == {"plain_floats": "ok", "slow": "interrupted"}
    assert "interrupted: 1 of 3 runs finished" in shown
    assert "Traceback" not in shown
    assert "\x1b[?25h" in shown  # the cursor is back
    assert left == []


def test_ctrl_c_is_acknowledged_on_a_terminal_though_quiet(tmp_path):
    words = ("run", *small(tmp_path, epochs=1000), *planted("slow"), "--quiet")
    with on_a_terminal(*words, cwd=tmp_path) as terminal:
        assert wait_for((tmp_path / "started").exists)
        terminal.sendintr()
        terminal.expect("\\rfinishing this run; Ctrl-C again stops it")  # over the ^C
        terminal.sendintr()
        terminal.expect("\\rstopping …")
        terminal.read()
    assert os.waitstatus_to_exitcode(terminal.status) == 130


def test_an_interrupt_while_the_command_starts_says_nothing(tmp_path):
    # A typer that takes for ever to import stands for a slow disk.
    (tmp_path / "typer.py").write_text(SLOW_IMPORT)
    command = start("list", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert wait_for((tmp_path / "started").exists)
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=30)
    assert (stdout, stderr) == ("", "")
    assert command.returncode == -signal.SIGINT  # a shell makes that 130
