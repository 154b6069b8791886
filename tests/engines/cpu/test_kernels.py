"""Kernels of the engine `cpu`, one by one: activations, the sort, the products, the barrier.

Kernels cannot be called from Python, so each is wrapped in a compiled function of the test.
"""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from helpers.marks import thorough_but
from helpers.patience import PATIENCE
from numdnc import RNNSpec
from numdnc.engines.cpu.kernels import activations, allocation, products, teams
from numdnc.engines.cpu.teams import abort_barrier, share_work
from numdnc.spec import EPSILON


def dtype_name(dtype):
    return dtype.__name__


for_each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=dtype_name)


def called(kernel, arguments):
    """A compiled function of so many arguments that does nothing but call the kernel."""
    if arguments == 1:
        return njit(lambda a: kernel(a))
    if arguments == 3:
        return njit(lambda a, b, c: kernel(a, b, c))
    return njit(lambda a, b, c, d: kernel(a, b, c, d))


sigmoid, tanh, softmax, oneplus = (
    called(getattr(activations, f"apply_{name}"), 1) for name in ("sigmoid", "tanh", "softmax", "oneplus")
)
layer_norm = called(activations.layer_norm, 4)
sort_slots = called(allocation.sort_slots, 3)
add_product = called(products.add_product, 3)
add_product_transposed = called(products.add_product_transposed, 3)
chunk_start = called(teams.chunk_start, 3)


@njit
def split_each(powers, rests, x):
    for i in range(len(x)):
        powers[i], rests[i] = activations.split_exp(x[i])


# Activations. Errors are counted in roundings of the result.


def applied(function, x):
    """The function's result; x is left as it was."""
    x = x.copy()
    function(x)
    return x


def over_a_wide_range(dtype):
    """Numbers of either sign: 0, the smallest, ordinary ones in great number, huge ones."""
    tiny = [0, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny, 1e-30, 1e-9, 1e-5]
    huge = [87, 88, 89, 103, 708, 709, 745, 746, 800, 1e4, 1e6, 1e9]
    ordinary = [*np.linspace(0, 20, 20001), *np.linspace(20, 120, 2001), *np.geomspace(1e-6, 1e3, 3001)]
    x = np.array([*tiny, *ordinary, *huge], dtype)
    return np.concatenate([x, -x])


def finer(x):
    """The same numbers where they can be computed with to more digits: float64, or long double if that has more."""
    return x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)


def roundings(got, wanted):
    """The largest error, in units of the last place of the result; what is too small to be normal may be 0."""
    info = np.finfo(got.dtype)
    distance = np.abs(finer(got) - wanted)
    return float((distance / (info.eps * np.maximum(np.abs(wanted), info.tiny / info.eps))).max())


@for_each_dtype
def test_a_power_of_e_is_a_power_of_two_and_a_rest(dtype):
    x = -np.abs(over_a_wide_range(dtype))
    powers, rests = np.empty_like(x), np.empty_like(x)
    split_each(powers, rests, x)
    assert (np.abs(rests) < 0.42).all()
    fractions, _ = np.frexp(powers)
    assert set(fractions) <= {0, 0.5}
    wanted = np.exp(finer(x))
    assert (
        roundings(powers + powers * rests, wanted) < 1.25
    )  # measured: 0.83, and 1.4 with a term of the sum less
    assert not powers[wanted < np.finfo(dtype).tiny / 2].any()


def expected_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


@for_each_dtype
@pytest.mark.parametrize(
    ("function", "expected", "allowed"),
    [
        (sigmoid, expected_sigmoid, 8),  # measured: 1.6
        (tanh, np.tanh, 8),  # measured: 1.6
        (oneplus, lambda x: 1 + np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 5),  # measured: 0.79
    ],
    ids=["sigmoid", "tanh", "oneplus"],
)
def test_an_activation_to_rounding(function, expected, allowed, dtype):
    x = over_a_wide_range(dtype)
    assert roundings(applied(function, x), expected(finer(x))) < allowed


@for_each_dtype
def test_activations_at_their_ends(dtype):
    x = np.array([-1e4, -0.0, 0.0, 1e4], dtype)
    np.testing.assert_array_equal(applied(sigmoid, x), [0, 0.5, 0.5, 1])
    np.testing.assert_array_equal(applied(tanh, x), [-1, 0, 0, 1])
    np.testing.assert_array_equal(applied(oneplus, x)[[0, 3]], [1, 10001])
    np.testing.assert_array_equal(applied(softmax, x), [0, 0, 0, 1])


@pytest.mark.parametrize("size", [1e14, 1e20, 1e38, np.inf])
@for_each_dtype
def test_whatever_is_huge_is_at_an_end(dtype, size):
    x = np.array([-size, size], dtype)
    np.testing.assert_array_equal(applied(sigmoid, x), [0, 1])
    np.testing.assert_array_equal(applied(tanh, x), [-1, 1])
    if np.isfinite(size):
        np.testing.assert_array_equal(applied(softmax, x), [0, 1])


