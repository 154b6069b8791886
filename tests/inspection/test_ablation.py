"""Ablations: the ablated part has no effect to the last bit, and the rest of the model is unchanged."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers.examples import MODELS, VARIATIONS, random_inputs, random_params, random_spec, random_state
from numdnc import NTMSpec, map_leaves
from numdnc.engines import get_engine, select_engine
from numdnc.inspection.ablation import ablations, without_head
from numdnc.inspection.activity import observe
from numdnc.reference.activations import affine
from numdnc.reference.bidirectional import reverse_hidden
from numdnc.reference.controller import controller_step
from numdnc.reference.instructions import follow_instructions
from numdnc.reference.interface import parse_interface
from numdnc.reference.memories import access_memories
from numdnc.reference.ntm import access_ntm
from numdnc.spec import MemorySpec
from numdnc.tasks import Batch

MEMORIES = {name: spec for name, spec in MODELS.items() if spec.has_memory} | VARIATIONS
RANDOM = {f"random-{seed}": random_spec(seed) for seed in range(12)}


def intervened(
    spec: MemorySpec,
    params: Any,
    inputs: Any,
    state: Any,
    interface: Callable[..., Any],
    reads: Callable[..., Any],
    reverse: float = 1,
) -> Any:
    """Outputs (T, B, Y) and last state where every step's interface and read vectors are tampered with by hand, and the
    hidden values of the second direction multiplied by `reverse`.
    """
    outputs, other = [], np.zeros((*inputs.shape[:2], 0))
    if spec.bidirectional:
        other, _ = reverse_hidden(spec, params.reverse_controller, inputs, None)
    for x, beside in zip(inputs, other, strict=True):
        seen = reads(state.reads).reshape(len(x), -1)
        hidden, controller, _ = controller_step(spec, params.controller, x, seen, state.controller)
        hidden = np.concatenate([hidden, reverse * beside], axis=1)
        told = interface(parse_interface(spec, affine(params.interface, hidden)))
        state, _ = (access_ntm if isinstance(spec, NTMSpec) else access_memories)(spec, told, state)
        y = affine(params.output, hidden, reads(state.reads).reshape(len(x), -1))
        outputs.append(follow_instructions(params.instructions, y)[0] if spec.instruction_slots else y)
        state = state._replace(controller=controller)
    return np.array(outputs), state


def by_hand(spec: MemorySpec, part: str) -> dict[str, Any]:
    """What an ablation means, as tampering: of the interface, and of the read vectors."""

    def as_it_is(value: Any) -> Any:
        return value

    def silent(*heads: Any) -> Callable[[Any], Any]:
        """Of all heads, of those of one memory, or of one head."""

        def reads(values: Any) -> Any:
            values = values.copy()
            values[:, *heads] = 0
            return values

        return reads

    if part == "reads":
        return {"interface": as_it_is, "reads": silent()}
    if part.startswith("reads of memory "):
        return {"interface": as_it_is, "reads": silent(int(part.removeprefix("reads of memory ")))}
    if part.startswith("head "):
        head, *memory = (int(word) for word in part.split() if word.isdigit())
        return {"interface": as_it_is, "reads": silent(*memory, head)}
    if part == "second direction":
        return {"interface": as_it_is, "reads": as_it_is, "reverse": 0}
    if part.startswith("write head "):
        head = int(part.removeprefix("write head "))

        def quiet(gates: Any) -> Any:
            gates = gates.copy()
            (gates if isinstance(spec, NTMSpec) else gates.swapaxes(1, -1))[:, head] = 0
            return gates

        names = ("erase", "write_vectors") if isinstance(spec, NTMSpec) else ("write_gate",)
        return {
            "interface": lambda i: i._replace(**{name: quiet(getattr(i, name)) for name in names}),
            "reads": as_it_is,
        }
    only_content = np.eye(2 * spec.write_heads + 1)[spec.write_heads]
    told: dict[str, Callable[..., Any]] = {
        "writing": lambda i: i._replace(write_gate=np.zeros_like(i.write_gate)),
        "links": lambda i: i._replace(read_modes=np.broadcast_to(only_content, i.read_modes.shape)),
        "content": lambda i: i._replace(read_keys=np.zeros_like(i.read_keys)),
    }
    if isinstance(spec, NTMSpec):
        stay = np.eye(2 * spec.shift_range + 1)[spec.shift_range]
        told = {
            "writing": lambda i: i._replace(
                erase=np.zeros_like(i.erase), write_vectors=np.zeros_like(i.write_vectors)
            ),
            "shifts": lambda i: i._replace(
                read_shifts=np.broadcast_to(stay, i.read_shifts.shape),
                write_shifts=np.broadcast_to(stay, i.write_shifts.shape),
            ),
            "content": lambda i: i._replace(
                read_interpolation=np.zeros_like(i.read_interpolation),
                write_interpolation=np.zeros_like(i.write_interpolation),
            ),
        }
    return {"interface": told[part], "reads": as_it_is}


@pytest.mark.parametrize("spec", [*MEMORIES.values(), *RANDOM.values()], ids=[*MEMORIES, *RANDOM])
def test_every_ablation_is_what_its_equation_says(spec: MemorySpec) -> None:
    """To the last bit in the definition; and other engines run it too."""
    rng = np.random.default_rng(0)
    params = random_params(spec, rng, scale=1.5)
    state, inputs = random_state(spec, rng, 3), random_inputs(spec, rng, 7, 3)
    kept = map_leaves(np.copy, params)
    damaged = ablations(spec, params)
    heads = [f"head {head}" for head in range(spec.read_heads)] if spec.read_heads > 1 else []
    if spec.memories > 1:
        heads = [f"{head} of memory {e}" for e in range(2) for head in heads]
        heads = ["reads of memory 0", "reads of memory 1", *heads]
    if spec.bidirectional:
        heads.insert(0, "second direction")
    if spec.write_heads > 1:
        heads += [f"write head {head}" for head in range(spec.write_heads)]
    assert list(damaged) == [
        "reads",
        "writing",
        *(["links"] if spec.links else []),
        *(["shifts"] if spec.kind == "ntm" else []),
        "content",
        *heads,
    ]
    for part, ablated in damaged.items():
        outputs, after = intervened(spec, params, inputs, state, **by_hand(spec, part))
        got, got_after, _ = get_engine("reference").forward(spec, ablated, inputs, state, keep_tape=False)
        np.testing.assert_array_equal(got, outputs, err_msg=part)
        map_leaves(np.testing.assert_array_equal, got_after, after)
        fast, _, _ = select_engine("auto", spec, "float64").forward(
            spec, ablated, inputs, state, keep_tape=False
        )
        np.testing.assert_allclose(fast, outputs, rtol=1e-9, atol=1e-9, err_msg=part)  # 3e-12 seen
    map_leaves(np.testing.assert_array_equal, params, kept)


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("name", ["dnc-lstm", "normalisation"])
def test_what_is_off_is_exactly_off_in_float32(engine: str, name: str) -> None:
    spec = MEMORIES[name]
    rng = np.random.default_rng(1)
    params = map_leaves(lambda leaf: leaf.astype(np.float32), random_params(spec, rng, scale=2))
    inputs = random_inputs(spec, rng, 6, 3).astype(np.float32)
    batch = Batch(inputs, np.zeros((6, 3), int))
    damaged = ablations(spec, params)
    seen = {part: observe(spec, damaged[part], get_engine(engine), batch) for part in damaged}
    assert (seen["writing"].of("write_total") == 0).all()
    assert (seen["writing"].of("memory_peak") == 0).all()
    assert (seen["links"].of("read_modes") == [0, 1, 0]).all()
    for values in seen["content"].of("read_keys"):
        assert (values == 0).all()


def test_one_head_off_leaves_the_others() -> None:
    spec = MEMORIES["dnc-lstm"]
    params = random_params(spec, np.random.default_rng(0))
    both = without_head(spec, without_head(spec, params, 0), 1)
    map_leaves(np.testing.assert_array_equal, both, ablations(spec, params)["reads"])
