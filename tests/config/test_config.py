"""What a config may say: every mistake with its place, precedence, and the schema."""

import json
from pathlib import Path

import jsonschema
import pytest
from command import twolayer
from twolayer import Config, machine
from twolayer.config import catalogue, document, plan
from twolayer.config import experiment as config
from twolayer.errors import UserError

SETTINGS = (
    "N, H, D_in, D_out, lr, momentum, epochs, device, dtype, seed, init, bias, threads, log_every"
)
KEYS = f"name, timeout, memory_limit, loss_must_fall, impls, published, overrides, {SETTINGS}"
HUGE = "1" * 400
LONG = "n" * 5000
BIG = "(got a number of over 300 digits)"
MOST = 2**63 - 1
SPACE = "write `lr: 1e-3`, with a space after the colon"
DURATION = "must be a time greater than 0, in seconds or like 90s, 5m or 1h"
SIZE = "must be a size greater than 0, in bytes or like 500M or 2G"
NAME = "must be a name of letters, digits, _, - and . (100 at most)"
MEMORY = 8_000_000_000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, on a machine with 8 GB of memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "memory_bytes", lambda: MEMORY)
    return tmp_path


def planned(text, **said):
    """The runs that a config asks for."""
    Path("x.yaml").write_text(text, encoding="utf-8")
    return plan.make(config.load(Path("x.yaml"), **said))


def mistakes(text, **said):
    """What is said about a config that is refused, one line for each mistake."""
    with pytest.raises(UserError) as caught:
        planned(text, **said)
    return str(caught.value).splitlines()


SETTING_MISTAKES = [
    # numbers
    ("lr: abc", "2:5: lr: must be a finite number, greater than 0 (got 'abc')"),
    ("lr: 1e-4#5", "2:5: lr: must be a finite number, greater than 0 (got '1e-4#5')"),
    ("lr: '1e-4'", "2:5: lr: must be a finite number, greater than 0 (got '1e-4')"),
    ("lr: yes", "2:5: lr: must be a finite number, greater than 0 (got 'yes')"),
    ("lr: true", "2:5: lr: must be a finite number, greater than 0 (got true)"),
    ("lr: [1e-4]", "2:5: lr: must be a finite number, greater than 0 (got [0.0001])"),
    ("lr:", "2:4: lr: must be a finite number, greater than 0 (got nothing)"),
    ("lr: -1", "2:5: lr: must be greater than 0 (got -1)"),
    ("lr: 0", "2:5: lr: must be greater than 0 (got 0)"),
    ("lr: 1e-400", "2:5: lr: must be greater than 0 (got 0.0)"),
    ("lr: .inf", "2:5: lr: must be a finite number, greater than 0 (got .inf)"),
    ("lr: -.inf", "2:5: lr: must be a finite number, greater than 0 (got -.inf)"),
    ("lr: .nan", "2:5: lr: must be a finite number, greater than 0 (got .nan)"),
    ("lr: nan", "2:5: lr: must be a finite number, greater than 0 (got 'nan')"),
    (f"lr: {HUGE}", f"2:5: lr: must be a finite number, greater than 0 {BIG}"),
    (f"lr: -{HUGE}", f"2:5: lr: must be a finite number, greater than 0 {BIG}"),
    ("momentum: 1", "2:11: momentum: must be 0 or more and less than 1 (got 1)"),
    ("momentum: -0.1", "2:11: momentum: must be 0 or more and less than 1 (got -0.1)"),
    (
        "momentum: much",
        "2:11: momentum: must be a finite number, 0 or more and less than 1 (got 'much')",
    ),
    # whole numbers
    ("N: 0", "2:4: N: must be 1 or more (got 0)"),
    ("N: -5", "2:4: N: must be 1 or more (got -5)"),
    ("N: 1.5", "2:4: N: must be a whole number, 1 or more (got 1.5)"),
    ("N: true", "2:4: N: must be a whole number, 1 or more (got true)"),
    ("N: '60'", "2:4: N: must be a whole number, 1 or more (got '60')"),
    ("N: sixty", "2:4: N: must be a whole number, 1 or more (got 'sixty')"),
    ("N: 60 rows", "2:4: N: must be a whole number, 1 or more (got '60 rows')"),
    ("N: [60]", "2:4: N: must be a whole number, 1 or more (got [60])"),
    ("N: {rows: 60}", "2:4: N: must be a whole number, 1 or more (got {rows: 60})"),
    ("N: .nan", "2:4: N: must be a whole number, 1 or more (got .nan)"),
    ("N:", "2:3: N: must be a whole number, 1 or more (got nothing)"),
    ("H: 0", "2:4: H: must be 1 or more (got 0)"),
    ("D_in: 0.5", "2:7: D_in: must be a whole number, 1 or more (got 0.5)"),
    ("D_out: ten", "2:8: D_out: must be a whole number, 1 or more (got 'ten')"),
    ("epochs:", "2:8: epochs: must be a whole number, 1 or more (got nothing)"),
    ("epochs: 0", "2:9: epochs: must be 1 or more (got 0)"),
    ("epochs: -100", "2:9: epochs: must be 1 or more (got -100)"),
    ("epochs: 1e400", "2:9: epochs: must be a whole number, 1 or more (got .inf)"),
    (f"epochs: {HUGE}", f"2:9: epochs: must be a whole number, 1 or more {BIG}"),
    ("seed: 1e30", f"2:7: seed: must be at most {MOST} (got 1e+30)"),
    (
        f"threads: {HUGE}",
        f"2:10: threads: must be a whole number, between 1 and 1024, or auto {BIG}",
    ),
    ("seed: -1", "2:7: seed: must be 0 or more (got -1)"),
    ("seed: random", "2:7: seed: must be a whole number, 0 or more (got 'random')"),
    ("log_every: 0", "2:12: log_every: must be 1 or more, or auto (got 0)"),
    ("threads: 0", "2:10: threads: must be between 1 and 1024, or auto (got 0)"),
    (
        "threads: all",
        "2:10: threads: must be a whole number, between 1 and 1024, or auto (got 'all')",
    ),
    # words and switches
    ("device: gpu", "2:9: device: must be auto, cpu, cuda, mps or cuda:N (got 'gpu')"),
    ("device: cuda:x", "2:9: device: must be auto, cpu, cuda, mps or cuda:N (got 'cuda:x')"),
    ("device: cuda:-1", "2:9: device: must be auto, cpu, cuda, mps or cuda:N (got 'cuda:-1')"),
    ("device: CPU", "2:9: device: must be auto, cpu, cuda, mps or cuda:N (got 'CPU')"),
    ("device: 0", "2:9: device: must be auto, cpu, cuda, mps or cuda:N (got 0)"),
    ("dtype: float16", "2:8: dtype: must be float32 or float64 (got 'float16')"),
    ("dtype: double", "2:8: dtype: must be float32 or float64 (got 'double')"),
    ("dtype: 64", "2:8: dtype: must be float32 or float64 (got 64)"),
    ("init: Normal", "2:7: init: must be normal or uniform (got 'Normal')"),
    ("init: zeros", "2:7: init: must be normal or uniform (got 'zeros')"),
    ("bias: yes", "2:7: bias: must be true or false (got 'yes')"),
    ("bias: 1", "2:7: bias: must be true or false (got 1)"),
    ("bias: 'true'", "2:7: bias: must be true or false (got 'true')"),
]

