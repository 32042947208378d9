"""Which files a run executes: found without importing, in its identity, wherever it runs."""

import json
import os
import py_compile
import shutil
import subprocess

import pytest
from command import small, stored, twolayer
from twolayer.bench.plan import at_revision
from twolayer.config import catalogue, plan
from twolayer.config.settings import Config
from twolayer.errors import UserError

TRAIN = """\

import numpy as np


def train(cfg):
    x, y, w1, w2 = (array.copy() for array in cfg.problem())
    for _ in cfg.steps():
        error = np.maximum(x @ w1, 0) @ w2 - y
        yield float(np.square(error).sum())
        w1 *= SCALE
    return w1, w2
"""
SCALE = "SCALE = 0.9\n"


def write(folder, **files):
    """Files by their path, in which `__` stands for a slash; returns the folder."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def package(folder):
    """Make a folder a package."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()


def names(path):
    """The files that an implementation executes, by their path from it."""
    return set(catalogue.from_file(path).sources.sha256)


# --- found without importing


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import helper", {"helper.py", "deep.py"}),
        ("from helper import SCALE", {"helper.py", "deep.py"}),
        ("def train(cfg):\n    import helper", {"helper.py", "deep.py"}),
        ("try:\n    import deep\nexcept ImportError:\n    pass", {"deep.py"}),
        ("import importlib\nimportlib.import_module('deep')", {"deep.py"}),
        ("import package.inner", {"package/__init__.py", "package/inner.py", "deep.py"}),
        ("from package import inner", {"package/__init__.py", "package/inner.py", "deep.py"}),
        ("from package import nothing", {"package/__init__.py"}),
        ("import namespace.inner", {"namespace/inner.py"}),
        ("import random, torch, twolayer", set()),
        ("import elsewhere", set()),
        ("import mine", set()),
        ("from broken import anything", {"broken.py"}),
        (
            "import sys\nsys.path.insert(0, '{folder}/libs')\nimport elsewhere",
            {"libs/elsewhere.py"},
        ),
        (
            "import sys\nfrom pathlib import Path\nHERE = Path(__file__).resolve().parent\n"
            "sys.path.append(str(HERE / 'libs'))\nimport elsewhere",
            {"libs/elsewhere.py"},
        ),
        (
            "import os, sys\nhere = os.path.dirname(os.path.abspath(__file__))\n"
            "sys.path.append(os.path.join(here, 'package', '..', 'libs'))\nimport elsewhere",
            {"libs/elsewhere.py"},
        ),
        (
            "import os, sys\nsys.path.append(f'{{os.path.dirname(__file__)}}/libs')\n"
            "import elsewhere",
            {"libs/elsewhere.py"},
        ),
    ],
)
def test_every_local_module_that_is_imported_is_found(tmp_path, text, found):
    """At any remove, anywhere in the file; what is called like a known package is that package."""
    unlucky = dict.fromkeys(("random", "torch", "twolayer"), "raise RuntimeError('imported')\n")
    write(
        tmp_path, mine=text.format(folder=tmp_path), helper="import deep\n", deep=SCALE, **unlucky
    )
    write(tmp_path, package__inner="import deep\n", namespace__inner="", libs__elsewhere=SCALE)
    write(tmp_path, broken="def (:\n")
    package(tmp_path / "package")
    assert names(tmp_path / "mine.py") == {"mine.py"} | found


@pytest.mark.parametrize(
    ("text", "module"),
    [("from ..layers import SCALE", "net.impls.mine"), ("import net.layers", "net.impls.mine"),
     ("import helper", "")],
)  # fmt: skip
def test_a_file_is_imported_as_part_of_its_package_where_it_must_be(tmp_path, text, module):
    """As `python -m net.impls.mine` would, else as `python mine.py`."""
    write(tmp_path, net__impls__mine=text, net__layers=SCALE, net__impls__helper=SCALE)
    package(tmp_path / "net")
    package(tmp_path / "net" / "impls")
    found = catalogue.from_file(tmp_path / "net" / "impls" / "mine.py").sources
    inside = {"__init__.py", "../__init__.py", "../layers.py"} if module else {"helper.py"}
    assert set(found.sha256) == {"mine.py"} | inside
    assert found.module == module


