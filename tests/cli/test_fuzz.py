"""Mutated configs, sweeps and options: each is a valid plan, or refused with its place."""

import itertools
import random
import re
import warnings
from pathlib import Path

import pytest
from command import twolayer
from twolayer import machine
from twolayer.config import catalogue, plan, sweep
from twolayer.config import experiment as config
from twolayer.config.settings import RULES
from twolayer.errors import ConfigError, UserError
from twolayer.results import query
from twolayer.results.rows import COLUMNS

CONFIGS = sorted(catalogue.configs_folder().glob("*.yaml"))
SWEEPS = sorted(catalogue.configs_folder().glob("sweeps/*.yaml"))
ODD = (
    *("1" * 400, "-" + "9" * 400, "0x" + "f" * 4000, "1" * 5000, "1e999", "-1e-400", "1e30"),
    *(".inf", "-.inf", ".nan", "0", "-1", "0.5", "1e308", "9223372036854775807", "true", "no"),
    *("", "null", "~", "''", '"\\0"', '"\\x1b[31m"', '"\\ud800"', "\x1b[2J", "\t", "\ufeff", "🙂"),
    *("n" * 5000, "./" + "n/" * 3000 + "x.py", "../../..", "/", "/etc/passwd/x", "/dev/null"),
    *("a, b", "sgd,adam", "[]", "{}", "[1, [2, [3]]]", "{a: {b: 1}}", "[[[[", "}", "- a", "*a"),
    *("&a [*a]", "&a 3", "!!python/name:os.system x", "!mine 3", "<<: *a", "? x", "|", ">-", "%"),
    *("{range: 3}", "{range: [0.1, 0.5, 0.1]}", "{range: [0, 1e999]}", "{linear: [1, 2, 3]}"),
    *("{log: [1e-6, 1, 3]}", "{log: [0, 1, 3]}", "{uniform: [1, 4]}", "{uniform: [a, b]}"),
    *("{log_uniform: [1, 4]}", "{choice: []}", "{choice: [1, a]}", "auto", "cuda:1", "float64"),
)
NUMBERS = ("N", "H", "lr", "epochs", "seed", "threads")
SPREADS = (
    *("1", "[1, 2]", "{range: [1, 4]}", "{linear: [1, 3, 3]}", "{log: [1, 4, 3]}", "[1, auto]"),
    *("{linear: [1, 1.7e308, 3]}", "{linear: [-1.7e308, 1.7e308, 3]}", "{range: 9}"),
)
DRAWS = (
    *("[1, 2]", "{choice: [1, 2]}", "{uniform: [1, 4]}", "{log_uniform: [1, 4]}"),
    *("{uniform: [1, 9223372036854775807]}", "{log_uniform: [1, 9223372036854775807]}"),
)
PLAIN = {"": ("1", "2", "9223372036854775807"), "sample": DRAWS, "grid": SPREADS, "zip": SPREADS}
KEYS = (*config.KEYS, *config.SWEEP_KEYS, "x-mine", "learning_rate", "n", "impl", "<<", "n" * 5000)
PLACE = re.compile(r"x\.yaml:\d+:\d+: |--\w")
CONDITIONS = (
    *("lr < 1e-4", 'outcome == "ok" and H > 3', "not bias", "seed in [1, 2]", "1 < N <= 5"),
)
PIECES = (*"()[]\"'\\.,:=<>-+*0\0\n\t é", "and", "1x", "1or", "not ", "lr", "lambda:", "9" * 5000)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """An empty folder, on a machine whose memory is always the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "memory_bytes", lambda: 8_000_000_000)


def mutated(text: str, rng: random.Random) -> str:
    """A config with one to three of its lines changed, moved, doubled, lost or made anew."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        key, colon, _ = lines[at].partition(":")
        lines[at : at + 1] = rng.choice(
            [
                [],
                [lines[at]] * 2,
                [lines[at], rng.choice(lines)],
                [f"{key}{colon} {rng.choice(ODD)}"],
                [lines[at], f"{' ' * rng.choice((0, 2, 4))}{rng.choice(KEYS)}: {rng.choice(ODD)}"],
                [f"  {lines[at]}"],
                [lines[at].replace(": ", rng.choice((":", ":\t", " ", ": - ")), 1)],
                [lines[at][: rng.randrange(len(lines[at]) + 1)]],
                [lines[at].replace(rng.choice(key or "x"), rng.choice(ODD), 1)],
            ]
        )
        lines = lines or [""]
    return "\n".join(lines)