OTHER_MISTAKES = [
    # options
    ("timeout: 0", f"2:10: timeout: {DURATION} (got 0)"),
    ("timeout: -5", f"2:10: timeout: {DURATION} (got -5)"),
    ("timeout: 5x", f"2:10: timeout: {DURATION} (got '5x')"),
    ("timeout: 1.2.3s", f"2:10: timeout: {DURATION} (got '1.2.3s')"),
    ("timeout: true", f"2:10: timeout: {DURATION} (got true)"),
    ("timeout:", f"2:9: timeout: {DURATION} (got nothing)"),
    ("timeout: .inf", f"2:10: timeout: {DURATION} (got .inf)"),
    ("memory_limit: 3x", f"2:15: memory_limit: {SIZE} (got '3x')"),
    ("memory_limit: 0", f"2:15: memory_limit: {SIZE} (got 0)"),
    ("memory_limit: 5 minutes", f"2:15: memory_limit: {SIZE} (got '5 minutes')"),
    ("name: a/b", f"2:7: name: {NAME} (got 'a/b')"),
    ("name: ../up", f"2:7: name: {NAME} (got '../up')"),
    ("name: .hidden", f"2:7: name: {NAME} (got '.hidden')"),
    ("name: two words", f"2:7: name: {NAME} (got 'two words')"),
    ("name: 3", f"2:7: name: {NAME} (got 3)"),
    (f"timeout: {HUGE}", f"2:10: timeout: must be at most 1e9 seconds {BIG}"),
    (f"name: {'n' * 101}", f"2:7: name: {NAME} (got '{'n' * 56}…)"),
    ("loss_must_fall: 1", "2:17: loss_must_fall: must be true or false (got 1)"),
    ("published: none.csv", "2:12: published: there is no such file (got 'none.csv')"),
    ("published: 3", "2:12: published: there is no such file (got 3)"),
    (
        f"published: {LONG}",
        f"2:12: published: can't be read: File name too long (got '{'n' * 56}…)",
    ),
    ("published: /dev/zero", "2:12: published: is not a regular file (got '/dev/zero')"),
    ("published: .", "2:12: published: is a folder; name a file in it (got '.')"),
    ("published:", "2:11: published: there is no such file (got nothing)"),
    # keys
    ("epcohs: 5", "2:1: epcohs: is not a key (did you mean epochs?)"),
    ("D_inn: 5", "2:1: D_inn: is not a key (did you mean D_in?)"),
    ("override: {}", "2:1: override: is not a key (did you mean overrides?)"),
    ("learning_rate: 5", "2:1: learning_rate: is not a key here; write lr"),
    ("numEpochs: 5", "2:1: numEpochs: is not a key here; write epochs"),
    ("hidden: 5", "2:1: hidden: is not a key here; write H"),
    ("d-in: 5", "2:1: d-in: is not a key here; write D_in"),
    ("models: [sgd]", "2:1: models: is not a key here; write impls"),
    (
        "batch_size: 5",
        "2:1: batch_size: is not a key here: there are no batches; every step uses all N examples",
    ),
    (
        "parameters: {lr: [1]}",
        "2:1: parameters: is not a key here; a sweep file has grid: twolayer sweep FILE",
    ),
    (
        "lr: [1e-6, 1e-5]",
        "2:5: lr: must be one value; for several, run twolayer sweep on a file with "
        "`grid: {lr: [1e-06, 1e-05]}` (got [1e-06, 1e-05])",
    ),
    # overrides
    ("overrides:", "2:11: overrides: must map implementations to settings (got nothing)"),
    ("overrides: [sgd]", "2:12: overrides: must map implementations to settings (got [sgd])"),
    ("overrides: {sgd: 3}", "2:18: sgd: must be a mapping of settings (got 3)"),
    ("overrides:\n  sgd:", "3:7: sgd: must be a mapping of settings (got nothing)"),
    ("overrides: {sgd: {lrr: 1}}", "2:19: lrr: is not a setting (did you mean lr?)"),
    ("overrides: {sgd: {eta: 1}}", "2:19: eta: is not a setting here; write lr"),
    (
        "overrides:\n  sgd:\n    lr:1e-3",
        f"4:5: sgd: must be a mapping of settings; {SPACE} (got 'lr:1e-3')",
    ),
    (
        "overrides:\n  sgd: {lr: abc}",
        "3:13: lr: must be a finite number, greater than 0 (got 'abc')",
    ),
    ("overrides:\n  sgdx: {lr: 1}", "3:3: sgdx: is not an implementation (did you mean sgd?)"),
    ("overrides: {sgdx: {}}", "2:13: sgdx: is not an implementation (did you mean sgd?)"),
    # what an implementation can't honour
    (
        "bias: true",
        "2:7: bias: must be false for numpy_manual, which never reads cfg.bias (got true)",
    ),
    (
        "momentum: 0.5",
        "2:11: momentum: must be 0 for numpy_manual, which never reads cfg.momentum (got 0.5)",
    ),
    (
        "overrides: {numpy_manual: {bias: true}}",
        "2:34: bias: must be false for numpy_manual, which never reads cfg.bias (got true)",
    ),
    ("device: cuda", "2:9: device: must be auto or cpu for numpy_manual (numpy) (got 'cuda')"),
    ("device: cuda:1", "2:9: device: must be auto or cpu for numpy_manual (numpy) (got 'cuda:1')"),
    ("device: mps", "2:9: device: must be auto or cpu for numpy_manual (numpy) (got 'mps')"),
]


