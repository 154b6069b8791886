"""What a spec refuses, and the sizes that follow from it."""

from math import inf, nan

import numpy as np
import pytest

from helpers.examples import FAMILY, PUBLISHED
from numdnc import DNCSpec, LSTMSpec, NTMSpec, UserError, zero_params, zero_state

FLAGS = (
    "masking",
    "deallocation",
    "sharpness",
    "links",
    "normalisation",
    "learned_state",
    "recency",
    "bidirectional",
)


def dnc(**arguments):
    return DNCSpec(input_size=5, output_size=6, memory_size=7, word_size=4, read_heads=2, **arguments)


BAD = {
    "floor above 1": ({"masking": True, "mask_floor": 1.1}, "mask_floor|[0, 1]|1.1"),
    "floor below 0": ({"masking": True, "mask_floor": -0.1}, "mask_floor|[0, 1]|-0.1"),
    "floor not a number": ({"masking": True, "mask_floor": nan}, "mask_floor|[0, 1]|nan"),
    "floor infinite": ({"masking": True, "mask_floor": inf}, "mask_floor|[0, 1]|inf"),
    "floor a flag": ({"masking": True, "mask_floor": True}, "mask_floor|[0, 1]|True"),
    "floor a text": ({"masking": True, "mask_floor": "0.1"}, "mask_floor|[0, 1]|'0.1'"),
    "floor without masks": ({"mask_floor": 0.1}, "mask_floor|0.1|masking=True"),
    "bad floor without masks": ({"mask_floor": nan}, "mask_floor|[0, 1]|nan"),
    "sharpness without links": ({"sharpness": True, "links": False}, "sharpness|links=False"),
    "layer norm of one number": (
        {"normalisation": True, "hidden_sizes": (4, 1)},
        "hidden_sizes|2 or more|(4, 1)",
    ),
    "all dropped": ({"bypass_dropout": 1}, "bypass_dropout|[0, 1)|1"),
    "dropout above 1": ({"bypass_dropout": 1.5}, "bypass_dropout|[0, 1)|1.5"),
    "dropout below 0": ({"bypass_dropout": -0.1}, "bypass_dropout|[0, 1)|-0.1"),
    "dropout not a number": ({"bypass_dropout": nan}, "bypass_dropout|[0, 1)|nan"),
    "dropout a flag": ({"bypass_dropout": True}, "bypass_dropout|[0, 1)|True"),
    "dropout nothing": ({"bypass_dropout": None}, "bypass_dropout|[0, 1)|None"),
    "sparsity of no slot": ({"sparsity": 0}, "sparsity|at least 1|0"),
    "sparsity of more slots than there are": ({"sparsity": 8}, "sparsity|at most memory_size, 7|8|Lower it"),
    "sparsity a part": ({"sparsity": 2.5}, "sparsity|whole number|2.5"),
    "sparsity a flag": ({"sparsity": True}, "sparsity|whole number|True"),
    "sparsity and sharpness": ({"sparsity": 3, "sharpness": True}, "sharpness|sparsity|spreads"),
    "no write head": ({"write_heads": 0}, "write_heads|at least 1|0"),
    "write heads a part": ({"write_heads": 1.5}, "write_heads|whole number|1.5"),
    "several write heads and sparsity": (
        {"sparsity": 3, "write_heads": 2},
        "write_heads|1 with sparsity|got 2|one head|Leave out",
    ),
    "several write heads and recency": (
        {"sparsity": 3, "recency": True, "write_heads": 2},
        "write_heads|got 2",
    ),
    "recency without sparsity": ({"recency": True}, "recency|sparsity|to 4"),
    "recency and deallocation": (
        {"sparsity": 3, "recency": True, "deallocation": True},
        "deallocation|recency|nothing is freed",
    ),
    **{
        f"{flag} {value!r}": ({flag: value}, f"{flag}|True or False|{value!r}")
        for flag in FLAGS
        for value in (1, 0, "yes", None)
    },
}


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_spec_refuses(arguments, words):
    with pytest.raises(UserError) as refusal:
        dnc(**arguments)
    for word in ["DNCSpec", "must", *words.split("|")]:
        assert word in str(refusal.value)


