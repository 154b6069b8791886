"""Molecules: tokens, files, batches, likelihoods, samples, and what RDKit says of them."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rdkit import Chem
from scipy.spatial.distance import jensenshannon

from numdnc import DNCSpec, LSTMSpec, UserError, init_params, select_engine
from numdnc.data import Corpus
from numdnc.tasks import Batch
from numdnc.tasks.molecules import MoleculeSettings, MoleculeTask
from numdnc.tasks.molecules.chemistry import canonical, randomised, shares
from numdnc.tasks.molecules.likelihood import (
    batch_of,
    divergence,
    log_likelihood,
    negative_log_likelihoods,
)
from numdnc.tasks.molecules.sampling import Samples, draw
from numdnc.tasks.molecules.smiles import END, Vocabulary, read_molecules, tokenise
from numdnc.training.run import forward_with

EXAMPLE = (Path(__file__).parents[2] / "examples" / "molecules.smi").read_bytes()
ALKANES = [(k * "C").encode() for k in range(1, 31)]


def task_of(lines: bytes = EXAMPLE, seed: int = 0, **options: Any) -> MoleculeTask:
    return MoleculeTask(Corpus("a test", lines), MoleculeSettings(**{"batch": 8, **options}), seed)


def scanned(smiles: str) -> list[str]:
    """The tokens of a molecule by a scanner of its own, which looks at one character after the other."""
    tokens: list[str] = []
    inside, digits = False, 0
    for character in smiles:
        pair = (tokens[-1] if tokens else "") + character
        if inside or digits or (not inside and pair in ("Cl", "Br")):
            tokens[-1] += character
            inside, digits = inside and character != "]", max(digits - 1, 0)
        else:
            tokens.append(character)
            inside, digits = character == "[", 2 * (character == "%")
    return tokens


def test_tokens_are_atoms_bonds_brackets_and_ring_numbers() -> None:
    assert tokenise("C[N+](=O)/C=C\\%12Br.[nH]1Clc1%10") == [
        *("C", "[N+]", "(", "=", "O", ")", "/", "C", "=", "C", "\\", "%12", "Br", ".", "[nH]", "1"),
        *("Cl", "c", "1", "%10"),
    ]
    assert tokenise("") == []


PIECES = st.sampled_from(
    ["C", "c", "Cl", "Br", "B", "[nH]", "[C@@H]", "[13CH3-]", "%10", "%99", "1", "(", ")", "#"]
)


@given(st.lists(PIECES).map("".join))
def test_tokens_are_those_of_a_scanner(smiles: str) -> None:
    assert tokenise(smiles) == scanned(smiles)


@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("CCX", "'X' as character 3"),
        ("C[nH", "'[' as character 2"),
        ("C%1", "'%' as character 2"),
        ("[]", "'['"),
    ],
)
def test_what_is_no_token_is_refused(smiles: str, words: str) -> None:
    with pytest.raises(UserError, match="SMILES must be") as refusal:
        tokenise(smiles)
    assert words in str(refusal.value)


def test_tokens_count_the_atoms_and_bonds_that_rdkit_sees() -> None:
    for tokens in read_molecules(Corpus("examples", EXAMPLE), 140):
        molecule = Chem.MolFromSmiles("".join(tokens), sanitize=False)
        atoms = sum(token[0] == "[" or token[0].isalpha() for token in tokens)
        rings = sum(token[0].isdigit() or token[0] == "%" for token in tokens)
        assert atoms == molecule.GetNumAtoms()
        assert atoms - 1 - tokens.count(".") + rings // 2 == molecule.GetNumBonds()


def test_a_file_has_a_molecule_a_line() -> None:
    found = read_molecules(Corpus("x", b"\xef\xbb\xbfCC ethane\r\n\r\n \tCCl\nCC again\nC"), 140)
    assert found == [["C", "C"], ["C", "Cl"], ["C"]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"CC\n\nC?C\n", "line 3 of x must be a molecule: .* got 'C\\?C' with '\\?' as character 2"),
        (b"CC\n\xffC\n", "line 2 of x must be text, got byte 0xff"),
        (b"\n \n", "x must hold a molecule a line as SMILES, got blank lines"),
        (b"CC\nCCCC\n", "line 2 of x must be a molecule of at most 3 tokens, got 4. Raise --max-tokens"),
    ],
)
def test_a_file_of_something_else_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_molecules(Corpus("x", data), 3)


def test_numbers_of_tokens_are_those_of_the_vocabulary() -> None:
    vocabulary = Vocabulary.of([["C", "Cl"], ["O", "C"]])
    assert (vocabulary.tokens, vocabulary.size, vocabulary.names[END]) == (("C", "Cl", "O"), 4, "end")
    numbers = vocabulary.encode(["O", "Cl", "C"])
    assert numbers.tolist() == [3, 2, 1]
    assert vocabulary.decode(numbers) == "OClC"
    with pytest.raises(UserError, match=r"a molecule must have tokens .* got others: 'N'"):
        vocabulary.encode(["C", "N"])
    for wrong in ((), ("C", "C"), ("O", "C")):
        with pytest.raises(UserError, match="sorted"):
            Vocabulary(wrong)


def test_a_molecule_is_predicted_token_by_token_up_to_its_end() -> None:
    batch = batch_of([np.array([3, 1, 2]), np.array([2])])
    assert batch.inputs.T.tolist() == [[END, 3, 1, 2], [END, 2, 0, 0]]
    assert batch.targets.T.tolist() == [[3, 1, 2, END], [2, END, 0, 0]]
    assert batch.mask is not None
    assert batch.mask.T.tolist() == [[True] * 4, [True, True, False, False]]


def lengths_of(task: MoleculeTask, batches: int) -> Counter[int]:
    """The lengths of alkanes in so many batches."""
    found: Counter[int] = Counter()
    for _ in range(batches):
        batch = task.next_batch()
        assert batch.mask is not None
        found += Counter((batch.mask.sum(axis=0) - 1).tolist())
    return found


def test_an_epoch_has_every_molecule_but_the_held_out_ones() -> None:
    task = task_of(b"\n".join(ALKANES), batch=9, held_out=0.1)
    held_out = Counter(map(len, task.held_out))
    assert len(task.held_out) == 3
    epochs = [lengths_of(task, 3) for _ in range(3)]
    assert epochs == [Counter(range(1, 31)) - held_out] * 3


def test_held_out_molecules_are_the_same_for_every_seed_and_batches_are_not() -> None:
    one, other = (task_of(seed=seed) for seed in (1, 2))
    assert [list(m) for m in one.held_out] == [list(m) for m in other.held_out]
    firsts = [task.next_batch().inputs for task in (one, other, task_of(seed=1))]
    assert not np.array_equal(*firsts[:2])
    np.testing.assert_array_equal(firsts[0], firsts[2])


def test_batches_differ_between_epochs_and_have_little_padding() -> None:
    lines = b"\n".join(
        (k * "C" + extra).encode() for k in range(1, 60) for extra in ("", "O", "N", "F", "Br")
    )
    task = task_of(lines, batch=8)
    masks = []
    for _ in range(task.batches):
        batch = task.next_batch()
        assert batch.mask is not None
        masks.append(batch.mask)
    assert sum(int(mask.sum()) for mask in masks) > 0.85 * sum(mask.size for mask in masks)
    again = [len(task.next_batch().inputs) for _ in range(task.batches)]
    assert again != [len(mask) for mask in masks]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 25), st.booleans())
def test_a_position_is_a_place_in_the_data(batches: int, randomised: bool) -> None:
    task = task_of(randomised=randomised)
    for _ in range(batches):
        task.next_batch()
    later = task_of(randomised=randomised)
    later.move_to(task.position())
    for _ in range(12):
        np.testing.assert_array_equal(task.next_batch().inputs, later.next_batch().inputs)


def test_a_molecule_is_randomised_from_other_atoms_on() -> None:
    rng = np.random.default_rng(0)
    assert {randomised("CCO", rng) for _ in range(40)} == {"CCO", "C(C)O", "C(O)C", "OCC"}
    for smiles in ("OC[C@H](N)C(=O)O", "C/C=C/Cl", "[13CH3]c1ccc2c(c1)cccc2.[Na+].[Cl-]"):
        ways = {randomised(smiles, rng) for _ in range(40)}
        assert len(ways) > 5
        assert {canonical(way) for way in ways} == {canonical(smiles)}
    assert randomised("C(", rng) == "C("


def written(task: MoleculeTask, batch: Batch) -> list[str]:
    """The molecules of a batch as SMILES."""
    assert batch.mask is not None
    return [
        task.vocabulary.decode(tokens[mask][:-1])
        for tokens, mask in zip(batch.targets.T, batch.mask.T, strict=True)
    ]


def test_in_training_molecules_are_randomised_every_time() -> None:
    plain, task = task_of(), task_of(randomised=True)
    epochs: list[list[str]] = []
    for _ in range(2):
        epochs.append([])
        for _ in range(task.batches):
            same, other = written(plain, plain.next_batch()), written(task, task.next_batch())
            assert [canonical(smiles) for smiles in other] == [canonical(smiles) for smiles in same]
            assert other != same
            epochs[-1] += other
    assert len({*epochs[0]} & {*epochs[1]}) < 0.5 * len(epochs[0])
    held_out = [[t.vocabulary.decode(molecule) for molecule in t.held_out] for t in (plain, task)]
    assert held_out[0] != held_out[1]
    assert [*map(canonical, held_out[0])] == [*map(canonical, held_out[1])]
    again = task_of(randomised=True, seed=1)
    assert [again.vocabulary.decode(molecule) for molecule in again.held_out] == held_out[1]


def test_what_is_randomised_keeps_to_the_tokens_that_were_seen_and_to_their_number() -> None:
    lines = b"\n".join([b"C/C=C/F", b"CC(F)Cl", *ALKANES[:8]])
    task = task_of(lines, batch=4, randomised=True, max_tokens=8)
    assert not task.vocabulary.has(["\\"])  # which half of the ways of writing the first have
    for _ in range(10 * task.batches):
        batch = task.next_batch()
        assert len(batch.inputs) <= 9
        for smiles in written(task, batch):
            assert canonical(smiles) is not None


@pytest.mark.parametrize("position", [{"epoch": 0, "read": 99}, {"epoch": -1, "read": 0}, {"epoch": 0}, {}])
def test_a_wrong_position_is_refused(position: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="must hold a position in its data that fits this task"):
        task_of().move_to(position)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"batch": 1 << 17}, "batch must be at most 65,536"),
        ({"max_tokens": 5000}, "max_tokens must be at most 4,096"),
        ({"held_out": 1.0}, "held_out must lie between 0 and 1"),
        ({"batch": 85}, "a test must hold at least a batch of 85 different molecules to train on, got 80"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        task_of(**options)


def model(task: MoleculeTask, kind: str = "lstm") -> Any:
    """An untrained model of the task, whose outputs are far from equal."""
    sizes: dict[str, Any] = {
        "input_size": task.input_size,
        "output_size": task.output_size,
        "hidden_sizes": (7,),
    }
    spec: Any = LSTMSpec(**sizes)
    if kind == "dnc":
        spec = DNCSpec(**sizes, memory_size=5, word_size=4, read_heads=2)
    params = init_params(spec, 0, "float64", "plain", 30.0)
    return forward_with(select_engine("reference", spec, "float64"), spec, params)


def log_probability(forward: Any, molecule: NDArray[np.integer]) -> float:
    """log p of a molecule, token by token."""
    total, state = 0.0, None
    for read, expected in zip([END, *molecule], [*molecule, END], strict=True):
        outputs, state = forward(np.array([[read]]), state)
        logits = outputs[0, 0]
        total += logits[expected] - math.log(sum(map(math.exp, logits)))
    return float(total)


def test_likelihoods_are_sums_over_the_tokens_of_each_molecule() -> None:
    task = task_of()
    forward, molecules = model(task, "dnc"), task.held_out
    expected = [-log_probability(forward, molecule) for molecule in molecules]
    np.testing.assert_allclose(negative_log_likelihoods(forward, molecules), expected, rtol=1e-12)
    batch = batch_of(molecules)
    outputs = forward(batch.inputs, None)[0]
    np.testing.assert_allclose(-log_likelihood(outputs, batch), expected, rtol=1e-12)
    tokens = sum(len(molecule) + 1 for molecule in molecules)
    scores = task.score(forward, whole=True)
    assert scores == pytest.approx({"loss": sum(expected) / tokens, "nll": sum(expected) / len(molecules)})
    nats, count, d_outputs = task.loss(outputs, batch)
    assert (nats, count) == (pytest.approx(scores["loss"]), tokens)
    step = np.random.default_rng(0).normal(size=outputs.shape)
    difference = task.loss(outputs + 1e-5 * step, batch)[0] - task.loss(outputs - 1e-5 * step, batch)[0]
    assert (d_outputs * step).sum() == pytest.approx(difference / 2e-5, rel=1e-7)  # 2e-9 measured


def test_only_so_many_molecules_are_scored_for_a_progress_line() -> None:
    task = task_of(score_limit=3)
    forward = model(task)
    assert task.score(forward)["nll"] == pytest.approx(
        negative_log_likelihoods(forward, task.held_out[:3]).mean()
    )


def test_the_divergence_is_that_of_histograms() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.gamma(9, 3, 400), rng.gamma(16, 2, 300)
    edges = np.arange(math.floor(max(one.max(), other.max())) + 2)
    counted = [np.histogram(values, edges)[0] for values in (one, other)]
    assert divergence(one, other) == pytest.approx(jensenshannon(*counted) ** 2)
    assert divergence(one, one) == 0
    assert divergence(np.array([0.5]), np.array([7.5])) == pytest.approx(math.log(2))


def drawn(forward: Any, count: int = 60, **options: Any) -> Samples:
    given = {"begin": np.empty(0, np.uint8), "max_tokens": 25, "temperature": 1.0, **options}
    return draw(forward, count=count, rng=np.random.default_rng(given.pop("seed", 0)), **given)


@pytest.mark.parametrize("kind", ["lstm", "dnc"])
def test_samples_are_as_likely_as_the_model_says_afterwards(kind: str) -> None:
    task = task_of()
    forward = model(task, kind)
    samples = drawn(forward)
    assert samples.ended.sum() > 20
    assert len({len(tokens) for tokens in samples.tokens}) > 5
    ended = [row for row in range(60) if samples.ended[row]]
    expected = negative_log_likelihoods(forward, [samples.tokens[row] for row in ended])
    np.testing.assert_allclose(samples.nll[ended], expected, rtol=1e-9)
    for row in set(range(60)) - set(ended):
        assert len(samples.tokens[row]) == 25
        assert END not in samples.tokens[row]
    again = drawn(forward)
    assert [list(tokens) for tokens in again.tokens] == [list(tokens) for tokens in samples.tokens]
    assert [list(tokens) for tokens in drawn(forward, seed=1).tokens] != [list(t) for t in again.tokens]


def fixed(logits: list[float]) -> Any:
    """A model whose outputs are always the same."""

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        return np.broadcast_to(np.array(logits), (*inputs.shape, len(logits))), ()

    return forward


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_tokens_are_drawn_from_the_softmax(temperature: float) -> None:
    p = np.array([0.2, 0.5, 0.0, 0.3])
    logits = np.log(p, out=np.full(4, -np.inf), where=p > 0)
    samples = drawn(fixed(logits.tolist()), 4000, temperature=temperature, max_tokens=1)
    first = Counter(int(tokens[0]) if len(tokens) else END for tokens in samples.tokens)
    expected = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
    shares_ = [first[number] / 4000 for number in range(4)]
    np.testing.assert_allclose(shares_, expected, atol=0.04)  # five standard deviations
    assert first[2] == 0


def test_without_temperature_the_likeliest_token_is_taken_after_the_beginning() -> None:
    samples = drawn(fixed([0.0, 1.0, 2.0]), 2, temperature=0, begin=np.array([1, 1], np.uint8), max_tokens=4)
    assert [list(tokens) for tokens in samples.tokens] == [[1, 1, 2, 2]] * 2
    assert not samples.ended.any()
    ends = drawn(fixed([3.0, 1.0, 2.0]), 2, temperature=0, begin=np.array([1, 1], np.uint8), max_tokens=4)
    assert [list(tokens) for tokens in ends.tokens] == [[1, 1]] * 2
    assert ends.ended.all()
    for options, words in (
        ({"temperature": -1.0}, "temperature must be a number of at least 0"),
        ({"max_tokens": 1, "begin": np.array([1, 1], np.uint8)}, "at most 1 tokens, .* got 2"),
    ):
        with pytest.raises(UserError, match=words):
            drawn(fixed([3.0, 1.0, 2.0]), **options)


def test_valid_is_what_rdkit_reads() -> None:
    assert canonical("OCC") == canonical("C(O)C") == "CCO"
    for wrong in ("", "C(", "c1ccc1C1", "CN(C)(C)(C)C", "C1CC"):
        assert canonical(wrong) is None
    assert canonical("CC(C)(C)(C)C") is None  # five bonds of a carbon


def test_shares_are_counted_one_after_the_other() -> None:
    samples = ["CCO", "CCO", None, "CC", "C", None, None, None]
    assert shares(samples, ["CC", None, "N"]) == (4 / 8, 3 / 4, 2 / 3)
    assert shares([None], ["C"]) == (0, 0, 0)


def test_the_example_is_a_file_of_valid_molecules() -> None:
    lines = [line.split()[0] for line in EXAMPLE.decode().splitlines()]
    assert len({canonical(smiles) for smiles in lines} - {None}) == len(lines)
