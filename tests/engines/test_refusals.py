"""Arguments that engines refuse; the message says what they must be and what was given."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers.contract import ENGINES, SPECS, Case, cast, for_each_engine, forward, make_problem
from numdnc import DNCSpec, UserError, map_leaves, named_leaves, select_engine
from numdnc.engines import get_engine
from numdnc.tree import from_named

GOOD = make_problem(SPECS["dnc-2-layers"], "float32")
OTHER = make_problem(SPECS["lstm"], "float32")
MASKED = make_problem(SPECS["dnc-bypass-dropout"], "float32")


def with_leaf(tree: Any, name: str, change: Any) -> Any:
    """The tree with one array changed."""
    arrays = dict(named_leaves(tree))
    return from_named(tree, {**arrays, name: change(arrays[name])})


def double(array: Any) -> Any:
    return array.astype("float64")


XI, LINK, BIAS = "interface.weights", "link", "output.bias"
BAD_FORWARD = {
    "inputs of another width": ({"inputs": GOOD.inputs[..., 1:]}, "inputs|6|(9, 3, 5)"),
    "inputs without batch": ({"inputs": GOOD.inputs[:, 0]}, "inputs|(T, B|(9, 6)"),
    "inputs with an axis more": ({"inputs": GOOD.inputs[None]}, "inputs|(T, B|(1, 9, 3, 6)"),
    "inputs of another batch": ({"inputs": GOOD.inputs[:, 1:]}, "state|(2, |(3, "),
    "inputs in float64": ({"inputs": double(GOOD.inputs)}, "inputs|float32|float64"),
    "inputs in float16": ({"inputs": GOOD.inputs.astype("float16")}, "inputs|float32|float16"),
    "inputs in bool": ({"inputs": GOOD.inputs > 0}, "inputs|float32|bool"),
    "inputs in a list": ({"inputs": GOOD.inputs.tolist()}, "inputs|list"),
    "symbols with an axis more": ({"inputs": np.zeros((9, 3, 6), int)}, "inputs|(T, B)|(9, 3, 6)"),
    "symbols too large": ({"inputs": np.full((9, 3), 6)}, "0..5|6..6"),
    "symbols below 0": ({"inputs": np.full((9, 3), -1)}, "0..5|-1..-1"),
    "params of another model": ({"params": OTHER.params}, f"params|{XI}|controller.0.weights"),
    "params of another size": (
        {"params": with_leaf(GOOD.params, XI, lambda a: a[1:])},
        f"params.{XI}|(19, 38)|(18, 38)",
    ),
    "params of two dtypes": (
        {"params": with_leaf(GOOD.params, BIAS, double)},
        f"params.{BIAS}|float32|float64",
    ),
    "params with a list": (
        {"params": with_leaf(GOOD.params, BIAS, lambda a: a.tolist())},
        f"params.{BIAS}|list",
    ),
    "params missing": ({"params": None}, "params|None"),
    "params empty": ({"params": ()}, "params|controller.0.weights"),
    "state of another model": ({"state": OTHER.state}, "state|memory|controller.0.hidden"),
    "state of another size": (
        {"state": with_leaf(GOOD.state, LINK, lambda a: a[..., 1:])},
        "state.link|(3, 7, 7)|(3, 7, 6)",
    ),
    "state in float64": ({"state": cast(GOOD.state, "float64")}, "state|float32|float64"),
    "state missing": ({"state": None}, "state|memory|None"),
    "params and state swapped": ({"params": GOOD.state, "state": GOOD.params}, f"params|{XI}|link"),
    "all in float16": (cast(GOOD, "float16")._asdict(), "float32|float64|float16"),
    "all in integers": (map_leaves(lambda a: a.astype(int), GOOD)._asdict(), "float32|float64|int64"),
}
MASK = "bypass_mask|(9, 3, 19)"
BAD_MASKS = {
    "of one layer": (MASKED.bypass_mask[..., :8], f"{MASK}|(9, 3, 8)"),
    "of fewer steps": (MASKED.bypass_mask[1:], f"{MASK}|(8, 3, 19)"),
    "of one row": (MASKED.bypass_mask[:, :1], f"{MASK}|(9, 1, 19)"),
    "for all steps": (MASKED.bypass_mask[0], f"{MASK}|(3, 19)"),
    "in float64": (double(MASKED.bypass_mask), f"{MASK}|float32|float64"),
    "in bool": (MASKED.bypass_mask > 0, f"{MASK}|float32|bool"),
    "in a list": (MASKED.bypass_mask.tolist(), f"{MASK}|list"),
}
BAD_BACKWARD = {
    "d_outputs of another width": ({"d_outputs": GOOD.d_outputs[..., :1]}, "d_outputs|(9, 3, 10)|(9, 3, 1)"),
    "d_outputs of fewer steps": ({"d_outputs": GOOD.d_outputs[1:]}, "d_outputs|(9, 3, 10)|(8, 3, 10)"),
    "d_outputs of more steps": (
        {"d_outputs": np.concatenate([GOOD.d_outputs, GOOD.d_outputs])},
        "d_outputs|(9, 3, 10)|(18, 3, 10)",
    ),
    "d_outputs of one row": ({"d_outputs": GOOD.d_outputs[:, :1]}, "d_outputs|(9, 3, 10)|(9, 1, 10)"),
    "d_outputs in float64": ({"d_outputs": double(GOOD.d_outputs)}, "d_outputs|float32|float64"),
    "d_outputs in a list": ({"d_outputs": GOOD.d_outputs.tolist()}, "d_outputs|list"),
    "d_state of another model": ({"d_state": OTHER.d_state}, "d_state|memory|controller.0.hidden"),
    "d_state of one row": ({"d_state": map_leaves(lambda a: a[:1], GOOD.d_state)}, "d_state|(3, 8)|(1, 8)"),
    "d_state in float64": ({"d_state": cast(GOOD.d_state, "float64")}, "d_state|float32|float64"),
    "d_state missing": ({"d_state": None}, "d_state|memory|None"),
    "params of another size": (
        {"params": with_leaf(GOOD.params, XI, lambda a: a[1:])},
        f"params.{XI}|(19, 38)|(18, 38)",
    ),
}


def assert_refused(words: str, call: Any, *arguments: Any, **options: Any) -> None:
    with pytest.raises(UserError) as refusal:
        call(*arguments, **options)
    for word in ["must", *words.split("|")]:
        assert word in str(refusal.value)


@for_each_engine
@pytest.mark.parametrize(("changes", "words"), BAD_FORWARD.values(), ids=BAD_FORWARD)
def test_forward_refuses(engine_name: str, changes: dict[str, Any], words: str) -> None:
    assert_refused(words, Case(engine_name, "dnc-2-layers", "float32").forward, GOOD._replace(**changes))


@for_each_engine
@pytest.mark.parametrize(("mask", "words"), BAD_MASKS.values(), ids=BAD_MASKS)
def test_masks_are_refused(engine_name: str, mask: Any, words: str) -> None:
    case = Case(engine_name, "dnc-bypass-dropout", "float32")
    assert_refused(words, case.forward, MASKED._replace(bypass_mask=mask))


@for_each_engine
@pytest.mark.parametrize("spec_name", ["rnn", "lstm", "dnc-2-layers", "dnc-learned-state"])
def test_a_mask_needs_bypass_dropout(engine_name: str, spec_name: str) -> None:
    case = Case(engine_name, spec_name, "float32")
    problem = case.problem()
    ones = np.ones((*problem.inputs.shape[:2], case.spec.hidden_total), "float32")
    words = "bypass_mask|None|got one|DNCSpec.bypass_dropout"
    assert_refused(words, case.forward, problem._replace(bypass_mask=ones))


PLAIN = DNCSpec(input_size=6, output_size=10, hidden_sizes=(8, 11), memory_size=7, word_size=5, read_heads=2)
OTHER_FLAGS: dict[str, tuple[dict[str, Any], str]] = {
    "masking": ({"masking": True}, "params.interface.weights|(19, 53)|(19, 38)"),
    "sharpness": ({"sharpness": True}, "params.interface.weights|(19, 42)|(19, 38)"),
    "content-only": ({"links": False}, "params.interface.weights|(19, 32)|(19, 38)"),
    "normalisation": (
        {"normalisation": True},
        "params|interface.gain|controller.1.cell_bias|Make them for this spec",
    ),
    "learned-state": (
        {"learned_state": True},
        "params|initial.memory|initial.controller.0.cell|Make them for this",
    ),
}
"""Flags that change the parameters, and what is said of those of a plain DNC, or of a plain DNC to theirs."""


@for_each_engine
@pytest.mark.parametrize(("flags", "words"), OTHER_FLAGS.values(), ids=OTHER_FLAGS)
def test_params_of_other_flags_are_refused(engine_name: str, flags: dict[str, Any], words: str) -> None:
    engine, changed = get_engine(engine_name), replace(PLAIN, **flags)
    for spec, other in ((changed, PLAIN), (PLAIN, changed)):
        if engine.supports(spec, "float32"):
            pytest.skip(f"{engine_name}: {engine.supports(spec, 'float32')}")
        problem = make_problem(spec, "float32")._replace(params=make_problem(other, "float32").params)
        assert_refused(words, forward, engine, spec, problem)


@for_each_engine
def test_states_with_links_are_refused_without(engine_name: str) -> None:
    cases = [Case(engine_name, name, "float32") for name in ("dnc-content-only", "dnc-deallocation")]
    problems = [case.problem() for case in cases]
    for case, problem, other in zip(cases, problems, problems[::-1], strict=True):
        assert_refused("state|link|precedence", case.forward, problem._replace(state=other.state))
        _, _, tape = case.forward(problem, keep_tape=True)
        assert_refused(
            "d_state|link|precedence", case.backward, problem._replace(d_state=other.d_state), tape
        )


@for_each_engine
@pytest.mark.parametrize(("changes", "words"), BAD_BACKWARD.values(), ids=BAD_BACKWARD)
def test_backward_refuses(engine_name: str, changes: dict[str, Any], words: str) -> None:
    case = Case(engine_name, "dnc-2-layers", "float32")
    _, _, tape = case.forward(GOOD, keep_tape=True)
    assert_refused(words, case.backward, GOOD._replace(**changes), tape)


@for_each_engine
def test_backward_needs_a_tape(engine_name: str) -> None:
    case = Case(engine_name, "dnc-2-layers", "float32")
    assert_refused("tape|keep_tape", case.backward, GOOD, None)


@for_each_engine
@pytest.mark.parametrize("other_name", ["reference", "cpu"])
def test_the_tape_of_another_engine_is_refused(engine_name: str, other_name: str) -> None:
    if other_name == engine_name:
        pytest.skip("that is no other engine")
    case, other = (Case(name, "dnc-2-layers", "float32") for name in (engine_name, other_name))
    _, _, tape = other.forward(GOOD, keep_tape=True)
    assert_refused(f"tape|engine {engine_name} |{other_name}", case.backward, GOOD, tape)


@for_each_engine
@pytest.mark.parametrize("tape", [7, (), "tape"])
def test_what_is_no_tape_is_refused(engine_name: str, tape: Any) -> None:
    case = Case(engine_name, "dnc-2-layers", "float32")
    assert_refused(f"tape|engine {engine_name} |{type(tape).__name__}", case.backward, GOOD, tape)


@for_each_engine
def test_the_tape_of_another_model_is_refused(engine_name: str) -> None:
    """Also where only the equations differ, and all shapes are the same."""
    cases = [Case(engine_name, "dnc-2-layers", "float32"), Case(engine_name, "lstm", "float32")]
    _, _, tape = cases[1].forward(OTHER, keep_tape=True)
    assert_refused("tape|the same model|LSTMSpec", cases[0].backward, GOOD, tape)
    spec = replace(PLAIN, masking=True)
    problem, engine = make_problem(spec, "float32"), cases[0].engine
    _, _, tape = forward(engine, replace(spec, mask_floor=0.5), problem, keep_tape=True)
    assert_refused(
        "tape|the same model|mask_floor=0.5",
        engine.backward,
        spec,
        problem.params,
        tape,
        problem.d_outputs,
        problem.d_state,
    )


@for_each_engine
def test_layers_without_state_are_counted(engine_name: str) -> None:
    """Feed-forward layers carry no arrays, so only the tree itself tells how many they are."""
    case = Case(engine_name, "dnc-feedforward", "float32")
    problem = case.problem()
    assert_refused("state", case.forward, problem._replace(state=problem.state._replace(controller=((),))))


@pytest.mark.parametrize("engine_name", ["auto", *ENGINES])
@pytest.mark.parametrize("dtype", ["float16", "int32", "complex64"])
def test_other_dtypes_are_refused(engine_name: str, dtype: str) -> None:
    assert_refused(f"{engine_name}|float32|{dtype}", select_engine, engine_name, SPECS["dnc"], dtype)


def test_unknown_engine_is_named() -> None:
    assert_refused("'abacus'|auto|" + "|".join(ENGINES), select_engine, "abacus", SPECS["dnc"])


@for_each_engine
def test_engines_know_their_name(engine_name: str) -> None:
    assert Case(engine_name, "rnn", "float32").engine.name == engine_name
    assert select_engine("auto", SPECS["dnc"]).name in ENGINES


SPARSE = Case("reference", "dnc-sparse", "float32").problem()


def first_row(values: list[float]) -> Any:
    """A change of the first row of an array (B, N, K)."""

    def change(array: Any) -> Any:
        array = array.copy()
        array[0, 0] = values
        return array

    return change


BAD_SPARSE = {
    "too many write weights": ("write_weights", lambda a: a + 0.01, "at most 3 weights|sparsity 3|got 7"),
    "too many read weights": ("read_weights", lambda a: a + 0.01, "at most 3 weights|sparsity 3|got 7"),
    "too many in the precedence": ("precedence", lambda a: a + 0.01, "at most 3 weights|got 7"),
    "NaN": ("read_weights", lambda a: a * np.nan, "at most 3 weights|got 7"),
    "part of a slot": ("link_slots", lambda a: a + 0.5, "whole numbers in 0..6"),
    "slot below 0": ("link_slots", lambda a: a - 7, "whole numbers in 0..6"),
    "slot too large": ("link_slots", lambda a: a + 7, "whole numbers in 0..6"),
    "slot that is NaN": ("link_slots", lambda a: a * np.nan, "whole numbers in 0..6"),
    "slots that fall": ("link_slots", first_row([5, 3, 1]), "must rise along each row"),
    "slots twice": ("link_slots", first_row([1, 1, 3]), "must rise along each row"),
    "weights after zeros": ("link_values", first_row([0, 0.1, 0.1]), "first and then zeros"),
    "slot where there is no link": ("link_values", first_row([0.1, 0.1, 0]), "zeros, with slot 0"),
    "too many in a column": (
        "link_slots",
        lambda a: np.broadcast_to(np.array([1, 2, 3], a.dtype), a.shape).copy(),
        "a slot at most 3 times|got 7",
    ),
}


@for_each_engine
@pytest.mark.parametrize(("name", "change", "words"), BAD_SPARSE.values(), ids=BAD_SPARSE)
def test_states_that_are_not_sparse_are_refused(engine_name: str, name: str, change: Any, words: str) -> None:
    state = with_leaf(SPARSE.state, name, change)
    case = Case(engine_name, "dnc-sparse", "float32")
    assert_refused(f"state.{name}|{words}|earlier call", case.forward, SPARSE._replace(state=state))
