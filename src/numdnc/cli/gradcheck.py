"""`gradcheck`."""

import math
import sys

import numpy as np
from tyro.conf import OmitArgPrefixes

from numdnc import console
from numdnc.cli.options import AsJson, EngineName, ModelOptions
from numdnc.engines import get_engine, select_engine
from numdnc.errors import UserError
from numdnc.inspection.gradcheck import gradcheck
from numdnc.training.memory import check_memory


def check_gradients(
    *,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(hidden=8, memory_size=6, word_size=5, read_heads=2),
    steps: int = 10,
    batch: int = 2,
    samples: int = 10,
    blank: bool = False,
    seed: int = 0,
    engine: EngineName = "reference",
    as_json: AsJson = False,
) -> None:
    """Compare analytical gradients with numerical ones.

    Checked are every parameter, the inputs and the initial state.

    Args:
        model: The model to check.
        steps: Length of the sequence.
        batch: Sequences at once.
        samples: Numbers checked of each array.
        blank: Start from the blank state instead of a random one.
        seed: Seed of parameters, inputs, targets and the choice of numbers that are checked.
        engine: The engine whose gradients are checked; the numerical ones are always the reference's.
        as_json: Print the result as one JSON object.

    """
    for name, value, least in (
        ("steps", steps, 1),
        ("batch", batch, 1),
        ("samples", samples, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}.")
    spec = model.spec(4, 5)
    chosen = select_engine(engine, spec, np.float64)
    states = batch * (steps + 2)
    check_memory(spec, get_engine("reference"), "float64", states, batch)
    with console.outliving_output():  # the exit code says whether it passes, too
        rows = []
        if not as_json:
            console.say(
                f"GRAD CHECK of {spec}, engine {chosen.name}, {steps} steps, batch {batch}, float64\n"
            )
        for row in gradcheck(spec, chosen, steps=steps, batch=batch, samples=samples, seed=seed, blank=blank):
            rows.append(row)
            if not as_json:
                console.say(console.gradcheck_lines(row))
        errors = [row.worst for row in rows if row.valid]
        passed = all(row.passed for row in rows) and bool(errors)
        worst = max(errors, default=math.inf)
        if as_json:
            result = {"passed": passed, "worst": worst, "arrays": [row._asdict() for row in rows]}
            console.say_json(result)
        else:
            console.say(
                f"\n{console.GRADCHECK_LEGEND}\n{'pass' if passed else 'FAIL'}: worst relative error {worst:.3e}"
            )
    if not passed:
        sys.exit(1)
