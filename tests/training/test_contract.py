"""The contract: all ten implementations keep it, and whoever breaks it is told which rule."""

import ast
import importlib
import io
import json
import random
import signal
import sys
import tokenize
import types
from collections import Counter

import numpy as np
import pytest
import torch
from command import start, twolayer, wait_for
from twolayer import Config
from twolayer.config import catalogue
from twolayer.training.check import NOT_TRIED, RULES, Trace, try_rules
from twolayer.training.contract import ContractError
from twolayer.training.loop import Training

pytestmark = pytest.mark.usefixtures("one_thread")

KEPT = dict.fromkeys(map(str, RULES), "")
NAMES = catalogue.LESSON
FOLDER = catalogue.built_in_folder()
FILES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "__init__")
SHAPES = {
    "not square": {"N": 5, "H": 4, "D_in": 6, "D_out": 3},
    "square": {"N": 4, "H": 4, "D_in": 4, "D_out": 4},
    "N is 1": {"N": 1, "H": 4, "D_in": 6, "D_out": 3},
    "H is 1": {"N": 5, "H": 1, "D_in": 6, "D_out": 3},
    "all are 1": {"N": 1, "H": 1, "D_in": 1, "D_out": 1},
    "N is more than D_in": {"N": 9, "H": 4, "D_in": 2, "D_out": 3},
}
WITH_BIAS = ("nn", "adam", "sgd", "custom_module", "dynamic_net")
WITH_MOMENTUM = ("sgd", "custom_module", "dynamic_net")
PLAIN_DESCENT = tuple(name for name in NAMES if name not in ("adam", "dynamic_net"))
COMPARED = Config(N=20, H=16, D_in=12, D_out=4, lr=1e-4, epochs=30, dtype="float64")


def implementation(name):
    """The `train` of one of the ten."""
    return importlib.import_module(f"twolayer.impls.{name}").train


def small(**settings):
    """A few steps of a small problem."""
    return Config(**({"lr": 1e-3, "epochs": 6} | SHAPES["not square"] | settings))


def reference(cfg):
    """Gradient descent in NumPy, with biases and momentum, written apart from the ten."""
    x, y, *weights = cfg.problem()
    if not cfg.bias:
        w1, w2 = weights
        weights = [w1, np.zeros(cfg.H, cfg.dtype), w2, np.zeros(cfg.D_out, cfg.dtype)]
    moving = [np.zeros_like(weight) for weight in weights]
    losses = []
    for _ in range(cfg.epochs):
        w1, b1, w2, b2 = weights
        h = x @ w1 + b1
        off = np.maximum(h, 0) @ w2 + b2 - y
        losses.append((off**2).sum())
        back = (2 * off @ w2.T) * (h >= 0)
        grads = [
            x.T @ back,
            back.sum(0),
            np.maximum(h, 0).T @ (2 * off),
            (2 * off).sum(0),
        ]
        moving = [cfg.momentum * m + grad for m, grad in zip(moving, grads, strict=True)]
        held = [True, cfg.bias, True, cfg.bias]
        weights = [
            weight - cfg.lr * m * hold
            for weight, m, hold in zip(weights, moving, held, strict=True)
        ]
    return losses, weights if cfg.bias else weights[::2]