def test_what_a_helper_imports_tells_the_framework(tmp_path):
    """Not only what the file itself does."""
    write(tmp_path, mine="import helper\n", helper="import torch, cv2\n")
    item = catalogue.from_file(tmp_path / "mine.py")
    assert (item.framework, item.imports) == ("torch", ("torch", "cv2"))


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"# -*- coding: latin-1 -*-\n# \xe9\n"])
def test_a_source_is_bytes_that_python_can_read(tmp_path, start):
    """With a byte order mark, or in the encoding that it declares."""
    (tmp_path / "mine.py").write_bytes(start + f'"""Mine."""\n{SCALE}{TRAIN}'.encode())
    done = twolayer("run", "--impl", "./mine.py", *small(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


# --- in the identity


def test_a_helper_that_changed_makes_another_run(tmp_path):
    """A finished run of what it was is none of what it is; diff and the sweep say which file."""
    write(tmp_path, mine=f"from helper import SCALE\n{TRAIN}", helper=SCALE)
    words = ("sweep", "s.yaml")
    (tmp_path / "s.yaml").write_text(f"{SIZES}impls: ./mine.py\ngrid: {{seed: [0, 1]}}\n")
    twolayer(*words, cwd=tmp_path)
    assert "2 finished, 0 to do" in twolayer(*words, cwd=tmp_path).stderr
    write(tmp_path, helper="SCALE = 0.5\n")
    done = twolayer(*words, cwd=tmp_path)
    assert "note: helper.py changed since 2 runs of mine were made" in done.stderr
    assert "0 finished, 2 to do" in done.stderr
    runs = {path.parent: json.loads(path.read_text()) for path in tmp_path.glob(RESULTS)}
    assert len(runs) == 4
    assert len({run["key"] for run in runs.values()}) == 4
    assert all(run["source_sha256"].keys() == {"mine.py", "helper.py"} for run in runs.values())
    one, other = (folder for folder, run in runs.items() if run["config"]["seed"] == 0)
    assert "sha256 of helper.py" in twolayer("diff", one, other, cwd=tmp_path).stdout
    assert "changed" not in twolayer(*words, cwd=tmp_path).stderr


EDITS = """\
import pathlib

import numpy as np

helper = pathlib.Path(__file__).parent / "helper.py"
if "0.9" in helper.read_text():
    helper.write_text("SCALE = 0.5\\n")
from helper import SCALE
"""


def test_a_file_that_is_edited_meanwhile_is_not_recorded_as_what_it_was(tmp_path):
    """Between the hash and the import."""
    write(tmp_path, mine=f"{EDITS}{TRAIN}", helper=SCALE)
    done = twolayer("run", "--impl", "./mine.py", *small(tmp_path), cwd=tmp_path)
    assert done.returncode == 3
    assert "helper.py was edited after this command began; call it again" in done.stdout


def test_what_was_compiled_of_another_source_is_not_run(tmp_path):
    """Of the same size and time, as a copy that keeps times can be: the hash is of the source."""
    write(tmp_path, mine=f"import helper\n{TRAIN}".replace("SCALE", "helper.SCALE"), helper=SCALE)
    helper = tmp_path / "helper.py"
    os.utime(helper, (10**9, 10**9))
    py_compile.compile(str(helper))
    helper.write_text("SCALE = 0.5\n")
    os.utime(helper, (10**9, 10**9))
    words = ("run", "--impl", "./mine.py", *small(tmp_path))
    twolayer(*words, cwd=tmp_path)
    stale = stored(tmp_path)["mine"]["losses"]
    shutil.rmtree(tmp_path / "__pycache__")
    shutil.rmtree(tmp_path / "results")
    twolayer(*words, cwd=tmp_path)
    assert stored(tmp_path)["mine"]["losses"] == stale


def test_a_module_is_found_before_a_folder_that_is_no_package(tmp_path):
    """As Python does; a folder of data may have the name of a helper."""
    write(tmp_path, mine="import util\n", util=SCALE, util__data="")
    assert names(tmp_path / "mine.py") == {"mine.py", "util.py"}


SIZES = "N: 5\nH: 4\nD_in: 6\nD_out: 3\nepochs: 5\nthreads: 1\n"
RESULTS = "results/s/runs/*/result.json"
HIDDEN = """\
import importlib
import json
from pathlib import Path

SCALE = json.loads((Path(__file__).parent / "data.json").read_text())
importlib.import_module("hel" + "per")
"""


def test_a_file_that_the_source_does_not_show_is_said_recorded_and_compared(tmp_path):
    """Once a call; a sweep sees that it has changed, and runs are finished again after that.

    Also where the whole project is in a hidden folder.
    """
    tmp_path = tmp_path / ".hidden"
    write(tmp_path, mine=f"{HIDDEN}{TRAIN}", helper=SCALE)
    (tmp_path / "data.json").write_text("0.9")
    (tmp_path / "s.yaml").write_text(f"{SIZES}impls: ./mine.py\ngrid: {{seed: [0, 1]}}\n")
    done = twolayer("sweep", "s.yaml", cwd=tmp_path)
    assert done.stderr.count("warning: mine also loaded data.json and helper.py") == 1
    runs = [json.loads(path.read_text()) for path in tmp_path.glob(RESULTS)]
    assert [set(run["also_loaded"]) for run in runs] == [{"data.json", "helper.py"}] * 2
    (tmp_path / "data.json").write_text("0.5")
    done = twolayer("sweep", "s.yaml", cwd=tmp_path)
    assert "note: data.json changed since 2 runs of mine were made" in done.stderr
    assert done.stdout.startswith("2 of 2 runs finished: 2 ok\n")
    assert "2 finished, 0 to do" in twolayer("sweep", "s.yaml", cwd=tmp_path).stderr


# --- where it runs


def test_files_run_as_under_python(tmp_path):
    """With a path they set, in their package, without arguments, or called like a package."""
    arguments = "import argparse\nargparse.ArgumentParser().parse_args()\nSCALE = 0.9\n"
    settings = "SCALE = 0.9\n\n\ndef lr(cfg):\n    return cfg.values()['lr']\n"
    libs = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__) + '/../libs')\n"
    named = {f"named__{name}": f"{SCALE}{TRAIN}" for name in UNLUCKY}
    write(tmp_path, scripts__by_path=f"{libs}from utl import SCALE\n{TRAIN}", libs__utl=SCALE)
    write(tmp_path, net__impls__inner=f"from ..layers import SCALE\n{TRAIN}", net__layers=SCALE)
    write(tmp_path, arguments=f"{arguments}{TRAIN}", settings=f"{settings}{TRAIN}", **named)
    write(
        tmp_path, optional=f"{SCALE}try:\n    import cupy\nexcept ImportError:\n    pass\n{TRAIN}"
    )
    package(tmp_path / "net")
    package(tmp_path / "net" / "impls")
    files = ["scripts/by_path", "net/impls/inner", "arguments", "settings", "optional"]
    files += [f"named/{name}" for name in UNLUCKY]
    impls = ",".join(f"{name}.py" for name in files)
    done = twolayer("run", "--impl", f"{impls},sgd", *small(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr
    records = stored(tmp_path)
    assert len(records) == len(files) + 1
    assert {record["framework"] for impl, record in records.items() if impl != "sgd"} == {"numpy"}
    assert records["sgd"]["framework"] == "torch"
    assert records["torch"]["threads"] == records["numpy"]["threads"] is not None


NEEDS_DATA = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.parse_args()
"""


@pytest.mark.parametrize("command", ["run", "check", "verify"])
def test_an_exit_while_importing_is_explained(tmp_path, command):
    """By the line that was printed before it."""
    write(tmp_path, mine=NEEDS_DATA)
    words = ("./mine.py",) if command == "check" else ("--impl", "./mine.py", *small(tmp_path))
    done = twolayer(command, *words, cwd=tmp_path)
    assert done.returncode == (4 if command == "verify" else 3)
    said = "mine.py:5 ends the process with sys.exit(2): mine.py: error: the following arguments"
    assert said in done.stdout


def test_a_folder_of_a_presets_name_is_not_the_preset(tmp_path):
    """Nor is a run lost that has put something else in the place of its output."""
    (tmp_path / "notebook").mkdir()
    tee = "import sys\n\n\nclass Tee:\n    def write(self, text):\n        pass\n\n\n"
    write(tmp_path, mine=f"{tee}sys.stdout = Tee()\n{SCALE}{TRAIN}")
    done = twolayer("run", "--impl", "./mine.py", "--N", "5", "--epochs", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


UNLUCKY = ("numpy", "torch", "random", "twolayer", "threadpoolctl", "yaml")


def test_a_setting_read_by_its_name_is_believed(tmp_path):
    """Through cfg.values(), vars(cfg), cfg.__dict__ or getattr."""
    for each in ("cfg.values()['bias']", "vars(cfg)['bias']", "cfg.__dict__['bias']"):
        write(tmp_path, mine=f"def train(cfg):\n    yield {each}\n")
        assert catalogue.from_file(tmp_path / "mine.py").honours("bias"), each


def test_a_package_that_is_not_found_is_for_the_run_to_tell(tmp_path):
    """It is a note, and nobody is sent to install a stranger's package."""
    write(tmp_path, mine=f"import utl_of_mine\n{SCALE}{TRAIN}")
    done = twolayer("run", "--impl", "./mine.py", *small(tmp_path), cwd=tmp_path)
    assert done.returncode == 3
    assert "note: mine imports utl_of_mine, which can't be found before the run" in done.stderr
    assert "No module named 'utl_of_mine'" in done.stdout
    assert "pip install" not in done.stdout + done.stderr


# --- under which name


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    """In tables, settings and records; the same file twice is a mistake."""
    write(tmp_path, before__mine=f"SCALE = 0.9\n{TRAIN}", after__mine=f"SCALE = 0.5\n{TRAIN}")
    words = ("run", *small(tmp_path), "--set", "after/mine.seed=3", "--impl")
    done = twolayer(*words, "before/mine.py,after/mine.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split() == ["epoch", "before/mine", "after/mine"]
    seeds = {impl: record["config"]["seed"] for impl, record in stored(tmp_path).items()}
    assert seeds == {"before/mine": 0, "after/mine": 3}
    done = twolayer(*words, "before/mine.py,./before/mine.py", cwd=tmp_path)
    assert (done.returncode, "mine: is listed more than once" in done.stderr) == (2, True)


def test_a_config_may_override_files_that_are_not_chosen(tmp_path):
    """As it may override ours; a name that nothing has is a typo still."""
    write(tmp_path, before__mine=f"{SCALE}{TRAIN}", after__mine=f"{SCALE}{TRAIN}")
    config = {"impls": ["before/mine.py", "after/mine.py"], "overrides": {"after/mine": {"N": 3}}}
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    done = twolayer("config", "--config", "c.yaml", "--impl", "numpy_manual", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "c.yaml").write_text(json.dumps(config).replace('after/mine"', 'after/mime"'))
    done = twolayer("config", "--config", "c.yaml", "--impl", "numpy_manual", cwd=tmp_path)
    assert (done.returncode, "after/mime: is not an implementation" in done.stderr) == (2, True)


def test_a_file_called_like_ours_is_not_ours(tmp_path):
    """It has no part in the preset's settings for ours."""
    write(tmp_path, nets__adam=f"{SCALE}{TRAIN}")
    words = ("config", "--impl", "nets/adam.py,adam")
    done = twolayer(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file, ours = done.stdout.split("\nadam:")
    assert file.startswith("nets/adam:")
    assert "bias: false" in file
    assert "bias: true" in ours


def test_a_link_to_a_file_of_ours_and_the_whole_folder_can_be_checked(tmp_path):
    """As a shell's pattern gives them: with the package's __init__.py, which is left out."""
    link = tmp_path / "link.py"
    link.symlink_to(catalogue.built_in_folder() / "numpy_manual.py")
    init = catalogue.built_in_folder() / "__init__.py"
    done = twolayer("check", "./link.py", init, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("numpy_manual: built in\n")


# --- at a revision


def test_a_revision_is_measured_with_what_it_imported_then(tmp_path):
    """Wherever in the repository that lies."""

    def git(*words):
        names = ("-c", "user.name=A", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", tmp_path, *names, *words], check=True, capture_output=True)

    libs = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__) + '/../libs')\n"
    write(tmp_path, impls__mine=f"{libs}from utl import SCALE\n{TRAIN}", libs__utl=SCALE)
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    write(tmp_path, libs__utl="SCALE = 0.5\n")
    run = plan.Run(catalogue.from_file(tmp_path / "impls" / "mine.py"), Config())
    folder = tmp_path / "there"
    folder.mkdir()
    then = at_revision(run, "HEAD", folder)
    now, before = run.implementation.sources.sha256, then.implementation.sources.sha256
    assert now.keys() == before.keys() == {"mine.py", "../libs/utl.py"}
    assert now["mine.py"] == before["mine.py"]
    assert now["../libs/utl.py"] != before["../libs/utl.py"]
    assert then.key != run.key


def test_what_pythonpath_brings_is_in_the_identity_and_no_revision(tmp_path, monkeypatch):
    """Its folder is the work tree's, whatever the revision."""
    write(tmp_path, impls__mine=f"from utl import SCALE\n{TRAIN}", src__utl=SCALE)
    git = ("git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b.c")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "one")):
        subprocess.run([*git, *words], check=True, capture_output=True)
    monkeypatch.syspath_prepend(tmp_path / "src")
    assert names(tmp_path / "impls" / "mine.py") == {"mine.py", "../src/utl.py"}
    run = plan.Run(catalogue.from_file(tmp_path / "impls" / "mine.py"), Config())
    with pytest.raises(UserError, match=r"mine would import .*/src/utl\.py as it is now"):
        at_revision(run, "HEAD", tmp_path / "there")
