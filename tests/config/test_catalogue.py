"""Which implementations there are: found and read without importing any of them."""

import csv
import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pexpect
import pytest
from command import on_a_terminal, small, twolayer, without
from twolayer.config import catalogue
from twolayer.errors import UserError

EXPLODES = "raise RuntimeError('imported')\n"
MINE = '''\
"""Mine: two weights that never move.

More about it.
"""

import numpy as np


def train(cfg):
    x, y, *weights = cfg.problem()
    for _ in cfg.steps():
        yield float(np.square(y).sum())
    return weights
'''


def listed(done):
    """What `twolayer list` says of each implementation, by its name."""
    assert done.returncode == 0, done.stderr
    header, _, *lines = done.stdout.splitlines()
    assert header.split() == ["implementation", "framework", "devices", "honours", "title"]
    return {line.partition(" ")[0]: line for line in lines[: lines.index("")]}


def source(folder, text, name="mine"):
    """An implementation in a file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def read(folder, text):
    """What the catalogue reads from a file."""
    return catalogue.from_file(source(folder, text))


@pytest.fixture(scope="module")
def _copied(tmp_path_factory):
    """The package, copied as a wheel would lay it out."""
    site = tmp_path_factory.mktemp("site")
    ignore = shutil.ignore_patterns("__pycache__", "impls", "configs")
    shutil.copytree(Path(catalogue.__file__).parents[1], site / "twolayer", ignore=ignore)
    for folder in (catalogue.built_in_folder(), catalogue.configs_folder()):
        shutil.copytree(folder, site / "twolayer" / folder.name)
    return site


@pytest.fixture
def site(_copied, tmp_path):
    """A copy of the package to add to, for PYTHONPATH."""
    return shutil.copytree(_copied, tmp_path / "site")


def test_everything_is_read_without_importing(tmp_path):
    """Even from a file that could not be imported."""
    text = MINE.replace("import numpy as np\n", f"import numpy as np\nimport torch\n{EXPLODES}")
    item = read(tmp_path, text)
    assert item.name == "mine"
    assert item.title == "Mine: two weights that never move."
    assert item.imports == ("numpy", "torch")
    assert item.framework == "torch"
    assert not item.honours("bias")


@pytest.mark.parametrize(
    ("text", "imports"),
    [
        ("", ()),
        ("import math, json\nfrom pathlib import Path\n", ()),
        ("import numpy as np\nfrom numpy.linalg import norm\n", ("numpy",)),
        ("import torch.nn.functional as F\nimport numpy\n", ("torch", "numpy")),
        ("from . import helper\nfrom .helper import x\n", ()),
        ("try:\n    import cupy\nexcept ImportError:\n    cupy = None\n", ()),
        ("def train(cfg):\n    import jax\n", ()),
    ],
)
def test_imports_are_those_at_the_top_that_are_not_pythons_own(tmp_path, text, imports):
    """Guarded and late imports are the implementation's own business."""
    assert read(tmp_path, text).imports == imports


@pytest.mark.parametrize(
    ("imports", "framework"),
    [
        ("import math", "python"),
        ("import numpy", "numpy"),
        ("import numpy, torch", "torch"),
        ("import numpy, tensorflow", "tensorflow"),
        ("import cupy", "cupy"),
    ],
)
def test_the_framework_is_the_one_beside_numpy(tmp_path, imports, framework):
    """NumPy only where it is alone."""
    assert read(tmp_path, imports).framework == framework


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("One line.", '"""One line."""\n'),
        ("First line.", '"""First line.\n\nSecond line.\n"""\n'),
        ("", "x = 1\n"),
        ("Umlauts: äöü.", '"""Umlauts: äöü."""\n'),
    ],
)
def test_the_title_is_the_first_line_of_the_docstring(tmp_path, title, text):
    """Or nothing."""
    assert read(tmp_path, text).title == title