@pytest.mark.parametrize(("line", "message"), SETTING_MISTAKES + OTHER_MISTAKES)
def test_a_mistake_is_said_with_its_place(folder, line, message):
    """One line: file, line, column, key, what is allowed, what was there."""
    assert mistakes(f"impls: numpy_manual\n{line}\n") == [f"x.yaml:{message}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: impls: is missing: list the implementations to run"),
        ("N: 60", "1:1: impls: is missing: list the implementations to run"),
        ("impls: []", "1:8: impls: must be a list of implementations (got [])"),
        ("impls:", "1:7: impls: must be a list of implementations (got nothing)"),
        ("impls: ''", "1:8: impls: must be a list of implementations (got '')"),
        ("impls: [sgd, 3]", "1:14: impls: must be a list of implementations (got 3)"),
        (
            "impls: [sgd, {adam: 1}]",
            "1:14: impls: must be a list of implementations (got {adam: 1})",
        ),
        ("impls: [sgdd]", "1:9: impls: sgdd: is not an implementation (did you mean sgd?)"),
        (
            "impls:\n  - sgd\n  - custom_rellu\n",
            "3:5: impls: custom_rellu: is not an implementation (did you mean custom_relu?)",
        ),
        (
            "impls: ./none.py",
            "1:8: impls: none.py: there is no such file",
        ),
        ("impls: [sgd, adam, sgd]", "1:20: impls: sgd: is listed more than once; keep one"),
        ("[sgd]", "1:1: a config must be a mapping of keys to values"),
        ("sgd", "1:1: a config must be a mapping of keys to values"),
        ("lr:1e-3", f"1:1: a config must be a mapping of keys to values; {SPACE}"),
        ("{impls: sgd, lr:1e-3}", f"1:14: lr:1e-3: is not a key; {SPACE}"),
        ("# no keys\n- sgd", "2:1: a config must be a mapping of keys to values"),
        (
            "impls: [adam, sgd]\nmomentum: 0.9",
            "2:11: momentum: must be 0 for adam, which never reads cfg.momentum (got 0.9)",
        ),
        (
            "bias: true\nimpls: [autograd, nn, tf_graph]",
            "1:7: bias: must be false for autograd and tf_graph, which never read cfg.bias "
            "(got true)",
        ),
        (
            "device: mps\nimpls: [tf_graph]",
            "1:9: device: must be auto, cpu or cuda for tf_graph (tensorflow) (got 'mps')",
        ),
    ],
)
def test_a_mistake_about_implementations_is_said_with_its_place(folder, text, message):
    """The same for what is not in the config, or is one implementation's alone."""
    assert mistakes(text) == [f"x.yaml:{message}"]


def test_a_file_that_is_not_python_is_said_where_it_is_listed(folder):
    """With the other mistakes, and its own place."""
    Path("broken.py").write_text("def train(:\n")
    first, second = mistakes("impls: [sgd, ./broken.py]\nN: 0")
    assert first.startswith("x.yaml:1:14: impls: ")
    assert first.endswith("broken.py:1:11: is not valid Python: invalid syntax")
    assert second == "x.yaml:2:4: N: must be 1 or more (got 0)"


def test_an_unknown_implementation_with_no_near_name_shows_them_all(folder):
    """Nothing to guess: the list says what there is."""
    (line,) = mistakes("impls: zzzzzz")
    known = ", ".join(catalogue.names()[:-1]) + f" and {catalogue.names()[-1]}"
    assert line == f"x.yaml:1:8: impls: zzzzzz: is not an implementation; known are {known}"


