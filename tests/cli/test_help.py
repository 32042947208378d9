"""`twolayer --help`: the commands in groups, a line each; and what other words get."""

import re

import pytest
from command import twolayer
from twolayer.cli.app import COMMANDS, app, command
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


@pytest.mark.parametrize("name", SUMMARIES)
def test_no_word_of_the_help_is_cut_at_80_columns(name, monkeypatch):
    """In particular no list of choices, which are words of the text."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, [name, "--help"]).stdout
    text = " ".join(re.sub(r"\W+", " ", shown).split())
    for parameter in command(name, "").params:
        choices = getattr(parameter.type, "choices", ())
        assert " ".join(choices[:-1]) in text
        words = re.sub(r"\W+", " ", parameter.help).split()
        assert set(words) <= set(text.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runn",), "runn: is not a command (did you mean run?); see twolayer --help"),
        (("--nothing", "run"), "--nothing: is not an option"),
        (("run", "--epoch", "3"), "--epoch: is not an option (did you mean --epochs?)"),
        (("list", "foo"), "foo: is more than twolayer list takes; see twolayer list --help"),
        (("run", "-f", "xml"), "--format: must be table, json, csv or markdown (got 'xml')"),
        (("bench", "--rounds", "0"), "--rounds: must be a whole number, 1 or more (got 0)"),
        (("export",), "EXPERIMENT: is missing; see"),
        (("run", "--lr"), "--lr: requires an argument"),
        (("run", "--quiet=3"), "--quiet: does not take a value"),
    ],
)
def test_a_wrong_call_is_refused_in_a_line(tmp_path, words, said):
    done = twolayer(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(said)
