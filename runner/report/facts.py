"""What a report says in words: the verdict, the failures, where it ran, how to run it again."""

import re
import shlex
import statistics
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..bench.analysis import fastest, same_work
from ..config.plan import human_bytes
from ..errors import listed
from ..results import tables as record_tables
from ..results.record import FAILURES, Record
from ..results.rows import by_impl, counted, row
from ..results.store import whole
from ..tables import Table
from .material import Material
from .times import comparable, with_ratios, work_differs

MOST_LOGS = MOST_COMMANDS = 20
WIDTH = 88  # of the lines of a command
NOT_INSTALLED = ("python", "twolayer", "blas")  # in a record, but pip is not asked for them


# --- the verdict


def headline(material: Material) -> tuple[str, list[str]]:
    """How good the news is (good, mixed or bad), and the first sentences to read."""
    outcomes = {run.outcome for run in material.runs} or {"ok"}
    mood = "good" if outcomes == {"ok"} else "mixed"
    if outcomes & set(FAILURES) or any(each.outside for each in material.judged.values()):
        mood = "bad"
    found = material.answer.sentences if material.answer else []
    sentences = [_outcomes(material), *found, _parity(material), _fastest(material)]
    return mood, [sentence for sentence in sentences if sentence]


def _outcomes(material: Material) -> str:
    count, bench = len(material.runs), material.bench
    if not count and bench:
        cells = counted(len(bench.at(bench.sizes[0])), "implementation", "implementations")
        most = max((len(cell.good) for cell in bench.cells), default=0)
        failed = sorted({cell.label for cell in bench.cells if cell.failure})
        more = f" Failed: {listed(failed)}." if failed else ""
        return f"A bench: {cells}, {counted(most, 'round', 'rounds')}.{more}"
    runs = counted(count, "run", "runs")
    outcomes = Counter(run.outcome.replace("_", " ") for run in material.runs)
    if set(outcomes) == {"ok"}:
        return f"{runs}, {'ok' if count == 1 else 'all ok'}."
    return f"{runs}: {listed(f'{number} {word}' for word, number in outcomes.most_common())}."


def _parity(material: Material) -> str:
    judged, runs = sum(bool(each.gate) for each in material.judged.values()), len(material.runs)
    epochs = material.judged_epochs
    over = f" over the first {epochs} epochs" if epochs else ""
    if outside := [name for name, each in material.judged.items() if each.outside]:
        inside = f"{judged - len(outside)} of {judged} judged inside the band of rounding{over}"
        more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
        return f"{inside}; outside: {listed(outside[:5])}{more}."
    if not judged:
        return ""
    count, every = ("All", "") if judged == runs else (f"{judged} of {runs:,}", " all")
    every = every if judged > 1 else ""
    return f"{count} judged against the reference{over},{every} inside the band of rounding."


def _fastest(material: Material) -> str:
    """Which is fastest by the bench, and whether that is certain; without one, by the runs."""
    bench = material.bench
    if bench is None or not (cells := with_ratios(bench)):
        return _shortest_step(material)
    size = cells[0][0].size
    alike = {cell.label for cell in same_work(bench.at(size), bench.baseline)}
    ratios = {cell.label: ratio for cell, ratio in cells if cell.label in alike}
    labels = fastest(bench, size)
    if not labels or len(alike) == 1:
        return ""
    lead, (label, *others) = "", dict.fromkeys((*labels, *ratios))
    if len(labels) > 1:
        lead = f"{listed(labels, 'or')}, which can't be told apart; "
    elif label == bench.baseline and others:
        lead, label = f"{label}; next ", others[0]
    ratio = ratios[label]
    step = f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) times {bench.baseline}'s step"
    return f"Fastest{f' at {bench.axis} = {size}' if bench.axis else ''}: {lead}{label}, {step}."


def _shortest_step(material: Material) -> str:
    """Of runs that are the same work; where they are not, how they differ."""
    runs = comparable(material)
    impls = by_impl(map(row, runs))
    if len(impls) < 2:
        return ""
    if differ := work_differs(runs):
        return f"Step times are not ranked: the runs differ in {listed(differ)}."
    medians = {i: statistics.median(row["step_us"] for row in own) for i, own in impls.items()}
    impl = min(medians, key=medians.__getitem__)
    of = "one run" if len(impls[impl]) == 1 else f"{len(impls[impl])} runs"
    step = f"{medians[impl]:.0f} µs, the median of {of} (without an interval)"
    return f"Shortest step time: {impl}, {step}; `twolayer bench` measures which is fastest."


