"""The README is checked against the code: its commands, options, keys, exit codes and snippets."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from twolayer import cli as codes
from twolayer.cli import app as cli
from twolayer.config import catalogue, document, settings
from twolayer.config import experiment as config

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text()
COMMANDS = {
    name: cli.command(name, summary)
    for group in cli.COMMANDS.values()
    for name, summary in group.items()
}


def commands(page: str) -> list[str]:
    """Every `twolayer …` written in a page, in code blocks or inline."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^(?: {4}|[$] |\s*- run: )(twolayer .*)$", text, re.M)
    inline = re.findall(r"`(twolayer [^`]+)`", text)
    return [*blocks, *inline]


def words(command: str) -> list[str]:
    """The words of a command, without a comment, or where its output goes."""
    found = shlex.split(command, comments=True)
    return list(itertools.takewhile(lambda word: word not in {">", ">>", "|"}, found))


WRITTEN = [(page, command) for page in PAGES for command in commands(page)]


def test_the_readme_shows_commands() -> None:
    assert {command.split()[1] for _, command in WRITTEN} >= {"run", "list", "config", "check"}


@pytest.mark.parametrize(("page", "command"), WRITTEN)
def test_commands_exist_with_their_options(page: str, command: str) -> None:
    _, name, *given = words(command)
    if name.startswith("-"):
        assert name in {"--help", "--version"}
        return
    assert name in COMMANDS
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    used = {word.partition("=")[0] for word in given if word.startswith("-")}
    assert used <= known | {"--help"}


def test_every_command_is_in_the_readme() -> None:
    assert set(COMMANDS) <= {command.split()[1] for _, command in WRITTEN}


SHARED_PAGES = {"show": "results", "diff": "results", "sweep": "sweeps"}
"""The pages of commands that have none of their own name."""

SETTINGS = {f"--{name.replace('_', '-')}" for name in settings.RULES}


def page_of(command: str) -> str:
    return (ROOT / "docs" / f"{SHARED_PAGES.get(command, command)}.md").read_text()


def options(command: str) -> set[str]:
    """The long options of a command."""
    given = {option for parameter in COMMANDS[command].params for option in parameter.opts}
    return {option for option in given if option.startswith("--")} - {"--help"}


def named(page: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", page))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_with_its_options(command: str) -> None:
    page = page_of(command)
    assert f"twolayer {command}" in page
    shared = SETTINGS if "run.md#settings" in page else set()
    assert options(command) - shared <= named(page)


def test_the_settings_are_on_the_page_of_run() -> None:
    assert named(page_of("run")) >= SETTINGS


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_the_readme_links_every_page(page: str) -> None:
    assert f"({page})" in README


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, part = target.partition("#")
        if "://" in target:
            continue
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), target
        assert not part or part in anchors(found), target


def anchors(page: Path) -> set[str]:
    """What of a page can be linked to, as GitHub makes it from headings."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    made = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z-]+)", README))))
def test_options_named_in_the_text_exist(option: str) -> None:
    known = {o for c in COMMANDS.values() for parameter in c.params for o in parameter.opts}
    assert option in known | {"--help"}


def config_block() -> str:
    return next(b for b in re.findall(r"```yaml\n(.*?)```", README, re.S) if "impls:" in b)


def test_the_config_shows_every_key() -> None:
    keys = set(document.parse(config_block(), "README").value)
    assert keys == set(config.KEYS) - {"published"}
    assert "`published`" in README


def test_the_config_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(config_block())
    experiment = config.load(path)
    assert experiment.mistakes == []
    assert experiment.settings("sgd")["lr"].value == 1e-4
    assert experiment.settings("adam")["lr"].value == settings.DEFAULTS["lr"]


def test_the_error_messages_are_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("my.yaml")
    path.write_text("impls: [sgd]\n" + 6 * "\n" + "lr: -1\nepoch: 3\n")
    lines = re.findall(r"^ {4}(my.yaml:.*)$", README, re.M)
    assert lines == list(map(str, config.load(path).mistakes))
    assert len(lines) == 2


def test_every_built_in_implementation_is_in_the_table() -> None:
    built_in = [item.name for item in catalogue.installed() if item.origin == "built in"]
    assert re.findall(r"^\| \[(\w+)\]", README, re.M) == built_in


def test_exit_codes() -> None:
    stated = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.M)}
    names = ("OK", "INTERNAL", "USAGE", "FAILED", "DIVERGED", "SLOWER", "UNSURE", "INTERRUPTED")
    assert stated == {getattr(codes, name) for name in names}


def test_the_implementation_shown_keeps_the_contract(tmp_path: Path) -> None:
    source = next(b for b in re.findall(r"```python\n(.*?)```", README, re.S) if "def train" in b)
    (tmp_path / "shown_in_readme.py").write_text(source)
    command = [sys.executable, "-P", "-m", "twolayer", "check", "-q", "./shown_in_readme.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("shown_in_readme keeps all ")


def test_the_workflow_is_yaml_that_runs_the_smoke_test() -> None:
    workflow = next(b for b in re.findall(r"```yaml\n(.*?)```", README, re.S) if "jobs:" in b)
    steps = yaml.safe_load(workflow)["jobs"]["smoke"]["steps"]
    assert any("twolayer run smoke" in step.get("run", "") for step in steps)


def test_schema_keys_are_described() -> None:
    described = json.loads((ROOT / "configs" / "schema.json").read_text())["properties"]
    assert all(described[key]["description"] for key in config.KEYS)
