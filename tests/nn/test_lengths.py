"""Sequences of several lengths in one batch: each gives what it gives alone."""

from typing import Any
from unittest import mock

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from numdnc import UserError, nn
from numdnc.engines.cpu import CPUEngine
from numdnc.tree import leaves, map_leaves

T, X, Y = 6, 5, 4
LENGTHS = [3, 6, 1, 3, 5]
B = len(LENGTHS)
MODELS: dict[str, Any] = {
    "rnn": lambda **options: nn.RNN(X, 7, Y, **options),
    "lstm": lambda **options: nn.LSTM(X, (7, 3), Y, **options),
    "dnc": lambda **options: nn.DNC(
        X, 7, Y, memory_size=6, word_size=3, read_heads=2, learned_state=True, **options
    ),
    "feedforward": lambda **options: nn.DNC(
        X, 7, Y, memory_size=6, word_size=3, read_heads=2, controller="feedforward", links=False, **options
    ),
    "writers": lambda **options: nn.DNC(
        X, 7, Y, memory_size=6, word_size=3, read_heads=1, write_heads=2, **options
    ),
    "ntm": lambda **options: nn.NTM(
        X, 7, Y, memory_size=6, word_size=3, read_heads=2, write_heads=3, learned_state=True, **options
    ),
}


def model(kind: str, **options: Any) -> Any:
    return MODELS[kind](dtype=torch.float64, seed=0, **options)


def problem(module: Any) -> tuple[Any, Any]:
    """Input, and a state from the middle of sequences."""
    torch.manual_seed(0)
    x = torch.randn(T, B, X, dtype=torch.float64)
    with torch.no_grad():
        _, state = module(torch.randn(2, B, X, dtype=torch.float64))
    return x.requires_grad_(), state


def close(got: Any, wanted: Any) -> None:
    for mine, theirs in zip(leaves(got), leaves(wanted), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def alone(module: Any, x: Any, state: Any, lengths: list[int] = LENGTHS) -> tuple[list[Any], Any]:
    """Outputs of each row, cut to its length, and the states at the rows' ends."""
    outputs, ends = [], []
    for row, length in enumerate(lengths):
        mine = None if state is None else map_leaves(lambda leaf, row=row: leaf[row : row + 1], state)
        output, end = module(x[:length, row : row + 1], mine)
        outputs.append(output[:, 0])
        ends.append(end)
    return outputs, map_leaves(lambda *rows: torch.cat(rows), *ends)


def gradients(module: Any, x: Any, outputs: list[Any], state: Any) -> list[Any]:
    """By the input and all parameters, of a loss that sees every output and every final state."""
    loss = sum((each * torch.linspace(1, 2, Y)).sum() for each in outputs)
    loss = loss + sum(leaf.square().sum() for leaf in leaves(state))
    return list(torch.autograd.grad(loss, [x, *module.parameters()], materialize_grads=True))


@pytest.mark.parametrize("lengths", [LENGTHS, [0, 6, 0, 3, 1], [0, 0, 0, 0, 0]], ids=str)
@pytest.mark.parametrize("carried", [False, True], ids=["from-the-start", "carried-on"])
@pytest.mark.parametrize("kind", MODELS)
def test_padded_rows_are_as_each_alone(kind: str, carried: bool, lengths: list[int]) -> None:
    """A row of length 0 keeps its state."""
    module = model(kind)
    x, state = problem(module)
    state = state if carried else None
    singles, ends = alone(module, x, state, lengths)
    output, end = module(x, state, lengths=torch.tensor(lengths))
    assert output.shape == (T, B, Y)
    cut = [output[:length, row] for row, length in enumerate(lengths)]
    close(tuple(cut), tuple(singles))
    close(end, ends)
    for row, length in enumerate(lengths):
        assert not output[length:, row].any()
    close(tuple(gradients(module, x, cut, end)), tuple(gradients(module, x, singles, ends)))


def test_what_lies_beyond_an_end_is_not_looked_at() -> None:
    module = model("dnc")
    x, _ = problem(module)
    spoilt = x.detach().clone()
    for row, length in enumerate(LENGTHS):
        spoilt[length:, row] = torch.nan
    close(module(spoilt, lengths=LENGTHS), module(x, lengths=LENGTHS))


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_packed_input_gives_packed_output(engine: str) -> None:
    module = model("dnc", engine=engine)
    x, state = problem(module)
    padded, end = module(x, state, lengths=LENGTHS)
    rows = [x[:length, row] for row, length in enumerate(LENGTHS)]
    packed, after = module(pack_sequence(rows, enforce_sorted=False), state)
    assert isinstance(packed, PackedSequence)
    close(after, end)
    unpacked, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed)
    assert lengths.tolist() == LENGTHS
    close(unpacked, padded)
    ordered = sorted(rows, key=len, reverse=True)
    first, _ = module(pack_sequence(ordered))
    assert first.sorted_indices is None
    close(first.data, module(pack_sequence(ordered, enforce_sorted=False))[0].data)