# --- what did not end as ok


def troubles(material: Material) -> tuple[list[tuple[str, Record, list[str]]], Table | None]:
    """Runs that are not ok: the lines that tell most of some, and a table of all.

    Of those that diverged, the first is enough.
    """
    bad = [run for run in material.runs if run.outcome != "ok"]
    bad.sort(key=lambda run: run.outcome == "diverged")
    failed = sum(run.outcome != "diverged" for run in bad)
    told = []
    for run in bad[: min(failed + 1, MOST_LOGS)]:
        if lines := record_tables.failures([whole(run)]).splitlines()[1:]:
            told.append((material.label(run), run, [without_paths(line[4:]) for line in lines]))
    rows = [[material.label(r), r.outcome, without_paths(r.reason)] for r in bad]
    return told, Table(("run", "outcome", "reason"), rows, frozenset({0, 1, 2})) if bad else None


# --- where it ran


def environment(material: Material) -> Table:
    """The machine, versions and sources; where runs differ, each value with its number of runs."""
    facts = [_where_run(record) for record in _places(material)]
    names = dict.fromkeys(name for each in facts for name in each)
    rows = [[name, _tallied(each.get(name) for each in facts)] for name in names]
    return Table(("", "value"), [row for row in rows if row[1]], frozenset({0, 1}))


def _places(material: Material) -> list[Record]:
    """Records that say where it ran; of a bench without runs, one made up from it."""
    if material.runs or not material.bench:
        return material.runs
    names = ("started_at", "threads", "machine", "versions", "git")
    return [Record("", "ok", {}, **{name: getattr(material.bench, name) for name in names})]


def _where_run(record: Record) -> dict[str, object]:
    machine, git, gpu = record.machine, record.git or {}, record.gpu or {}
    usable, cores, memory = (machine.get(n) for n in ("usable_cores", "cores", "memory_bytes"))
    changes = ", with uncommitted changes" if git.get("dirty") else ""
    return {
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


def _tallied(values: Iterable[object]) -> str:
    counts = Counter(str(value) for value in values if value not in (None, "", "?", {}))
    if len(counts) == 1:
        return counts.popitem()[0]
    each = ((value, counted(count, "run", "runs")) for value, count in counts.most_common())
    return ", ".join(f"{value} ({runs})" for value, runs in each)


# --- how to run it again


def commands(material: Material) -> str:
    """The lines of a shell that run it all again."""
    runs = sorted(material.runs, key=lambda run: run.invocation)
    calls = list(dict.fromkeys(_command_of(material, run) for run in runs))
    if (more := len(calls) - MOST_COMMANDS) > 0:
        calls[MOST_COMMANDS:] = [f"# and {more:,} more commands"]
    calls += [_relative(material.bench.command)] if material.bench else []
    report = shlex.join(["twolayer", "report", material.name])
    return "\n".join(filter(None, [*_install(_places(material)), *calls, report]))


def _install(records: list[Record]) -> Iterator[str]:
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


def _command_of(material: Material, run: Record) -> str:
    """The command that made a run, after the file that it ran, written as a shell does that.

    Of a run whose record holds no command, one that runs the config that is kept of it.
    """
    if not run.command:
        config = str(Path(*run.folder.parts[-4:], "config.yaml"))
        return shlex.join(["twolayer", "run", config, "--name", material.name])
    end = "END"
    text = material.store.config_text(run.invocation) if run.config_file else ""
    while end in text:
        end += "_"
    name = shlex.quote(_word(run.config_file))
    file = f"cat > {name} <<'{end}'\n{without_paths(text).rstrip()}\n{end}\n"
    return f"{file if text else ''}{_relative(run.command)}"


# --- what is sent on tells nobody where it was made


def _relative(command: str) -> str:
    """A command whose absolute paths are those of files in the working folder."""
    return shlex.join(map(_word, shlex.split(command)))


def _word(word: str) -> str:
    """A word of a command, perhaps several paths with commas."""
    parts = re.split("([,=])", word)
    return "".join(f"./{Path(part).name}" if part.startswith("/") else part for part in parts)


def without_paths(text: str) -> str:
    """Text whose absolute paths are names of files."""
    return re.sub(r"(?<![\w./~-])/(?:[^\s/:'\"<>]+/)+([^\s/:'\"<>]+)", r"./\1", text)