@for_each_dtype
@pytest.mark.parametrize("at", [0, 1, 8, 36])
def test_nan_stays_nan_where_it_is(dtype, at):
    x = np.linspace(-3, 3, 37).astype(dtype)
    x[at] = np.nan
    for function in (sigmoid, tanh, oneplus):
        np.testing.assert_array_equal(np.isnan(applied(function, x)), np.isnan(x))
    assert np.isnan(applied(softmax, x)).all()


@for_each_dtype
@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 129])
@pytest.mark.parametrize("spread", [0, 1e-5, 1, 30, 1e4])
def test_softmax_to_rounding(dtype, count, spread):
    x = (np.random.default_rng(count).standard_normal(count) * spread + spread).astype(dtype)
    raised = np.exp(finer(x - x.max()))
    got = applied(softmax, x)
    assert roundings(got, raised / raised.sum()) < 15  # measured: 2.2
    assert got.min() >= 0
    if spread == 0:
        np.testing.assert_array_equal(got, got[0])


@for_each_dtype
@pytest.mark.parametrize("count", [1, 2, 7, 64, 130])
@pytest.mark.parametrize(("mean", "spread"), [(0, 1), (3, 1), (0, 1e-4), (0, 0), (0, 1e3), (100, 1)])
def test_layer_norm_to_rounding(dtype, count, mean, spread):
    rng = np.random.default_rng(count)
    z, gain, bias = (rng.standard_normal(count).astype(dtype) for _ in range(3))
    z = z * dtype(spread) + dtype(mean)
    exact = finer(z) - finer(z).mean()
    wanted_deviation = np.sqrt((exact**2).mean() + EPSILON)
    got, standard = z.copy(), np.full_like(z, np.nan)
    deviation = layer_norm(got, standard, gain, bias)
    eps = np.finfo(dtype).eps * max(1, np.abs(z).max() / wanted_deviation)  # the mean's digits are lost
    assert abs(deviation - wanted_deviation) < 4 * np.finfo(dtype).eps * (
        wanted_deviation + abs(mean)
    )  # measured: 0.52
    wanted = exact / wanted_deviation
    assert np.abs(standard - wanted).max() < 5 * eps  # measured: 0.92
    assert np.abs(got - (finer(gain) * wanted + finer(bias))).max() < 10 * eps  # measured: 1.6


# The sort.


def guarded(values, dtype):
    """An array between numbers that must stay as they are, and the whole."""
    whole = np.full(len(values) + 20, -7, dtype)
    whole[10:-10] = values
    return whole[10:-10], whole


def sorted_slots(usage, start):
    """What sort_slots makes of this start; nothing around its arrays may change."""
    order, whole = guarded(start, np.int32)
    other, whole_other = guarded(np.zeros(len(start)), np.int32)
    before = usage.copy()
    sort_slots(order, usage, other)
    np.testing.assert_array_equal(usage, before)
    for each in (whole, whole_other):
        assert (each[:10] == -7).all()
        assert (each[-10:] == -7).all()
    return order


TIED = [0, -0.0, 0.25, 0.5, 1]
usages = st.lists(st.sampled_from(TIED) | st.floats(0, 1, width=32), min_size=1, max_size=70)
with_a_start = usages.flatmap(lambda usage: st.tuples(st.just(usage), st.permutations(range(len(usage)))))


@settings(max_examples=300)
@given(with_a_start, st.sampled_from([np.float32, np.float64]))
def test_slots_by_rising_usage_from_any_order(given_slots, dtype):
    usage = np.array(given_slots[0], dtype)
    np.testing.assert_array_equal(
        sorted_slots(usage, given_slots[1]), np.argsort(usage, kind="stable"), err_msg=str(usage)
    )


@pytest.mark.parametrize("slots", range(1, 71))
def test_any_number_of_slots_is_sorted(slots):
    rng = np.random.default_rng(slots)
    for values in (3, 10, 10**6):
        usage = rng.integers(0, values, slots) / values
        for start in (np.arange(slots), np.arange(slots)[::-1], rng.permutation(slots)):
            np.testing.assert_array_equal(sorted_slots(usage, start), np.argsort(usage, kind="stable"))


@settings(max_examples=200)
@given(with_a_start, st.data())
def test_nan_leaves_a_permutation(given_slots, data):
    usage = np.array(given_slots[0], np.float64)
    usage[data.draw(st.lists(st.integers(0, len(usage) - 1), min_size=1))] = np.nan
    assert sorted(sorted_slots(usage, given_slots[1])) == list(range(len(usage)))


# The products, of whole numbers: exact in any order of summation.


