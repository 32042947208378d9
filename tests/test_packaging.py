"""The wheel: built from the tree, installed elsewhere, with and without the frameworks."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from twolayer.config import catalogue

ROOT = Path(__file__).parent.parent
TREE = ("pyproject.toml", "README.md", "LICENSE", "runner", "impls", "configs")
FRAMEWORKS = ("torch", "tensorflow")
TORCH_LINE = "torch is not installed; pip install torch"


def run(*words, cwd=None, **environment):
    """Run a program; what it says, and how it ended."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(word) for word in words]
    return subprocess.run(
        command, cwd=cwd, env=env | environment, capture_output=True, text=True, check=False
    )


def pip(*words):
    """Run this environment's pip, which must not look anywhere outside."""
    done = run(sys.executable, "-m", "pip", "--disable-pip-version-check", *words)
    assert done.returncode == 0, done.stdout + done.stderr


def build(project, folder):
    """Build a project's wheel into a folder, by the hook that pip calls, without pip's start."""
    hook = "import sys, setuptools.build_meta as hooks; hooks.build_wheel(sys.argv[1])"
    done = run(sys.executable, "-c", hook, folder, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def needed(requirements):
    """The installed distributions that meet requirements, with all that those need in turn."""
    found, todo = {}, list(requirements)
    while todo:
        requirement = Requirement(todo.pop())
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and requirement.name not in found:
            found[requirement.name] = distribution(requirement.name)
            todo += found[requirement.name].requires or []
    return found.values()


class Environment:
    """A virtual environment that has some wheels, and links to what these need."""

    def __init__(self, folder, wheels, requirements):
        made = run(sys.executable, "-m", "venv", "--without-pip", folder)
        assert made.returncode == 0, made.stderr
        self.bin = folder / "bin"
        (self.site,) = (folder / "lib").glob("python*/site-packages")
        for each in needed(requirements):
            self.link(each)
        install = ("install", "--quiet", "--no-deps", "--no-index", *wheels)
        pip("--python", self.bin / "python", *install)

    def link(self, dist):
        """Make a distribution of the test's own environment importable here."""
        tops = {file.parts[0] for file in dist.files if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            place = self.site / top
            if not place.exists():
                place.symlink_to(dist.locate_file(top))

    def twolayer(self, *words, cwd, **environment):
        """Run the `twolayer` that is installed here."""
        return run(self.bin / "twolayer", *words, cwd=cwd, **environment)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in TREE:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, tree / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, tree)
    return build(tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel):
    """What the wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def requirements(metadata):
    """All that installing the wheel would bring."""
    return metadata.get_all("Requires-Dist")


@pytest.fixture(scope="module")
def without_frameworks(requirements):
    """The same, where neither torch nor tensorflow can be had."""
    return [each for each in requirements if Requirement(each).name not in FRAMEWORKS]


@pytest.fixture(scope="module")
def full(wheel, requirements, tmp_path_factory):
    """The wheel, with everything that it asks for and nothing else."""
    return Environment(tmp_path_factory.mktemp("full"), [wheel], requirements)


@pytest.fixture(scope="module")
def light(wheel, without_frameworks, tmp_path_factory):
    """The wheel, without torch and tensorflow."""
    return Environment(tmp_path_factory.mktemp("light"), [wheel], without_frameworks)


def said(done, code=0):
    """The lines on stdout of a command that ended as it should."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def names(lines):
    """The first word of each row of a table that ends with an empty line."""
    return tuple(line.partition(" ")[0] for line in lines[2 : lines.index("")])


def test_the_wheel_has_all_that_is_needed_and_nothing_else(wheel):
    """Implementations, configs, what the notebook printed, the schema, the mark of types."""
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert {f"twolayer/impls/{name}.py" for name in catalogue.LESSON} <= inside
    configs = {path.name for path in catalogue.configs_folder().iterdir() if path.is_file()}
    assert {f"twolayer/configs/{name}" for name in configs} <= inside
    assert {"notebook.yaml", "smoke.yaml", "schema.json", "notebook_losses.csv"} <= configs
    assert "twolayer/py.typed" in inside
    tops = {name.partition("/")[0] for name in inside}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"twolayer"}


