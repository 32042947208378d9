"""A config: the file, what the command line adds to it, and where each value came from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import MISSING, Mistake, UserError, nearest, no_file
from . import document
from .catalogue import configs_folder
from .document import Item
from .rules import Rule, Value, Whole
from .settings import DEFAULTS, HELP, OPTIONS, RULES

_OF_THE_WHOLE = (*OPTIONS, "impls", "published", "overrides")
KEYS = (*_OF_THE_WHOLE, *RULES)
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
"""What other tools call a key of ours, or what there is to say where we have none."""


@dataclass(frozen=True)
class Assigned:
    """A value and where it came from: `default`, `file:line:column` or an option."""

    value: Value
    origin: str


@dataclass(frozen=True)
class Assignment:
    """`--lr 1e-3` or `--set sgd.lr=1e-3`: a setting for all (`impl` empty) or for one."""

    impl: str
    key: str
    text: str
    origin: str


@dataclass
class Experiment:
    """What a config asks for, each value with its origin. Made by `load`.

    `mistakes` are those found so far; `plan.make` adds its own and raises them all.
    """

    path: Path
    options: dict[str, Assigned] = field(default_factory=dict)
    impls: list[Assigned] = field(default_factory=list)
    listed: list[Assigned] = field(default_factory=list)  # in the file, before --impl
    published: Assigned | None = None
    common: dict[str, Assigned] = field(default_factory=dict)
    overrides: dict[str, dict[str, Assigned]] = field(default_factory=dict)
    said: dict[str, dict[str, Assigned]] = field(default_factory=dict)  # on the command line
    extra: dict[str, Item] = field(default_factory=dict)  # keys that only a sweep has
    named_at: dict[str, str] = field(default_factory=dict)  # where overrides name whom
    mistakes: list[Mistake] = field(default_factory=list)

    def settings(self, impl: str) -> dict[str, Assigned]:
        """The settings of one implementation; the command line wins over the file."""
        layers = (self.common, self.overrides.get(impl, {}), self.said[""], self.said.get(impl, {}))
        values = {name: Assigned(value, "default") for name, value in DEFAULTS.items()}
        for layer in layers:
            values |= layer
        return values

    def option(self, name: str) -> Any:
        """The value of a key of OPTIONS, or None."""
        assigned = self.options.get(name)
        return assigned.value if assigned else None

    @property
    def name(self) -> str:
        return str(self.option("name"))


def config_names(folder: str = "") -> list[str]:
    """The configs that come with twolayer, in a folder of them, by name."""
    return sorted(path.stem for path in (configs_folder() / folder).glob("*.yaml"))


def find_config(name: str, folder: str = "", option: str = "--config ") -> Path:
    """The file that is meant: a path, or the name of a config that comes with twolayer.

    Raises UserError if there is none.
    """
    why, known = no_file(name), config_names(folder)
    if name in known:  # ours, whatever lies here by that name: `./bench` is the file
        return configs_folder() / folder / f"{name}.yaml"
    if not why:
        return Path(name)
    if why == MISSING:
        why += nearest(name, known) or f"; twolayer's own are {', '.join(known)}"
    raise UserError(f"{option}{name}: {why}")


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

    Mistakes in either are left in the experiment's `mistakes`, for all to be said at once;
    a file that can't be read as YAML raises ConfigError or UserError.
    """
    name = shown_path(path)
    loader = _Loader(Experiment(path, said={"": {}}), tuple(extra))
    loader.file(document.read(path, name))
    loader.command_line(assignments, options)
    loader.choose(impls, f"{name}:1:1")
    return loader.experiment