def test_which_keys_there_are_is_said_once_after_all_mistakes(folder):
    """And which settings, where only those may be."""
    text = "zzzzzz: 5\nimpls: sgd\n3: 5\noverrides: {sgd: {name: x, yyyyyy: 1}}\nepcohs: 5"
    assert mistakes(text) == [
        "x.yaml:1:1: zzzzzz: is not a key",
        "x.yaml:3:1: 3: is not a key",
        "x.yaml:4:19: name: is not a setting here; name is a key of the whole config",
        "x.yaml:4:28: yyyyyy: is not a setting",
        "x.yaml:5:1: epcohs: is not a key (did you mean epochs?)",
        f"known keys are {KEYS}",
        f"known settings are {SETTINGS}",
    ]


@pytest.mark.parametrize("names", ["sgd, adam", "'sgd,adam'", "[sgd, adam]"])
def test_implementations_may_be_divided_by_commas(folder, names):
    """As --impl takes them."""
    assert [run.name for run in planned(f"impls: {names}")] == ["sgd", "adam"]


def test_all_stands_for_the_built_in_implementations(folder):
    """In the lesson's order, on the command line as well, where each counts once."""
    assert [run.name for run in planned("impls: all")] == list(catalogue.LESSON)
    runs = planned("impls: sgd", impls=["all", "sgd"])
    assert [run.name for run in runs] == list(catalogue.LESSON)


def test_keys_that_begin_with_x_are_a_place_for_anchors(folder):
    """They are ignored, but where they are merged."""
    text = "x-base: &b {lr: 2, N: 5}\nimpls: sgd\noverrides:\n  sgd:\n    <<: *b\n"
    (run,) = planned(text)
    assert (run.config.lr, run.config.N) == (2.0, 5)


def test_a_file_of_dots_is_no_name_of_a_folder(folder):
    """`...yaml` would be `results/..`."""
    Path("...yaml").write_text("impls: sgd\n")
    assert config.load(Path("...yaml")).name == "experiment"


def test_double_precision_on_mps_is_refused_before_the_run(folder):
    """Apple's GPUs have no float64; the message names both settings."""
    (line,) = mistakes("impls: autograd\ndtype: float64\ndevice: mps")
    assert line.startswith(("x.yaml:2:8: dtype: must be ", "x.yaml:3:9: device: must be "))
    assert "float64" in line
    assert "mps" in line


@pytest.mark.parametrize("epochs", ["1e30", "1000000000000000"])
def test_more_epochs_than_memory_has_room_for_losses_are_refused(folder, epochs):
    """Eight bytes a loss is the least."""
    (line,) = mistakes(f"impls: numpy_manual\nepochs: {epochs}")
    assert line.startswith("x.yaml:2:9: epochs: ")
    assert "(got 1e+" in line


TOO_LARGE = "is too large: training would need at least {} of memory, this machine has 8 GB"


@pytest.mark.parametrize(
    ("text", "key", "needs", "got"),
    [
        ("impls: sgd\nN: 1e12", "2:4: N", "4.92 PB", "1000000000000"),
        ("impls: sgd\nN: 1e12\ndtype: float64", "2:4: N", "9.84 PB", "1000000000000"),
        ("impls: sgd\nH: 1e9", "2:4: H", "8.56 TB", "1000000000"),
        ("impls: [sgd, adam]\nH: 1e6\nD_in: 1e5", "2:4: H", "801 GB", "1000000"),
        ("impls: sgd\noverrides: {sgd: {D_in: 1e8}}", "2:25: D_in", "104 GB", "100000000"),
    ],
)
def test_sizes_that_do_not_fit_in_memory_are_refused(folder, text, key, needs, got):
    """It says how much would be needed, at the largest of the sizes, once."""
    assert mistakes(text) == [f"x.yaml:{key}: {TOO_LARGE.format(needs)} (got {got})"]


def test_what_only_just_fits_is_planned(folder, monkeypatch):
    """The limit is the machine's memory, not a guess."""
    needed = 4 * (60 * 1010 + 2 * 60 * 110 + 2 * 100 * 1010)
    monkeypatch.setattr(machine, "memory_bytes", lambda: needed)
    assert [run.name for run in planned("impls: sgd")] == ["sgd"]
    monkeypatch.setattr(machine, "memory_bytes", lambda: needed - 1)
    assert len(mistakes("impls: sgd")) == 1


def test_all_mistakes_come_at_once_in_the_order_of_the_file(folder):
    """Wrong values, unknown names and what can't be honoured, in one pass."""
    text = """\
impls: [numpy_manual, sgdd]
N: 0
epcohs: 5
overrides:
  sgdx: {lr: 1}
  adam: {lr: abc, momentum: 2}
bias: true
timeout: 0
published: none.csv
"""
    assert mistakes(text) == [
        "x.yaml:1:23: impls: sgdd: is not an implementation (did you mean sgd?)",
        "x.yaml:2:4: N: must be 1 or more (got 0)",
        "x.yaml:3:1: epcohs: is not a key (did you mean epochs?)",
        "x.yaml:5:3: sgdx: is not an implementation (did you mean sgd?)",
        "x.yaml:6:14: lr: must be a finite number, greater than 0 (got 'abc')",
        "x.yaml:6:29: momentum: must be 0 or more and less than 1 (got 2)",
        "x.yaml:7:7: bias: must be false for numpy_manual, which never reads cfg.bias (got true)",
        f"x.yaml:8:10: timeout: {DURATION} (got 0)",
        "x.yaml:9:12: published: there is no such file (got 'none.csv')",
    ]


