"""A config: its file and the command line, each value with the place that it came from."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import MISSING, Mistake, UserError, nearest, no_file
from . import document
from .catalogue import LESSON, configs_folder
from .document import Item
from .rules import Rule, numeric
from .settings import DEFAULTS, HELP, OPTIONS, RULES

_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_WHOLE: dict[str, dict[str, Any]] = {
    **{key: rule.schema | {"description": text} for key, (rule, text) in OPTIONS.items()},
    "impls": {
        "anyOf": [_NAMES, {"type": "string"}],
        "description": "implementations to run, by name or as ./path.py, in this order, or all",
    },
    "published": {
        "type": "string",
        "description": "CSV beside the config: implementation,epoch,loss, for --published",
    },
    "overrides": {"type": "object", "description": "settings of one implementation only"},
}
KEYS = (*_WHOLE, *RULES)
SWEEP_KEYS = {
    "grid": "axes of which all combinations are run",
    "zip": "axes that are walked together",
    "sample": "n draws, from a seed, of settings",
    "runs": "points one by one, each a mapping of settings",
    "repeat": "how many seeds every point is run with",
    "exclude": "combinations to leave out: settings, or impl, to a value or a list of values",
}
"""Keys that only a sweep has, and what they are."""

_ELSEWHERE = {
    "grid": "params parameters param_grid hyperparameters sweep matrix search_space",
    "impls": "impl implementation implementations model models solver solvers",
    "lr": "learning_rate eta step_size",
    "epochs": "num_epochs n_epochs max_epochs steps num_steps max_steps iterations n_iter max_iter",
    "N": "num_examples n_examples num_samples n_samples",
    "H": "hidden hidden_size hidden_dim hidden_units",
    "D_in": "input_size input_dim in_features",
    "D_out": "output_size output_dim out_features",
    "seed": "random_state random_seed manual_seed",
    "dtype": "precision",
    "threads": "num_threads n_threads",
    "there are no batches; every step uses all N examples": "batch batch_size",
    "each implementation has its own; choose one, such as sgd or adam": "optimizer optim",
    "no implementation has it": "weight_decay",
    "threads is what each run has; twolayer sweep --jobs is how many run at once": (
        "jobs n_jobs workers num_workers"
    ),
}
"""Our key for words of other tools, or the reason why there is none."""


@dataclass(frozen=True)
class Assignment:
    """`--lr 1e-3` (for all: `impl` is empty) or `--set sgd.lr=1e-3`."""

    impl: str
    key: str
    text: str
    origin: str

    @property
    def item(self) -> Item:
        return Item(document.scalar(self.text), self.origin)


@dataclass
class Experiment:
    """What a config asks for, each value with its origin. Made by `load`.

    `common` and `overrides` are the settings of the file, `given` those of the command line, by
    implementation ("" for all). `mistakes` are those found so far; `plan.make` raises them all.
    """

    path: Path
    impls: list[Item] = field(default_factory=list)
    listed: list[Item] = field(default_factory=list)  # in the file, before --impl
    published: Item | None = None
    options: dict[str, Item] = field(default_factory=dict)
    common: dict[str, Item] = field(default_factory=dict)
    overrides: dict[str, dict[str, Item]] = field(default_factory=dict)
    given: dict[str, dict[str, Item]] = field(default_factory=lambda: {"": {}})
    named_at: dict[str, str] = field(default_factory=dict)  # where implementations get settings
    extra: dict[str, Item] = field(default_factory=dict)  # keys that only a sweep has
    mistakes: list[Mistake] = field(default_factory=list)

    def settings(self, impl: str) -> dict[str, Item]:
        """The settings of one implementation; the command line wins over the file."""
        values = {name: Item(value, "default") for name, value in DEFAULTS.items()}
        return values | self.common | self.overrides.get(impl, {}) | self.on_command_line(impl)

    def on_command_line(self, impl: str) -> dict[str, Item]:
        return self.given[""] | self.given.get(impl, {})

    def option(self, name: str) -> Any:
        """The value of a key of OPTIONS, or None."""
        return self.options[name].value if name in self.options else None

    @property
    def name(self) -> str:
        return str(self.option("name"))

    def wrong(self, item: Item, key: str, message: str) -> None:
        """Note a mistake and what was there."""
        self.mistakes.append(Mistake(item.origin, key, f"{message} (got {shown(item.value)})"))

    def checked(self, key: str, item: Item, known: Collection[str] = RULES) -> dict[str, Item]:
        """A setting or option with its value in its final type; nothing, noted, if wrong."""
        rule = RULES.get(key) or OPTIONS.get(key, (None,))[0]
        if not rule or key not in known:
            self.mistakes.append(unknown(key, item.key_origin or item.origin, known))
            return {}
        try:
            return {key: Item(rule.check(item.value), item.origin)}
        except ValueError as error:
            self.wrong(item, key, _one_for_each(rule, key, item.value) or str(error))
        return {}

    def read(self, key: str, item: Item, extra: Iterable[str]) -> None:
        """Read a key of the file."""
        if key == "impls":
            self.impls = self.listed = self._names(item)
        elif key == "published":
            path = self.path.parent / str(item.value)
            if why := no_file(path) if isinstance(item.value, str) else MISSING:
                self.wrong(item, key, why)
            else:
                self.published = replace(item, value=str(path))
        elif key == "overrides":
            self._read_overrides(item)
        elif key in extra:
            self.extra[key] = item
        elif key in SWEEP_KEYS:
            self.mistakes.append(Mistake(item.key_origin, key, "is for sweeps; use twolayer sweep"))
        elif not key.startswith("x-"):
            into = self.options if key in OPTIONS else self.common
            into |= self.checked(key, item, (*KEYS, *extra))

    def _names(self, item: Item) -> list[Item]:
        items, names = item.elements, []
        if isinstance(item.value, str):  # `impls: a, b`, as --impl has it
            items = [replace(item, value=name.strip()) for name in item.value.split(",")]
        for each in items or [item]:
            if each.value and isinstance(each.value, str):
                names += [replace(each, value=name) for name in _expanded([each.value])]
            else:
                self.wrong(each, "impls", "must be a list of implementations")
        return names

    def _read_overrides(self, item: Item) -> None:
        if not isinstance(item.value, dict):
            self.wrong(item, "overrides", "must map implementations to settings")
        for impl, settings in item.members.items():
            if not isinstance(settings.value, dict):
                hint = document.spaced(settings.value)
                self.wrong(settings, impl, f"must be a mapping of settings{hint}")
                continue
            self.named_at[impl] = settings.key_origin
            self.overrides[impl] = {}
            for key, value in settings.members.items():
                self.overrides[impl] |= self.checked(key, value)

    def assign(self, setting: Assignment) -> None:
        """Lay a setting of the command line over the file's."""
        into = self.given.setdefault(setting.impl, {})
        into |= self.checked(setting.key, setting.item)
        if setting.impl and into:
            self.named_at[setting.impl] = setting.origin

    def choose(self, impls: Iterable[str] | None) -> None:
        """Take the implementations of the command line, if any; there must be one."""
        if impls is not None:
            self.impls = [Item(name, "--impl") for name in dict.fromkeys(_expanded(impls))]
            if not self.impls:
                self.wrong(Item(None, "--impl"), "impls", "must name an implementation")
        elif not self.impls and not any(m.key in ("impls", "") for m in self.mistakes):
            message = "is missing: list the implementations to run"
            self.mistakes.append(Mistake(f"{shown_path(self.path)}:1:1", "impls", message))