@pytest.mark.parametrize(
    "arguments",
    [
        *({"masking": True, "mask_floor": floor} for floor in (0, 0.25, 1, np.float32(0.5))),
        *({"bypass_dropout": rate} for rate in (0, 0.3, np.float64(0.999))),
        *FAMILY.values(),
        *PUBLISHED.values(),
    ],
    ids=str,
)
def test_spec_accepts_and_keeps(arguments):
    spec = dnc(**arguments)
    for name, value in arguments.items():
        assert getattr(spec, name) == value
        assert type(getattr(spec, name)) is (
            bool
            if name in FLAGS
            else int
            if name in ("sparsity", "write_heads", "instruction_slots")
            else str
            if name == "second_memory"
            else float
        )


@pytest.mark.parametrize("controller", ["rnn", "feedforward"])
def test_one_unit_is_enough_where_the_controller_has_no_layer_norm(controller):
    assert dnc(normalisation=True, hidden_sizes=(1,), controller=controller).hidden_sizes == (1,)


def test_defaults_are_the_paper():
    assert dnc() == dnc(
        masking=False,
        mask_floor=0.0,
        deallocation=False,
        sharpness=False,
        links=True,
        normalisation=False,
        bypass_dropout=0.0,
        learned_state=False,
        sparsity=None,
        recency=False,
        write_heads=1,
    )


def test_whole_numbers_make_the_same_spec_as_floats():
    assert dnc(masking=True, mask_floor=1) == dnc(masking=True, mask_floor=1.0)
    assert hash(dnc(bypass_dropout=0)) == hash(dnc(bypass_dropout=0.0))


PAPER = {
    "read_keys": 8,
    "read_strengths": 2,
    "write_key": 4,
    "write_strength": 1,
    "erase": 4,
    "write_vector": 4,
    "free_gates": 2,
    "allocation_gate": 1,
    "write_gate": 1,
}
MODES, MASKS = {"read_modes": 6}, {"write_mask": 4, "read_masks": 8}
SAM = {
    name: size
    for name, size in PAPER.items()
    if name not in ("write_key", "write_strength", "erase", "free_gates")
}
SHARPNESS = {"forward_sharpness": 2, "backward_sharpness": 2}
HEADS = {name: 3 * PAPER[name] for name in PAPER if name.startswith(("write", "erase", "allocation"))}
"""Of three write heads."""


