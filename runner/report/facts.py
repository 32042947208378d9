"""What a report says in words: the verdict, the failures, where it ran, how to run it again."""

from __future__ import annotations

import re
import shlex
import statistics
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..bench.analysis import fastest
from ..bench.measurement import Bench, Cell
from ..config.plan import human_bytes
from ..errors import listed
from ..results import tables as record_tables
from ..results.record import FAILURES, Record
from ..results.rows import best
from ..results.store import whole
from ..tables import Table
from .material import Material
from .parity import Held
from .times import comparable, compared

MOST_LOGS = 20
MOST_COMMANDS = 20
WORK = ("N", "H", "D_in", "D_out", "bias", "dtype", "device", "threads", "epochs_done")
"""What runs must have in common for their step times to be ranked."""

WIDTH = 88
"""Of the lines of a command."""

NOT_INSTALLED = ("python", "twolayer", "blas")
"""Of the versions in a record, those that pip is not asked for."""


# --- the verdict


@dataclass(frozen=True)
class Verdict:
    """Sentences, and how good the news is: good, mixed or bad."""

    sentences: list[str]
    mood: str


def verdict(material: Material, judged: Held) -> Verdict:
    """The first thing to read: runs, failures, parity, who is fastest."""
    said = [_outcomes(material), _parity(material, judged), _lowest(material), _fastest(material)]
    return Verdict([sentence for sentence in said if sentence], _mood(material, judged))


def _mood(material: Material, judged: Held) -> str:
    outcomes = {run.outcome for run in material.runs} or {"ok"}
    if outcomes & set(FAILURES) or any(each.outside for _, each in judged):
        return "bad"
    return "good" if outcomes == {"ok"} else "mixed"


def _outcomes(material: Material) -> str:
    count = len(material.runs)
    if not count and material.bench:
        return _bench_size(material.bench)
    outcomes = Counter(run.outcome.replace("_", " ") for run in material.runs)
    if set(outcomes) == {"ok"}:
        return f"{_count(count, 'run')}, {'ok' if count == 1 else 'all ok'}."
    words = listed(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    return f"{_count(count, 'run')}: {words}."


def _bench_size(bench: Bench) -> str:
    cells = bench.at(bench.sizes[0])
    rounds = max((len(cell.good) for cell in bench.cells), default=0)
    failed = {cell.label for cell in bench.cells if cell.failure}
    failures = f" Failed: {listed(sorted(failed))}." if failed else ""
    return f"A bench: {_count(len(cells), 'implementation')}, {_count(rounds, 'round')}.{failures}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _parity(material: Material, judged: Held) -> str:
    held = [each for _, each in judged if each.gate]
    if not held:
        return ""
    outside = [chosen.name for chosen, each in judged if each.outside]
    if outside:
        inside = f"{len(held) - len(outside)} of {len(held)} judged inside the band of rounding"
        more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
        return f"{inside}; outside: {listed(outside[:5])}{more}."
    if len(held) == len(material.runs):
        return "All judged against the reference, inside the band of rounding."
    of, every = f"{len(held)} of {len(material.runs):,}", " all" if len(held) > 1 else ""
    return f"{of} judged against the reference,{every} inside the band of rounding."


def _lowest(material: Material) -> str:
    """Of a sweep, where the final loss is lowest."""
    rows = best(material.rows, 1) if material.varied else []
    lowest = [f"{row['final_loss']:.2e}, {material.labels[row['folder']]}" for row in rows]
    return f"Lowest final loss: {lowest[0]}." if lowest else ""


def _fastest(material: Material) -> str:
    """Who is fastest by the bench, if that is certain; without one, by the runs."""
    bench = material.bench
    if bench is None or not (cells := compared(bench)):
        return _shortest_step(material)
    labels = fastest(bench) or [cells[0].label]
    first = next(cell for cell in cells if cell.label == labels[0])
    rest = [cell for cell in cells if cell is not first]
    text = f"Fastest{f' at {bench.axis} = {first.size}' if bench.axis else ''}"
    if len(labels) > 1:
        apart = "which can't be told apart"
        return f"{text}: {listed(labels, 'or')}, {apart}; {first.label}, {_times(first, bench)}."
    if first.label == bench.baseline and rest:
        return f"{text}: {first.label}; next {rest[0].label}, {_times(rest[0], bench)}."
    return f"{text}: {first.label}, {_times(first, bench)}."


def _times(cell: Cell, bench: Bench) -> str:
    ratio = cell.ratio
    assert ratio is not None
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) of {bench.baseline}'s step"


def _shortest_step(material: Material) -> str:
    """Of runs that are the same work; where they are not, how they differ."""
    rows = comparable(material)
    if len({row["impl"] for row in rows}) < 2:
        return ""
    differ = [name for name in WORK if len({row[name] for row in rows}) > 1]
    if differ:
        return f"Step times are not ranked: the runs differ in {listed(differ)}."
    times: dict[str, list[float]] = {}
    for row in rows:
        times.setdefault(row["impl"], []).append(float(row["step_us"]))
    impl, us = min(times.items(), key=lambda item: statistics.median(item[1]))
    of = "one run" if len(us) == 1 else f"{len(us)} runs"
    step = f"{statistics.median(us):.0f} µs, the median of {of} (without an interval)"
    return f"Shortest step time: {impl}, {step}."


# --- what did not end as ok


@dataclass(frozen=True)
class Trouble:
    """A run that is not ok: why, and the lines that tell most."""

    label: str
    outcome: str
    reason: str
    lines: list[str]


