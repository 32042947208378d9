"""The proof: the reference is right, the ten pass, and every planted mistake is caught."""

from __future__ import annotations

import functools
import importlib
import json
import re
import signal
from pathlib import Path

import mutants
import numpy as np
import pytest
import torch
from command import left_behind, on_a_terminal, planted, small, start, twolayer, wait_for
from twolayer import Config
from twolayer.config import catalogue
from twolayer.config.plan import Run
from twolayer.errors import UserError
from twolayer.verify import judging as verify
from twolayer.verify import tasks
from twolayer.verify.reference import Reference

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = [
    {"N": 16, "H": 8, "D_in": 12, "D_out": 3},
    {"N": 5, "H": 20, "D_in": 4, "D_out": 1},
    {"N": 30, "H": 6, "D_in": 6, "D_out": 6},
    {"N": 1, "H": 10, "D_in": 7, "D_out": 2},
    {"N": 12, "H": 1, "D_in": 9, "D_out": 4},
]
BASE = Config(**SHAPES[0], lr=1e-4, epochs=60, dtype="float64")


def case(name: str, cfg: Config, family: str) -> verify.Case:
    """A case for functions that have no file; the built-in file only lends its name."""
    return verify.Case(Run(catalogue.find(name), cfg), "common", family)


@functools.cache
def verdict_on(train, cfg: Config, family: str, name: str = "numpy_manual") -> verify.Verdict:
    each = case(name, cfg, family)
    requests = tasks.job(each.reference.config)["requests"]
    results = [tasks.train_once(train, request) for request in requests]
    return verify.judge(each, {"results": results, "borrowed": ""})


def built_in(name: str, cfg: Config) -> verify.Verdict:
    implementation = catalogue.find(name)
    module = importlib.import_module(implementation.module)
    return verdict_on(module.train, cfg, implementation.reference, name)


# --- the reference itself


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("depth", [None, 0, 1, 3])
def test_gradients_against_finite_differences(bias: bool, depth: int | None) -> None:
    cfg = BASE.with_(bias=bias, init="uniform")
    net = Reference(cfg, "sgd" if depth is None else "dynamic")
    x, y, *arrays = net.problem()
    weights = dict(zip(net.weights(), arrays, strict=True))
    layers = ["w1", *["middle"] * (depth or 0), "w2"]

    def loss() -> float:
        return float(np.square(net.forward(x, weights, layers)[-1][2] - y).sum())

    gradients = net.backward(net.forward(x, weights, layers), y, weights)
    rng = np.random.default_rng(0)
    for name, weight in weights.items():
        gradient = gradients.get(name)
        direction = rng.standard_normal(weight.shape)
        centre = weight.copy()
        weight += 1e-6 * direction
        above = loss()
        weight[...] = centre - 1e-6 * direction
        below = loss()
        weight[...] = centre
        expected = 0.0 if gradient is None else float((gradient * direction).sum())
        assert (above - below) / 2e-6 == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_torch_agrees_that_the_loss_has_these_gradients(bias: bool) -> None:

    cfg = BASE.with_(bias=bias, init="uniform", N=3, H=4, D_in=3, D_out=2)
    x, y, *weights = cfg.problem()
    net = Reference(cfg)

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            arrays = dict(zip(net.weights(), map(torch.Tensor.numpy, tensors), strict=True))
            passes = net.forward(x, arrays, ["w1", "w2"])
            gradients = net.backward(passes, y, arrays)
            ctx.gradients = [gradients[name] for name in arrays]
            return torch.tensor(np.square(passes[-1][2] - y).sum())

        @staticmethod
        def backward(ctx, grad):
            return tuple(grad * torch.from_numpy(gradient) for gradient in ctx.gradients)

    tensors = [torch.tensor(weight, requires_grad=True) for weight in weights]
    assert torch.autograd.gradcheck(Loss.apply, tensors)


