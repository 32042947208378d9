"""What a report says in words: the verdict, the failures, where it ran, how to run it again."""

import re
import shlex
import statistics
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..bench.analysis import fastest
from ..bench.measurement import Bench
from ..config.plan import human_bytes
from ..config.settings import SIZES
from ..errors import listed
from ..results import tables as record_tables
from ..results.record import FAILURES, Record
from ..results.rows import best, by_impl
from ..results.store import whole
from ..tables import Table
from .material import Material
from .times import comparable, compared

MOST_LOGS = 20
MOST_COMMANDS = 20
WORK = (*SIZES, "bias", "dtype", "device", "threads", "epochs_done")
"""What runs must have in common for their step times to be ranked."""

WIDTH = 88
"""Of the lines of a command."""

NOT_INSTALLED = ("python", "twolayer", "blas")
"""Of the versions in a record, those that pip is not asked for."""


# --- the verdict


def verdict(material: Material) -> tuple[str, list[str]]:
    """How good the news is (good, mixed or bad), and the first sentences to read."""
    outcomes = {run.outcome for run in material.runs} or {"ok"}
    mood = "good" if outcomes == {"ok"} else "mixed"
    if outcomes & set(FAILURES) or any(each.outside for _, each in material.judged):
        mood = "bad"
    sentences = (_outcomes(material), _parity(material), _lowest(material), _fastest(material))
    return mood, [sentence for sentence in sentences if sentence]


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
    cells = _count(len(bench.at(bench.sizes[0])), "implementation")
    rounds = _count(max((len(cell.good) for cell in bench.cells), default=0), "round")
    failed = sorted({cell.label for cell in bench.cells if cell.failure})
    return f"A bench: {cells}, {rounds}.{f' Failed: {listed(failed)}.' if failed else ''}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _parity(material: Material) -> str:
    judged = [(chosen.name, each.outside) for chosen, each in material.judged if each.gate]
    outside = [name for name, is_outside in judged if is_outside]
    if outside:
        inside = f"{len(judged) - len(outside)} of {len(judged)} judged inside the band of rounding"
        more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
        return f"{inside}; outside: {listed(outside[:5])}{more}."
    if not judged:
        return ""
    complete = len(judged) == len(material.runs)
    count = "All" if complete else f"{len(judged)} of {len(material.runs):,}"
    every = " all" if len(judged) > 1 and not complete else ""
    return f"{count} judged against the reference,{every} inside the band of rounding."


def _lowest(material: Material) -> str:
    """Of a sweep, where the final loss is lowest."""
    for row in best(material.rows, 1) if material.varied else []:
        return f"Lowest final loss: {row['final_loss']:.2e}, {material.labels[row['folder']]}."
    return ""


def _fastest(material: Material) -> str:
    """Which is fastest by the bench, and whether that is certain; without one, by the runs."""
    bench = material.bench
    if bench is None or not (cells := compared(bench)):
        return _shortest_step(material)
    labels = fastest(bench) or [cells[0][0].label]
    cells.sort(key=lambda compared: compared[0].label != labels[0])
    (cell, ratio), lead = cells[0], ""
    if len(labels) > 1:
        lead = f"{listed(labels, 'or')}, which can't be told apart; "
    elif cell.label == bench.baseline and len(cells) > 1:
        lead = f"{cell.label}; next "
        cell, ratio = cells[1]
    step = f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) of {bench.baseline}'s step"
    at = f" at {bench.axis} = {cell.size}" if bench.axis else ""
    return f"Fastest{at}: {lead}{cell.label}, {step}."


def _shortest_step(material: Material) -> str:
    """Of runs that are the same work; where they are not, how they differ."""
    rows = comparable(material)
    impls = by_impl(rows)
    if len(impls) < 2:
        return ""
    if differ := [name for name in WORK if len({row[name] for row in rows}) > 1]:
        return f"Step times are not ranked: the runs differ in {listed(differ)}."
    medians = {i: statistics.median(row["step_us"] for row in own) for i, own in impls.items()}
    impl = min(medians, key=medians.__getitem__)
    count = len(impls[impl])
    of = "one run" if count == 1 else f"{count} runs"
    step = f"{medians[impl]:.0f} µs, the median of {of} (without an interval)"
    return f"Shortest step time: {impl}, {step}."


# --- what did not end as ok


