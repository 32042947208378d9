"""`twolayer diff`: what differs between two experiments or runs."""

from pathlib import Path

from typer import Argument

from ..errors import UserError
from ..results import compare
from ..results.rows import as_csv
from .inputs import call_on, note_skipped
from .options import FORMAT, RESULTS, Format
from .printing import paragraphs, say_next, show_results


def diff(
    a: str = Argument(metavar="A", help="An experiment, or a run of one."),
    b: str = Argument(metavar="B", help="What to compare it with."),
    results: Path = RESULTS,
    format: Format = FORMAT,
) -> None:
    sides = [compare.side(text, results) for text in (a, b)]
    for text, side in zip((a, b), sides, strict=True):
        note_skipped(side.skipped, text)
    pairs, *left = compare.pairs(*sides)
    if not pairs:
        raise UserError(f"{a} and {b}: no implementation is in both with the same settings")
    differences = [compare.compared(pair) for pair in pairs]
    only_a, only_b = (sorted(run.folder.name for run in runs) for runs in left)
    alone = {"only_a": only_a, "only_b": only_b}
    tables = compare.table(pairs, differences), compare.difference_table(differences)
    only = [_only(name, folders) for name, folders in ((a, only_a), (b, only_b)) if folders]
    ending = compare.conclusion(differences)
    show_results(
        format,
        lambda: [*(table for table in tables if table.rows), paragraphs([*only, ending])],
        whole=lambda: {"verdict": ending, "a": a, "b": b, "pairs": differences, **alone},
        csv=lambda: as_csv(differences, [n for n in differences[0] if n != "differences"]),
    )
    if not all(pair["bit_equal"] for pair in differences):
        paths = [run.folder for side in sides for run in side.runs[:1]]
        whole = [p.absolute() if len(p.parts) < 4 or ".." in p.parts else p for p in paths]
        folders = dict.fromkeys(path.parents[1] for path in whole)
        say_next([f"{call_on('show', folder)} --plot" for folder in folders], quiet=False)


def _only(name: str, folders: list[str]) -> str:
    more = f" and {len(folders) - 5} more" if len(folders) > 5 else ""
    return f"Only in {name}: {', '.join(folders[:5])}{more}"