@pytest.mark.parametrize(("at_zero", "passed"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_slope_at_zero_is_what_was_asked_for(at_zero: float, passed: float) -> None:
    net = Reference(BASE, at_zero=at_zero)
    assert net.slope(np.array([-1.0, 0.0, 2.0])).tolist() == [0.0, passed, 1.0]


@pytest.mark.parametrize("family", catalogue.REFERENCES)
@pytest.mark.parametrize("bias", [False, True])
def test_permuted_runs_are_the_same_program(family: str, bias: bool) -> None:
    cfg = BASE.with_(bias=bias, init="uniform", momentum=0.0 if family == "adam" else 0.9)
    net = Reference(cfg, family)
    straight = net.train()
    for seed in range(3):
        permuted = net.train(permutation=seed)
        np.testing.assert_allclose(permuted.losses, straight.losses, rtol=1e-11)
        for one, other in zip(permuted.weights, straight.weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_permuted_runs_take_their_sums_in_another_order() -> None:
    net = Reference(BASE)
    straight = net.train().losses
    assert any((net.train(permutation=seed).losses != straight).any() for seed in range(3))


# --- the gate can fail


def problems():
    """Three shapes with three seeds."""
    for number, shape in enumerate(SHAPES[:3]):
        for seed in range(3):
            yield pytest.param(shape, seed, id=f"{number}-{seed}")


@pytest.mark.parametrize(("shape", "seed"), [*problems()])
@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_every_mutant_is_caught(name: str, shape: dict[str, int], seed: int) -> None:
    train, needs, family = mutants.MUTANTS[name]
    settings = shape | {"seed": seed} | needs
    found = verdict_on(train, BASE.with_(**settings), family)
    assert not found.equivalent
    assert found.reasons
    assert (found.cause or {}).get("name") in (None, CAUSES.get(name, ("",))[0])


CAUSES = {
    "lr_a_millionth_too_large": ("scaled update", {"factor": 1.000001}),
    "weight_decay": ("weight decay", {"decay": 1e-4}),
    "factor_two_missing": ("scaled update", {"factor": 0.5}),
    "mean_in_the_gradient": ("scaled update", {"factor": 1 / 48}),
    "mean_instead_of_sum": ("scaled loss", {"factor": 1 / 48}),
    "momentum_averages": ("scaled update", {"factor": 0.1}),
    "stale_weights": ("stale", {}),
    "adam_unsaid": ("another reference", {}),
    "adam_unsaid_with_another_epsilon": ("Adam with another epsilon", {"epsilon": 1e-7}),
    "adam_epsilon_hat": ("Adam with epsilon-hat", {"epsilon": 1e-8}),
    "adam_eps_1e_7": ("Adam with another epsilon", {"epsilon": 1e-7}),
    "adam_without_bias_correction": ("Adam without correction", {"epsilon": 1e-8}),
    "float32_inside": ("float32", {}),
    "no_relu": ("no ReLU", {}),
    "no_relu_mask": ("no mask", {}),
    "mask_on_the_wrong_side": ("wrong mask", {}),
    "only_w2_trained": ("last layer only", {}),
    "leaky_relu": ("leaky ReLU", {"slope": 0.01}),
    "w2_updated_too_early": ("early update", {}),
    "losses_after_the_update": ("late loss", {}),
    "momentum_of_nesterov": ("Nesterov", {}),
    "momentum_dampened": ("dampening", {"dampening": 0.9}),
    "adam_w": ("AdamW", {"decay": 0.01}),
    "values_clipped": ("clipped values", {"limit": 5}),
    "norm_clipped_by_hand": ("clipped norm", {"limit": 10}),
    "norm_clipped_by_pytorch": ("clipped norm of PyTorch", {"limit": 10}),
    "lr_decays_by_a_thousandth": ("decaying learning rate", {"factor": 0.999}),
    "lr_falls_linearly": ("linear learning rate", {}),
    "lr_falls_by_a_cosine": ("cosine learning rate", {}),
}


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_that_explains_all_is_named(name: str) -> None:
    train, needs, family = mutants.MUTANTS[name]
    cause = verdict_on(train, BASE.with_(**needs), family).cause
    assert (cause["name"], cause["parameters"]) == (CAUSES[name][0], pytest.approx(CAUSES[name][1]))
    assert cause["agrees_to"] < (1e-5 if name == "float32_inside" else 1e-12)


@pytest.mark.parametrize(
    ("name", "family", "words", "ending"),
    [
        (
            "hard_float",
            "sgd",
            "it computes in float32 though float64 was asked for",
            "all 60 epochs",
        ),
        ("no_zero_grad", "sgd", "it never zeroes its gradients", "all 60 epochs"),
        ("keras_adam", "adam", "its Adam has epsilon 1e-7, placed as Keras", "all 60 epochs"),
        ("own_data", "sgd", "it never calls cfg.problem(): data and start are its own", "its own"),
    ],
)
def test_a_planted_mistake_is_named(name: str, family: str, words: str, ending: str) -> None:
    train = importlib.import_module(f"planted.{name}").train
    for seed in (0,) if name == "keras_adam" else (0, 1):
        cfg = BASE.with_(N=20, H=10, D_in=30, D_out=3, seed=seed)
        (reason,) = verdict_on(train, cfg, family).reasons
        assert reason.startswith(words)
        assert reason.endswith(ending)


def test_a_mistake_that_makes_training_diverge_is_named() -> None:
    train = importlib.import_module("planted.no_zero_grad").train
    found = verdict_on(train, BASE.with_(lr=2e-3, epochs=100), "sgd")
    (reason, *_) = found.reasons
    assert found.cause["name"] == "never zeroed"
    assert re.search(r"zeroes its gradients: .* over \d+ epochs; it diverges with it$", reason)


def test_two_mistakes_are_not_named_as_one() -> None:
    def train(cfg):
        """Decays its weights, and never zeroes its gradients."""
        x, y, w1, w2 = mutants.start(cfg)
        sums = [0.0, 0.0]
        for _ in cfg.steps():
            h, h_relu, error, loss = mutants.forward(x, y, w1, w2)
            yield loss
            gradients = mutants.backward(x, h, h_relu, error, w2)
            for i, weight in enumerate((w1, w2)):
                sums[i] = sums[i] + gradients[i]
                weight -= cfg.lr * (sums[i] + 1e-3 * weight)
        return w1, w2

    found = verdict_on(train, BASE, "sgd")
    assert (found.equivalent, found.cause) == (False, None)
    assert "0.001 times the weights added (weight decay)" in "; ".join(found.reasons)


def test_the_mutants_themselves_are_right_but_for_their_mistake() -> None:
    def right(cfg):
        return (yield from mutants.descend(cfg))

    def right_adam(cfg):
        return (yield from mutants.adam_with(cfg))

    assert verdict_on(right, BASE, "sgd").equivalent
    assert verdict_on(right_adam, BASE, "adam").equivalent


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lr_a_millionth_too_large", "1.000001 times the reference's"),
        ("weight_decay", "it adds 0.0001 times the weights to their gradient (weight decay)"),
        ("factor_two_missing", "a factor 2 is missing"),
        ("mean_in_the_gradient", "a mean where a sum is meant"),
        ("mean_instead_of_sum", "a mean where a sum is meant"),
        ("transposed_gradient", "that of w1 is transposed"),
        ("weights_not_returned", "weights"),
        ("not_training", "does not train"),
        ("momentum_averages", "0.1 times the reference's"),
        ("stale_weights", "its gradients are of the step before: with that it agrees"),
        ("data_reshuffled", "the update itself differs"),
        ("dynamic_net_zeroed_gradients", "carried from step to step"),
        ("no_relu_mask", "its gradient passes the ReLU where the hidden value is below 0"),
        ("gradient_off_in_the_twelfth_digit", "the gradient is off by 4.0e-12, in w1 and w2"),
        ("slope_of_5_at_zero", "its slope at exactly 0 is 5; a ReLU's is 0, 0.5 or 1"),
        ("slope_of_minus_1_at_zero", "its slope at exactly 0 is -1;"),
        ("adam_slope_of_minus_1_at_zero", "its slope at exactly 0 is -1;"),
        ("adam_slope_of_5_at_zero", "its slope at exactly 0 is 5;"),
        ("ends_early", "it ended after 6 of 60 steps"),
        ("not_a_number", "the loss is nan from epoch 6 on, the reference's is not"),
        ("start_of_its_own", "the start is its own"),
        ("adam_unsaid", 'it lacks the line REFERENCE = "adam": with that it agrees to'),
        ("adam_unsaid_with_another_epsilon", 'REFERENCE = "adam", and its Adam has epsilon 1e-7:'),
    ],
)
def test_a_failed_verdict_explains_itself(name: str, words: str) -> None:
    train, needs, family = mutants.MUTANTS[name]
    found = verdict_on(train, BASE.with_(**needs), family)
    assert words in "; ".join(found.reasons)


@pytest.mark.parametrize(
    ("name", "claimed", "meant"),
    [("dynamic_net", "sgd", "dynamic"), ("numpy_manual", "dynamic", "sgd")],
)
def test_a_reference_of_more_or_fewer_weights_is_named(name, claimed, meant) -> None:
    train = importlib.import_module(catalogue.find(name).module).train
    found = verdict_on(train, BASE, claimed, name)
    assert found.cause is not None
    assert found.cause["name"] == "another reference"
    assert found.reasons[0].startswith(f'it lacks the line REFERENCE = "{meant}": with that it')


# --- the ten pass


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", catalogue.LESSON)
def test_none_of_the_ten_is_flagged(name: str, shape: dict[str, int]) -> None:
    cfg = BASE.with_(**shape)
    found = built_in(name, cfg)
    assert (found.reasons, found.equivalent) == ([], True)
    assert found.float64.departs is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", catalogue.LESSON)
def test_none_of_the_ten_is_flagged_at_any_seed(name: str, seed: int) -> None:
    for shape in SHAPES:
        found = built_in(name, BASE.with_(**shape, seed=seed))
        assert found.reasons == [], shape


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("numpy_manual", 1.0),
        ("torch_manual", 1.0),
        ("autograd", 1.0),
        ("custom_relu", 1.0),
        ("tf_graph", 1.0),
        ("nn", 0.0),
        ("adam", 0.0),
        ("sgd", 0.0),
        ("custom_module", 1.0),
        ("dynamic_net", 1.0),
    ],
)
def test_slope_that_each_gives_the_relu_at_zero(name: str, slope: float) -> None:
    assert built_in(name, BASE.with_(epochs=2)).at_zero == slope


