"""`twolayer --help`: the commands in groups, a line each; and what other words get."""

import re

import pytest
from command import twolayer
from twolayer.cli.app import COMMANDS, app
from typer.testing import CliRunner

SUMMARIES = {name: text for group in COMMANDS.values() for name, text in group.items()}


def test_help_shows_each_command_in_its_group_on_one_line(tmp_path):
    shown = twolayer("--help", cwd=tmp_path, COLUMNS="80").stdout
    panels = dict(re.findall(r"^╭─ (\w+) ─+╮\n(.*?)^╰", shown, re.M | re.S))
    lines = {group: panels[group].splitlines() for group in COMMANDS}
    for group, commands in COMMANDS.items():
        rows = [line.strip("│ ").split(maxsplit=1) for line in lines[group]]
        assert dict(rows) == commands


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_command_says_in_its_help_what_it_does(name):
    done = CliRunner().invoke(app, [name, "--help"])
    assert (done.exit_code, SUMMARIES[name] in done.stdout) == (0, True)
    assert "[default: ()]" not in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runn",), "No such command 'runn'. Did you mean 'run'?"),
        (("--nothing", "run"), "No such option: --nothing"),
    ],
)
def test_a_word_that_is_no_command_is_refused(tmp_path, words, said):
    done = twolayer(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
