"""`twolayer diff`: what differs between two experiments or runs."""

from pathlib import Path

from typer import Argument

from ..errors import UserError
from ..results import compare
from ..results.rows import as_csv
from .inputs import note_skipped
from .options import FORMAT, RESULTS, Format
from .printing import say, show_results


def diff(
    a: str = Argument(metavar="A", help="An experiment, or a run of one."),
    b: str = Argument(metavar="B", help="What to compare it with."),
    results: Path = RESULTS,
    format: Format = FORMAT,
) -> None:
    sides = [compare.side(text, results) for text in (a, b)]
    for text, side in zip((a, b), sides, strict=True):
        note_skipped(side.skipped, text)
    pairs, *alone = compare.pairs(*sides)
    if not pairs:
        raise UserError(f"{a} and {b}: no implementation is in both with the same settings")
    differences = [compare.compared(pair) for pair in pairs]
    only_a, only_b = (sorted(run.folder.name for run in runs) for runs in alone)
    tables = compare.table(pairs, differences), compare.difference_table(differences)
    show_results(
        format,
        lambda: [table for table in tables if table.rows],
        whole=lambda: {"a": a, "b": b, "pairs": differences, "only_a": only_a, "only_b": only_b},
        csv=lambda: as_csv(differences, [n for n in differences[0] if n != "differences"]),
    )
    for folders, name in ((only_a, a), (only_b, b)):
        if folders and format in ("table", "markdown"):
            more = f" and {len(folders) - 5} more" if len(folders) > 5 else ""
            say(f"only in {name}: {', '.join(folders[:5])}{more}")
