"""What a report says in words: the verdict, the failures, where it ran, how to run it again."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from ..bench.measurement import Bench, Cell
from ..config.plan import human_bytes
from ..config.settings import DEFAULTS
from ..errors import listed
from ..results import tables as record_tables
from ..results.record import FAILURES, Record
from ..results.rows import best
from ..tables import Table
from .material import Material, whole
from .parity import Held
from .times import comparable, compared

MOST_LOGS = 20
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
    outcomes = {run.record.outcome for run in material.runs} or {"ok"}
    if outcomes & set(FAILURES) or any(each.outside for _, each in judged):
        return "bad"
    return "good" if outcomes == {"ok"} else "mixed"


def _outcomes(material: Material) -> str:
    count = len(material.runs)
    if not count and material.bench:
        return _bench_size(material.bench)
    outcomes = Counter(run.record.outcome.replace("_", " ") for run in material.runs)
    runs = _count(count, "run")
    if set(outcomes) == {"ok"}:
        return f"{runs}, {'ok' if count == 1 else 'all ok'}."
    words = [f"{number} {outcome}" for outcome, number in outcomes.most_common()]
    return f"{runs}: {listed(words)}."


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
    of = f"{len(held)} of {len(material.runs):,}" if len(held) < len(material.runs) else "All"
    if not outside:
        all_of_them = " all" if of != "All" and len(held) > 1 else ""
        return f"{of} judged against the reference,{all_of_them} inside the band of rounding."
    names = listed(outside[:5])
    more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
    inside = len(held) - len(outside)
    return f"{inside} of {len(held)} judged inside the band of rounding; outside: {names}{more}."


def _lowest(material: Material) -> str:
    if not material.varied:
        return ""
    for row in best(material.rows, 1):
        return f"Lowest final loss: {row['final_loss']:.2e}, {material.labels[row['folder']]}."
    return ""


def _fastest(material: Material) -> str:
    if material.bench and (cells := compared(material.bench)):
        return fastest(material.bench, cells)
    rows = comparable(material)
    if len({row["impl"] for row in rows}) < 2 or material.varied:
        return ""
    row = min(rows, key=lambda row: float(row["step_us"]))
    return (
        f"Least time of a step: {row['impl']}, {row['step_us']:.0f} µs, the median of one run "
        "(without an interval)."
    )


def fastest(bench: Bench, cells: Sequence[Cell]) -> str:
    """Who is fastest, if that is certain. The cells have ratios, the fastest first."""
    first, *others = cells
    assert first.ratio is not None
    at = f" at {bench.axis} = {first.size}" if bench.axis else ""
    rivals = [each for each in others if each.rank and each.rank[0] == 1]
    if rivals:
        names = listed((each.label for each in (first, *rivals)), "or")
        apart = f"which can't be told apart; {first.label}, {_times(first, bench)}"
        return f"Fastest{at}: {names}, {apart}."
    if first.label == bench.baseline and others:
        return f"Fastest{at}: {first.label}; next {others[0].label}, {_times(others[0], bench)}."
    return f"Fastest{at}: {first.label}, {_times(first, bench)}."


def _times(cell: Cell, bench: Bench) -> str:
    ratio = cell.ratio
    assert ratio is not None
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) of {bench.baseline}'s step"


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
    bad = [run for run in material.runs if run.record.outcome != "ok"]
    bad.sort(key=lambda run: run.record.outcome == "diverged")
    told = [_trouble(material.label(run), whole(run)) for run in bad[:MOST_LOGS]]
    header = ("run", "outcome", "reason")
    rows = [[material.label(r), r.record.outcome, r.record.reason] for r in bad]
    return [each for each in told if each.lines], Table(
        header, rows, frozenset({0, 1, 2})
    ) if bad else None


def _trouble(label: str, record: Record) -> Trouble:
    _, *lines = record_tables.failures([record]).splitlines()
    return Trouble(label, record.outcome, record.reason, [line[4:] for line in lines])


# --- where it ran


def environment(material: Material) -> Table:
    """The machine, versions and sources; where runs differ, each value with its number of runs."""
    facts: list[tuple[str, Callable[[Record], object]]] = [
        ("host", lambda r: r.machine.get("host")),
        ("processor", lambda r: r.machine.get("cpu")),
        ("cores", _cores),
        ("memory", lambda r: _bytes(r.machine.get("memory_bytes"))),
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
    found = ((name, _values(records, fact)) for name, fact in (*facts, *versions))
    return Table(("", "value"), [[name, text] for name, text in found if text], frozenset({0, 1}))


def _places(material: Material) -> list[Record]:
    """Records that say where it ran; of a bench without runs, one made up from it."""
    bench = material.bench
    if material.runs or not bench:
        return [run.record for run in material.runs]
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


def _bytes(count: object) -> str:
    return human_bytes(count) if isinstance(count, int | float) else ""


def _commit(record: Record) -> str:
    if not record.git:
        return ""
    changes = ", with uncommitted changes" if record.git.get("dirty") else ""
    return f"{str(record.git.get('commit'))[:12]}{changes}"


# --- how to run it again


def commands(material: Material) -> str:
    """The lines of a shell that run it all again."""
    parts = [_install(material), _runs(material) if material.runs else ""]
    if material.bench and material.bench.command:
        parts.append(material.bench.command)
    parts.append(shlex.join(["twolayer", "report", material.name]))
    return "\n".join(part for part in parts if part)


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
    return "\n".join([*lines, in_lines(["python", "-m", "pip", "install", ".", *pins])])


def _runs(material: Material) -> str:
    """One `twolayer run` if each implementation ran once, else a sweep file and its command."""
    if not material.varied:
        return _one_run(material)
    groups = list(_alike(material))
    parts = []
    for number, members in enumerate(groups, start=1):
        file = f"{material.name}{'' if len(groups) == 1 else f'-{number}'}.yaml"
        parts.append(_sweep(members, file))
    return "\n".join(parts)


def _source(record: Record) -> str:
    return record.source if record.source.endswith(".py") else record.impl


def _common(records: Sequence[Record]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The settings that most have, and for each implementation those in which it differs."""
    configs = [{name: r.config.get(name, DEFAULTS[name]) for name in DEFAULTS} for r in records]
    base = {}
    for name in DEFAULTS:
        counts = Counter(repr(config[name]) for config in configs)
        usual = counts.most_common(1)[0][0]
        base[name] = next(config[name] for config in configs if repr(config[name]) == usual)
    own = {
        r.impl: {name: v for name, v in config.items() if repr(v) != repr(base[name])}
        for r, config in zip(records, configs, strict=True)
    }
    return base, own