def test_missing_implementations_do_not_hide_other_mistakes(folder):
    """Both are said."""
    assert mistakes("N: 0") == [
        "x.yaml:1:1: impls: is missing: list the implementations to run",
        "x.yaml:1:4: N: must be 1 or more (got 0)",
    ]


def test_one_mistake_that_an_alias_repeats_is_said_once(folder):
    """It is one place in the file."""
    text = "impls: sgd\noverrides: {sgd: &o {lr: abc}, adam: *o}"
    assert mistakes(text) == [
        "x.yaml:2:26: lr: must be a finite number, greater than 0 (got 'abc')"
    ]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("N: 1e1", "N", 10),
        ("N: 1_0", "N", 10),
        ("lr: 1", "lr", 1.0),
        ("lr: 5e-3", "lr", 0.005),
        ("epochs: 1E2", "epochs", 100),
        ("threads: auto", "threads", "auto"),
        ("threads: 2", "threads", 2),
        ("device: auto", "device", "auto"),
        ("dtype: float64", "dtype", "float64"),
        ("seed: 0", "seed", 0),
        ("momentum: 0", "momentum", 0.0),
        ("overrides: {numpy_manual: {N: 7}}", "N", 7),
        ("overrides: {sgd: {N: 7}}", "N", 60),
    ],
)
def test_what_is_allowed_arrives_in_its_type(folder, text, key, value):
    """As the implementation will see it."""
    (run,) = planned(f"impls: numpy_manual\n{text}")
    found = getattr(run.config, key)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("timeout", "90", 90),
        ("timeout", "1.5", 1.5),
        ("timeout", "90s", 90),
        ("timeout", "5m", 300),
        ("timeout", "1 h", 3600),
        ("memory_limit", "1e9", 1e9),
        ("memory_limit", "500M", 500 * 2**20),
        ("memory_limit", "2G", 2 * 2**30),
        ("memory_limit", "2 GiB", 2 * 2**30),
        ("memory_limit", "64kb", 64 * 2**10),
        ("name", "my-run_2.1", "my-run_2.1"),
        ("loss_must_fall", "true", True),
    ],
)
def test_options_arrive_in_their_units(folder, key, text, value):
    """Seconds and bytes."""
    Path("x.yaml").write_text(f"impls: sgd\n{key}: {text}\n")
    assert config.load(Path("x.yaml")).option(key) == value


def test_an_experiment_is_named_after_its_file(folder):
    """Unless the config says otherwise."""
    Path("mine.yaml").write_text("impls: sgd\n")
    assert config.load(Path("mine.yaml")).name == "mine"


LAYERS = [
    ("", (), "lr: 1e-06", "default"),
    ("lr: 2\n", (), "lr: 2.0", "x.yaml:2:5"),
    ("lr: 2\noverrides: {sgd: {lr: 3}}\n", (), "lr: 3.0", "x.yaml:3:23"),
    ("lr: 2\noverrides: {sgd: {lr: 3}}\n", ("--lr", "4"), "lr: 4.0", "--lr"),
    (
        "lr: 2\noverrides: {sgd: {lr: 3}}\n",
        ("--set", "sgd.lr=6", "--set", "lr=5", "--lr", "4"),
        "lr: 6.0",
        "--set sgd.lr",
    ),
]


