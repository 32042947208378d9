"""Command-line options that several commands share; those of settings are made from their table."""

import shlex
from collections.abc import Callable, Collection, Sequence
from functools import partial
from inspect import Parameter, Signature, signature
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typer import Argument, Option
from typer.core import TyperCommand

from ..config.settings import HELP, OPTIONS, RULES
from ..errors import UserError, listed, nearest, no_file

if TYPE_CHECKING:
    from ..config.experiment import Experiment

Load = Callable[..., "Experiment"]
"""Loads what the command line asks for; see `with_settings`."""


def complete_impls(incomplete: str) -> list[str]:
    """Names of implementations, after the last comma."""
    from ..config import catalogue

    before, comma, last = incomplete.rpartition(",")
    names = [name for name in catalogue.names() if name not in before.split(",")]
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def complete_experiments(incomplete: str) -> list[str]:
    """Names of experiments under results/."""
    from ..results.store import experiments

    return [name for name in experiments(Path("results")) if name.startswith(incomplete)]


def completion(folder: str = "") -> Callable[[str], list[str]]:
    """Completes to configs that come with twolayer, in that folder, and YAML files and folders."""

    def complete(incomplete: str) -> list[str]:
        from ..config.experiment import config_names

        here = incomplete[: incomplete.rfind("/") + 1]
        paths = [p for p in Path(here or ".").glob("[!.]*") if p.is_dir() or p.suffix == ".yaml"]
        names = [f"{here}{path.name}{'/' * path.is_dir()}" for path in paths]
        return sorted(n for n in (*config_names(folder), *names) if n.startswith(incomplete))

    return complete


def experiment_argument(default: str = "") -> Any:
    """The name of an experiment; needed if there is no `default`, the word for leaving it out."""
    return Argument(
        None if default else ...,
        help="Name of the experiment, as under results/.",
        show_default=default or False,
        autocompletion=complete_experiments,
    )


def option(
    metavar: str, help: str, default: str = "", *, flags: Sequence[str] = (), **more: Any
) -> Any:
    """An option that may be left out; `default` is the word for that in its help."""
    return Option(None, *flags, metavar=metavar, help=help, show_default=default or True, **more)


def switch(*names: str, help: str) -> Any:
    return Option(False, *names, help=help)


Format = Literal["table", "json", "csv", "markdown"]
FORMAT = Option("table", "--format", "-f", help="How to print.")
PUBLISHED = switch("--published", help="Show the notebook's losses beside ours.")
QUIET = switch("--quiet", "-q", help="Show results only, no progress.")
RESULTS = Option(Path("results"), metavar="DIR", help="Folder of all results.")
ALL = switch("--all", help="All runs of the experiment, not only those of its latest call.")
WHERE = option("CONDITION", "Only runs such as 'lr<1e-4 and outcome==\"ok\"'.")

_IMPL = option(
    "NAME",
    "By name or as ./path.py; repeat it, or use commas.",
    "all in the config",
    flags=("--impl", "-i"),
    autocompletion=complete_impls,
)
_CONFIG = "YAML config, or the name of one that comes with twolayer."
_SET = "A setting: lr=1e-3 for all, sgd.lr=1e-3 for one."
_SETTINGS = "Settings of every implementation, in place of the config's"


class HelpfulCommand(TyperCommand):
    """A command that says of words without an option what they are the values of."""

    allow_extra_args = True  # refused here

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        extra = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            self._refuse(extra, ctx.params)
        return extra

    def _refuse(self, extra: list[str], params: dict[str, Any]) -> None:
        """Raise UserError for words that belong to an option, and for more than it takes."""
        words = [word for word in (params.get("file"), *extra) if word is not None]
        if meant := {w: option for w in words if "impl" in params and (option := _option_of(w))}:
            line = shlex.join(chain.from_iterable((meant[word], word) for word in meant))
            message = f"must be the value of an option; write twolayer {self.name} … {line}"
            raise UserError(f"{' '.join(meant)}: {message}")
        if params.get("config") is not None:
            words.append(f"--config {params['config']}")
        if "file" in params and words[1:]:
            raise UserError(f"{listed(words)}: choose one of them")
        if extra:
            place, call = " ".join(extra), f"twolayer {self.name}"
            raise UserError(f"{place}: is more than {call} takes; see {call} --help")


def _option_of(word: str) -> str:
    """The option that a word without one is the value of; none of what is, or may be, a config."""
    from ..config import catalogue
    from ..config.experiment import SWEEPS, config_names

    suffix, configs = Path(word).suffix, [*config_names(), *config_names(SWEEPS)]
    if suffix == ".py":
        return "--impl"
    if suffix in (".yaml", ".yml") or word in configs or not no_file(word):
        return ""
    if "=" in word:
        return "--set"
    last, impls = word.rpartition(",")[2], [*catalogue.names(), "all"]
    near = nearest(last, impls) and not nearest(word, configs)
    return "--impl" if last in impls or near else ""


def with_settings(
    config: str = "", *, without: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options for implementations and for every setting but those `without`.

    And a config, named first or by --config, with that default, if there is one, and options
    for keys of a config. In place of their values, the command gets `load`, which reads the
    config and lays them over it. Its module must not postpone its annotations: typer reads them.
    """
    names = [*(name for name in RULES if name not in without), "name", "timeout", "memory_limit"]
    first = [_keyword("impl", list[str] | None, _IMPL)]
    if config:
        more: dict[str, Any] = {"autocompletion": completion()}
        word = Argument(None, metavar="[CONFIG]", help=_CONFIG, show_default=config, **more)
        same = option("CONFIG", "The same, as an option.", flags=("--config", "-c"), **more)
        first += [_keyword("file", str | None, word), _keyword("config", str | None, same)]
    last = [_keyword(name, str | None, _setting_option(name)) for name in names]
    sets = option("KEY=VALUE", _SET, flags=["--set"])
    last.append(_keyword("sets", list[str] | None, sets))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_them(**values: Any) -> None:
            chosen = {p.name: values.pop(p.name) for p in (*first, *last)}
            command(load=partial(_load, chosen, config), **values)

        own = [p for name, p in signature(command).parameters.items() if name != "load"]
        own = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own]
        parameters = [*first, *own, *last]
        with_them.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        with_them.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_them

    return decorate


def _load(
    chosen: dict[str, Any],
    config: str,
    *sizes: Any,
    path: Path | None = None,
    extra: Collection[str] = (),
) -> "Experiment":
    """The config, or the file at `path`, under `sizes` and the options; `extra` keys are left."""
    from ..config.experiment import SWEEPS, Assignment, config_names, find_config, load, parse_set

    texts = {name: chosen[name] for name in (*RULES, *OPTIONS) if chosen.get(name) is not None}
    given = [Assignment("", name, text, _flag(name)) for name, text in texts.items()]
    assignments = [*sizes, *given, *map(parse_set, chosen["sets"] or ())]
    if not path:
        name = next((chosen[n] for n in ("file", "config") if chosen[n] is not None), config)
        folder = SWEEPS if extra and name in config_names(SWEEPS) else ""
        path = find_config(name, folder, "--config " * (chosen["config"] is not None))
    return load(path, assignments, chosen["impl"], extra)


def _keyword(name: str, annotation: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _setting_option(name: str) -> Any:
    rule, text = OPTIONS.get(name) or (RULES[name], HELP[name])
    panel = _SETTINGS if name in RULES else None
    words = f"{text[0].upper()}{text[1:]}."
    return option(rule.metavar, words, flags=[_flag(name)], rich_help_panel=panel)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