def test_half_a_slope_at_zero_is_recognised() -> None:
    def train(cfg):

        x, y, w1, w2 = (torch.tensor(array) for array in cfg.problem())
        w1.requires_grad_()
        w2.requires_grad_()
        for _ in cfg.steps():
            h_relu = torch.maximum(x @ w1, torch.zeros((), dtype=x.dtype))
            loss = (h_relu @ w2 - y).pow(2).sum()
            yield loss.detach()
            grad_w1, grad_w2 = torch.autograd.grad(loss, (w1, w2))
            with torch.no_grad():
                w1 -= cfg.lr * grad_w1
                w2 -= cfg.lr * grad_w2
        return w1.numpy(force=True), w2.numpy(force=True)

    found = verdict_on(train, BASE, "sgd")
    assert (found.at_zero, found.equivalent) == (0.5, True)


def test_a_diverging_run_is_judged_until_the_reference_diverges() -> None:
    found = built_in("autograd", BASE.with_(lr=1.0, epochs=30))
    assert found.equivalent
    assert 0 < found.float64.judged < 30


# --- the command


def test_verify_passes_the_ten(tmp_path: Path) -> None:
    done = twolayer("verify", "--config", "smoke", "--format", "json", cwd=tmp_path)
    verdicts = json.loads(done.stdout)
    assert done.returncode == 0
    assert [v["impl"] for v in verdicts] == list(catalogue.LESSON)
    assert all(v["equivalent"] for v in verdicts)
    assert all(0 <= v["float64"]["deviation"] <= v["float64"]["bound"] for v in verdicts)
    assert {v["impl"]: v["reference"] for v in verdicts}["adam"] == "adam"