class _Loader:
    def __init__(self, experiment: Experiment, extra: tuple[str, ...]) -> None:
        self.experiment = experiment
        self.extra = extra

    def wrong(self, origin: str, key: str, message: str) -> None:
        self.experiment.mistakes.append(Mistake(origin, key, message))

    def checked(self, rule: Rule, key: str, value: object, origin: str) -> Assigned | None:
        """The value if the rule allows it; else the mistake is noted."""
        try:
            return Assigned(rule.check(value), origin)
        except ValueError as error:
            says = _one_for_each(rule, key, value) or error
            self.wrong(origin, key, f"{says} (got {shown(value)})")
            return None

    def file(self, item: Item) -> None:
        if isinstance(item.value, dict):
            for key, value in item.value.items():
                self.key(key, value)
        else:
            message = f"a config must be a mapping of keys to values{document.spaced(item.value)}"
            self.wrong(item.origin, "", message)
        name = self.experiment.path.stem.lstrip(".") or "experiment"  # ..yaml has the stem "."
        self.experiment.options.setdefault("name", Assigned(name, "file name"))

    def key(self, key: str, item: Item) -> None:
        if key == "impls":
            self.experiment.impls = self.names(item)
        elif key == "published":
            self.experiment.published = self.file_beside(key, item)
        elif key == "overrides":
            self.overrides(item)
        elif key in self.extra:
            self.experiment.extra[key] = item
        elif key in OPTIONS:
            if assigned := self.checked(OPTIONS[key][0], key, item.plain(), item.origin):
                self.experiment.options[key] = assigned
        elif not key.startswith("x-"):
            self.setting(self.experiment.common, key, item, (*KEYS, *self.extra))

    def setting(
        self, into: dict[str, Assigned], key: str, item: Item, known: Iterable[str]
    ) -> None:
        if key in SWEEP_KEYS and known is not RULES:
            self.wrong(item.key_origin, key, "is for sweeps; use twolayer sweep")
        elif key not in RULES:
            self.experiment.mistakes.append(unknown(key, item.key_origin, known))
        elif assigned := self.checked(RULES[key], key, item.plain(), item.origin):
            into[key] = assigned

    def names(self, item: Item) -> list[Assigned]:
        items = item.value
        if isinstance(items, str):  # `impls: a, b`, as --impl has it
            items = [Item(name.strip(), item.origin) for name in items.split(",")]
        elif not isinstance(items, list):
            items = [item]
        wrong = [i for i in items if not isinstance(i.value, str) or not i.value]
        for each in wrong or ([] if items else [item]):
            message = f"must be a list of implementations (got {shown(each.plain())})"
            self.wrong(each.origin, "impls", message)
        return [Assigned(i.value, i.origin) for i in items if i not in wrong]

    def file_beside(self, key: str, item: Item) -> Assigned | None:
        path = self.experiment.path.parent / str(item.value)
        why = no_file(path) if isinstance(item.value, str) else MISSING
        if not why:
            return Assigned(str(path), item.origin)
        self.wrong(item.origin, key, f"{why} (got {shown(item.plain())})")
        return None

    def overrides(self, item: Item) -> None:
        if not isinstance(item.value, dict):
            message = f"must map implementations to settings (got {shown(item.plain())})"
            self.wrong(item.origin, "overrides", message)
            return
        for impl, settings in item.value.items():
            if not isinstance(settings.value, dict):
                hint = document.spaced(settings.value)
                message = f"must be a mapping of settings{hint} (got {shown(settings.plain())})"
                self.wrong(settings.origin, impl, message)
                continue
            into = self.experiment.overrides.setdefault(impl, {})
            self.experiment.named_at[impl] = settings.key_origin
            for key, value in settings.value.items():
                self.setting(into, key, value, RULES)

    def command_line(
        self, assignments: Iterable[Assignment | Mistake], options: Iterable[Assignment]
    ) -> None:
        for said in assignments:
            if isinstance(said, Mistake):
                self.experiment.mistakes.append(said)
                continue
            into = self.experiment.said.setdefault(said.impl, {})
            item = Item(document.scalar(said.text), said.origin, said.origin)
            self.setting(into, said.key, item, RULES)
        for said in options:
            rule, value = OPTIONS[said.key][0], document.scalar(said.text)
            if assigned := self.checked(rule, said.key, value, said.origin):
                self.experiment.options[said.key] = assigned

    def choose(self, impls: Iterable[str] | None, origin: str) -> None:
        self.experiment.listed = self.experiment.impls
        if impls is not None:
            self.experiment.impls = [Assigned(name, "--impl") for name in dict.fromkeys(impls)]
            if not self.experiment.impls:
                self.wrong("--impl", "impls", "must name an implementation (got nothing)")
        elif not self.experiment.impls and not any(
            mistake.key in ("impls", "") for mistake in self.experiment.mistakes
        ):
            self.wrong(origin, "impls", "is missing: list the implementations to run")