@pytest.mark.parametrize(
    ("body", "honoured"),
    [
        ("def train(cfg):\n    cfg.problem()\n", set()),
        ("def train(cfg):\n    cfg.bias\n", {"bias"}),
        (
            "def train(settings):\n    settings.momentum\n    settings.device\n",
            {"momentum", "device"},
        ),
        ("def train(cfg):\n    build(cfg.H, cfg.bias)\n", {"bias"}),
        ("def train(cfg):\n    build(cfg)\n", {"bias", "momentum", "device"}),
        ("def train(*words):\n    pass\n", {"bias", "momentum", "device"}),
        ("def train(cfg):\n    other.bias\n", set()),
    ],
)
def test_what_is_honoured_is_what_is_read(tmp_path, body, honoured):
    """`cfg.bias` in the source; one that hands `cfg` on is believed."""
    item = read(tmp_path, body)
    assert {name for name in ("bias", "momentum", "device") if item.honours(name)} == honoured
    assert item.honours("lr")


def test_a_file_that_reads_no_setting_is_told_how_to_declare_it(tmp_path):
    """One that is built in can't be changed by who asks."""
    own = read(tmp_path, "def train(cfg):\n    pass\n").refusal("bias", True)
    assert own.of("mine") == (
        "must be false for mine, which never reads cfg.bias; "
        "read it in train to declare that it can"
    )
    assert "declare" not in catalogue.find("numpy_manual").refusal("bias", True).of("numpy_manual")


@pytest.mark.parametrize("name", ["REFERENCE", "FAMILY"])
def test_the_old_name_of_a_reference_is_read_and_noted(tmp_path, name):
    """And the new one is not remarked on."""
    source(tmp_path, f'{MINE}\n\n{name} = "adam"\n')
    assert catalogue.from_file(tmp_path / "mine.py").reference == "adam"
    words = ("run", "--impl", "./mine.py", *small(tmp_path))
    done = twolayer(*words, cwd=tmp_path)
    note = f"note: {tmp_path / 'mine.py'}:16: FAMILY is now called REFERENCE"
    assert (done.returncode, note in done.stderr) == (0, name == "FAMILY")
    assert "REFERENCE" not in done.stderr or name == "FAMILY"


@pytest.mark.parametrize(
    ("text", "preload"),
    [
        ("import numpy\n", ("numpy",)),
        ("import torch\ntorch.nn.Linear\n", ("torch",)),
        ("import torch\ntorch.optim.SGD\n", ("torch", "torch._dynamo")),
        ("import tensorflow as tf\n", ("tensorflow",)),
    ],
)
def test_what_is_imported_before_a_run_is_read(tmp_path, text, preload):
    """With what a framework would import late."""
    assert read(tmp_path, text).preload == preload


def test_all_ten_are_listed_in_the_lessons_order(tmp_path):
    """With their titles and versions."""
    lines = listed(twolayer("list", cwd=tmp_path))
    assert tuple(lines)[:10] == catalogue.LESSON
    for item in catalogue.installed():
        assert lines[item.name].endswith(item.title)


def test_the_list_imports_nothing_that_it_lists(site, tmp_path):
    """An implementation that can't be imported is listed like any other."""
    source(site / "twolayer" / "impls", f'"""Explodes."""\n{EXPLODES}{MINE}', "explodes")
    lines = listed(twolayer("list", cwd=tmp_path, PYTHONPATH=str(site)))
    assert tuple(lines) == (*catalogue.LESSON, "explodes")
    assert lines["explodes"].endswith("Explodes.")


