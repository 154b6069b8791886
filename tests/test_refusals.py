"""What engines refuse: the message says what must hold and what was given."""

from typing import Any

import numpy as np
import pytest

from contract import ENGINES, SPECS, Case, cast, for_each_engine, make_problem
from numdnc import UserError, map_leaves, named_leaves, select_engine
from numdnc.tree import from_named

GOOD = make_problem(SPECS["dnc-2-layers"], "float32")
OTHER = make_problem(SPECS["lstm"], "float32")


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