def test_the_frameworks_are_ordinary_dependencies(requirements):
    """Installing twolayer gives all ten; tensorflow only where it has wheels."""
    ordinary = {
        each.name: each for each in map(Requirement, requirements) if "extra" not in str(each)
    }
    assert set(FRAMEWORKS) <= set(ordinary)
    assert ordinary["torch"].marker is None
    marker = ordinary["tensorflow"].marker
    assert [marker.evaluate({"python_version": v}) for v in ("3.11", "3.13", "3.14", "3.15")] == [
        True,
        True,
        False,
        False,
    ]


def test_the_wheel_states_license_and_python(metadata):
    """MIT, Python 3.11 or newer, a readme."""
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload().strip()


def test_the_installed_wheel_is_itself(full, tmp_path):
    """Not the tree that it was built from."""
    code = "import twolayer; print(twolayer.__file__)"
    (line,) = said(run(full.bin / "python", "-P", "-c", code, cwd=tmp_path))
    assert Path(line).is_relative_to(full.site)


def test_the_installed_wheel_lists_the_ten(full, tmp_path):
    """Nothing is missing."""
    lines = said(full.twolayer("list", cwd=tmp_path))
    assert names(lines) == catalogue.LESSON
    assert "not installed" not in "".join(lines)


def test_the_installed_wheel_runs_its_own_notebook_config(full, tmp_path):
    """From a folder that knows nothing of the repository."""
    words = ("run", "--impl", "numpy_manual", "--published", "--format", "json")
    done = full.twolayer(*words, "--threads", "1", cwd=tmp_path)  # they would wait for each other
    (record,) = json.loads("\n".join(said(done)))
    assert (record["impl"], record["outcome"], record["epochs_done"]) == (
        "numpy_manual",
        "ok",
        1000,
    )
    assert record["config"]["dtype"] == "float64"
    (folder,) = (tmp_path / "results" / "notebook" / "runs").iterdir()
    assert folder.name.startswith("numpy_manual-")


def test_the_installed_wheel_runs_all_ten(full, tmp_path):
    """The smoke test, in results/smoke."""
    words = ("run", "--config", "smoke", "--threads", "1", "--format", "json")
    done = full.twolayer(*words, cwd=tmp_path)
    records = json.loads("\n".join(said(done)))
    assert [(r["impl"], r["outcome"]) for r in records] == [(n, "ok") for n in catalogue.LESSON]


def test_the_installed_wheel_resolves_its_smoke_config(full, tmp_path):
    """Each value with its place in the installed file."""
    lines = said(full.twolayer("config", "--config", "smoke", cwd=tmp_path))
    headings = [line[:-1] for line in lines if not line.startswith(" ")]
    assert tuple(headings) == catalogue.LESSON
    place = str(full.site / "twolayer" / "configs" / "smoke.yaml")
    assert any(f"# {place}:" in line for line in lines if line.startswith("  epochs: 50"))


# Without torch and tensorflow.


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_need_no_framework(light, tmp_path, word):
    """They answer."""
    assert "twolayer" in "\n".join(said(light.twolayer(word, cwd=tmp_path)))


def test_the_list_says_what_is_missing(light, tmp_path):
    """With the line that installs it."""
    lines = said(light.twolayer("list", cwd=tmp_path))
    assert names(lines) == catalogue.LESSON
    assert sum(" torch missing " in line for line in lines) == 8
    assert sum(" tensorflow missing " in line for line in lines) == 1
    assert TORCH_LINE in lines[-1]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--impl", "numpy_manual", "--epochs", "3"),
        ("check", "numpy_manual"),
        ("config", "--impl", "numpy_manual"),
    ],
)
def test_numpy_alone_is_enough_for_its_implementation(light, tmp_path, words):
    """It runs, is checked and resolved."""
    assert "numpy_manual" in "\n".join(said(light.twolayer(*words, cwd=tmp_path)))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("run", "--impl", "autograd"), f"--impl: autograd: {TORCH_LINE}"),
        (("run", "--impl", "numpy_manual,adam"), f"--impl: adam: {TORCH_LINE}"),
        (("check", "autograd"), f"autograd: {TORCH_LINE}"),
    ],
)
def test_what_is_asked_for_by_name_and_can_not_run_is_refused(light, tmp_path, words, line):
    """Exit code 2, with the line that installs what is missing, and nothing is written."""
    done = light.twolayer(*words, cwd=tmp_path)
    assert said(done, code=2) == []
    assert done.stderr.splitlines() == [line]
    assert list(tmp_path.iterdir()) == []