def invented(rng: random.Random) -> str:
    """A sweep of settings and blocks drawn at random, most of them with odd values."""

    def value(block: str = "") -> str:
        return rng.choice(PLAIN.get(block, PLAIN[""]) if rng.random() < 0.95 else ODD)

    def mapping(block: str) -> str:
        names = rng.sample((*NUMBERS, rng.choice([*RULES])), k=2)
        parts = ["n: 3"] * (block == "sample") + [f"{name}: {value(block)}" for name in names]
        return f"{'[' * (block == 'runs')}{{{', '.join(parts)}}}{']' * (block == 'runs')}"

    lines = ["impls: [numpy_manual, sgd]"]
    for key in rng.sample((*NUMBERS, *config.SWEEP_KEYS), k=2):
        block = key in config.SWEEP_KEYS and key != "repeat"
        lines.append(f"{key}: {mapping(key) if block else value()}")
    return "\n".join(lines)


def unplaced(make, path, *said) -> list[str]:
    """The lines of a refusal that say no place; anything but a refusal or a plan is raised."""
    try:
        make(path, *said)
    except ConfigError as error:
        notes = {mistake.note for mistake in error.mistakes}
        lines = str(error).split("\n")
        return [line for line in lines if not (line in notes or PLACE.match(line))]
    return []


def written(text: str) -> Path:
    path = Path("x.yaml")
    path.write_bytes(text.encode())
    return path


def planned(path: Path, *said) -> None:
    plan.make(config.load(path, *said))


def swept(path: Path) -> None:
    """Plan a sweep, and some of its runs."""
    runs = sweep.Sweep(config.load(path, extra=sweep.KEYS)).runs()
    for run in itertools.islice(runs, 20):
        assert run.key


def mangled(text: str, rng: random.Random) -> str:
    """A text with one to three pieces put in place of what is there."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(text) + 1)
        text = text[:start] + rng.choice(PIECES) + text[start + rng.randrange(4) :]
    return text


@pytest.mark.parametrize("path", [*CONFIGS, *SWEEPS], ids=lambda path: path.stem)
def test_a_config_with_lines_mangled_is_planned_or_refused_with_its_place(path):
    """Those that twolayer brings along, 25 times each."""
    for number in range(25):
        text = mutated(path.read_text(encoding="utf-8"), random.Random(number))
        make = planned if path in CONFIGS else swept
        assert unplaced(make, written(text)) == [], text


@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_of_odd_values_is_planned_or_refused_with_its_place(seed):
    """50 times each; a good part of them are valid."""
    rng = random.Random(seed)
    for _ in range(50):
        text = invented(rng)
        assert unplaced(swept, written(text)) == [], text


def test_a_setting_mangled_is_assigned_or_refused():
    """What --set may be given."""
    rng = random.Random(0)
    x = written("impls: [numpy_manual, sgd]")
    for _ in range(200):
        given = mangled(rng.choice(("lr=1e-4", "sgd.momentum=0.9", "threads=auto")), rng)
        said = [config.parse_set(text) for text in (given, f"N={rng.choice(ODD)}")]
        assert unplaced(planned, x, said) == [], given


def test_a_condition_mangled_is_a_condition_or_refused():
    """What --where may be given; Python's own warnings about it are nobody's."""
    rng = random.Random(0)
    rows = [dict.fromkeys(COLUMNS), dict.fromkeys(COLUMNS, 1), dict.fromkeys(COLUMNS, "ok")]
    for _ in range(400):
        text = mangled(rng.choice(CONDITIONS), rng)
        try:
            condition = query.parse(text, list(COLUMNS), "--where")
        except UserError as error:
            said = str(error)
        else:
            said = f"--where: {[condition(row) for row in rows]}"
        assert re.fullmatch("--where.*", said), text


@pytest.mark.parametrize("text", ["1x", "lr < 1or bias", 'impl == "\\d"', "lr < 0x1for"])
def test_a_condition_that_python_warns_of_is_refused_in_words(text):
    """And no warning of Python's reaches the terminal."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(UserError, match="is not a condition"):
            query.parse(text, list(COLUMNS), "--where")
    assert caught == []


LONG, HUGE = "n" * 5000, "1" * 400


@pytest.mark.parametrize(
    "words",
    [
        ("show", "--results", LONG),
        ("plot", "--out", f"{LONG}.png"),
        ("run", "--impl", "numpy_manual", "--results", LONG),
        ("config", "--lr", HUGE, "--epochs", HUGE, "--threads", HUGE, "--set", f"N={HUGE}"),
        ("config", "--config", f"{LONG}/x.yaml", "--impl", f"./{LONG}.py"),
    ],
    ids=lambda words: f"{words[0]} {words[1]}",
)
def test_names_and_numbers_beyond_all_measure_are_refused_in_words(tmp_path, words):
    """Through the command itself: exit 2, a few short lines, nothing written."""
    done = twolayer(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert all(len(line) < 400 for line in done.stderr.splitlines()), done.stderr
    assert list(tmp_path.iterdir()) == []
