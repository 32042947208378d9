"""The one problem that all train on: its shapes, its values, and where they come from."""

import numpy as np
import pytest
from twolayer import Config

SIZES = {"N": 7, "H": 5, "D_in": 6, "D_out": 3}
INITS = ["normal", "uniform"]


def problem(*, middle=False, **settings):
    """The arrays of a small problem."""
    return Config(**(SIZES | settings)).problem(middle=middle)


def named(*, middle=False, **settings):
    """The arrays of a small problem with biases, by their names."""
    names = ["x", "y", "w1", "b1", *(["w", "b"] if middle else []), "w2", "b2"]
    arrays = problem(middle=middle, bias=True, **settings)
    return dict(zip(names, arrays, strict=True))


def same(some, others):
    """Whether two lists of arrays have the same shapes, types and bits."""
    return [(a.shape, a.dtype, a.tobytes()) for a in some] == [
        (a.shape, a.dtype, a.tobytes()) for a in others
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("bias", "middle", "weights"),
    [
        (False, False, [(6, 5), (5, 3)]),
        (True, False, [(6, 5), (5,), (5, 3), (3,)]),
        (False, True, [(6, 5), (5, 5), (5, 3)]),
        (True, True, [(6, 5), (5,), (5, 5), (5,), (5, 3), (3,)]),
    ],
)
def test_shapes_and_types(bias, middle, weights, dtype):
    """Data first, then the weights in the order of the layers, each followed by its bias."""
    arrays = problem(bias=bias, middle=middle, dtype=dtype)
    assert [array.shape for array in arrays] == [(7, 6), (7, 3), *weights]
    assert {str(array.dtype) for array in arrays} == {dtype}


@pytest.mark.parametrize("sizes", [{"N": 1}, {"H": 1}, {"D_in": 1}, {"D_out": 1}, {"N": 20}])
def test_every_size_may_be_one(sizes):
    """Nothing is squeezed away."""
    n, h, d_in, d_out = (SIZES | sizes).values()
    shapes = [array.shape for array in problem(**sizes)]
    assert shapes == [(n, d_in), (n, d_out), (d_in, h), (h, d_out)]


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("middle", [False, True])
def test_float32_is_float64_rounded(init, middle):
    """A seed means the same problem in every type."""
    single = problem(bias=True, middle=middle, init=init, dtype="float32")
    double = problem(bias=True, middle=middle, init=init, dtype="float64")
    assert same(single, [array.astype(np.float32) for array in double])


@pytest.mark.parametrize("init", INITS)
def test_what_the_forms_share_has_the_same_values(init):
    """Neither biases nor a middle layer change the rest."""
    whole = named(middle=True, init=init)
    assert same(problem(init=init), [whole[name] for name in ("x", "y", "w1", "w2")])
    assert same(
        problem(init=init, middle=True), [whole[name] for name in ("x", "y", "w1", "w", "w2")]
    )
    assert same(named(init=init).values(), [whole[n] for n in named(init=init)])


def test_data_do_not_depend_on_how_the_weights_start():
    """`init` is about weights alone."""
    assert same(problem(init="normal")[:2], problem(init="uniform")[:2])
    assert not same(problem(init="normal")[2:], problem(init="uniform")[2:])


@pytest.mark.parametrize(
    "settings", [{"lr": 0.5}, {"epochs": 3}, {"momentum": 0.5}, {"device": "auto"}, {"threads": 1}]
)
def test_other_settings_do_not_change_the_problem(settings):
    """Only sizes, seed, init, bias and type do."""
    assert same(problem(**settings), problem())


def test_the_draws_are_numpys_own():
    """PCG64 from the seed, data first: anybody can draw them again."""
    rng = np.random.default_rng(3)
    shapes = [(7, 6), (7, 3), (6, 5), (5, 3)]
    drawn = [rng.standard_normal(shape) for shape in shapes]
    assert same(problem(seed=3, dtype="float64"), drawn)


def test_normal_weights_are_standard_normal():
    """Mean 0 and variance 1, whatever the width."""
    big = named(N=2, H=200, D_in=300, D_out=100, middle=True, dtype="float64")
    for name in ("w1", "w", "w2"):
        assert abs(big[name].mean()) < 0.05
        assert abs(big[name].std() - 1) < 0.05


@pytest.mark.parametrize(
    ("name", "fan_in"), [("w1", 9), ("b1", 9), ("w", 400), ("b", 400), ("w2", 400), ("b2", 400)]
)
def test_uniform_weights_fill_the_bounds_of_their_fan_in(name, fan_in):
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), weights and biases alike."""
    arrays = named(N=2, H=400, D_in=9, D_out=400, middle=True, init="uniform", dtype="float64")
    bound = 1 / np.sqrt(fan_in)
    assert np.abs(arrays[name]).max() <= bound
    assert arrays[name].max() > 0.95 * bound
    assert arrays[name].min() < -0.95 * bound


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("init", INITS)
def test_seeds_differ_in_every_array(index, init):
    """Another seed, another problem."""
    one, two = (problem(bias=True, init=init, seed=seed)[index] for seed in (0, 1))
    assert not np.any(one == two)


def test_no_two_arrays_are_the_same_draw():
    """Weights of one shape are drawn apart."""
    arrays = named(H=6, D_in=6, D_out=6, N=6, middle=True)
    square = [arrays[name].tobytes() for name in ("x", "y", "w1", "w", "w2")]
    assert len(set(square)) == 5
    assert len({arrays[name].tobytes() for name in ("b1", "b", "b2")}) == 3


def test_the_same_seed_gives_fresh_arrays_with_the_same_bits():
    """What one caller does to its arrays no other sees."""
    cfg = Config(**SIZES, bias=True)
    before = cfg.problem()
    kept = [array.copy() for array in before]
    for array in before:
        array.fill(0)
    after = cfg.problem()
    assert same(after, kept)
    assert not any(np.shares_memory(a, b) for a in before for b in after)


def test_arrays_are_writable_and_contiguous():
    """So that any framework may take them over without a copy of its own."""
    assert all(a.flags.writeable and a.flags.c_contiguous for a in problem(bias=True, middle=True))


def test_the_global_generator_is_left_alone():
    """The seed is the only source."""
    np.random.seed(5)
    expected = np.random.RandomState(5).random()
    problem()
    assert np.random.random() == expected


def test_steps_count_the_epochs():
    """On its own, `cfg.steps()` is a range."""
    assert list(Config(epochs=4).steps()) == [0, 1, 2, 3]