def test_what_a_config_lists_and_can_not_run_is_a_row(light, tmp_path):
    """The others run; the exit code says that some did not."""
    words = ("run", "--config", "smoke", "--epochs", "5", "--format", "json")
    records = json.loads("\n".join(said(light.twolayer(*words, cwd=tmp_path), code=3)))
    outcomes = {record["impl"]: record["outcome"] for record in records}
    assert outcomes == dict.fromkeys(catalogue.LESSON, "failed") | {"numpy_manual": "ok"}
    reasons = {r["impl"]: r["error"]["message"] for r in records if r["outcome"] == "failed"}
    assert {reasons[name] for name in reasons if name != "tf_graph"} == {TORCH_LINE}
    assert "tensorflow" in reasons["tf_graph"]


# Somebody else's package.

THEIR_PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "Their-Nets"
version = "2.1"

[project.entry-points."twolayer.implementations"]
their_net = "their_nets.nets.two_layers"
sgd = "their_nets.nets.two_layers"
lost = "their_nets.lost"

[tool.setuptools]
packages = ["their_nets", "their_nets.nets"]
"""
THEIR_MATHS = """\
import numpy as np


def relu(h):
    return np.maximum(h, 0)
"""
THEIR_NET = '''\
"""Their net: somebody else's idea of it."""

import numpy as np

from ..maths import relu


def train(cfg):
    x, y, w1, w2 = (array.copy() for array in cfg.problem())
    for _ in cfg.steps():
        h = x @ w1
        off = relu(h) @ w2 - y
        yield float((off**2).sum())
        back = np.where(h < 0, 0, 2 * off @ w2.T)
        w2 -= cfg.lr * relu(h).T @ (2 * off)
        w1 -= cfg.lr * x.T @ back
    return w1, w2