def troubles(material: Material) -> tuple[list[Trouble], Table | None]:
    """Runs that are not ok: those with something to read, and a table of all."""
    bad = [run for run in material.runs if run.outcome != "ok"]
    bad.sort(key=lambda run: run.outcome == "diverged")
    told = []
    for run in bad[:MOST_LOGS]:
        record = whole(run)
        _, *lines = record_tables.failures([record]).splitlines()
        if lines:
            label = material.label(run)
            told.append(Trouble(label, record.outcome, record.reason, [line[4:] for line in lines]))
    rows = [[material.label(r), r.outcome, r.reason] for r in bad]
    table = Table(("run", "outcome", "reason"), rows, frozenset({0, 1, 2}))
    return told, table if bad else None


# --- where it ran


def environment(material: Material) -> Table:
    """The machine, versions and sources; where runs differ, each value with its number of runs."""
    facts: list[tuple[str, Callable[[Record], object]]] = [
        ("host", lambda r: r.machine.get("host")),
        ("processor", lambda r: r.machine.get("cpu")),
        ("cores", _cores),
        ("memory", _memory),
        ("system", lambda r: r.machine.get("os")),
        ("device", lambda r: r.device),
        ("GPU", lambda r: ", ".join(map(str, (r.gpu or {}).values()))),
        ("threads", lambda r: r.threads),
        ("commit", _commit),
        ("day", lambda r: r.started_at[:10]),
    ]
    records = _places(material)
    names = dict.fromkeys(name for record in records for name in record.versions)
    versions = [(name, lambda r, n=name: r.versions.get(n)) for name in names]
    values = [[name, _values(records, fact)] for name, fact in (*facts, *versions)]
    return Table(("", "value"), [row for row in values if row[1]], frozenset({0, 1}))


def _places(material: Material) -> list[Record]:
    """Records that say where it ran; of a bench without runs, one made up from it."""
    bench = material.bench
    if material.runs or not bench:
        return material.runs
    record = Record("", "ok", {}, started_at=bench.started_at, threads=bench.threads)
    record.machine, record.versions, record.git = bench.machine, bench.versions, bench.git
    return [record]


def _values(records: Sequence[Record], fact: Callable[[Record], object]) -> str:
    counts = Counter(str(value) for r in records if (value := fact(r)) not in (None, "", "?"))
    if len(counts) < 2:
        return next(iter(counts), "")
    return ", ".join(f"{value} ({_count(count, 'run')})" for value, count in counts.most_common())


def _cores(record: Record) -> str:
    usable, cores = record.machine.get("usable_cores"), record.machine.get("cores")
    return f"{usable} usable of {cores}" if usable != cores else str(cores or "")


def _memory(record: Record) -> str:
    count = record.machine.get("memory_bytes")
    return human_bytes(count) if isinstance(count, int | float) else ""


def _commit(record: Record) -> str:
    if not record.git:
        return ""
    changes = ", with uncommitted changes" if record.git.get("dirty") else ""
    return f"{str(record.git.get('commit'))[:12]}{changes}"


# --- how to run it again


def commands(material: Material) -> str:
    """The lines of a shell that run it all again."""
    parts = [_install(material), *_calls(material), *_older(material)]
    if material.bench and material.bench.command:
        parts.append(material.bench.command)
    parts.append(shlex.join(["twolayer", "report", material.name]))
    return "\n".join(parts)


def _calls(material: Material) -> Iterator[str]:
    """The commands that made the runs, each once, after the files that they ran."""
    calls = {run.invocation: run for run in material.runs if run.command}
    shown: dict[str, None] = {}
    for invocation, record in sorted(calls.items())[:MOST_COMMANDS]:
        text = material.store.config_text(invocation) if record.config_file else ""
        shown[f"{_written(record.config_file, text)}{record.command}"] = None
    yield from shown
    if len(calls) > MOST_COMMANDS:
        yield f"# and {len(calls) - MOST_COMMANDS:,} more commands"


def _written(file: str, text: str) -> str:
    """How a shell writes a file."""
    end = "END"
    while end in text:
        end += "_"
    return f"cat > {shlex.quote(file)} <<'{end}'\n{text.rstrip()}\n{end}\n" if text else ""


def _older(material: Material) -> list[str]:
    """For runs whose records hold no command, the config that is kept of each."""
    folders = [run.folder for run in material.runs if not run.command]
    options = ["twolayer", "run", "--name", material.name, "--config"]
    lines = [shlex.join([*options, f"{each}/config.yaml"]) for each in folders[:MOST_COMMANDS]]
    if len(folders) > MOST_COMMANDS:
        lines.append(f"# and the configs of {len(folders) - MOST_COMMANDS:,} more runs")
    return lines


def _install(material: Material) -> str:
    """The commit and the versions; `2.13.0+cpu` is asked for as 2.13.0, which it satisfies."""
    records = _places(material)
    commits = [str(r.git["commit"]) for r in records if r.git and r.git.get("commit")]
    lines = [f"git checkout {shlex.quote(commits[-1])}"] if commits else []
    wanted: dict[str, str] = {}
    for record in records:
        wanted |= record.versions
    pins = [
        f"{name}=={version.partition('+')[0]}"
        for name, version in wanted.items()
        if name not in NOT_INSTALLED and re.fullmatch(r"[\w.!+-]+", f"{name}{version}")
    ]
    pip = " ".join(["python -m pip install .", *pins])
    wrapped = textwrap.wrap(pip, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*lines, " \\\n    ".join(wrapped)])