def agree(name, cfg):
    """Hold losses and final weights of an implementation to the reference."""
    run = Trace(implementation(name), cfg)
    losses, weights = reference(cfg)
    np.testing.assert_allclose(run.at_once, losses, rtol=1e-9)
    for ours, theirs in zip(run.call.weights(), weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_the_ten_keep_every_rule(name, dtype, shape):
    """In both types and all kinds of shapes."""
    assert try_rules(implementation(name), small(dtype=dtype, **SHAPES[shape])) == KEPT


@pytest.mark.parametrize("init", ["normal", "uniform"])
@pytest.mark.parametrize("name", WITH_BIAS)
def test_the_rules_are_kept_with_biases(name, init):
    """Where they are honoured."""
    assert try_rules(implementation(name), small(bias=True, init=init)) == KEPT


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", WITH_MOMENTUM)
def test_the_rules_are_kept_with_momentum(name, bias):
    """Where it is honoured."""
    assert try_rules(implementation(name), small(momentum=0.9, bias=bias)) == KEPT


def test_who_honours_what_is_known():
    """Biases and momentum, read from the sources."""
    all_ = [catalogue.find(name) for name in NAMES]
    assert tuple(item.name for item in all_ if item.honours("bias")) == WITH_BIAS
    assert tuple(item.name for item in all_ if item.honours("momentum")) == WITH_MOMENTUM


@pytest.mark.parametrize("name", PLAIN_DESCENT)
def test_gradient_descent_is_the_same_computation_in_all(name):
    """The same losses and weights from the same settings, in double precision."""
    agree(name, COMPARED)


@pytest.mark.parametrize("name", ["nn", "sgd", "custom_module"])
def test_biases_are_the_same_computation_in_all(name):
    """With the start of the notebook's nn cells."""
    agree(name, COMPARED.with_(bias=True, init="uniform", lr=1e-3))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ["sgd", "custom_module"])
def test_momentum_is_the_same_computation_in_both(name, bias):
    """A moving sum of gradients."""
    agree(name, COMPARED.with_(momentum=0.9, bias=bias, lr=1e-5))


