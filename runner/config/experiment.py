"""A config: its file and the command line, each value with the place that it came from."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
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
_RULES = {key: rule for key, (rule, _) in OPTIONS.items()} | RULES
_DEFAULTS = {name: Item(value, "default") for name, value in DEFAULTS.items()}
SWEEP_KEYS = {
    "grid": "axes of which all combinations are run",
    "zip": "axes that are walked together",
    "sample": "n draws, from a seed, of settings",
    "runs": "points one by one, each a mapping of settings",
    "repeat": "how many seeds every point is run with",
    "exclude": "combinations to leave out: settings, or impl, to a value or a list of values",
}
"""Keys that only a sweep has, and what they are."""

SWEEPS = "sweeps"
"""The folder of the sweeps that come with twolayer, among its configs."""

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


@dataclass
class Experiment:
    """What a config asks for, each value with its origin. Made by `load`.

    `common` and `overrides` are what the file sets, `given` what the command line sets, by
    implementation ("" for all). `mistakes` are those found so far; `plan.make` raises them all.
    """

    path: Path
    impls: list[Item] = field(default_factory=list)
    listed: list[Item] = field(default_factory=list)  # in the file, before --impl
    published: Item | None = None
    common: dict[str, Item] = field(default_factory=dict)
    overrides: dict[str, dict[str, Item]] = field(default_factory=dict)
    given: dict[str, dict[str, Item]] = field(default_factory=lambda: {"": {}})
    named_at: dict[str, str] = field(default_factory=dict)  # where implementations get settings
    extra: dict[str, Item] = field(default_factory=dict)  # keys that only a sweep has
    mistakes: list[Mistake] = field(default_factory=list)

    def settings(self, impl: str, point: Mapping[str, Item] | None = None) -> dict[str, Item]:
        """The settings of an implementation: command line over a sweep's point over file."""
        file = _DEFAULTS | self.common | self.overrides.get(impl, {})
        values = {**file, **(point or {}), **self.given[""], **self.given.get(impl, {})}
        return {name: values[name] for name in RULES}

    def option(self, name: str) -> Any:
        """The value of a key of OPTIONS, or None."""
        item = (self.common | self.given[""]).get(name)
        return item and item.value

    @property
    def name(self) -> str:
        # The stem of `..yaml` is ".".
        return str(self.option("name") or self.path.stem.lstrip(".") or "experiment")

    def refuse(self, origin: str, key: str, message: str) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(origin, key, message))

    def wrong(self, item: Item, key: str, message: str) -> None:
        """Note a mistake and what was there."""
        self.refuse(item.origin, key, f"{message} (got {as_written(item.value)})")

    def checked(self, items: Mapping[str, Item], known: Collection[str] = RULES) -> dict[str, Item]:
        """Settings and options with values in their final types; what is wrong is noted."""
        right = {}
        for key, item in items.items():
            if key not in known:
                self.mistakes.append(unknown(key, item.key_origin or item.origin, known))
                continue
            rule = _RULES[key]
            try:
                right[key] = Item(rule.check(item.value), item.origin)
            except ValueError as error:
                self.wrong(item, key, _one_for_each(rule, key, item.value) or str(error))
        return right

    def read(self, key: str, item: Item, extra: Collection[str]) -> None:
        """Read a key of the file."""
        if key == "impls":
            self.impls = self.listed = self.named(item.elements or [item])
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
            self.refuse(item.key_origin, key, "is for sweeps; write twolayer sweep FILE")
        elif not key.startswith("x-"):
            self.common |= self.checked({key: item}, (*KEYS, *extra))

    def named(self, items: Iterable[Item]) -> list[Item]:
        """The implementations that words name: `sgd, adam` is two, `all` is the built-in ones."""
        names = []
        for item in items:
            words = item.value.split(",") if isinstance(item.value, str) else []
            if not (words := list(filter(None, map(str.strip, words)))):
                self.wrong(item, "impls", "must be a list of implementations")
            for word in words:
                names += [replace(item, value=n) for n in (LESSON if word == "all" else (word,))]
        return names

    def _read_overrides(self, item: Item) -> None:
        if not isinstance(item.value, dict):
            self.wrong(item, "overrides", "must map implementations to settings")
        for impl, settings in item.members.items():
            if isinstance(settings.value, dict):
                self.named_at[impl] = settings.key_origin
                self.overrides[impl] = self.checked(settings.members)
            else:
                hint = document.spaced(settings.value)
                self.wrong(settings, impl, f"must be a mapping of settings{hint}")

    def assign(self, setting: Assignment) -> None:
        """Lay what the command line sets over what the file does."""
        item = Item(document.scalar(setting.text), setting.origin)
        into = self.given.setdefault(setting.impl, {})
        into |= self.checked({setting.key: item}, _RULES)
        if setting.impl and into:
            self.named_at[setting.impl] = setting.origin


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
        why += hint if why == MISSING else ""
        if name in config_names(SWEEPS):
            why = f"is a sweep; write twolayer sweep {name}"
        raise UserError(f"{option}{name or repr(name)}: {why}")
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
    impls: Iterable[str] | None = None,
    extra: Collection[str] = (),
) -> Experiment:
    """Read a config, with `extra` keys left as they are, and lay the command line over it.

    Mistakes in either are left in the experiment's `mistakes`, to be reported at once;
    a file that can't be read as YAML raises ConfigError or UserError.
    """
    name, experiment = shown_path(path), Experiment(path)
    root = document.parse(document.text_of(path, name), name)
    if not isinstance(root.value, dict):
        message = f"a config must be a mapping of keys to values{document.spaced(root.value)}"
        experiment.refuse(root.origin, "", message)
    for key, item in root.members.items():
        experiment.read(key, item, extra)
    if not (impls or experiment.impls or {"impls", ""} & {m.key for m in experiment.mistakes}):
        experiment.refuse(f"{name}:1:1", "impls", "is missing: list the implementations to run")
    for setting in assignments:
        if isinstance(setting, Mistake):
            experiment.mistakes.append(setting)
        else:
            experiment.assign(setting)
    if impls:
        names = experiment.named(Item(name, "--impl") for name in impls)
        experiment.impls = list({name.value: name for name in names}.values())
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


def as_written(value: object) -> str:
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
    if not equals or not key:
        message = f"must be key=value or implementation.key=value (got {as_written(text)})"
        return Mistake("--set", "", message)
    origin = f"--set {name.strip()}"
    known = key in RULES
    return Assignment(impl, key, value.strip(), origin) if known else unknown(key, origin, RULES)


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
