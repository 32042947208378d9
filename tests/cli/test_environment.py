"""Where `twolayer` is called: without the folders, names and streams that one takes for granted."""

import json
import os
import shlex
import subprocess

from command import COMMAND, PLANTED, environment, small, stored, twolayer
from twolayer.bench.plan import at_revision
from twolayer.config import experiment as config
from twolayer.config.plan import make
from twolayer.machine import git_state

BUILT_IN = ("--impl", "numpy_manual")


def shell(script, cwd, **env):
    """Run a shell script in which $T is `twolayer`; the CompletedProcess has bytes."""
    known = {"T": shlex.join(COMMAND), **env}
    words = ["bash", "-c", script]
    return subprocess.run(
        words, cwd=cwd, env=environment(cwd, **known), capture_output=True, timeout=120, check=False
    )


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", *identity, *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_working_folder_that_is_gone_is_missed_only_where_it_is_needed(tmp_path):
    done = shell(
        f"""mkdir gone && cd gone && rmdir ../gone
        $T run --config smoke --impl autograd --quiet --results {tmp_path}/results; echo $?
        $T run --config smoke --impl autograd --quiet; echo $?
        $T export smoke --results {tmp_path}/results --to csv --out out.csv; echo $?
        """,
        tmp_path,
    )
    codes = [line for line in done.stdout.decode().splitlines() if line.isdigit()]
    refused, needed = done.stderr.decode().splitlines()
    assert codes == ["0", "2", "2"]
    assert stored(tmp_path, "smoke")["autograd"]["outcome"] == "ok"
    assert refused == "results/smoke/runs: can't be written: No such file or directory"
    assert needed == "the working folder is gone; change to one that is there"


