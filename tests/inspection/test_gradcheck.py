"""The library behind `numdnc gradcheck`, on the whole family; the command itself is in cli/test_commands.py."""

import pytest

from helpers.examples import FAMILY, PUBLISHED
from helpers.marks import thorough_but
from numdnc import DNCSpec, initial_state_backward, map_leaves
from numdnc.engines.reference import ReferenceEngine
from numdnc.inspection import gradcheck as checker

FLAGS = FAMILY | PUBLISHED


def check(flags, engine, **options):
    """The rows by name."""
    spec = DNCSpec(
        input_size=3, output_size=4, hidden_sizes=(5,), memory_size=4, word_size=3, read_heads=2, **flags
    )
    sizes = {"steps": 3, "batch": 2, "samples": 2, "seed": 1}
    return {row.name: row for row in checker.gradcheck(spec, engine, **sizes | options)}


def failed(rows):
    return [name for name, row in rows.items() if not row.passed]


@pytest.mark.parametrize("name", thorough_but(["ADNC", "M+D+S"], FLAGS))
def test_the_family_passes(name):
    flags = FLAGS[name]
    rows = check(flags, ReferenceEngine())
    assert not failed(rows)
    assert sum(row.valid for row in rows.values()) > 0.8 * sum(row.checked for row in rows.values())
    learned = {name for name in rows if name.startswith("initial.")}
    assert bool(learned) == flags.get("learned_state", False)


LEARNED = ["initial.controller.0.hidden", "initial.controller.0.cell", "initial.memory"]


def test_a_wrong_gradient_by_the_learned_start_is_seen(monkeypatch):
    right = checker.initial_state_backward

    def wrong(*given):
        d_params = right(*given)
        return d_params._replace(initial=map_leaves(lambda leaf: 2.001 / 2 * leaf, d_params.initial))

    monkeypatch.setattr(checker, "initial_state_backward", wrong)
    assert failed(check({"learned_state": True}, ReferenceEngine())) == LEARNED


def test_an_engine_that_adds_to_the_gradient_by_the_learned_start_is_seen():
    class Twice(ReferenceEngine):
        """Counts the state's gradient as that by the learned start too."""

        def backward(self, *given):
            d_params, d_inputs, d_state = super().backward(*given)
            return initial_state_backward(given[0], d_params, d_state), d_inputs, d_state

    assert failed(check({"learned_state": True}, Twice())) == LEARNED