def test_batch_first_and_symbols() -> None:
    module = model("dnc", batch_first=True)
    symbols = torch.randint(X, (B, T))
    output, end = module(symbols, lengths=LENGTHS)
    rows = torch.eye(X, dtype=torch.float64)[symbols]
    close(
        (output, *leaves(end)), tuple((again := module(rows, lengths=LENGTHS))[:1]) + tuple(leaves(again[1]))
    )
    packed = pack_padded_sequence(symbols, LENGTHS, batch_first=True, enforce_sorted=False)
    close(module(packed)[1], end)


def test_no_step_is_computed_for_padding() -> None:
    module = model("dnc")
    x, _ = problem(module)
    forward = CPUEngine.forward
    with mock.patch.object(CPUEngine, "forward", autospec=True, side_effect=forward) as seen:
        module(x, lengths=LENGTHS)
    sizes = [call.args[3].shape[:2] for call in seen.call_args_list]
    assert sizes == [(1, 5), (2, 4), (2, 2), (1, 1)]
    assert sum(steps * rows for steps, rows in sizes) == sum(LENGTHS)


def test_autocast_takes_packed_input_too() -> None:
    module = nn.LSTM(X, 7, Y, seed=0)
    rows = [torch.randn(length, X).bfloat16() for length in LENGTHS]
    wanted, _ = module(pack_sequence([row.float() for row in rows], enforce_sorted=False))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, _ = module(pack_sequence(rows, enforce_sorted=False))
    assert torch.equal(got.data, wanted.data)


def test_dropout_and_lengths_go_together() -> None:
    module = nn.DNC(X, 7, Y, memory_size=6, word_size=3, bypass_dropout=0.5, seed=0)
    x = torch.randn(T, B, X)
    torch.manual_seed(3)
    first, _ = module(x, lengths=LENGTHS)
    torch.manual_seed(3)
    assert torch.equal(module(x, lengths=LENGTHS)[0], first)
    assert not torch.equal(module.eval()(x, lengths=LENGTHS)[0], first)


WRONG: dict[str, Any] = {
    "below 0": ([3, 6, -1, 3, 5], "lengths must be 5 whole numbers from 0 to 6, one for each row, got -1..6"),
    "beyond the end": ([3, 7, 0, 3, 5], "got 0..7"),
    "too few": ([3, 6], "got (2,) of torch.int64"),
    "fractions": ([3.0, 6.0, 1.0, 3.0, 5.0], "got (5,) of torch.float32"),
    "one number": (4, "got () of torch.int64"),
    "words": ("many", "got 'many'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_lengths_that_cannot_be(case: str) -> None:
    lengths, expect = WRONG[case]
    with pytest.raises(UserError) as raised:
        model("rnn")(torch.zeros(T, B, X, dtype=torch.float64), lengths=lengths)
    assert expect in str(raised.value)
    assert "\n" not in str(raised.value)


def test_lengths_where_there_is_no_place_for_them() -> None:
    module, x = model("rnn"), torch.zeros(T, B, X, dtype=torch.float64)
    with pytest.raises(UserError, match="lengths must be None with a PackedSequence"):
        module(pack_padded_sequence(x, LENGTHS, enforce_sorted=False), lengths=LENGTHS)
    with pytest.raises(UserError, match="lengths must be None for input without a batch"):
        module(x[:, 0], lengths=[3])
    with pytest.raises(UserError, match=r"input must be \(rows, 5\) of torch.float64"):
        module(pack_padded_sequence(x.float(), LENGTHS, enforce_sorted=False))


@pytest.mark.parametrize("given", ["lengths", "packed"])
def test_a_bidirectional_model_takes_each_row_to_its_own_end(given: str) -> None:
    net = nn.DNC(3, 4, 2, memory_size=5, word_size=3, bidirectional=True, engine="torch", seed=0)
    inputs, lengths = torch.randn(6, 4, 3), torch.tensor([4, 6, 1, 4])
    if given == "packed":
        packed = torch.nn.utils.rnn.pack_padded_sequence(inputs, lengths, enforce_sorted=False)
        packed, state = net(packed)
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(packed)
    else:
        output, state = net(inputs, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, after = net(inputs[:length, row])
        torch.testing.assert_close(output[:length, row], alone)
        assert not output[length:, row].any()
        torch.testing.assert_close(state.memory[row], after.memory)
        torch.testing.assert_close(state.controller[0].cell[row], after.controller[0].cell)
    with pytest.raises(UserError, match="state must be None for a bidirectional DNC, got one"):
        net(inputs, state)
