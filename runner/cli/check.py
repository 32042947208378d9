"""`twolayer check`: implementations against the rules of the contract."""

import shlex
from pathlib import Path

from typer import Argument, Exit, Option

from ..config import catalogue, plan
from ..config.settings import Config
from ..engine.supervisor import Result
from ..errors import UserError, listed, one_line
from ..output import printable
from ..results.rows import Row, table
from . import inputs, printing
from .options import FORMAT, QUIET, Format, complete_impls
from .printing import say
from .progress import in_turn

COLUMNS = ("implementation", "rule", "verdict", "reason")


def check(
    impls: list[str] = Argument(
        metavar="NAME|FILE…",
        help="Implementations, by name or as ./path.py.",
        autocompletion=complete_impls,
    ),
    timeout: str = Option("2m", metavar="TIME", help="Time that one check may take."),
    format: Format = FORMAT,
    quiet: bool = QUIET,
) -> None:
    limit = inputs.seconds("--timeout", timeout)
    implementations = [catalogue.find(name) for name in impls if Path(name).name != "__init__.py"]
    if not implementations:
        raise UserError(f"{impls[0]}: a package's __init__.py is no implementation")
    for item in implementations:
        if hints := item.missing_frameworks:
            raise UserError(f"{item.name}: {hints}")
        item.reference  # noqa: B018 (refuses one that there is no reference for)
    for note in plan.notes(implementations):
        say(f"note: {note}", quiet)
    task = {"task": "twolayer.training.tasks:rules"}
    checked = in_turn(
        [(plan.Run(item, Config()), task) for item in implementations],
        [item.name for item in implementations],
        lambda number, result, _: _rows(implementations[number].name, result),
        quiet=quiet,
        timeout_s=limit,
    )
    missing = len(implementations) - len(checked)
    rows = [row for rows in checked for row in rows]

    lists = map(_in_lines, implementations, checked)
    parts = [table(rows, COLUMNS)] if format == "markdown" else lists
    answer = printing.paragraphs(_answer(checked, missing))
    printing.show_rows(rows, COLUMNS, format, lambda: [*parts, answer])
    kept = not any(row["verdict"] == "broken" for row in rows)
    if kept and not missing:
        names = ",".join(inputs.words_for(implementations))
        commands = (["twolayer", command, "--impl", names] for command in ("verify", "bench"))
        printing.say_next(map(shlex.join, commands), quiet)
    raise Exit(printing.exit_code(() if kept else {"failed"}, interrupted=missing > 0))


def _rows(name: str, result: Result) -> list[Row]:
    """A row for each rule; if it can't be trained at all, one is broken and none tried."""
    from ..training.check import NOT_TRIED, RULES  # imports NumPy, which help does without

    untried = dict.fromkeys(map(str, RULES), NOT_TRIED)
    reasons = result.get("verdicts") or untried | {"generator": one_line(result["error"])}
    judged = {rule.text: reasons[rule.name] for rule in RULES}
    judged["the work is its own"] = result.get("borrowed", NOT_TRIED)
    rows = []
    for text, reason in judged.items():
        verdict = {"": "ok", NOT_TRIED: NOT_TRIED}.get(reason, "broken")
        values = (name, text, verdict, reason if verdict == "broken" else "")
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def _in_lines(item: catalogue.Implementation, rows: list[Row]) -> str:
    tried = [row for row in rows if row["verdict"] != "not tried"]
    lines = [printable(f"{item.name}: {item.origin}")]
    for row in tried:
        text = ": ".join(filter(None, (row["rule"], row["reason"])))
        lines.append(f"  {row['verdict']:<6}  {text}")
    if untried := len(rows) - len(tried):
        lines.append(f"  {untried} other rules were not tried")
    return "\n".join(lines)


def _answer(checked: list[list[Row]], missing: int) -> list[str]:
    kept, lines = [], []
    for rows in checked:
        name, broken = rows[0]["implementation"], sum(row["verdict"] == "broken" for row in rows)
        if broken:
            lines.append(f"{name} breaks {broken} of {len(rows)} rules")
        else:
            kept.append(name)
    if kept:
        lines.insert(0, f"{listed(kept)} keep{'s' * (len(kept) == 1)} all {len(checked[0])} rules")
    if missing:
        lines.append(f"interrupted: {missing} of {missing + len(checked)} not checked")
    return lines