def unknown(key: str, origin: str, known: Iterable[str]) -> Mistake:
    """What to say of a key that is none: our word for it, one that is near, or which there are."""
    known = list(known)
    kind = "key" if "impls" in known else "setting"
    hint = elsewhere(key, known) or document.spaced(key) or nearest(key, known)
    note = "" if hint else f"known {kind}s are {', '.join(known)}"
    return Mistake(origin, key, f"is not a {kind}{hint}", note)


def elsewhere(word: str, known: Iterable[str]) -> str:
    """` here; write lr`, or what else there is to say of another tool's word."""
    theirs = {_letters(w): here for here, words in _ELSEWHERE.items() for w in words.split()}
    here = theirs.get(_letters(word), word.lstrip("-"))
    ours = {_letters(key): key for key in known}
    if _letters(here) in ours:  # also Epochs for epochs, or d-in for D_in
        return f" here; write {ours[_letters(here)]}"
    if here in SWEEP_KEYS:
        return f" here; a sweep file has {here}: twolayer sweep FILE"
    if here in _OF_THE_WHOLE:
        return f" here; {here} is a key of the whole config"
    return f" here: {here}" if " " in here else ""


def _letters(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.lower())


def _one_for_each(rule: Rule, key: str, value: object) -> str:
    """What to say of `1e-6,1e-5` and other lists of values that the rule allows."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or len(words) < 2 or key not in RULES:
        return ""
    values = [document.scalar(word.strip()) if isinstance(word, str) else word for word in words]
    try:
        for each in values:
            rule.check(each)
    except ValueError:
        return ""
    grid = f"grid: {{{key}: {_written(values)}}}"
    return f"must be one value; for several, run twolayer sweep on a file with `{grid}`"


def shown(value: object) -> str:
    """A value as it would be written in YAML, short."""
    text = repr(value) if isinstance(value, str) else _written(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _written(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_written(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**15:
        return f"{float(value):g}" if abs(value) < 10**300 else "a number of over 300 digits"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("inf", ".inf").replace("nan", ".nan")
    return str(value)


def parse_set(text: str) -> Assignment | Mistake:
    """`key=value` or `impl.key=value`, as `--set` takes it, or what is wrong with it."""
    name, equals, value = text.partition("=")
    impl, _, key = name.strip().rpartition(".")
    if not equals or not key:
        message = f"must be key=value or implementation.key=value (got {shown(text)})"
        return Mistake("--set", "", message)
    return Assignment(impl, key, value.strip(), f"--set {name.strip()}")


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config, for editors."""
    settings = {
        name: rule.schema() | {"description": HELP[name], "default": DEFAULTS[name]}
        for name, rule in RULES.items()
    }
    block = {"type": ["object", "array"]}
    sweeps = {key: block | {"description": f"in a sweep: {t}"} for key, t in SWEEP_KEYS.items()}
    sweeps["repeat"] = Whole(1).schema() | {"description": sweeps["repeat"]["description"]}
    overridden = {"type": "object", "properties": settings, "additionalProperties": False}
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    properties = {
        **{key: rule.schema() | {"description": text} for key, (rule, text) in OPTIONS.items()},
        "impls": {
            "anyOf": [names, {"type": "string"}],
            "description": "implementations to run, by name or as ./path.py, in this order",
        },
        "published": {
            "type": "string",
            "description": "CSV beside the config: implementation,epoch,loss, for --published",
        },
        "overrides": {
            "type": "object",
            "additionalProperties": overridden,
            "description": "settings of one implementation only",
        },
        **settings,
        **sweeps,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "twolayer config",
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": {"description": "ignored; a place for anchors"}},
        "additionalProperties": False,
    }
