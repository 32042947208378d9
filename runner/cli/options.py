"""Command-line options that several commands share, made from the table of settings."""

import shlex
from collections.abc import Callable, Sequence
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..config.settings import HELP, OPTIONS, RULES
from ..errors import UserError


def complete_impls(incomplete: str) -> list[str]:
    """Names of implementations, after the last comma."""
    from ..config import catalogue

    before, comma, last = incomplete.rpartition(",")
    names = [name for name in catalogue.names() if name not in before.split(",")]
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def complete_configs(incomplete: str) -> list[str]:
    """Configs that come with twolayer, and YAML files and folders here."""
    from ..config.experiment import config_names

    names = [name for name in config_names() if name.startswith(incomplete)]
    return sorted([*names, *complete_files(incomplete)])


def complete_files(incomplete: str) -> list[str]:
    """YAML files and folders here."""
    folder = incomplete[: incomplete.rfind("/") + 1]
    paths = [p for p in Path(folder or ".").glob("[!.]*") if p.is_dir() or p.suffix == ".yaml"]
    names = [f"{folder}{path.name}{'/' * path.is_dir()}" for path in paths]
    return sorted(name for name in names if name.startswith(incomplete))


Impls = Annotated[
    list[str] | None,
    typer.Option(
        "--impl",
        "-i",
        metavar="NAME",
        help="Implementation, by name or as ./path.py. Repeat it or use commas.",
        autocompletion=complete_impls,
        show_default="all in the config",
    ),
]
ConfigFile = Annotated[
    str,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="YAML config, or the name of one that comes with twolayer.",
        autocompletion=complete_configs,
    ),
]
Results = Annotated[
    Path, typer.Option("--results", metavar="DIR", help="Folder that results are kept in.")
]
_SET = "A setting, for all (lr=1e-3) or for one implementation (sgd.lr=1e-3)."
_Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=_SET)]


class HelpfulCommand(TyperCommand):
    """A command that has an answer to what other tools' users type."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_extra_args = any(parameter.name == "impl" for parameter in self.params)
        try:
            extra = super().parse_args(ctx, args)
        except Exception as error:
            self._explain(getattr(error, "option_name", ""))
            raise
        if extra and not ctx.resilient_parsing:
            meant = shlex.join(part for word in extra for part in (_option_of(word), word))
            message = f"must be the value of an option; write twolayer {self.name} … {meant}"
            raise UserError(f"{' '.join(extra)}: {message}")
        return extra

    def _explain(self, option: str) -> None:
        """Raise UserError with what to write for an option that does not exist, if known."""
        from ..config.experiment import elsewhere

        options = [name for each in self.params for name in each.opts if name.startswith("-")]
        impls = ["--impls"] if "--impl" in options else []
        if option not in options and (hint := elsewhere(option, [*options, *impls])):
            raise UserError(f"{option}: is not an option{hint.replace('--impls', '--impl')}")


def _option_of(word: str) -> str:
    """The option that a word without one is the value of, as its form tells."""
    if "=" in word:
        return "--set"
    return "--config" if word.endswith((".yaml", ".yml")) else "--impl"


def with_settings(
    *options: str, without: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every setting but those `without`, and for keys of OPTIONS.

    The command gets their values as `assignments`, a list of Assignment. Its module
    must not postpone its annotations: typer reads them.
    """
    names = [*(name for name in RULES if name not in without), *options]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_them(*, sets: list[str] | None, **values: Any) -> None:
            from ..config.experiment import Assignment, parse_set

            texts = {name: text for name in names if (text := values.pop(name)) is not None}
            given = [Assignment("", name, text, _flag(name)) for name, text in texts.items()]
            command(assignments=[*given, *map(parse_set, sets or ())], **values)

        own = signature(command).parameters.values()
        parameters = [p for p in own if p.name != "assignments"]
        types = {name: Annotated[str | None, _setting(name)] for name in names} | {"sets": _Sets}
        for name, type_ in types.items():
            parameters.append(
                Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=type_)
            )
        with_them.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        with_them.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_them

    return decorate


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _setting(name: str) -> Any:
    rule, text = OPTIONS.get(name) or (RULES[name], HELP[name])
    panel = "Settings of every implementation, in place of the config's" if name in RULES else None
    return typer.Option(_flag(name), metavar=rule.metavar, help=text, rich_help_panel=panel)