def test_a_file_dropped_into_impls_is_listed_and_run(site, tmp_path):
    """The first of the three ways to add an implementation."""
    source(site / "twolayer" / "impls", MINE)
    source(site / "twolayer" / "impls", EXPLODES, "_helper")
    lines = listed(twolayer("list", cwd=tmp_path, PYTHONPATH=str(site)))
    assert tuple(lines) == (*catalogue.LESSON, "mine")
    done = twolayer("run", "--impl", "mine", "--epochs", "3", cwd=tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert "[1/1] mine  ok  3 epochs" in done.stderr


def test_a_dropped_file_with_a_syntax_error_is_said_and_leaves_the_others_alone(site, tmp_path):
    """It has its place, and the rest is still there."""
    source(site / "twolayer" / "impls", "def train(:\n", "broken")
    done = twolayer("list", cwd=tmp_path, PYTHONPATH=str(site))
    assert "Traceback" not in done.stderr
    said = done.stdout + done.stderr
    assert "broken.py:1:11: is not valid Python: invalid syntax" in said
    assert all(name in said for name in catalogue.LESSON)
    done = twolayer(
        "run", "--impl", "numpy_manual", "--epochs", "3", cwd=tmp_path, PYTHONPATH=str(site)
    )
    assert done.returncode == 0, done.stderr


def test_the_list_says_what_is_missing_and_how_to_install_it(tmp_path):
    """Where neither torch nor tensorflow can be found."""
    done = twolayer("list", cwd=tmp_path, **without(tmp_path, "torch", "tensorflow"))
    lines = listed(done)
    assert tuple(lines)[:10] == catalogue.LESSON
    assert "numpy 2" in lines["numpy_manual"] or "numpy 1" in lines["numpy_manual"]
    for name in set(catalogue.LESSON) - {"numpy_manual", "tf_graph"}:
        assert "  torch missing  " in lines[name]
    assert "  tensorflow missing  " in lines["tf_graph"]
    answer = done.stdout.splitlines()[-1]
    assert answer.startswith("1 of 10 can run here; torch is not installed; pip install torch; ")
    assert answer.count("pip install") == 2 or sys.version_info >= (3, 14)


def test_on_a_narrow_terminal_no_word_of_the_list_is_cut(tmp_path):
    """Titles stand apart, wrapped between words."""
    child = on_a_terminal("list", cwd=tmp_path, columns=80)
    child.expect(pexpect.EOF)
    lines = child.before.replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(line.strip() for line in lines)
    assert all(item.title in words for item in catalogue.installed())
    assert "10 of 10 can run here" in words


def test_the_list_is_there_for_programs(tmp_path):
    """As JSON, with what the table has not; as CSV and Markdown, the table."""
    rows = json.loads(twolayer("list", "--format", "json", cwd=tmp_path).stdout)
    assert [row["implementation"] for row in rows] == list(catalogue.LESSON)
    sgd = next(row for row in rows if row["implementation"] == "sgd")
    assert sgd == {
        "implementation": "sgd",
        "framework": "torch",
        "version": version("torch"),
        "devices": ["cpu", "cuda", "mps"],
        "honours": ["bias", "momentum"],
        "title": catalogue.find("sgd").title,
        "origin": "built in",
        "missing": [],
    }
    header, *lines = csv.reader(twolayer("list", "-f", "csv", cwd=tmp_path).stdout.splitlines())
    assert (header[0], [line[0] for line in lines]) == ("implementation", list(catalogue.LESSON))
    assert "| nn | torch " in twolayer("list", "-f", "markdown", cwd=tmp_path).stdout


HELPED = MINE.replace("import numpy as np\n", "import numpy as np\nfrom helper import scale\n")
HELPED = HELPED.replace("float(", "scale * float(")


@pytest.mark.parametrize("helper", ["helper.py", "helper/__init__.py"])
@pytest.mark.parametrize("where", ["relative", "absolute", "in a config"])
def test_a_file_anywhere_may_import_its_neighbours(tmp_path, where, helper):
    """The second way: `--impl ./path/mine.py`, or a path in a config, beside it."""
    path = source(tmp_path / "path", HELPED)
    (path.parent / helper).parent.mkdir(exist_ok=True)
    (path.parent / helper).write_text("scale = 0.5\n")
    config = path.parent / "mine.yaml"
    config.write_text("impls: ./mine.py\n")
    words = {
        "relative": ("--impl", "./path/mine.py"),
        "absolute": ("--impl", str(path)),
        "in a config": ("--config", "path/mine.yaml"),
    }[where]
    done = twolayer("run", *words, "--epochs", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[1/1] mine  ok  3 epochs" in done.stderr


def test_a_file_of_ours_by_its_path_is_ours():
    """Not a second one of the same name."""
    path = catalogue.built_in_folder() / "sgd.py"
    assert catalogue.find(str(path)) == catalogue.find("sgd")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that must not be imported, with a module in it."""
    source(tmp_path / "outer", EXPLODES, "__init__")
    source(tmp_path / "outer" / "inner", EXPLODES, "__init__")
    source(tmp_path / "outer" / "inner", MINE, "module")
    source(tmp_path, MINE, "toplevel")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("outer", "outer/__init__.py"),
        ("outer.inner", "outer/inner/__init__.py"),
        ("outer.inner.module", "outer/inner/module.py"),
    ],
)
def test_a_module_is_located_without_importing_its_parents(package, module, file):
    """They would explode."""
    spec = catalogue.locate(module)
    assert spec.origin == str(package / file)
    assert not any(name.partition(".")[0] == "outer" for name in sys.modules)


@pytest.mark.parametrize(
    "module", ["nowhere", "outer.nowhere", "nowhere.inner", "toplevel.toplevel", "toplevel.outer"]
)
def test_a_module_that_is_not_there_is_not_located(package, module):
    """In particular not below a module that is no package."""
    assert catalogue.locate(module) is None


def registered(folder, points):
    """What installing a package that registers these leaves behind."""
    source(folder, MINE, "theirs")
    metadata = folder / "Their_Nets-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: Their-Nets\nVersion: 1.0\n")
    text = f"[{catalogue.ENTRY_POINTS}]\n{points}\n"
    (metadata / "entry_points.txt").write_text(text, encoding="latin-1")


@pytest.mark.parametrize("value", ["theirs", "theirs:train", "theirs : train"])
def test_a_registered_module_is_listed_under_its_name(tmp_path, value):
    """The third way; a `:train` behind the module changes nothing."""
    registered(tmp_path / "packages", f"Their-net = {value}")
    lines = listed(twolayer("list", cwd=tmp_path, PYTHONPATH=str(tmp_path / "packages")))
    assert tuple(lines)[10:] == ("Their-net",)
    assert lines["Their-net"].endswith("Mine: two weights that never move.")


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ("sgd = theirs", "registers sgd, which is taken (built in)"),
        ("their_net = nowhere", "registers their_net, but there is no module nowhere"),
        ("their_net", "registers an implementation, but its entry points can't be read"),
        ("their_net = caf\xe9", "registers an implementation, but its entry points can't be read"),
        (
            "a,b = theirs",
            "registers a,b, but a name must be of letters, digits, _, - and ., and not all",
        ),
    ],
)
def test_a_package_that_registers_badly_is_named(tmp_path, points, said):
    """A sentence, no traceback."""
    registered(tmp_path / "packages", points)
    env = {"PYTHONPATH": str(tmp_path / "packages")}
    done = twolayer("list", cwd=tmp_path, **env)
    assert "numpy_manual" in done.stdout
    (line,) = done.stderr.splitlines()
    said = f"their_nets {said}; it is left out"
    assert line.partition(" ")[2].lower().replace("their-", "their_") == said
    done = twolayer("config", "--impl", "numpy_manual", cwd=tmp_path, **env)
    assert (done.returncode, done.stderr.lower().count(said)) == (0, 1)
    done = twolayer("run", "--impl", "numpy_manual", *small(tmp_path), cwd=tmp_path, **env)
    assert done.returncode == 0
    assert done.stderr.lower().count(said) == 1


def test_what_is_registered_badly_is_refused_with_the_reason_where_it_is_named(tmp_path):
    """The others are not in its way."""
    registered(tmp_path / "packages", "their_net = nowhere")
    for words in (("run", "--impl", "their_net"), ("check", "their_net")):
        done = twolayer(*words, cwd=tmp_path, PYTHONPATH=str(tmp_path / "packages"))
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.endswith("their_nets registers their_net, but there is no module nowhere")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sgdd", "sgdd: is not an implementation (did you mean sgd?)"),
        ("./none.py", "none.py: there is no such file"),
        ("none.py", "none.py: there is no such file"),
        (".", ".: is not an implementation"),
        ("./", ".: is a folder; name a file in it"),
        ("./bad-name.py", "bad-name.py: must be a .py file named like a variable"),
        ("./mine.txt", "mine.txt: must be a .py file named like a variable"),
    ],
)
def test_what_is_no_implementation_is_refused_in_a_sentence(tmp_path, monkeypatch, name, said):
    """By its name or by its path."""
    monkeypatch.chdir(tmp_path)
    for file in ("bad-name.py", "mine.txt"):
        (tmp_path / file).write_text(MINE)
    with pytest.raises(UserError) as caught:
        catalogue.find(name)
    assert str(caught.value).startswith(said)


def test_a_file_that_is_not_text_is_refused_in_a_sentence(tmp_path):
    """Whoever reads it first."""
    (tmp_path / "mine.py").write_bytes(b"x = '\xff'\n")
    done = twolayer("run", "--impl", "./mine.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "mine.py" in done.stderr
