"""What a bench measures: implementations, at several sizes or beside a git revision."""

import dataclasses
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import machine, packages
from ..config import catalogue
from ..config.experiment import Assignment, Experiment
from ..config.plan import Run, make
from ..config.settings import SIZES
from ..errors import UserError, error_data, listed, nearest
from . import analysis
from .measurement import Bench, Cell, Round

MOST_SIZES = 20
Entries = Sequence[tuple[Cell, Run]]  # what is to be measured: a cell and the run that it repeats


@contextmanager
def entries(
    experiment: Experiment,
    scaled: Callable[[Assignment], Experiment],
    scale: str | None,
    revision: str | None,
) -> Iterator[Entries]:
    """What is to be measured; the sources of a revision exist until the block ends."""
    if scale is not None:
        axis, sizes = parse_scale(scale)
        at = {size: scaled(Assignment("", axis, str(size), "--scale")) for size in sizes}
        yield [_entry(run, size=size) for size, scaled_to in at.items() for run in make(scaled_to)]
        return
    runs = make(experiment)
    made = list(map(_entry, runs))
    if revision is None:
        yield made
        return
    with tempfile.TemporaryDirectory(prefix="twolayer-") as folder:
        able = (run for run in runs if not run.missing)
        then = [at_revision(run, revision, Path(folder, str(n))) for n, run in enumerate(able)]
        yield made + [_entry(run, revision=revision) for run in then]


def _entry(run: Run, *, size: int | None = None, revision: str = "") -> tuple[Cell, Run]:
    """A cell without rounds, but for one that failed if the run can't start."""
    implementation = run.implementation
    cell = Cell(
        label=f"{run.name}@{revision}" if revision else run.name,
        impl=run.name,
        revision=revision,
        family=implementation.reference,
        framework=implementation.framework,
        config=run.config.values(),
        source_sha256=implementation.sha256,
        size=size,
        flops=analysis.flops(run.config, implementation.reference),
        bytes=analysis.traffic_bytes(run.config, implementation.reference),
    )
    if run.missing:
        cell.rounds.append(Round(0, 0, "failed", error_data("NotInstalled", run.missing)))
    return cell, run


def new(entries: Entries, *, over: str | None, scale: str | None, **more: Any) -> Bench:
    """A bench with nothing measured yet; a UserError unless `over` is among the entries."""
    cells, runs = [cell for cell, _ in entries], [run for _, run in entries]
    labels = [cell.label for cell in cells]
    if over is not None and over not in labels:
        hint = nearest(over, labels) or f"; measured are {listed(dict.fromkeys(labels))}"
        raise UserError(f"--over: {over} is not among those measured{hint}")
    return Bench(
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        baseline=over or analysis.first_able(cells),
        axis=scale.partition("=")[0].strip() if scale else "",
        threads=runs[0].threads,
        cells=cells,
        machine=machine.describe(),
        versions=packages.versions(n for run in runs for n in run.implementation.imports),
        git=machine.git_state(runs[0].implementation.source.parent),
        **more,
    )


# --- sizes


def parse_scale(text: str) -> tuple[str, list[int]]:
    """`N=15,60,240`, or `N=15..240` for 15, 30, 60, 120 and 240, as an axis and its sizes."""
    axis, _, values = map(str.strip, text.partition("="))
    sizes: list[int] = []
    with suppress(ValueError):
        if ".." in values:
            first, last = map(int, values.split(".."))
            sizes = [first << doubled for doubled in range((last // max(first, 1)).bit_length())]
        else:
            sizes = list(map(int, values.split(",")))
    rising = 2 <= len(sizes) <= MOST_SIZES and sizes[0] > 0 and sorted(set(sizes)) == sizes
    if axis not in SIZES or not rising:
        raise UserError(
            f"--scale: must be {listed(SIZES, 'or')} with 2 to {MOST_SIZES} sizes from 1 up, each "
            f"larger than the one before, like N=15..960 or N=60,120,240 (got {text!r})"
        )
    return axis, sizes


# --- revisions


def at_revision(run: Run, revision: str, folder: Path) -> Run:
    """The same run with the sources of a git revision, which are unpacked into `folder`.

    Raises UserError if its implementation is in no git repository, or was not there yet.
    """
    name, source = run.name, run.implementation.source.resolve()
    homeless = f"{name} is in no git repository ({source.parent}), so it has no revisions"
    root = Path(_git(source.parent, homeless, "rev-parse", "--show-toplevel"))
    inside = source.relative_to(root)
    _unpack(root, inside, revision, folder / root.name)
    then = dataclasses.replace(catalogue.from_file(folder / root.name / inside), name=name)
    for path in then.sources.files:
        if path.is_relative_to(root) and not path.is_relative_to(folder):
            raise UserError(
                f"--against {revision}: {name} would import {path} as it is now; put its "
                "folder on sys.path in the file itself, not by PYTHONPATH"
            )
    for setting, value in run.config.values().items():
        if refusal := then.refusal(setting, value):
            reason = refusal.of(name)
            raise UserError(f"--against {revision}: {setting}: {reason} there (got {value})")
    return dataclasses.replace(run, implementation=then)


def _unpack(root: Path, inside: Path, revision: str, target: Path) -> None:
    """Unpack an implementation's folder, and all Python of a revision: whatever it may import."""
    unknown = f"{revision} is not a revision of {root}"
    commit = _git(root, unknown, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    absent = f"{inside.stem} is not there yet at that revision"
    _git(root, absent, "cat-file", "-e", f"{commit}:{inside}")
    target.mkdir(parents=True)
    archive = target.with_name("archive.tar")
    paths = (f"{inside.parent}", ":(glob)**/*.py")
    _git(root, "", "archive", f"--output={archive}", commit, "--", *paths)
    shutil.unpack_archive(archive, target, filter="data")


def _git(folder: Path, refusal: str, *words: str) -> str:
    """What git prints. Raises UserError with `refusal`, or else git's own words, if it fails."""
    try:
        return os.fsdecode(machine.git(folder, *words)).strip()
    except FileNotFoundError:
        raise UserError("--against needs git, which is not installed") from None
    except subprocess.CalledProcessError as error:
        line = error.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise UserError(f"--against: {refusal or f'git {words[0]}: {line}'}") from None
