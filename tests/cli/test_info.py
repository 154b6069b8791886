"""`numdnc info`: the sizes it prints are those of the arrays."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.commands import done, refused
from helpers.examples import CONTROLLERS, FAMILY, PUBLISHED
from numdnc import DNCSpec, UserError, init_params, named_leaves, zero_state
from numdnc.engines import get_engine
from numdnc.inspection.sizes import sizes
from numdnc.training import memory
from numdnc.training.memory import check_memory

OLD = Path(__file__).parents[1] / "checkpoints" / "0.1"
SIZES = ["-H", "8", "-N", "7", "-W", "5", "-R", "2", "-X", "6", "-Y", "10"]


def info(*words: object) -> dict[str, Any]:
    found = json.loads(done("info", *words, "--json"))
    assert isinstance(found, dict)
    return found


def test_sizes_are_those_of_the_papers_dnc() -> None:
    found = info(*SIZES)
    spec = DNCSpec(input_size=6, output_size=10, hidden_sizes=(8,), memory_size=7, word_size=5, read_heads=2)
    W, R = 5, 2
    assert sum(found["interface"].values()) == R * W + 3 * W + 5 * R + 3
    arrays = dict(named_leaves(init_params(spec, 0)))
    assert found["parameters"] == {name: list(array.shape) for name, array in arrays.items()}
    assert found["parameter_count"] == sum(array.size for array in arrays.values())
    carried = {name: array.nbytes for name, array in named_leaves(zero_state(spec, 1))}
    assert found["state_bytes"] == carried
    assert found["state_bytes"]["link"] == 7 * 7 * 4


def test_variations_change_them() -> None:
    W, R = 5, 2
    plain = info(*SIZES)

    def more(*words: object) -> tuple[int, int]:
        """By how much the interface and the parameters grow."""
        found = info(*SIZES, *words)
        wider = sum(found["interface"].values()) - sum(plain["interface"].values())
        return wider, found["parameter_count"] - plain["parameter_count"]

    row = 8 + 1  # of the interface's weights and bias
    assert more("--deallocation") == (0, 0)
    assert more("--masking") == (W + R * W, row * (W + R * W))
    assert more("--sharpness") == (2 * R, row * 2 * R)
    assert more("--no-links") == (-3 * R, -row * 3 * R)
    interface = R * W + 3 * W + 5 * R + 3
    assert more("--normalisation") == (0, 4 * 8 + 2 * 8 + interface)
    assert more("--learned-state") == (0, 2 * 8 + 7 * W)


def test_a_step_without_links_keeps_no_matrix_of_slots() -> None:
    size = 400
    wide = ("-N", size, "-W", 3, "-R", 1)
    on_reference = (*wide, "--engine", "reference")
    with_links, without = (info(*on_reference, *words)["step_bytes"] for words in ((), ("--no-links",)))
    assert with_links > size * size * 4 > 8 * without
    assert without < info(*wide, "--engine", "cpu")["step_bytes"] < with_links / 4, (
        "links that are made again"
    )
    assert not {"link", "precedence"} & info(*wide, "--no-links")["state_bytes"].keys()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_is_counted_once_and_grows_with_the_dtype(dtype: str) -> None:
    """The link is most of it: it is both the state after a step and the state before the next."""
    spec = DNCSpec(input_size=6, output_size=10, hidden_sizes=(8,), memory_size=40, word_size=3)
    found = sizes(spec, get_engine("reference"), dtype)
    link = 40 * 40 * np.dtype(dtype).itemsize
    assert link < found.step_bytes < 2 * link


MIXES = ({}, *FAMILY.values(), *PUBLISHED.values())


@pytest.mark.parametrize("flags", MIXES, ids=str)
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_what_is_refused_for_want_of_memory_needs_it(controller: Any, flags: Any, monkeypatch: Any) -> None:
    """The bound that a model is refused by lies below what the engine keeps, and not far below."""
    if controller != "lstm" and "bidirectional" in flags:
        pytest.skip("a second direction is an LSTM like the first")
    spec = DNCSpec(
        input_size=6,
        output_size=10,
        controller=controller,
        memory_size=90,
        word_size=40,
        read_heads=4,
        **flags,
    )
    kept, steps = sizes(spec, get_engine("reference"), "float32").step_bytes, 10**6

    def machine_of(count: float) -> None:
        monkeypatch.setattr(memory, "memory_bytes", lambda: int(count))

    machine_of(kept * steps)
    check_memory(spec, get_engine("reference"), "float32", steps, 1)
    machine_of(kept * steps / 2)
    with pytest.raises(UserError, match="must fit into"):
        check_memory(spec, get_engine("reference"), "float32", steps, 1)


def test_many_steps_of_a_sparse_model_need_no_more_memories(monkeypatch: Any) -> None:
    spec = DNCSpec(input_size=6, output_size=10, memory_size=100_000, word_size=40, sparsity=4)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 100 * 4 * 100_000 * 40)
    check_memory(spec, get_engine("cpu"), "float32", 1000, 20)
    for engine, batch in (("cpu", 40), ("reference", 20)):
        with pytest.raises(UserError, match="must fit into"):
            check_memory(spec, get_engine(engine), "float32", 1000, batch)


def test_of_a_run() -> None:
    found = info(OLD)
    assert found["parameter_count"] == 1174
    assert (found["spec"]["memory_size"], found["precision"]) == (4, "float32")
    assert info(Path(OLD, "last.safetensors")) == found


def test_people_see_a_table() -> None:
    out = done("info", *SIZES, "--masking")
    for line in ("  masking ", "  read_masks ", " numbers of interface", " carried by a sequence", "  link "):
        assert line in out
    assert "kept of each step of a sequence of vectors until backward, by engine cpu" in out


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (("-N", 3), ("-X", 3), ("--precision", "float32")):
        refused("info", OLD, *words, expect="a folder or the options of a model, got both")
    refused("info", "-X", 0, expect="input_size must be a whole number of at least 1, got 0")
    refused("info", "-N", 10**9, expect="must fit into the")
    refused("info", "nowhere", expect="must be the folder of a run|nowhere")