@pytest.mark.parametrize(("text", "words", "value", "origin"), LAYERS)
def test_the_nearest_layer_wins_and_is_named(tmp_path, text, words, value, origin):
    """Default < file < overrides < --lr < --set sgd.lr, as `twolayer config` shows."""
    (tmp_path / "x.yaml").write_text(f"impls: [sgd, adam]\n{text}")
    done = twolayer("config", "--config", "x.yaml", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ours = done.stdout.partition("adam:")[0].splitlines()
    assert ours[0] == "sgd:"
    (line,) = [line.split("#") for line in ours if line.startswith("  lr: ")]
    assert [part.strip() for part in line] == [value, origin]


def test_a_setting_for_one_implementation_leaves_the_others_alone(tmp_path):
    """`--set sgd.lr` is not adam's."""
    (tmp_path / "x.yaml").write_text("impls: [sgd, adam]\n")
    done = twolayer("config", "-c", "x.yaml", "--set", "sgd.lr=6", cwd=tmp_path)
    adam = done.stdout.partition("adam:")[2]
    assert "lr: 6.0" in done.stdout.partition("adam:")[0]
    assert "lr: 1e-06" in adam


def test_the_command_line_chooses_the_implementations(tmp_path):
    """Repeated and with commas, each once, in that order."""
    words = ("--impl", "sgd,adam", "--impl", "numpy_manual", "--impl", "sgd")
    done = twolayer("config", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = [line[:-1] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert names == ["sgd", "adam", "numpy_manual"]


def refused(done):
    """The lines of a command that was refused in words, with exit code 2."""
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


IMPL = ("run", "--impl", "numpy_manual")
UNDERSTANDABLE = "must be a finite number, greater than 0"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("--lr", "abc"), {f"--lr: {UNDERSTANDABLE} (got 'abc')"}),
        (("--lr", "inf"), {f"--lr: {UNDERSTANDABLE} (got 'inf')"}),
        (("--lr=-1",), {"--lr: must be greater than 0 (got -1)"}),
        (("--lr", HUGE), {f"--lr: {UNDERSTANDABLE} {BIG}"}),
        (
            ("--lr", "1e-6,1e-5"),
            {
                "--lr: must be one value; for several, run twolayer sweep on a file with "
                "`grid: {lr: [1e-06, 1e-05]}` (got '1e-6,1e-5')"
            },
        ),
        (("--set", "eta=1"), {"--set eta: is not a setting here; write lr"}),
        (("--N", "0"), {"--N: must be 1 or more (got 0)"}),
        (("--D-in", "1.5"), {"--D-in: must be a whole number, 1 or more (got 1.5)"}),
        (
            ("--log-every", ""),
            {"--log-every: must be a whole number, 1 or more, or auto (got nothing)"},
        ),
        (("--timeout", "0"), {f"--timeout: {DURATION} (got 0)"}),
        (
            ("--memory-limit", "1e300T"),
            {"--memory-limit: must be at most 1e18 bytes (got '1e300T')"},
        ),
        (("--memory-limit", "much"), {f"--memory-limit: {SIZE} (got 'much')"}),
        (("--name", "a/b"), {f"--name: {NAME} (got 'a/b')"}),
        (("--set", "lr=abc"), {f"--set lr: {UNDERSTANDABLE} (got 'abc')"}),
        (("--set", "sgd.lr=abc"), {f"--set sgd.lr: {UNDERSTANDABLE} (got 'abc')"}),
        (("--set", "epcohs=3"), {"--set epcohs: is not a setting (did you mean epochs?)"}),
        (
            ("--set", "sgdd.lr=1"),
            {"--set sgdd.lr: sgdd is not an implementation (did you mean sgd?)"},
        ),
        (("--set", "lr"), {"--set: must be key=value or implementation.key=value (got 'lr')"}),
        (("--set", "=3"), {"--set: must be key=value or implementation.key=value (got '=3')"}),
        (("--set", "sgd.lr=1"), {"--set sgd.lr: sgd is not among those to run"}),
        (
            ("--device", "cuda"),
            {"--device: must be auto or cpu for numpy_manual (numpy) (got 'cuda')"},
        ),
        (
            ("--set", "numpy_manual.bias=true"),
            {
                "--set numpy_manual.bias: must be false for numpy_manual, "
                "which never reads cfg.bias (got true)"
            },
        ),
        (("--impl", "sgdd"), {"--impl: sgdd: is not an implementation (did you mean sgd?)"}),
        (
            ("--impl", "./none.py"),
            {"--impl: none.py: there is no such file"},
        ),
        (
            ("--lr", "abc", "--N", "0", "--set", "sgd.lr=-1", "--timeout", "0", "--impl", "sgdd"),
            {
                f"--lr: {UNDERSTANDABLE} (got 'abc')",
                "--N: must be 1 or more (got 0)",
                "--set sgd.lr: must be greater than 0 (got -1)",
                f"--timeout: {DURATION} (got 0)",
                "--impl: sgdd: is not an implementation (did you mean sgd?)",
            },
        ),
        (
            ("--set", "lr", "--N", "0"),
            {
                "--set: must be key=value or implementation.key=value (got 'lr')",
                "--N: must be 1 or more (got 0)",
            },
        ),
    ],
)
def test_mistakes_on_the_command_line_are_all_said_and_nothing_is_written(tmp_path, words, lines):
    """Exit code 2, one line each, on stderr."""
    said = refused(twolayer(*IMPL, *words, cwd=tmp_path))
    assert (set(said), len(said)) == (lines, len(lines))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("run", "autograd"),
            "autograd: must be the value of an option; write twolayer run … --impl autograd",
        ),
        (
            ("run", "--impl", "autograd", "lr=1e-5", "sgd.N=5"),
            "lr=1e-5 sgd.N=5: must be the value of an option; "
            "write twolayer run … --set lr=1e-5 --set sgd.N=5",
        ),
        (
            ("config", "x.yaml", "sgd", "adam"),
            "sgd adam: must be the value of an option; "
            "write twolayer config … --impl sgd --impl adam",
        ),
        (
            ("sweep", "examples", "sgd"),
            "sgd: must be the value of an option; write twolayer sweep … --impl sgd",
        ),
        (("verify", "--input-size", "3"), "--input-size: is not an option here; write --D-in"),
        (("bench", "--model", "sgd"), "--model: is not an option here; write --impl"),
        (
            ("run", "--batch-size", "3"),
            "--batch-size: is not an option here: "
            "there are no batches; every step uses all N examples",
        ),
        (
            ("verify", "--overrides", "x"),
            "--overrides: is not an option here; overrides is a key of the whole config",
        ),
        (
            ("run", "--grid", "lr=1,2"),
            "--grid: is not an option here; a sweep file has grid: twolayer sweep FILE",
        ),
    ],
)
def test_what_users_of_other_tools_type_is_answered_with_what_to_write(tmp_path, words, line):
    """Words without an option, and others' names of options."""
    assert refused(twolayer(*words, cwd=tmp_path)) == [line]