def _one_run(material: Material) -> str:
    records = [run.record for run in material.runs]
    base, own = _common(records)
    words = ["twolayer", "run", "--name", material.name]
    words += ["--impl", ",".join(_source(record) for record in records)]
    for name, value in base.items():
        words += [f"--{name.replace('_', '-')}", _text(value)]
    for impl, settings in own.items():
        for name, value in settings.items():
            words += ["--set", f"{impl}.{name}={_text(value)}"]
    return in_lines(words)


def in_lines(words: Sequence[str]) -> str:
    """A command for a shell, continued on further lines where it is long."""
    groups: list[str] = []  # an option stays with its value
    for word in map(shlex.quote, words):
        if groups and re.fullmatch(r"--\S+", groups[-1]):
            groups[-1] += f" {word}"
        else:
            groups.append(word)
    lines = groups[:1]
    for group in groups[1:]:
        if len(lines[-1]) + len(group) < WIDTH:
            lines[-1] += f" {group}"
        else:
            lines.append(f"    {group}")
    return " \\\n".join(lines)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _alike(material: Material) -> Iterator[Material]:
    """The implementations in groups that went through the same points."""
    groups: dict[object, list[str]] = {}
    for impl in material.impls:
        configs = (run.record.config for run in material.runs if run.record.impl == impl)
        points = frozenset(repr([config[n] for n in material.varied]) for config in configs)
        groups.setdefault(points, []).append(impl)
    for impls in groups.values():
        yield replace(material, runs=[r for r in material.runs if r.record.impl in impls])


def _sweep(material: Material, file: str) -> str:
    """A sweep file of these runs, as a shell writes it, and the command that runs it."""
    records = [run.record for run in material.runs]
    varied = material.varied
    firsts = {record.impl: record for record in reversed(records)}
    base, own = _common(list(firsts.values()))
    document: dict[str, Any] = {
        "name": material.name,
        "impls": [_source(firsts[impl]) for impl in material.impls],
        **{name: value for name, value in base.items() if name not in varied},
    }
    overrides = {
        impl: kept
        for impl, settings in own.items()
        if (kept := {name: v for name, v in settings.items() if name not in varied})
    }
    if overrides:
        document["overrides"] = overrides
    document |= _points(records, varied)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=96)
    command = shlex.join(["twolayer", "sweep", file])
    return f"cat > {shlex.quote(file)} <<'END'\n{text}END\n{command}"


def _points(records: Sequence[Record], varied: Sequence[str]) -> dict[str, Any]:
    """All combinations as a grid if they were all run, else one by one."""
    found = ({name: r.config[name] for name in varied} for r in records)
    points = {repr(point): point for point in found}
    values = {
        name: list({repr(point[name]): point[name] for point in points.values()}.values())
        for name in varied
    }
    whole_grid = math.prod(map(len, values.values())) == len(points)
    return {"grid": values} if whole_grid else {"runs": list(points.values())}