@pytest.mark.parametrize("name", PLAIN_DESCENT)
def test_single_precision_stays_close_to_double(name):
    """The same problem, rounded."""
    single = Trace(implementation(name), COMPARED.with_(dtype="float32")).at_once
    np.testing.assert_allclose(single, reference(COMPARED)[0], rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls(name, dtype):
    """They do train."""
    cfg = COMPARED.with_(dtype=dtype, init="uniform", lr=1e-3)
    losses = Trace(implementation(name), cfg).at_once
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_the_weights_come_back_trained_in_their_type(name, dtype):
    """As NumPy arrays, changed, and of the precision that was asked for."""
    run = Trace(implementation(name), small(dtype=dtype))
    assert {str(weight.dtype) for weight in run.call.weights()} == {dtype}
    start = small(dtype=dtype).problem()[2:]
    assert not np.array_equal(run.call.weights()[0], start[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_list_of_losses_is_all_it_takes_in_a_notebook(name):
    """`list(train(cfg))`, without the runner."""
    losses = list(implementation(name)(small()))
    assert len(losses) == 6
    assert all(float(loss) > 0 for loss in losses)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_makes_a_difference(name):
    """Another seed, other losses."""
    one, two = (Trace(implementation(name), small(seed=seed)).at_once for seed in (0, 1))
    assert one != two


# The files themselves.


def code_lines(text):
    """The lines that hold code: no blank lines, comments or docstrings."""
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in {*empty, tokenize.ENDMARKER} and token.line.strip()[:3] != '"""':
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines


def imported(tree):
    """The names of all modules that a file imports, `.` for what is relative."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else str(node.module).partition(".")[0]


def test_there_are_ten_files():
    """One for each implementation."""
    assert {path.stem for path in FILES} == set(NAMES)
    assert len(NAMES) == 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_fits_on_one_screen(path):
    """About thirty lines of code."""
    assert 10 < len(code_lines(path.read_text(encoding="utf-8"))) <= 31


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_imports_its_framework_and_nothing_of_ours(path):
    """It can be copied anywhere."""
    names = set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    assert names
    assert names <= {"numpy", "torch", "tensorflow"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_explains_itself_and_never_waits_for_the_device(path):
    """A title, and no `.item()` in the loop."""
    text = path.read_text(encoding="utf-8")
    title = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    assert title.endswith(".")
    assert ".item(" not in text


# Those that break a rule.


def good(cfg):
    """NumPy by hand, as a third party would write it."""
    x, y, w1, w2 = (array.copy() for array in cfg.problem())
    for _ in cfg.steps():
        h = x @ w1
        off = np.maximum(h, 0) @ w2 - y
        yield (off**2).sum()
        back = (2 * off @ w2.T) * (h >= 0)
        w2 -= cfg.lr * np.maximum(h, 0).T @ (2 * off)
        w1 -= cfg.lr * x.T @ back
    return w1, w2


def yielding(change):
    """The good one with every loss changed on its way out."""

    def train(cfg):
        generator = good(cfg)
        while True:
            try:
                loss = next(generator)
            except StopIteration as end:
                return end.value
            yield change(loss)

    return train


def returning(change):
    """The good one with its weights changed on their way out."""

    def train(cfg):
        return change((yield from good(cfg)))

    return train


def untitled(cfg):
    """Of a module without a docstring."""
    return (yield from good(cfg))


untitled.__module__ = "untitled"
sys.modules["untitled"] = types.ModuleType("untitled")


def flipping(flip):
    """The good one with a switch flipped before it starts."""

    def train(cfg):
        flip()
        return (yield from good(cfg))

    return train


def not_a_generator(cfg):
    return list(good(cfg))


def never_pulls(cfg):
    _, _, w1, w2 = cfg.problem()
    for step in range(cfg.epochs):
        yield float(step)
    return w1, w2


def reused_array():
    buffer = np.zeros(())

    def fill(loss):
        buffer[...] = loss
        return buffer

    return yielding(fill)


def reused_tensor():
    buffer = torch.zeros((), dtype=torch.float64)

    def fill(loss):
        buffer.data.fill_(loss)
        return buffer

    return yielding(fill)


def attached(cfg):
    x, y, w1, w2 = map(torch.tensor, cfg.problem())
    w1.requires_grad_()
    for _ in cfg.steps():
        yield ((x @ w1).clamp(min=0) @ w2 - y).pow(2).sum()
    return w1.numpy(force=True), w2.numpy(force=True)


def one_too_many(cfg):
    weights = yield from good(cfg)
    yield 0.0
    return weights


def one_too_few(cfg):
    generator = good(cfg)
    next(generator)
    return (yield from generator)


def steps_left_over(cfg):
    _, _, w1, w2 = cfg.problem()
    for step in cfg.steps():
        yield float(step)
        if step == 2:
            break
    return w1, w2


def yields_nothing_beside_losses(cfg):
    _, _, *weights = cfg.problem()
    for step in cfg.steps():
        yield float(step)
        yield np.array([])
    return weights


def pulls_all_at_once(cfg):
    _, _, *weights = cfg.problem()
    for step in list(cfg.steps()):
        yield float(step)
    return weights


def counts_the_steps_first(cfg):
    _, _, *weights = cfg.problem()
    yield np.ones(sum(1 for _ in cfg.steps()))
    return weights


def transposed_weights_of_its_own_problem(cfg):
    _, _, *weights = Config(**cfg.values()).problem()
    for step in cfg.steps():
        yield float(step)
    return [w.T for w in weights]


def changes_the_data(cfg):
    x, _, w1, w2 = cfg.problem()
    x *= 2
    for step in cfg.steps():
        yield float(step)
    return w1, w2


def trains_in_place(cfg):
    _, _, w1, w2 = cfg.problem()
    for step in cfg.steps():
        yield float(step)
        w2 -= 0.1
    return w1, w2


def decays_towards_the_end(cfg):
    _, _, w1, w2 = (array.copy() for array in cfg.problem())
    for step in cfg.steps():
        yield float(w1.sum())
        w1 -= cfg.lr * (1 - step / cfg.epochs)
    return w1, w2


def last_step_differs(cfg):
    _, _, w1, w2 = (array.copy() for array in cfg.problem())
    for step in cfg.steps():
        yield float(w1.sum())
        w1 *= 0.5 if step == cfg.epochs - 1 else 0.9
    return w1, w2


def inside_no_grad(cfg):
    with torch.no_grad():
        return (yield from good(cfg))


def inside_errstate(cfg):
    with np.errstate(over="ignore"):
        return (yield from good(cfg))


def raising(cfg):
    yield 1.0
    raise RuntimeError("out of ideas")


def line(function, after):
    """The number of a line of this file: so many after the function's first."""
    return function.__code__.co_firstlineno + after


def at(function, after):
    """The same as messages show it."""
    return f" (test_contract.py:{line(function, after)})"


RETURNED = at(returning(None), 1)
OWN_RETURNED = at(transposed_weights_of_its_own_problem, 4)
AHEAD = (
    "it pulled 10000 steps before their losses came, so that it can be neither timed nor stopped; "
    "loop over cfg.steps() itself, or pull a chunk at a time (`islice(steps, 100)`)"
)
DIFFERENT_BITS = "two runs with the same seed differ; draw randomness only from cfg.seed"
REUSED = "it yields a reused buffer: earlier losses change later; yield a copy"
NOT_A_SHORTER_RUN = (
    "stopped at step 3 it is not what a run of 3 steps is; "
    "nothing may depend on cfg.epochs or follow the loop but the return"
)
SHAPES_OF_WEIGHTS = (
    "they must be real floating-point arrays of the shapes handed out, (6, 4) and (4, 3)"
)
LEFT_CHANGED = "it leaves global state changed: "

BREAKERS = {
    "not a generator": (
        not_a_generator,
        "generator",
        f"train(cfg) must yield its losses, it returned a list{at(not_a_generator, 1)}; "
        "write `yield loss` in a loop over cfg.steps()",
    ),
    "yields text": (
        yielding(lambda _: "low"),
        "generator",
        "train(cfg) must yield numbers, got str; yield the loss itself",
    ),
    "yields nothing": (
        yielding(lambda _: None),
        "generator",
        "train(cfg) must yield numbers, got NoneType; ",
    ),
    "yields a matrix": (
        yielding(lambda loss: np.full((2, 2), loss)),
        "generator",
        "train(cfg) must yield numbers, got ndarray of shape (2, 2); yield one number a step, ",
    ),
    "yields a matrix of one": (
        yielding(lambda loss: np.full((1, 1), loss)),
        "generator",
        "train(cfg) must yield numbers, got ndarray of shape (1, 1); yield one number a step, ",
    ),
    "yields words for numbers": (
        yielding(str),
        "generator",
        "train(cfg) must yield numbers, got str; ",
    ),
    "yields arrays of words": (
        yielding(lambda loss: np.array([str(loss)])),
        "generator",
        "train(cfg) must yield numbers, got ndarray of <U",
    ),
    "yields complex numbers": (
        yielding(lambda loss: torch.tensor(complex(loss))),
        "generator",
        "train(cfg) must yield numbers, got Tensor; ",
    ),
    "yields no losses beside others": (
        yields_nothing_beside_losses,
        "generator",
        "train(cfg) must yield numbers, got ndarray of no losses; ",
    ),
    "raises": (raising, "generator", "it raised RuntimeError: out of ideas"),
    "never pulls": (
        never_pulls,
        "steps",
        "it never pulled a step from cfg.steps(); write `for _ in cfg.steps():` "
        f"where test_contract.py:{line(never_pulls, 2)} loops over range(cfg.epochs)",
    ),
    "pulls all at once": (pulls_all_at_once, "ahead", AHEAD),
    "counts the steps first": (counts_the_steps_first, "ahead", AHEAD),
    "one loss too many": (
        one_too_many,
        "one-loss-per-step",
        "it yields too many losses: 7 for 6 steps; yield one for each step pulled",
    ),
    "one loss too few": (
        one_too_few,
        "one-loss-per-step",
        "it yields too few losses: 5 for 6 steps; yield one for each step pulled",
    ),
    "steps left over": (
        steps_left_over,
        "one-loss-per-step",
        f"it ended after 3 of 6 steps{at(steps_left_over, 5)}; "
        "the loop must go on until cfg.steps() ends",
    ),
    "reused array": (reused_array(), "fresh", REUSED),
    "reused tensor": (reused_tensor(), "fresh", REUSED),
    "attached": (
        attached,
        "detached",
        "its losses are attached to their graph, which keeps every step in memory; "
        "yield loss.detach()",
    ),
    "changes the data": (
        changes_the_data,
        "problem",
        "it changes the arrays of cfg.problem() (number 0); train on copies",
    ),
    "trains in place": (
        trains_in_place,
        "problem",
        "it changes the arrays of cfg.problem() (number 3); train on copies",
    ),
    "numpy's generator": (
        yielding(lambda loss: loss + np.random.random()),
        "seed",
        DIFFERENT_BITS,
    ),
    "python's generator": (yielding(lambda loss: loss + random.random()), "seed", DIFFERENT_BITS),
    "torch's generator": (
        yielding(lambda loss: loss + float(torch.rand(()))),
        "seed",
        DIFFERENT_BITS,
    ),
    "weights drawn": (
        returning(lambda ws: [w + np.random.random() for w in ws]),
        "seed",
        DIFFERENT_BITS,
    ),
    "weights missing": (
        returning(lambda _: None),
        "weights",
        f"it returned no weights{RETURNED}; return them as NumPy arrays",
    ),
    "one weight missing": (
        returning(lambda ws: ws[:1]),
        "weights",
        f"it returned 1 array where 2 were handed out{RETURNED}; "
        "return the weights as they came, (6, 4) and (4, 3)",
    ),
    "biases added": (
        returning(lambda ws: [a for w in ws for a in (w, w[0])]),
        "weights",
        f"it returned 4 arrays where 2 were handed out{RETURNED}; "
        "if it has biases, reading cfg.bias in train declares them; return the weights",
    ),
    "weights transposed": (
        returning(lambda ws: [w.T for w in ws]),
        "weights",
        f"its weights have shapes (4, 6) and (3, 4){RETURNED}; {SHAPES_OF_WEIGHTS}",
    ),
    "weights transposed, of a problem of its own": (
        transposed_weights_of_its_own_problem,
        "weights",
        f"its weights have shapes (4, 6) and (3, 4){OWN_RETURNED}; {SHAPES_OF_WEIGHTS}",
    ),
    "weights swapped": (
        returning(lambda ws: ws[::-1]),
        "weights",
        f"its weights have shapes (4, 3) and (6, 4){RETURNED}; {SHAPES_OF_WEIGHTS}",
    ),
    "weights a number": (
        returning(lambda _: 3),
        "weights",
        f"it returned an int{RETURNED}; return the weights as a list of arrays",
    ),
    "weights in single precision": (
        returning(lambda ws: [w.astype(np.float32) for w in ws]),
        "weights",
        "its weights are float32 where float64 was asked for",
    ),
    **{
        f"weights of {kind}": (
            returning(lambda ws, kind=kind: [np.zeros(w.shape, kind) for w in ws]),
            "weights",
            f"its weights are of type {np.dtype(kind)}{RETURNED}; they must be real "
            "floating-point arrays of the shapes handed out",
        )
        for kind in ("object", "U32", "complex", "M8[s]", "f4,f4", "int")
    },
    "weights on their graph": (
        returning(lambda ws: [torch.tensor(w, requires_grad=True) * 1 for w in ws]),
        "weights",
        f"it returned a Tensor among its weights{RETURNED}; "
        "return NumPy arrays: weight.numpy(force=True)",
    ),
    "decays towards the end": (decays_towards_the_end, "stop", NOT_A_SHORTER_RUN),
    "last step differs": (last_step_differs, "stop", NOT_A_SHORTER_RUN),
    "inside no_grad": (
        inside_no_grad,
        "global-state",
        f"{LEFT_CHANGED}torch.is_grad_enabled() is False, was True; "
        "flip no global switch, and never yield inside a `with` that does",
    ),
    "no docstring": (
        untitled,
        "docstring",
        "it has none; begin it with a title, which `twolayer list` shows",
    ),
    "inside errstate": (inside_errstate, "global-state", f"{LEFT_CHANGED}numpy.geterr() is "),
}


def first_broken(verdicts):
    """The first rule that is broken, with its sentence."""
    return next((item for item in verdicts.items() if item[1] not in ("", NOT_TRIED)), None)


@pytest.mark.parametrize("name", BREAKERS)
def test_a_breaker_is_told_the_rule_and_how_it_broke(name):
    """The first rule reported is the one that it broke."""
    train, rule, sentence = BREAKERS[name]
    broken, said = first_broken(try_rules(train))
    assert (broken, said[: len(sentence)]) == (rule, sentence)


@pytest.mark.parametrize("name", BREAKERS)
def test_a_sentence_is_said_once(name):
    """One fault is not reported by rule after rule in the same words."""
    verdicts = try_rules(BREAKERS[name][0])
    _, sentence = first_broken(verdicts)
    assert list(verdicts.values()).count(sentence) == 1


@pytest.fixture
def switches():
    """Global switches, set back at the end."""
    errors, threads = np.geterr(), torch.get_num_threads()
    yield
    np.seterr(**errors)
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(True)


@pytest.mark.parametrize(
    ("flip", "named"),
    [
        (lambda: np.seterr(all="ignore"), "numpy.geterr()"),
        (lambda: torch.set_default_dtype(torch.float64), "torch.get_default_dtype()"),
        (lambda: torch.set_num_threads(2), "torch.get_num_threads()"),
        (lambda: torch.set_grad_enabled(False), "torch.is_grad_enabled()"),
    ],
    ids=["errors", "type", "threads", "gradients"],
)
def test_a_switch_flipped_for_good_is_reported(switches, flip, named):
    """Even though the first run flips it and later ones find it so."""
    said = try_rules(flipping(flip))["global-state"]
    assert said.startswith(LEFT_CHANGED)
    assert named in said


@pytest.mark.parametrize(
    "train",
    [
        good,
        yielding(float),
        yielding(np.float32),
        yielding(torch.tensor),
        yielding(np.atleast_1d),
        returning(list),
    ],
    ids=["numpy", "float", "float32", "tensor", "array of one", "list"],
)
def test_what_somebody_else_may_do(train):
    """Plain floats, any framework's numbers, lists of weights."""
    assert try_rules(train) == KEPT


def test_a_chunk_of_losses_may_be_yielded_at_once():
    """What a compiled loop does."""

    def chunked(cfg):
        _, _, w1, w2 = cfg.problem()
        chunk = []
        for step in cfg.steps():
            chunk.append(float(step))
            if len(chunk) == 2:
                yield np.array(chunk)
                chunk = []
        if chunk:
            yield np.array(chunk)
        return w1, w2

    assert try_rules(chunked) == KEPT


@pytest.mark.parametrize(
    ("change", "asked", "computed"),
    [
        ({"w": np.float32}, "float64", "float32"),
        ({"w": np.float64}, "float32", "float64"),
        ({"w": "bfloat16"}, "float32", "bfloat16"),
        ({"loss": np.float32}, "float64", "float32"),
        ({"loss": lambda loss: torch.tensor(loss, dtype=torch.float32)}, "float64", "float32"),
        ({"loss": float}, "float32", None),
        ({"loss": np.float64}, "float32", None),
        ({}, "float64", None),
    ],
)
def test_what_was_computed_in_is_what_weights_and_losses_say(change, asked, computed):
    """A plain float says nothing, and a loss may be wider than the weights."""
    to, loss = change.get("w", asked), change.get("loss", lambda loss: loss)
    if to == "bfloat16":
        pytest.importorskip("ml_dtypes")  # comes with tensorflow, and teaches NumPy the type

    def train(cfg):
        weights = yield from yielding(loss)(cfg)
        return [weight.astype(to) for weight in weights]

    training = Training(train, small(dtype=asked))
    result = training.run()
    assert (result["outcome"], result["computed_dtype"]) == ("ok", computed)
    assert all(weight.dtype.kind == "f" for weight in training.weights)


def test_a_train_that_takes_no_cfg_is_told_so():
    """Not with a TypeError of ours."""
    with pytest.raises(ContractError, match="train must take one argument, cfg: too many"):
        Trace(lambda: iter(()), small())


def test_a_loss_that_is_not_a_number_is_no_reused_buffer():
    """Nan is not equal to itself, which is nobody's fault."""
    assert try_rules(yielding(lambda _: np.float64("nan")))["fresh"] == ""


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_can_be_called_in_somebody_elses_tests(rule):
    """It raises if the contract is broken, and only then."""
    rule(good)
    breaker = next(train for train, name, _ in BREAKERS.values() if name == rule.name)
    with pytest.raises(ContractError):
        rule(breaker)


# From the command line.

GOOD = '''\
"""Does nothing, well."""


def train(cfg):
    x, y, *weights = cfg.problem()
    for _ in cfg.steps():
        yield 1.0
    return weights
'''
MISSING_WEIGHTS = GOOD.replace("    return weights\n", "")
ONE_TOO_MANY = GOOD.replace("    return", "    yield 1.0\n    return")
SEGFAULT = """\
import os
import signal


def train(cfg):
    for _ in cfg.steps():
        os.kill(os.getpid(), signal.SIGSEGV)
        yield 1.0
"""


OWN = "the work is its own"


def checked(folder, *words, **files):
    """Exit code, stdout and stderr of `twolayer check` in a folder with these files."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    done = twolayer("check", *words, cwd=folder)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_check_shows_every_rule_that_is_kept(tmp_path):
    """Exit code 0."""
    code, said, err = checked(tmp_path, "./mine.py", "numpy_manual", mine=GOOD)
    rules = [f"  ok      {text}" for text in (*(rule.text for rule in RULES), OWN)]
    assert code == 0
    assert said.split("\n\n") == [
        "\n".join(["mine: mine.py", *rules]),
        "\n".join(["numpy_manual: built in", *rules]),
        f"mine and numpy_manual keep all {len(RULES) + 1} rules\n",
    ]
    assert err.splitlines()[-1] == (
        "next: twolayer verify --impl mine.py,numpy_manual; "
        "twolayer bench --impl mine.py,numpy_manual"
    )


def test_check_refuses_a_module_without_a_docstring(tmp_path):
    """Its first line is the title; rules that are broken are counted in the end."""
    text = MISSING_WEIGHTS.partition("\n")[2]
    code, said, err = checked(tmp_path, "./mine.py", mine=text)
    assert code == 3
    assert "  broken  its module has a docstring: it has none; begin it with a title" in said
    assert said.splitlines()[-1] == f"mine breaks 2 of {len(RULES) + 1} rules"
    assert "next:" not in err


def test_check_in_formats_for_programs(tmp_path):
    """A record for each rule of each implementation."""
    words = ("./mine.py", "./gone.py", "-q", "--format")
    files = {"mine": MISSING_WEIGHTS, "gone": "import gone_for_good\n"}
    code, said, err = checked(tmp_path, *words, "json", **files)
    records = json.loads(said)
    assert (code, err, len(records)) == (3, "", 2 * (len(RULES) + 1))
    verdicts = {
        name: [r["verdict"] for r in records if r["implementation"] == name] for name in files
    }
    assert Counter(verdicts["mine"]) == {"ok": len(RULES), "broken": 1}
    assert Counter(verdicts["gone"]) == {"not tried": len(RULES), "broken": 1}
    (broken,) = (r for r in records if r["verdict"] == "broken" and r["implementation"] == "gone")
    assert broken["reason"] == "ModuleNotFoundError: No module named 'gone_for_good'"
    lines = checked(tmp_path, *words, "csv")[1].splitlines()
    assert (lines[0], len(lines)) == ("implementation,rule,verdict,reason", len(records) + 1)
    lines = checked(tmp_path, *words, "markdown")[1].splitlines()
    assert f"| mine | {OWN} | ok |  |" in lines
    assert lines[-2:] == [f"{name} breaks 1 of {len(RULES) + 1} rules" for name in ("mine", "gone")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            MISSING_WEIGHTS,
            "  broken  it returns the final weights as they came: "
            "it returned no weights; return them as NumPy arrays",
        ),
        (
            ONE_TOO_MANY,
            "  broken  it yields one loss per step: it yields too many losses: 7 for 6 steps; "
            "yield one for each step pulled",
        ),
    ],
)
def test_check_says_which_rule_is_broken_and_how(tmp_path, text, line):
    """Exit code 3, and the other rules are shown as kept."""
    code, said, _ = checked(tmp_path, "./mine.py", mine=text)
    assert code == 3
    assert [each for each in said.splitlines() if each.startswith("  broken")] == [line]
    assert said.count("  ok ") == len(RULES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file has no function train(cfg)"),
        ("train = 3\n", "the file has no function train(cfg)"),
        ("raise RuntimeError('not today')\n", "RuntimeError: not today"),
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package'"),
        (SEGFAULT, "SIGSEGV"),
    ],
    ids=["empty", "no function", "raises", "needs what there is not", "segfaults"],
)
def test_check_survives_what_a_file_does(tmp_path, text, sentence):
    """It says so in one line, and goes on to the next."""
    code, said, _ = checked(tmp_path, "./mine.py", "numpy_manual", mine=text)
    ours, _, other = said.partition("numpy_manual: built in")
    assert code == 3
    _, cause, rest = ours.strip().splitlines()
    assert cause.startswith("  broken  ")
    assert sentence in cause
    assert rest == f"  {len(RULES)} other rules were not tried"
    assert other.count("  ok ") == len(RULES) + 1
    assert said.splitlines()[-1] == f"mine breaks 1 of {len(RULES) + 1} rules"


HANGS = """\
def train(cfg):
    for _ in cfg.steps():
        while True:
            pass
        yield 1.0
"""


def test_check_gives_each_implementation_so_much_time(tmp_path):
    """One that hangs is broken, and the next is tried."""
    words = ("./hangs.py", "./mine.py", "--timeout", "1s")
    code, said, _ = checked(tmp_path, *words, hangs=HANGS, mine=GOOD)
    ours, _, other = said.partition("mine: mine.py")
    assert code == 3
    cause = "train(cfg) runs, as a generator of losses: took longer than 1 s"
    assert ours.startswith(f"hangs: hangs.py\n  broken  {cause}\n")
    assert other.count("  ok ") == len(RULES) + 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("./mine.py", "--timeout", "soon"),
            "--timeout: must be a time greater than 0, in seconds or like 90s, 5m or 1h "
            "(got 'soon')",
        ),
        (("./mine.py",), "mine.py:1:11: is not valid Python: invalid syntax"),
        (("./none.py",), "none.py: there is no such file"),
        (("autogradd",), "autogradd: is not an implementation (did you mean autograd?)"),
        (("./my-own.py",), "my-own.py: must be a .py file named like a variable"),
    ],
)
def test_check_of_what_can_not_be_checked_is_bad_usage(tmp_path, words, said):
    """Exit code 2 and a sentence."""
    (tmp_path / "my-own.py").write_text(GOOD)
    code, out, err = checked(tmp_path, *words, mine="def train(:\n")
    assert (code, out) == (2, "")
    assert err.strip().removeprefix(f"{tmp_path}/") == said


SLOW = """\
\"\"\"Takes a second to start.\"\"\"
import time
from pathlib import Path

from mine import train

Path("started").touch()
time.sleep(1)
"""


def test_an_interrupt_of_check_lets_the_one_under_way_finish(tmp_path):
    """And shows what is known by then, with how many are missing; exit code 130."""
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "mine.py").write_text(GOOD)
    command = start("check", "./mine.py", "./slow.py", "numpy_manual", cwd=tmp_path)
    assert wait_for((tmp_path / "started").exists)
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=60)
    assert command.returncode == 130
    assert stderr.splitlines()[-1] == "finishing this case; Ctrl-C again stops it"
    assert "numpy_manual: built in" not in stdout
    assert stdout.splitlines()[-2:] == [
        f"mine and slow keep all {len(RULES) + 1} rules",
        "interrupted: 1 of 3 not checked",
    ]