'''


@pytest.fixture(scope="module")
def theirs(wheel, without_frameworks, tmp_path_factory):
    """The wheel beside a third party's, both installed for real."""
    project = tmp_path_factory.mktemp("their-nets")
    files = {
        "pyproject.toml": THEIR_PROJECT,
        "their_nets/__init__.py": "",
        "their_nets/maths.py": THEIR_MATHS,
        "their_nets/nets/__init__.py": "",
        "their_nets/nets/two_layers.py": THEIR_NET,
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    their_wheel = build(project, tmp_path_factory.mktemp("their-wheel"))
    return Environment(tmp_path_factory.mktemp("theirs"), [wheel, their_wheel], without_frameworks)


def test_somebody_elses_implementation_is_listed(theirs, tmp_path):
    """After ours, with its title."""
    done = theirs.twolayer("list", cwd=tmp_path)
    lines = said(done)
    assert names(lines) == (*catalogue.LESSON, "their_net")
    assert lines[-3].endswith("Their net: somebody else's idea of it.")
    clash, lost = sorted(done.stderr.splitlines(), reverse=True)
    assert "registers sgd, which is taken (built in); it is left out" in clash
    assert "registers lost, but there is no module their_nets.lost; it is left out" in lost


def test_what_somebody_else_registers_badly_is_said_once_and_refused_by_name(theirs, tmp_path):
    """With the reason; the name that clashes is still ours."""
    done = theirs.twolayer("run", "--impl", "lost", cwd=tmp_path)
    assert said(done, code=2) == []
    assert done.stderr.endswith("registers lost, but there is no module their_nets.lost\n")
    done = theirs.twolayer("config", "--impl", "numpy_manual", cwd=tmp_path)
    assert said(done)[0] == "numpy_manual:"
    assert done.stderr.count("it is left out") == 2


def test_somebody_elses_implementation_runs_beside_ours(theirs, tmp_path):
    """On the same problem: the losses can be laid side by side."""
    words = ("run", "--impl", "their_net,numpy_manual", "--dtype", "float64", "--epochs", "20")
    done = theirs.twolayer(*words, "--format", "json", cwd=tmp_path)
    their_net, ours = json.loads("\n".join(said(done)))
    assert (their_net["impl"], their_net["outcome"]) == ("their_net", "ok")
    assert their_net["losses"] == pytest.approx(ours["losses"], rel=1e-9)
    assert len(their_net["losses"]) == 20


def test_somebody_elses_implementation_is_checked(theirs, tmp_path):
    """It keeps the contract."""
    lines = said(theirs.twolayer("check", "their_net", cwd=tmp_path))
    assert lines[0].startswith("their_net: ")
    assert {line.split()[0] for line in lines[1:-2]} == {"ok"}
    assert lines[-1].startswith("their_net keeps all ")


def test_a_typo_in_somebody_elses_name_is_put_right(theirs, tmp_path):
    """Their names are known names."""
    done = theirs.twolayer("run", "--impl", "their_nett", cwd=tmp_path)
    assert said(done, code=2) == []
    assert "did you mean their_net?" in done.stderr


# The README's two commands.

FAKE = """\
#!/bin/sh
echo "$(basename "$0") $*" >> log
if [ "$2" = venv ]; then
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
    cp "$0" .venv/bin/twolayer
fi
"""
RUN, TESTS = ["twolayer run", "twolayer report notebook"], "python -m pytest "


@pytest.mark.parametrize(
    ("commands", "installed"),
    [
        (["run", "run", "test", "run", "test"], ["report", "dev"]),
        (["test", "run", "run", "test"], ["dev"]),
        (["check"], ["dev"]),
    ],
)
def test_make_installs_what_a_command_needs_once(tmp_path, commands, installed):
    """In either order; running needs less than testing."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "fake").write_text(FAKE)
    (tmp_path / "fake").chmod(0o755)
    for tool in ("ruff", "mypy", "lint-imports"):
        (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "fake", tmp_path / ".venv" / "bin" / tool)
    for command in commands:
        done = run("make", command, "PYTHON=./fake", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    lines = (tmp_path / "log").read_text().splitlines()
    pips = [line for line in lines if " -m pip install " in line]
    assert [line.rpartition("--editable ")[2] for line in pips] == [f".[{e}]" for e in installed]
    assert all("--constraint constraints.txt" in line for line in pips)
    ran = [line for line in lines if line.startswith(("twolayer ", TESTS))]
    wanted = {"run": RUN, "test": [TESTS], "check": []}
    assert [line if line in RUN else TESTS for line in ran] == [
        line for command in commands for line in wanted[command]
    ]


# What starting costs.

SCRIPT = Path(sys.executable).with_name("twolayer")


def imports(*words, cwd, **environment):
    """Stdout of a command in this environment, and all the packages that it imported."""
    done = run(sys.executable, "-X", "importtime", SCRIPT, *words, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in lines}
    return done.stdout, {module.partition(".")[0] for module in modules}


def completion(words, cwd, shell="bash"):
    """What a shell offers for the last of these words, and what was imported for it."""
    environment = {
        "_TWOLAYER_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    return imports(cwd=cwd, **environment)


@pytest.mark.parametrize(
    "words",
    [("--help",), ("run", "--help"), ("check", "--help"), ("list",), ("--version",)],
    ids=" ".join,
)
def test_starting_imports_neither_numpy_nor_a_framework(tmp_path, words):
    """All of them are installed here, and none is touched."""
    out, packages = imports(*words, cwd=tmp_path)
    assert out
    assert "twolayer" in packages
    assert packages.isdisjoint({"numpy", "torch", "tensorflow", "jax"})


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("twolayer run --impl torch", ["torch_manual"]),
        ("twolayer run --impl custom", ["custom_relu", "custom_module"]),
        ("twolayer run --impl sgd,nu", ["sgd,numpy_manual"]),
        ("twolayer run --impl sgd,sg", []),
        ("twolayer run -i ad", ["adam"]),
        ("twolayer check dyn", ["dynamic_net"]),
        ("twolayer run --config sm", ["smoke"]),
        ("twolayer run --config ./mi", ["./mine.yaml"]),
        ("twolayer run sm", ["smoke"]),
        ("twolayer config ./mi", ["./mine.yaml"]),
        ("twolayer run --config ", ["bench", "mine.yaml", "notebook", "smoke"]),
        ("twolayer ru", ["run"]),
    ],
)
def test_completion_offers_names_and_imports_no_framework(tmp_path, words, offered):
    """Implementations, configs of ours and of this folder, commands."""
    (tmp_path / "mine.yaml").write_text("impls: sgd\n")
    out, packages = completion(words, tmp_path)
    assert sorted(out.split()) == sorted(offered)
    assert packages.isdisjoint({"numpy", "torch", "tensorflow", "jax"})


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(tmp_path, shell):
    """In their own forms."""
    words = "twolayer run --impl custom"
    out, _ = completion(words, tmp_path, shell)
    assert "custom_relu" in out
    assert "custom_module" in out
    assert "numpy_manual" not in out