WRONG = """\
\"\"\"Plain descent with a learning rate that is slightly off.\"\"\"
import numpy as np

def train(cfg):
    x, y, w1, w2 = (a.copy() for a in cfg.problem())
    for _ in cfg.steps():
        h = np.maximum(x @ w1, 0)
        e = h @ w2 - y
        yield np.square(e).sum()
        g1, g2 = x.T @ ((2 * e @ w2.T) * (h > 0)), h.T @ (2 * e)
        w1 -= cfg.lr * 1.000001 * g1
        w2 -= cfg.lr * 1.000001 * g2
    return w1, w2
"""


WORDS = ("equivalent", "differs", "failed")


def words_of(done) -> dict[str, str]:
    """The second column of the table, by implementation."""
    lines = [line.split() for line in done.stdout.replace("|", " ").splitlines()]
    return {line[0]: line[1] for line in lines if len(line) > 1 and line[1] in WORDS}


@pytest.fixture(scope="module", params=["table", "markdown"])
def mixed(request, tmp_path_factory):
    """What `verify` says of a wrong file, of one that crashes, and of a right one."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "wrong.py").write_text(WRONG)
    (folder / "gone.py").write_text(
        '"""Dies."""\nimport os\n\n\ndef train(cfg):\n    yield 1.0\n    os._exit(7)\n'
    )
    impls = ("--impl", "./wrong.py,./gone.py,numpy_manual", "--format", request.param)
    return twolayer("verify", "--config", "smoke", *impls, "-q", cwd=folder)


def test_verify_refutes_a_wrong_file(mixed) -> None:
    assert mixed.returncode == 4
    assert "1.000001 times the reference's" in mixed.stdout


def test_verify_survives_one_that_crashes(mixed) -> None:
    assert "exited with status 7" in mixed.stdout
    words = {"wrong": "differs", "gone": "failed", "numpy_manual": "equivalent"}
    assert words_of(mixed) == words


def test_verify_ends_with_who_is_not_equivalent_and_why(mixed) -> None:
    *_, first, wrong, gone = mixed.stdout.splitlines()
    assert first == "1 of 3 equivalent; wrong and gone are not"
    assert re.fullmatch(
        r"wrong: its update is 1.000001 times .* agrees to \de-1\d over all 50 epochs", wrong
    )
    assert gone.startswith("gone: does not train: the process exited with status 7 before")
    assert mixed.stderr == ""


def test_verify_fits_a_terminal_in_one_block_and_shows_the_rest_on_request(tmp_path: Path) -> None:
    words = ("verify", *small(tmp_path), "--impl", "numpy_manual,nn", "-q")
    done = twolayer(*words, cwd=tmp_path)
    header, _, *rows = done.stdout.splitlines()[:4]
    assert header.split("  ")[0] == "implementation"
    assert [row.split()[1] for row in rows] == ["equivalent", "equivalent"]
    assert max(map(len, done.stdout.splitlines()[:4])) < 80
    answer = done.stdout.splitlines()[-1]
    pattern = r"2 of 2 equivalent: losses deviate by up to 0\.\d+% of the bound \(nn: \d\.\de-1\d\)"
    assert re.fullmatch(pattern, answer)
    verbose = twolayer(*words, "--verbose", cwd=tmp_path).stdout
    assert {"reference", "departs", "float32"} <= set(verbose.split())
    assert verbose.splitlines()[-1] == answer


def test_reasons_beyond_the_first_are_for_verbose(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG.replace(" * (h > 0)", ""))
    words = ("verify", *small(tmp_path), "--impl", "./wrong.py", "-q")
    last = twolayer(*words, cwd=tmp_path).stdout.splitlines()[-1]
    assert re.fullmatch(r"wrong: the gradient is off .* \(more with --verbose\)", last)
    verbose = twolayer(*words, "--verbose", cwd=tmp_path).stdout
    assert "wrong (common): the losses leave the band at epoch 1" in verbose


def test_a_reference_that_there_is_not_is_refused_before_anything_runs(tmp_path: Path) -> None:
    _, impls = planted("numpy_manual", "family_unknown")
    for words in (
        ("verify", *small(tmp_path), "--impl", impls),
        ("bench", *small(tmp_path), "--impl", impls),
        ("check", *impls.split(",")),
    ):
        done = twolayer(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"{impls.partition(',')[2]}:3: REFERENCE: must be sgd, adam or dynamic (got rmsprop)\n"
        )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("REFERENCE = 'SGD'", "SGD"),
        ("FAMILY = 3", "3"),
        ("REFERENCE: str = NAME.lower()", "NAME.lower()"),
    ],
)
def test_no_other_word_stands_for_a_reference(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "mine.py").write_text(f'"""Mine."""\n{line}\n')
    key = line.split(":")[0].split()[0]
    message = re.escape(f"mine.py:2: {key}: must be sgd, adam or dynamic (got {said})")
    with pytest.raises(UserError, match=message):
        catalogue.from_file(tmp_path / "mine.py").reference  # noqa: B018


def test_each_training_has_the_limits_of_a_run_and_the_rest_go_on(tmp_path: Path) -> None:
    words = (*small(tmp_path, timeout="3s"), *planted("hangs", "borrows", "gram"), "-q")
    done = twolayer("verify", *words, cwd=tmp_path)
    assert done.returncode == 4
    assert "hangs: does not train: took longer than 3 s" in done.stdout
    proves = "it imports twolayer.verify.reference: that it agrees with ours proves nothing"
    assert f"borrows: {proves}" in done.stdout
    assert words_of(done) == {"hangs": "failed", "borrows": "differs", "gram": "equivalent"}
    done = twolayer("check", *planted("borrows")[1:], cwd=tmp_path)
    assert done.returncode == 3
    assert f"broken  the work is its own: {proves}" in done.stdout


def test_progress_is_a_line_for_each_in_a_pipe_and_a_bar_on_a_terminal(tmp_path: Path) -> None:
    words = ("verify", *small(tmp_path), "--impl", "numpy_manual")
    piped = twolayer(*words, cwd=tmp_path)
    assert piped.stderr == (
        "importing numpy\n[1/1] numpy_manual (common)\n"
        "next: twolayer bench --config small.yaml --impl numpy_manual\n"
    )
    with on_a_terminal(*words, cwd=tmp_path, columns=80) as spawned:
        shown = spawned.read()
    assert re.search(r"total .*━.* numpy_manual \(common\)", shown)
    assert "[1/1]" not in shown
    assert "\x1b[?25h" in shown  # the cursor is back


def test_an_interrupt_lets_the_case_under_way_finish(tmp_path: Path) -> None:
    """And shows the verdicts so far, with how many are missing."""
    (tmp_path / "slow.py").write_text(SLOW + WRONG)
    impls = ("--impl", "numpy_manual,./slow.py,sgd")
    command = start("verify", *small(tmp_path), *impls, cwd=tmp_path)
    assert wait_for((tmp_path / "started").exists)
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "finishing this case; Ctrl-C again stops it" in stderr.splitlines()
    assert "kept" not in stderr
    first, second = stdout.splitlines()[-2:]
    start_of = "interrupted with 1 of 3 cases missing; so far 1 of 2 equivalent; slow is not"
    assert first == start_of
    assert second.startswith("slow: its update is 1.000001 times the reference's")
    assert "next:" not in stderr


SLOW = """\
import time
from pathlib import Path