def test_without_a_temporary_folder_is_trained_and_no_revision_measured(tmp_path):
    # What Python tries in vain on a read-only file system.
    (tmp_path / "sitecustomize.py").write_text(
        "import tempfile\ntempfile._candidate_tempdir_list = lambda: ['/nowhere']\n"
    )
    words = (*small(tmp_path), *BUILT_IN)
    done = twolayer("run", *words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    done = twolayer("bench", *words, "--against", "HEAD", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert (
        done.stderr == "no folder for temporary files can be written; set TMPDIR to one that can\n"
    )


def test_an_import_that_fails_is_told_as_it_failed_first(tmp_path):
    (tmp_path / "torch.py").write_text(
        "import sys\n"
        "if hasattr(sys, 'tried'):\n    raise ValueError('was imported before')\n"
        "sys.tried = True\nraise OSError('no licence')\n"
    )
    words = (*small(tmp_path), "--impl", "torch_manual", "--quiet")
    done = twolayer("run", *words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert "torch_manual failed: OSError: no licence" in done.stdout


def test_a_path_that_is_not_utf8_reaches_no_file_that_must_be(tmp_path):
    folder = os.fsencode(tmp_path) + b"/lat\xe9"
    os.mkdir(folder)
    small(tmp_path)
    done = shell(
        f"""cd $'lat\\xe9' && cp ../small.yaml {PLANTED}/plain_floats.py .
        $T run --config "$PWD/small.yaml" --impl numpy_manual --results "$PWD/r" --quiet
        $T run --config "$PWD"/r/small/runs/*/config.yaml --results "$PWD/r2" --quiet
        $T bench --config small.yaml --impl numpy_manual --rounds 1 --results "$PWD/r" --quiet
        $T report --results "$PWD/r" --quiet
        $T export small --results "$PWD/r" --to parquet --out "$PWD/all.parquet"
        $T run --impl ./plain_floats.py
        """,
        tmp_path,
    )
    shown = done.stdout.decode(), done.stderr.decode()
    assert f"report: {tmp_path}/lat\ufffd/r/small/report.html" in shown[0]
    assert f"1 run is in {tmp_path}/lat\ufffd/all.parquet; " in shown[0] + shown[1]
    refused = shown[1].splitlines()[-1]
    assert refused.endswith("is not UTF-8, so no config could name it; rename it or its folder")
    assert os.path.getsize(folder + b"/all.parquet")
    assert os.listdir(folder + b"/r2/config/runs")
    (bench,) = os.scandir(folder + b"/r/small/bench")
    with open(bench.path) as file:
        assert "lat\ufffd/r" in json.load(file)["command"]
    with open(folder + b"/r/small/report.html", encoding="utf-8") as file:
        assert "numpy_manual" in file.read()


def test_output_that_can_not_be_written_is_no_success(tmp_path):
    small(tmp_path)
    done = shell(
        """
        $T list > /dev/full || echo $?
        $T run --config small.yaml --impl numpy_manual --quiet --format json > /dev/full || echo $?
        $T show --format json > /dev/full || echo $?
        $T list | head -n 1 > /dev/null; echo ${PIPESTATUS[0]}
        $T --help > /dev/full || echo $?
        """,
        tmp_path,
    )
    reason = "standard output can't be written: No space left on device"
    help_lost = "output can't be written: No space left on device"
    assert done.stderr.decode().splitlines() == [*[reason] * 3, help_lost]
    assert done.stdout.decode().split() == ["1", "1", "1", "0", "1"]
    assert stored(tmp_path)["numpy_manual"]["outcome"] == "ok"


def test_a_name_can_not_steer_the_terminal(tmp_path):
    name, plain = "\x1b[31mred\nline\u202eturned", "\ufffd[31mred\ufffdline\ufffdturned"
    folder = tmp_path / name
    folder.mkdir()
    small(folder)
    (folder / "adam.py").write_text((PLANTED / "plain_floats.py").read_text())
    (folder / "bad.yaml").write_text("impls: [sgd]\nN: -8\n")
    chosen = ("--config", f"{name}/small.yaml", "--impl", f"{name}/adam.py")
    run, bad, missing, *others = (
        twolayer(*words, cwd=tmp_path)
        for words in (
            ("run", *chosen, "--results", f"{name}/r"),
            ("run", "--config", f"{name}/bad.yaml"),
            ("run", "--config", f"{name}/{name}.yaml"),
            ("check", f"{name}/adam.py"),
            ("config", *chosen),
        )
    )
    printed = "\n".join(each.stdout + each.stderr for each in (run, bad, missing, *others))
    assert all(line.isprintable() for line in printed.split("\n")), printed
    assert f"results are in {plain}/r/small\n" in run.stderr
    assert bad.stderr == f"{plain}/bad.yaml:2:4: N: must be 1 or more (got -8)\n"
    assert missing.stderr.startswith(f"--config {plain}/{plain}.yaml: ")
    assert [line for line in printed.split("\n") if line.startswith(("line", "red"))] == []


def test_a_record_that_was_edited_can_not_either(tmp_path):
    assert twolayer("run", *small(tmp_path), *BUILT_IN, cwd=tmp_path).returncode == 0
    record = stored(tmp_path)["numpy_manual"]["folder"] / "result.json"
    forged = "\x1b[2J\nadam  ok"
    record.write_text(record.read_text().replace('"numpy_manual"', json.dumps(forged)))
    for words in (("show",), ("show", "--format", "markdown"), ("show", "--plot")):
        done = twolayer(*words, cwd=tmp_path, NO_COLOR="1")
        assert done.returncode == 0, done.stderr
        assert "\ufffd[2J\ufffdadam  ok" in done.stdout, words
        assert "\x1b" not in done.stdout, words


def test_git_is_asked_about_the_folder_whatever_a_hook_has_set(tmp_path, monkeypatch):
    for name in ("here", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.py").write_text(f'"""In {name}."""\n\n\ndef train(cfg):\n    yield 1.0\n')
        git(folder, "init", "-q")
        git(folder, "add", "mine.py")
        git(folder, "commit", "-qm", name)
    here, commit = tmp_path / "here", git(tmp_path / "here", "rev-parse", "HEAD")
    (here / "mine.py").write_text("")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / ".git" / "index"))
    monkeypatch.setenv("GIT_PREFIX", "impls/")
    assert git_state(here) == {"commit": commit, "dirty": True}
    (here / "mine.py").write_text('"""Now."""\n\n\ndef train(cfg):\n    yield 2.0\n')
    (run,) = make(config.load(config.find_config("smoke"), impls=[str(here / "mine.py")]))
    then = at_revision(run, "HEAD", tmp_path / "then")
    assert then.implementation.title == "In here."