def _expanded(names: Iterable[str]) -> list[str]:
    """Names of implementations; `all` stands for the built-in ones."""
    return [each for name in names for each in (LESSON if name == "all" else (name,))]


def config_names(folder: str = "") -> list[str]:
    """The configs that come with twolayer, in a folder of them, by name."""
    return sorted(path.stem for path in (configs_folder() / folder).glob("*.yaml"))


def find_config(name: str, folder: str = "", option: str = "--config ") -> Path:
    """The file at a path, or the config of twolayer's own with this name; else a UserError."""
    known = config_names(folder)
    if name in known:  # ours, whatever lies here by that name: `./bench` is the file
        return configs_folder() / folder / f"{name}.yaml"
    if why := no_file(name):
        hint = nearest(name, known) or f"; twolayer's own are {', '.join(known)}"
        raise UserError(f"{option}{name}: {why}{hint if why == MISSING else ''}")
    return Path(name)


def shown_path(path: Path) -> str:
    """A path as people would write it: relative where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):  # elsewhere, or the working folder is gone
        return str(path)


def load(
    path: Path,
    assignments: Iterable[Assignment | Mistake] = (),
    options: Iterable[Assignment] = (),
    impls: Iterable[str] | None = None,
    extra: Iterable[str] = (),
) -> Experiment:
    """Read a config, with `extra` keys left as they are, and lay the command line over it.

    Mistakes in either are left in the experiment's `mistakes`, to be reported at once;
    a file that can't be read as YAML raises ConfigError or UserError.
    """
    name, experiment = shown_path(path), Experiment(path)
    root = document.parse(document.text_of(path, name), name)
    if not isinstance(root.value, dict):
        message = f"a config must be a mapping of keys to values{document.spaced(root.value)}"
        experiment.mistakes.append(Mistake(root.origin, "", message))
    for key, item in root.members.items():
        experiment.read(key, item, tuple(extra))
    for setting in assignments:
        if isinstance(setting, Mistake):
            experiment.mistakes.append(setting)
        else:
            experiment.assign(setting)
    for option in options:
        experiment.options |= experiment.checked(option.key, option.item, OPTIONS)
    stem = path.stem.lstrip(".") or "experiment"  # ..yaml has the stem "."
    experiment.options.setdefault("name", Item(stem, "file name"))
    experiment.choose(impls)
    return experiment


def unknown(key: str, place: str, known: Collection[str]) -> Mistake:
    """An unknown key, with our word for it, a similar key, or a list of all keys."""
    kind = "key" if "impls" in known else "setting"
    hint = elsewhere(key, known) or document.spaced(key) or nearest(key, known)
    note = "" if hint else f"known {kind}s are {', '.join(known)}"
    return Mistake(place, key, f"is not a {kind}{hint}", note)


def elsewhere(word: str, known: Collection[str]) -> str:
    """` here; write lr`, or another hint for a word that other tools use."""
    hints = {_letters(w): here for here, words in _ELSEWHERE.items() for w in words.split()}
    here = hints.get(_letters(word), word.lstrip("-"))
    ours = {_letters(key): key for key in known}
    if _letters(here) in ours:  # also Epochs for epochs, or d-in for D_in
        return f" here; write {ours[_letters(here)]}"
    if here in SWEEP_KEYS:
        return f" here; a sweep file has {here}: twolayer sweep FILE"
    if here in _WHOLE:
        return f" here; {here} is a key of the whole config"
    return f" here: {here}" if " " in here else ""


def _letters(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.lower())


def _one_for_each(rule: Rule, key: str, value: object) -> str:
    """A hint for `1e-6,1e-5` and other lists of values that the rule allows."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or len(words) < 2 or key not in RULES:
        return ""
    values = [document.scalar(word.strip()) if isinstance(word, str) else word for word in words]
    try:
        grid = f"grid: {_as_yaml({key: list(map(rule.check, values))})}"
    except ValueError:
        return ""
    return f"must be one value; for several, run twolayer sweep on a file with `{grid}`"