Path("started").touch()
time.sleep(1)
"""


def test_a_second_interrupt_stops_the_case(tmp_path: Path) -> None:
    impls = planted("numpy_manual", "hangs")
    command = start("verify", *small(tmp_path), *impls, cwd=tmp_path)
    assert wait_for((tmp_path / "started").exists)
    command.send_signal(signal.SIGINT)
    assert command.stderr is not None
    assert wait_for(lambda: "finishing this case" in command.stderr.readline())
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=30)
    assert (command.returncode, stderr) == (130, "stopping …\n")
    assert stdout.splitlines()[-1].startswith(
        "interrupted with 1 of 2 cases missing; so far 1 of 1 equivalent: every loss is"
    )
    assert left_behind(tmp_path) == []


def test_an_interrupt_while_frameworks_are_imported_ends_verify(tmp_path: Path) -> None:
    command = start("verify", *small(tmp_path), "--impl", "tf_graph", cwd=tmp_path)
    assert command.stderr is not None
    assert "importing" in command.stderr.readline()
    command.send_signal(signal.SIGINT)
    stdout, _ = command.communicate(timeout=60)
    assert command.returncode == 130
    assert stdout.splitlines()[-1] == "interrupted with 1 of 1 cases missing"
    assert left_behind(tmp_path) == []


NAN = """\
def train(cfg):
    x, y, w1, w2 = cfg.problem()
    for _ in cfg.steps():
        yield float("nan")
    return w1, w2
"""


def test_json_has_no_word_for_infinite(tmp_path):
    """A loss that is nan deviates without bound."""
    (tmp_path / "nan.py").write_text(NAN)
    words = ("verify", "--impl", "./nan.py", *small(tmp_path), "--format", "json")

    def refuse(word):
        raise AssertionError(word)

    (verdict,) = json.loads(twolayer(*words, cwd=tmp_path).stdout, parse_constant=refuse)
    assert verdict["float64"]["deviation"] is None
    assert not verdict["equivalent"]
