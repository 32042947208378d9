"""Progress says how long the whole will take, and Ctrl-C is acknowledged."""

import os
import re
import signal
import threading

import pytest
from command import PLANTED, on_a_terminal
from twolayer.cli.progress import Lines, stoppable


def test_a_line_says_the_time_left_once_it_can_be_known(capsys):
    progress = Lines(total=8)
    progress.step(1, 8, "", "1 done")
    progress.begun -= 30
    for done, line in ((0, "none done"), (2, "2 done"), (8, "all done")):
        progress.step(done, 8, "", line)
    progress.step(9, None, "", "no end known")
    said = capsys.readouterr().err.splitlines()
    assert said == ["1 done", "none done", "2 done  90 s left", "all done", "no end known"]


def test_a_terminal_shows_the_time_taken_and_left(tmp_path):
    impl = PLANTED / "slow.py"
    (tmp_path / "s.yaml").write_text(f"impls: {impl}\nrepeat: 9\nN: 2\nepochs: 100\n")
    with on_a_terminal("sweep", "s.yaml", cwd=tmp_path) as terminal:
        terminal.expect(r"total .*\d s .*\d s left  \d/9  \d ok")
        shown = terminal.before + terminal.read()
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).rpartition("9/9")[0].splitlines()[-1]
    assert "left" not in last


def interrupt(number):
    """Send this process a signal, and wait until it is seen."""
    os.kill(os.getpid(), number)
    threading.Event().wait(5)


@pytest.mark.parametrize(
    ("work", "text"),
    [
        ("turn", "finishing this turn; Ctrl-C again stops it"),
        ("runs", "finishing these runs; Ctrl-C again stops them"),
    ],
)
def test_each_interrupt_is_acknowledged(capsys, work, text):
    stop = threading.Event()
    with stoppable(stop, work=work):
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)
        with pytest.raises(KeyboardInterrupt):
            interrupt(signal.SIGTERM)
    assert capsys.readouterr().err.splitlines() == [text, "stopping …"]


def test_without_events_the_first_interrupt_stops(capsys):
    with pytest.raises(KeyboardInterrupt), stoppable():
        interrupt(signal.SIGINT)
    assert capsys.readouterr().err == "stopping …\n"