def shown(value: object) -> str:
    """A value as it would be written in YAML, short."""
    if value is None:
        return "nothing"
    if isinstance(value, int) and abs(value) >= 10**15:
        return f"{float(value):g}" if abs(value) < 10**300 else "a number of over 300 digits"
    text = repr(value) if isinstance(value, str) else _as_yaml(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _as_yaml(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False).replace('"', "")
    return text.replace("Infinity", ".inf").replace("NaN", ".nan")


def parse_set(text: str) -> Assignment | Mistake:
    """`key=value` or `impl.key=value`, as `--set` takes it, or what is wrong with it."""
    name, equals, value = text.partition("=")
    impl, _, key = name.strip().rpartition(".")
    if equals and key:
        return Assignment(impl, key, value.strip(), f"--set {name.strip()}")
    message = f"must be key=value or implementation.key=value (got {shown(text)})"
    return Mistake("--set", "", message)


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config, for editors."""
    settings = {
        name: rule.schema | {"description": HELP[name], "default": DEFAULTS[name]}
        for name, rule in RULES.items()
    }
    one = {"type": "object", "properties": settings, "additionalProperties": False}
    whole = _WHOLE | {"overrides": _WHOLE["overrides"] | {"additionalProperties": one}}
    block = {"type": ["object", "array"]}
    sweeps = {key: block | {"description": f"in a sweep: {SWEEP_KEYS[key]}"} for key in SWEEP_KEYS}
    sweeps["repeat"] |= numeric(int, minimum=1).schema
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "twolayer config",
        "type": "object",
        "properties": whole | settings | sweeps,
        "patternProperties": {"^x-": {"description": "ignored; a place for anchors"}},
        "additionalProperties": False,
    }