@pytest.mark.parametrize(
    "arguments, expected, total",
    [
        ({}, PAPER | MODES, 33),
        ({"links": False}, PAPER, 27),
        ({"masking": True}, PAPER | MODES | MASKS, 45),
        ({"masking": True, "mask_floor": 0.5}, PAPER | MODES | MASKS, 45),
        ({"sharpness": True}, PAPER | MODES | SHARPNESS, 37),
        ({"write_heads": 3}, PAPER | HEADS | {"read_modes": 14}, 71),
        ({"write_heads": 3, "links": False}, PAPER | HEADS, 57),
        (
            {"write_heads": 3, "masking": True, "sharpness": True},
            PAPER | HEADS | {"read_modes": 14} | MASKS | {"write_mask": 12} | dict.fromkeys(SHARPNESS, 6),
            103,
        ),
        (PUBLISHED["M+D+S"], PAPER | MODES | MASKS | SHARPNESS, 49),
        ({"masking": True, "links": False}, PAPER | MASKS, 39),
        ({"deallocation": True, "normalisation": True, "learned_state": True}, PAPER | MODES, 33),
        (PUBLISHED["ADNC"], PAPER, 27),
        ({"sparsity": 3}, PAPER | MODES, 33),
        ({"sparsity": 3, "recency": True}, SAM | MODES, 22),
        ({"sparsity": 3, "recency": True, "links": False, "masking": True}, SAM | {"read_masks": 8}, 24),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_interface_sizes_of_variations(arguments, expected, total):
    spec = dnc(**arguments)
    assert list(spec.interface_sizes.items()) == list(expected.items())
    assert spec.interface_size == total
    assert zero_params(spec).interface.weights.shape == (128, total)


def test_gains_are_there_with_normalisation_only():
    plain, normalised = (zero_params(dnc(normalisation=flag)) for flag in (False, True))
    layer = plain.controller[0]
    assert layer.gain == layer.cell_gain == layer.cell_bias == plain.interface.gain == ()
    layer = normalised.controller[0]
    shapes = [
        array.shape for array in (layer.gain, layer.cell_gain, layer.cell_bias, normalised.interface.gain)
    ]
    assert shapes == [(512,), (128,), (128,), (33,)]
    assert normalised.output.gain == ()


def test_learned_state_has_the_parts_of_the_state_without_the_batch():
    learned = zero_params(dnc(learned_state=True, hidden_sizes=(3, 8))).initial
    assert learned.memory.shape == (7, 4)
    assert [(layer.hidden.shape, layer.cell.shape) for layer in learned.controller] == [
        ((3,), (3,)),
        ((8,), (8,)),
    ]
    assert zero_params(dnc()).initial == ()


def test_state_without_links_has_neither_links_nor_precedence():
    state = zero_state(dnc(links=False), 3)
    assert state.link == state.precedence == ()
    assert zero_state(dnc(), 3).link.shape == (3, 7, 7)


def test_sparse_state_lists_its_links_and_with_recency_has_ages():
    state = zero_state(dnc(sparsity=3), 2)
    assert state.link == state.age == ()
    assert state.link_slots.shape == state.link_values.shape == (2, 7, 3)
    state = zero_state(dnc(sparsity=3, recency=True, links=False), 2)
    assert state.link == state.link_slots == state.link_values == state.usage == ()
    assert state.age.shape == (2, 7)


@pytest.mark.parametrize("flag", FLAGS)
def test_a_model_without_a_memory_has_no_variations(flag):
    with pytest.raises(TypeError, match=flag):
        LSTMSpec(input_size=5, output_size=6, **{flag: True})


def ntm(**arguments):
    return NTMSpec(input_size=5, output_size=6, memory_size=7, word_size=4, **arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"write_heads": 0}, "write_heads|whole number of at least 1|0"),
        ({"read_heads": 1.5}, "read_heads|whole number of at least 1|1.5"),
        ({"shift_range": 0}, "shift_range|whole number of at least 1|0"),
        ({"shift_range": True}, "shift_range|True"),
        ({"learned_state": 1}, "learned_state|True or False|1"),
        ({"controller": "gru"}, "controller|lstm, rnn, feedforward|'gru'"),
    ],
    ids=str,
)
def test_ntm_spec_refuses(arguments, words):
    with pytest.raises(UserError) as refusal:
        ntm(**arguments)
    for word in ["NTMSpec", "must", *words.split("|")]:
        assert word in str(refusal.value)


def test_interface_sizes_of_an_ntm():
    R, V, W, S = 2, 3, 4, 5
    sizes = ntm(read_heads=R, write_heads=V, shift_range=2).interface_sizes
    reading = {"keys": R * W, "strengths": R, "interpolation": R, "shifts": R * S, "sharpening": R}
    writing = {"keys": V * W, "strengths": V, "interpolation": V, "shifts": V * S, "sharpening": V}
    assert list(sizes.items()) == [
        *((f"read_{name}", size) for name, size in reading.items()),
        *((f"write_{name}", size) for name, size in writing.items()),
        ("erase", V * W),
        ("write_vectors", V * W),
    ]
    assert sum(sizes.values()) == R * (W + S + 3) + V * (3 * W + S + 3)


@pytest.mark.parametrize("flag", ["masking", "links", "normalisation", "bypass_dropout"])
def test_an_ntm_has_no_variations_of_a_dnc(flag):
    with pytest.raises(TypeError, match=flag):
        ntm(**{flag: True})