def test_what_python_warns_of_in_a_source_is_not_printed(tmp_path):
    """An escape that is none, in a file that is read to be planned."""
    (tmp_path / "odd.py").write_text('"""A \\d title."""\n\n\ndef train(cfg):\n    yield 1or 2\n')
    words = ("config", "--impl", "./odd.py")
    done = twolayer(*words, cwd=tmp_path, PYTHONWARNINGS="always:invalid")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("run", "sgdd"), "sgdd: must be the value of an option; write twolayer run … --impl sgdd"),
        (("run", "smok"), "smok: there is no such file (did you mean smoke?)"),
        (("run", "lr-edge"), "lr-edge: is a sweep; write twolayer sweep lr-edge"),
        (("verify", ""), "'': there is no such file; twolayer's own are bench, notebook, smoke"),
        (("bench", "smoke", "notebook"), "smoke and notebook: choose one of them"),
        (("run", "smoke", "-c", "bench"), "smoke and --config bench: choose one of them"),
    ],
)
def test_a_word_that_is_no_config_is_refused_with_what_to_write(tmp_path, words, line):
    """And two configs, whichever way they are named."""
    assert refused(twolayer(*words, cwd=tmp_path)) == [line]
    assert list(tmp_path.iterdir()) == []


SWEEP = """\
impls: [sgd, numpy_manual]
grid:
  lr: {log: [1e-7, 1e-1, 7]}
  N: [5, 6]
exclude: {impl: sgd, N: 6}
repeat: 2
"""


def test_a_sweep_shows_its_axes_and_how_many_runs_they_make(tmp_path):
    """All values of an axis for programs, some of many for people; the next command goes on."""
    (tmp_path / "s.yaml").write_text(SWEEP)
    done = twolayer("config", "s.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    place, text = "# s.yaml:3:7", "  lr: [1e-07, 1e-06, 1e-05, …, 0.1]  "
    assert f"{text}{place}" in lines
    assert any(line.startswith("  N: [5, 6] ") for line in lines)
    assert "  seed: [0, 1]                       # s.yaml:6:9" in lines
    counts = "2 implementations, 7 values of lr, 2 values of seed and 2 values of N"
    assert lines[-1] == f"# a sweep of 42 runs: {counts}"
    assert document.parse(done.stdout, "shown").value["sgd"]["N"] == 5
    assert done.stderr == "next: twolayer sweep s.yaml --plan\n"
    shown = json.loads(twolayer("config", "s.yaml", "-f", "json", cwd=tmp_path).stdout)
    assert shown["sgd"]["N"] == {"value": 5, "origin": "s.yaml:4:7"}
    assert shown["numpy_manual"]["N"] == {"value": [5, 6], "origin": "s.yaml:4:7"}
    assert shown["sgd"]["H"] == {"value": 100, "origin": "default"}
    (tmp_path / "t.yaml").write_text("impls: [sgd]\ngrid: {log_every: [1, 2]}\n")  # the same run
    assert "# a sweep of 1 run" in twolayer("config", "t.yaml", cwd=tmp_path).stdout
    assert len(shown["sgd"]["lr"]["value"]) == 7
    plan = twolayer("sweep", "s.yaml", "--plan", cwd=tmp_path).stdout
    assert "42 runs: " in plan


def test_a_wrong_sweep_is_refused_by_config_as_by_sweep(tmp_path):
    """With all its mistakes; one of ours is found by its name."""
    (tmp_path / "s.yaml").write_text("impls: sgd\ngrid: {lr: [1, -1], q: 3}\n")
    said = [refused(twolayer(command, "s.yaml", cwd=tmp_path)) for command in ("config", "sweep")]
    assert said[0] == said[1]
    assert len(said[0]) >= 2
    assert "a sweep of 20 runs" in twolayer("config", "depth-seeds", cwd=tmp_path).stdout


@pytest.mark.parametrize("command", ["run", "verify", "config"])
def test_a_config_is_named_by_a_word_or_by_an_option(tmp_path, command):
    """A file, or one of ours; a file may be called like an implementation."""
    for name in ("mine.yaml", "sgd"):
        (tmp_path / name).write_text("impls: numpy_manual\nepochs: 3\nN: 4\nthreads: 1\n")
    words = ("--format", "json", *(("-q",) if command != "config" else ()))
    whole = []
    for chosen in (("mine.yaml",), ("-c", "mine.yaml"), ("sgd",)):
        done = twolayer(command, *chosen, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        whole.append(json.loads(done.stdout))
    assert all("numpy_manual" in str(each) for each in whole)
    if command == "run":
        assert whole[0][0]["losses"] == whole[1][0]["losses"]


@pytest.mark.parametrize("names", ["", ",", " "])
def test_an_empty_choice_of_implementations_is_refused(tmp_path, names):
    """It does not mean all of them."""
    (said,) = refused(twolayer("config", "--impl", names, cwd=tmp_path))
    assert said.startswith("--impl: ")


def test_mistakes_in_file_and_command_line_come_together(tmp_path):
    """The file first."""
    (tmp_path / "x.yaml").write_text("impls: sgd\nN: 0\n")
    said = refused(twolayer("run", "-c", "x.yaml", "--lr", "abc", cwd=tmp_path))
    assert said == [
        "x.yaml:2:4: N: must be 1 or more (got 0)",
        f"--lr: {UNDERSTANDABLE} (got 'abc')",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


def test_more_memory_than_the_machine_has_is_refused_on_the_command_line(tmp_path):
    """With the real machine's memory."""
    has = plan.human_bytes(machine.memory_bytes())
    said = refused(twolayer(*IMPL, "--N", "1e12", "--dtype", "float32", cwd=tmp_path))
    assert said == [
        "--N: is too large: training would need at least 4.92 PB of memory, "
        f"this machine has {has} (got 1000000000000)"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("none.yaml", "--config none.yaml: there is no such file; twolayer's own are "),
        ("notebok", "--config notebok: there is no such file (did you mean notebook?)"),
        ("folder/none.yaml", "--config folder/none.yaml: there is no such file"),
        ("folder", "--config folder: is a folder; name a file in it"),
        (LONG, f"--config {'n' * 200}…: can't be read: File name too long"),
    ],
)
def test_a_config_that_is_not_there_is_said(tmp_path, name, line):
    """And what there is."""
    (tmp_path / "folder").mkdir()
    (said,) = refused(twolayer("run", "-c", name, cwd=tmp_path))
    assert said.startswith(line)


def test_brackets_by_the_hundred_thousand_are_refused_in_words(tmp_path):
    """Not by a crash of the YAML library."""
    (tmp_path / "x.yaml").write_text("a: " + "[" * 200_000)
    (said,) = refused(twolayer("config", "-c", "x.yaml", cwd=tmp_path))
    assert said.startswith("x.yaml:1:")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": "abc"}, "lr: must be a finite number, greater than 0 (got 'abc')"),
        ({"lr": float("nan")}, "lr: must be a finite number, greater than 0 (got nan)"),
        ({"N": 0}, "N: must be 1 or more (got 0)"),
        ({"N": 2.5}, "N: must be a whole number, 1 or more (got 2.5)"),
        ({"epochs": None}, "epochs: must be a whole number, 1 or more (got None)"),
        ({"bias": "yes"}, "bias: must be true or false (got 'yes')"),
        ({"device": "gpu"}, "device: must be auto, cpu, cuda, mps or cuda:N (got 'gpu')"),
        ({"dtype": float}, "dtype: must be float32 or float64 (got <class 'float'>)"),
        ({"momentum": 1.0}, "momentum: must be 0 or more and less than 1 (got 1.0)"),
        ({"seed": -1}, "seed: must be 0 or more (got -1)"),
        (
            {"threads": "some"},
            "threads: must be a whole number, between 1 and 1024, or auto (got 'some')",
        ),
    ],
)
def test_settings_made_in_python_are_checked(values, message):
    """The same rules, as a ValueError."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        Config(**values)
    assert str(caught.value) == message


def test_settings_made_in_python_are_brought_to_their_types():
    """As a file's would be."""
    cfg = Config(N=1e1, lr=1, momentum=0)
    assert [(v, type(v)) for v in (cfg.N, cfg.lr, cfg.momentum)] == [
        (10, int),
        (1.0, float),
        (0.0, float),
    ]