def whole_numbers(rng, dtype, *shape):
    return rng.integers(-9, 10, shape).astype(dtype)


def wider(a, columns):
    """The same with so many NaN after every row."""
    return np.concatenate([a, np.full((len(a), columns), np.nan, a.dtype)], axis=1)


def between_rows(a):
    """The same, contiguous, as the middle of something larger, and that."""
    whole = np.full((len(a) + 4, a.shape[1]), 77, a.dtype)
    whole[2:-2] = a
    return whole[2:-2], whole


SIZES = (*range(6), 7, 8, 9, 16, 17)


@pytest.mark.parametrize("dtype", thorough_but([np.float32], [np.float32, np.float64]), ids=dtype_name)
@pytest.mark.parametrize("rows", range(10))
def test_products_of_any_size(rows, dtype):
    rng = np.random.default_rng(rows)
    for K in SIZES:
        for C in SIZES:
            x, w, z = (whole_numbers(rng, dtype, *shape) for shape in ((rows, K), (K, C), (rows, C)))
            wanted = z + x @ w
            room = int(rng.integers(0, 5))
            got, whole = between_rows(z)
            strided = np.full((rows, 3 * K + 1), np.nan, dtype)[:, 1 : 1 + K]
            strided[:] = x
            add_product(got, strided, wider(w, room))
            np.testing.assert_array_equal(got, wanted, err_msg=f"K = {K}, C = {C}")
            assert (whole[:2] == 77).all()
            assert (whole[-2:] == 77).all()

            inside = np.full((rows, C + 7), 77, dtype)
            inside[:, 3 : 3 + C] = z
            add_product_transposed(inside[:, 3 : 3 + C], x, wider(np.ascontiguousarray(w.T), room))
            np.testing.assert_array_equal(inside[:, 3 : 3 + C], wanted, err_msg=f"K = {K}, C = {C}")
            assert (inside[:, :3] == 77).all()
            assert (inside[:, 3 + C :] == 77).all()


@pytest.mark.parametrize("dtype", thorough_but([np.float32], [np.float32, np.float64]), ids=dtype_name)
def test_a_product_takes_x_in_any_layout(dtype):
    rng = np.random.default_rng(0)
    for rows, K, C in ((1, 9, 5), (3, 8, 7), (7, 11, 16), (9, 19, 3)):
        x, w = whole_numbers(rng, dtype, rows, K), whole_numbers(rng, dtype, K, C)
        for layout in (x, np.asfortranarray(x), np.repeat(x, 2, 1)[:, ::2], x[::-1, ::-1].copy()[::-1, ::-1]):
            z = np.zeros((rows, C), dtype)
            add_product(z, layout, w)
            np.testing.assert_array_equal(z, x @ w)


# Threads that work on the same rows.


@pytest.mark.parametrize("members", [1, 2, 3, 7])
def test_shares_are_all_of_it_in_fours(members):
    for count in range(60):
        begins = [chunk_start(count, member, members) for member in range(members + 1)]
        assert begins[0] == 0
        assert begins[-1] == count
        assert begins == sorted(begins)
        assert not any(begin % 4 for begin in begins[:-1])


@njit(nogil=True)
def meet_often(work, came, late):
    """Say that one has come, wait, and count who has not, again and again."""
    for turn in range(len(came)):
        came[turn, work.rank] = 1
        teams.wait_for_team(work)
        for member in range(work.team_size):
            late[work.rank] += 1 - came[turn, member]


@njit(nogil=True)
def wait_once(work):
    teams.wait_for_team(work)


def team_of(members):
    return share_work(RNNSpec(input_size=1, output_size=1, hidden_sizes=(1,)), members, members, 4, True)


def finished(calls, found):
    """Whether these calls at the same time come back by themselves; they are let go in any case."""
    each = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in each:
        thread.start()
    end = time.monotonic() + PATIENCE
    for thread in each:
        thread.join(max(0, end - time.monotonic()))
    done = not any(thread.is_alive() for thread in each)
    abort_barrier(found)
    return done


@pytest.mark.parametrize("members", [2, 3, 5])
def test_nobody_goes_on_before_all_have_come(members):
    found = team_of(members)
    came, late = np.zeros((300, members), np.int64), np.zeros(members, np.int64)
    meet_often(team_of(1)[0], came[:, :1].copy(), late)  # compiled before it matters
    assert finished([lambda work=work: meet_often(work, came, late) for work in found], found)
    assert came.all()
    assert not late.any()


def test_who_is_given_up_need_not_wait():
    found = team_of(2)
    wait_once(team_of(1)[0])
    alone = threading.Thread(target=wait_once, args=(found[0],), daemon=True)
    alone.start()
    alone.join(0.3)
    assert alone.is_alive()
    abort_barrier(found)
    alone.join(PATIENCE)
    assert not alone.is_alive()