def troubles(material: Material) -> tuple[list[tuple[str, Record, list[str]]], Table | None]:
    """Runs that are not ok: labels and the lines that tell most of some, and a table of all."""
    bad = [run for run in material.runs if run.outcome != "ok"]
    bad.sort(key=lambda run: run.outcome == "diverged")
    told = []
    for run in bad[:MOST_LOGS]:
        _, *lines = record_tables.failures([whole(run)]).splitlines()
        if lines:
            told.append((material.label(run), run, [line[4:] for line in lines]))
    rows = [[material.label(r), r.outcome, r.reason] for r in bad]
    return told, Table(("run", "outcome", "reason"), rows, frozenset({0, 1, 2})) if bad else None


# --- where it ran


def environment(material: Material) -> Table:
    """The machine, versions and sources; where runs differ, each value with its number of runs."""
    facts = [_facts(record) for record in _places(material)]
    names = dict.fromkeys(name for each in facts for name in each)
    rows = [[name, _values([each.get(name) for each in facts])] for name in names]
    return Table(("", "value"), [row for row in rows if row[1]], frozenset({0, 1}))


def _places(material: Material) -> list[Record]:
    """Records that say where it ran; of a bench without runs, one made up from it."""
    bench = material.bench
    if material.runs or not bench:
        return [*material.runs]
    record = Record("", "ok", {}, started_at=bench.started_at, threads=bench.threads)
    record.machine, record.versions, record.git = bench.machine, bench.versions, bench.git
    return [record]


def _facts(record: Record) -> dict[str, object]:
    machine, git, gpu = record.machine, record.git or {}, record.gpu or {}
    usable, cores, memory = (machine.get(n) for n in ("usable_cores", "cores", "memory_bytes"))
    changes = ", with uncommitted changes" if git.get("dirty") else ""
    return {
        "host": machine.get("host"),
        "processor": machine.get("cpu"),
        "cores": f"{usable} usable of {cores}" if usable != cores else cores,
        "memory": human_bytes(memory) if isinstance(memory, int | float) else None,
        "system": machine.get("os"),
        "device": record.device,
        "GPU": ", ".join(map(str, gpu.values())),
        "threads": record.threads,
        "commit": git and f"{str(git.get('commit'))[:12]}{changes}",
        "day": record.started_at[:10],
        **record.versions,
    }


def _values(values: Iterable[object]) -> str:
    counts = Counter(str(value) for value in values if value not in (None, "", "?", {}))
    if len(counts) < 2:
        return next(iter(counts), "")
    return ", ".join(f"{value} ({_count(count, 'run')})" for value, count in counts.most_common())


# --- how to run it again


def commands(material: Material) -> str:
    """The lines of a shell that run it all again."""
    parts = [*_install(_places(material)), *_calls(material)]
    if material.bench and material.bench.command:
        parts.append(material.bench.command)
    return "\n".join([*parts, shlex.join(["twolayer", "report", material.name])])


def _install(records: Sequence[Record]) -> Iterator[str]:
    """The commit and the versions; `2.13.0+cpu` is asked for as 2.13.0, which it satisfies."""
    commits = [str(r.git["commit"]) for r in records if r.git and r.git.get("commit")]
    if commits:
        yield f"git checkout {shlex.quote(commits[-1])}"
    versions = {name: version for r in records for name, version in r.versions.items()}
    pins = [
        f"{name}=={version.partition('+')[0]}"
        for name, version in versions.items()
        if name not in NOT_INSTALLED and re.fullmatch(r"[\w.!+-]+", f"{name}{version}")
    ]
    pip = " ".join(["python -m pip install .", *pins])
    lines = textwrap.wrap(pip, WIDTH, break_long_words=False, break_on_hyphens=False)
    yield " \\\n    ".join(lines)


def _calls(material: Material) -> list[str]:
    """The commands that made the runs, each once."""
    runs = sorted(material.runs, key=lambda run: run.invocation)
    calls = list(dict.fromkeys(_call(material, run) for run in runs))
    more = len(calls) - MOST_COMMANDS
    return [*calls[:MOST_COMMANDS], *([f"# and {more:,} more commands"] if more > 0 else [])]


def _call(material: Material, run: Record) -> str:
    """The command that made a run, after the file that it ran, written as a shell does that.

    Of a run whose record holds no command, one that runs the config that is kept of it.
    """
    end = "END"
    if not run.command:
        config = f"{run.folder}/config.yaml"
        return shlex.join(["twolayer", "run", "--name", material.name, "--config", config])
    text = material.store.config_text(run.invocation) if run.config_file else ""
    while end in text:
        end += "_"
    file = f"cat > {shlex.quote(run.config_file)} <<'{end}'\n{text.rstrip()}\n{end}\n"
    return f"{file if text else ''}{run.command}"