def test_settings_never_change():
    """A changed copy is another one, checked as well."""
    cfg = Config(N=5)
    with pytest.raises(AttributeError):
        cfg.N = 6
    assert (cfg.with_(N=6).N, cfg.N) == (6, 5)
    with pytest.raises(ValueError, match="N: must be 1 or more"):
        cfg.with_(N=0)


def test_an_unknown_setting_in_python_is_refused():
    """Python says which."""
    with pytest.raises(TypeError, match="epcohs"):
        Config(epcohs=3)


SCHEMA = config.json_schema()
PACKAGED = sorted(catalogue.configs_folder().rglob("*.yaml"))


def valid(text):
    """Whether the JSON schema accepts a config."""
    content = document.parse(text, "x.yaml").value
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(content)


def test_the_schema_beside_the_configs_is_current():
    """Made again by: twolayer config --schema > configs/schema.json."""
    written = (catalogue.configs_folder() / "schema.json").read_text(encoding="utf-8")
    assert json.loads(written) == SCHEMA


def test_the_schema_is_printed(tmp_path):
    """And nothing else with it."""
    done = twolayer("config", "--schema", cwd=tmp_path)
    assert (json.loads(done.stdout), done.stderr, done.returncode) == (SCHEMA, "", 0)


def test_the_schema_is_one():
    """It keeps its own dialect's rules."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == {*config.KEYS, *config.SWEEP_KEYS}


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.name)
def test_the_schema_accepts_the_packaged_configs(path):
    """Every config that twolayer brings along."""
    assert valid(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "path", sorted(catalogue.configs_folder().glob("*.yaml")), ids=lambda path: path.name
)
def test_packaged_configs_are_planned(path):
    """And every one of them runs."""
    assert plan.make(config.load(path))


@pytest.mark.parametrize(
    "text",
    [
        *("lr: 1e-4", "N: 1e3", "threads: auto", "threads: 2", "device: cuda:1", "timeout: 5m"),
        *("timeout: 90", "memory_limit: 2G", "impls: sgd", "impls: [sgd, ./mine.py]", "bias: true"),
        "overrides: {sgd: {lr: 1e-4, momentum: 0.9}, mine: {}}",
        "x-mine: [1, {a: b}]",
    ],
)
def test_the_schema_accepts_what_the_rules_accept(text):
    """An editor must not complain about a good config."""
    assert valid(text)


UNSEEN = (
    *("bias: true", "momentum: 0.5", "device: cuda", "device: mps", "overrides: {numpy"),
    *(
        "none.csv",
        LONG,
        "published: .",
        "published: /dev",
        "seed: 1e30",
        HUGE,
        "sgdx",
        "1e-400",
        ".nan",
        ".inf",
        "1e400",
    ),
)


@pytest.mark.parametrize(
    "line",
    [
        line
        for line, _ in (*SETTING_MISTAKES, *OTHER_MISTAKES)
        if not any(part in line for part in UNSEEN) or line == "device: cuda:-1"
    ],
)
def test_the_schema_rejects_what_the_rules_reject(line):
    """Whatever can be seen without the files and implementations around it."""
    assert not valid(f"impls: numpy_manual\n{line}")
