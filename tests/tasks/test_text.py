"""The text task: what is read, what is trained on, what is held out, how it is scored."""

import math
import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numdnc import LSTMSpec, UserError, init_params, select_engine
from numdnc.data import Corpus
from numdnc.tasks import decoding
from numdnc.tasks import text as text_module
from numdnc.tasks.decoding import decode
from numdnc.tasks.text import TextSettings, TextTask, Vocabulary, sample
from numdnc.training.run import forward_with

LETTERS = "".join(chr(ord("a") + (7 * i + i // 26 * i) % 26) for i in range(1000))


def task_of(text: str, seed: int = 0, **options: Any) -> TextTask:
    return TextTask(
        Corpus("a test", text.encode()), TextSettings(**{"batch": 3, "window": 8, **options}), seed
    )


def test_newlines_are_universal_and_a_byte_order_mark_is_dropped() -> None:
    assert list(decode(Corpus("x", b"\xef\xbb\xbfa\r\nb\rc\nd"), "characters")) == ["a\nb\nc\nd"]


def test_bytes_are_left_alone() -> None:
    raw = bytes(range(256)) + b"\r\n"
    assert "".join(decode(Corpus("x", raw), "bytes")).encode("latin-1") == raw


@pytest.mark.parametrize(("raw", "words"), [(b"ab\xff", "0xff at offset 2"), (b"a\0b", "NUL at offset 1")])
def test_what_is_no_text_is_refused_with_the_way_out(raw: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words) as refusal:
        list(decode(Corpus("x", raw), "characters"))
    assert "--unit bytes" in str(refusal.value)


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 100])
def test_pieces_are_cut_anywhere(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a character, a line break or the byte order mark; offsets are those of the file."""
    monkeypatch.setattr(decoding, "_PIECE", piece)
    text = "\ufeffa\r\n\u00e4\r\u20ac\n\r\n\U0001f600\ufeffb\r"
    expected = text[1:].replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(decode(Corpus("x", text.encode()), "characters")) == expected
    task = task_of(text * 50)
    assert "".join(task.vocabulary.symbols[number] for number in task._text) == (
        expected + ("\ufeff" + expected) * 49
    )
    assert task._text.dtype == np.uint8
    for raw, words in (
        (b"\xef\xbb\xbfab\xc3\xa4\xff", "0xff at offset 7"),
        (b"abc\xc3", "0xc3 at offset 3"),
        (b"ab\xe2\x82", "0xe2 at offset 2"),
        ("\u00e4b\0".encode(), "NUL at offset 2"),
    ):
        with pytest.raises(UserError, match=words):
            list(decode(Corpus("x", raw), "characters"))


def test_a_text_is_held_as_bytes_and_numbers_and_nothing_else() -> None:
    """It took 22 bytes a character; a fuller alphabet takes two bytes for a number."""
    data = b"The quick brown fox jumps over the lazy dog.\r\n" * 300_000
    tracemalloc.start()
    try:
        task = TextTask(Corpus("x", data), TextSettings(), 0)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.1 * len(data)
    assert most < 1.1 * len(data) + 40 * decoding._PIECE
    assert sum(task.characters) == 45 * 300_000
    wide = "".join(map(chr, range(0x4E00, 0x4E00 + 300))) * 10
    assert task_of(wide)._text.dtype == np.uint16
    assert task_of("".join(map(chr, range(256))) * 10, unit="bytes")._text.dtype == np.uint8


@given(st.text(min_size=1))
@settings(derandomize=True)
def test_encoding_is_undone_by_looking_symbols_up(text: str) -> None:
    vocabulary = Vocabulary.from_text([text], "characters")
    assert list(vocabulary.symbols) == sorted(set(text))
    assert "".join(vocabulary.symbols[number] for number in vocabulary.encode(text)) == text


def test_characters_outside_the_vocabulary_are_named() -> None:
    with pytest.raises(UserError, match=r"got others: '\\t', 'z'"):
        Vocabulary("abc", "characters").encode("abzc\t")


def test_targets_are_the_characters_that_follow() -> None:
    task = task_of(LETTERS)
    for _ in range(5):
        batch = task.next_batch()
        for stream in range(3):
            found = "".join(
                task.vocabulary.symbols[n] for n in [*batch.inputs[:, stream], batch.targets[-1, stream]]
            )
            assert found in LETTERS
            np.testing.assert_array_equal(batch.inputs[1:, stream], batch.targets[:-1, stream])


def test_windows_of_a_stream_follow_each_other_until_the_epoch_ends() -> None:
    task = task_of(LETTERS)
    batches = [task.next_batch()]
    while not (following := task.next_batch()).starts_sequence:
        np.testing.assert_array_equal(following.inputs[0], batches[-1].targets[-1])
        batches.append(following)
    assert batches[0].starts_sequence
    read = np.concatenate([batch.inputs for batch in batches])
    assert read.size > 900 - 3 - 8 - 1  # all but the shift and what does not divide by 3
    assert len({len(batch.inputs) for batch in batches}) <= 2


def test_the_held_out_tail_is_never_trained_on() -> None:
    head, tail = "ab" * 450, "yz" * 50
    task = task_of(head + tail)
    forbidden = set(task.vocabulary.encode("yz").tolist())
    for _ in range(300):
        batch = task.next_batch()
        assert not forbidden & {*batch.inputs.ravel().tolist(), *batch.targets.ravel().tolist()}
    assert task.characters == (900, 100)


def test_epochs_are_cut_at_other_places() -> None:
    task = task_of(LETTERS)
    shifts = set()
    for _ in range(200):
        task.next_batch()
        shifts.add(task.position()["shift"])
    assert len(shifts) > 2
    assert max(shifts) < 8


def test_streams_begin_at_the_shift_of_their_epoch() -> None:
    text = "".join(map(chr, range(300, 1300)))  # no character twice: it tells its place
    task, shifts = task_of(text), set()
    for _ in range(200):
        batch = task.next_batch()
        if batch.starts_sequence:
            shift = task.position()["shift"]
            length = (900 - 1 - shift) // 3
            assert batch.inputs[0].tolist() == [shift, shift + length, shift + 2 * length]
            shifts.add(shift)
    assert len(shifts) > 2


def test_a_task_moved_to_a_position_goes_on_as_if_never_stopped() -> None:
    straight, stopped = task_of(LETTERS), task_of(LETTERS, seed=1)
    for _ in range(50):
        straight.next_batch()
    assert straight.position()["shift"] != stopped.position()["shift"]
    stopped.move_to(straight.position())
    for _ in range(100):
        one, other = straight.next_batch(), stopped.next_batch()
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets, other.targets)
        assert one.starts_sequence == other.starts_sequence


class Recorder:
    """A model that gives every symbol the same chance, but `certain` ones, and keeps what it read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.read: list[Any] = []

    def __call__(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        self.read.append((inputs, state))
        return np.zeros((*inputs.shape, self.size)), "carried"


def test_a_model_that_knows_nothing_scores_the_logarithm_of_the_symbols() -> None:
    task = task_of(LETTERS)
    assert task.score(Recorder(26))["bpc"] == pytest.approx(math.log2(26))


@pytest.mark.parametrize("length", [150, 701, 2000])
def test_every_held_out_character_is_scored_once_and_with_context(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that errs on one held-out place only is charged for exactly that place."""
    monkeypatch.setattr(text_module, "SEGMENT_LENGTH", 64)
    monkeypatch.setattr(text_module, "WARM_UP", 16)
    monkeypatch.setattr(text_module, "MAX_SEGMENTS", 3)  # of up to 10
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abcdef"), length))
    task = task_of(text, batch=2, window=4, held_out=0.3)
    cut = task.characters[0]
    numbers = task.vocabulary.encode(text)

    def charged(position: int) -> float:
        wrong = (numbers[position] + 1) % 6
        marked = numbers.copy().astype(int)
        marked[position] = wrong

        def forward(inputs: Any, state: Any, lengths: Any = None) -> tuple[Any, Any]:
            # Knows the text by heart, with one mistake: finds each place by the 12 characters read before it.
            seen = inputs if state is None else np.concatenate([state, inputs])
            outputs = np.zeros((*inputs.shape, 6))
            for t in range(len(inputs)):
                for b in range(inputs.shape[1]):
                    context = seen[
                        max(0, len(seen) - len(inputs) + t - 11) : len(seen) - len(inputs) + t + 1, b
                    ]
                    key = bytes(context.astype(np.uint8))
                    at = bytes(numbers.astype(np.uint8)).find(key) + len(key)
                    if at < len(numbers):
                        outputs[t, b, marked[at]] = 100
            return outputs, seen

        return task.score(forward)["bpc"] * (length - cut) * math.log(2)

    for position in (cut, cut + 1, cut + 63, cut + 64, length - 1):
        if position < length:
            assert charged(position) == pytest.approx(100, rel=1e-6)
    assert charged(cut - 1) == pytest.approx(0, abs=1e-6)


def test_the_score_is_that_of_one_long_reading_within_the_effect_of_the_warm_up() -> None:
    text = (LETTERS * 3)[:2600]
    task = task_of(text)
    spec = LSTMSpec(input_size=26, output_size=26, hidden_sizes=(8,))
    params = init_params(spec, 0, "float64")
    forward = forward_with(select_engine("reference", spec, "float64"), spec, params)
    numbers = task.vocabulary.encode(text)
    outputs, _ = forward(numbers[:-1, None], None)
    cut = task.characters[0]
    shares = outputs[:, 0] - np.log(np.exp(outputs[:, 0]).sum(axis=1, keepdims=True))
    straight = -np.mean([shares[i - 1, numbers[i]] for i in range(cut, len(numbers))]) / math.log(2)
    assert task.score(forward)["bpc"] == pytest.approx(straight, rel=1e-6)


def test_a_limit_scores_the_first_held_out_characters_only() -> None:
    text = "ab" * 450 + "a" * 50 + "b" * 50
    task = task_of(text, score_limit=50)
    prefers_a = lambda inputs, state, lengths=None: (np.broadcast_to([3.0, 0.0], (*inputs.shape, 2)), None)  # noqa: E731
    assert task.score(prefers_a)["bpc"] < 0.1 < 1 < task.score(prefers_a, whole=True)["bpc"]


def test_stretches_and_examples_are_held_out_and_read_from_the_character_before() -> None:
    task = task_of("".join(map(chr, range(300, 1300))))  # no character twice: it tells its place
    for number in range(14):
        batch = task.segment(number, 7)
        assert batch.targets[:, 0].tolist() == list(range(900 + 7 * number, 907 + 7 * number))
        np.testing.assert_array_equal(batch.inputs + 1, batch.targets)
    with pytest.raises(
        UserError, match="one of the 14 of 7 characters in the 100 held-out ones, got number 14"
    ):
        task.segment(14, 7)
    batch = task.example(3)
    assert batch.targets[0].tolist() == [900, 946, 992]  # windows of 8, evenly apart
    assert batch.targets[-1].tolist() == [907, 953, 999]
    np.testing.assert_array_equal(batch.inputs + 1, batch.targets)
    assert task.example(40).targets.shape == (2, 40)
    assert (text_module.segments_at_once(512), text_module.segments_at_once(513)) == (1, 2)
    assert text_module.segments_at_once(10**9) == text_module.MAX_SEGMENTS


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("aaaa" * 100, {}, "at least 2 different symbols"),
        ("ab" * 10, {}, "at least 32 training characters"),
        (LETTERS, {"batch": 0}, "batch must be at least 1, got 0"),
        (LETTERS, {"window": -1}, "window must be at least 1, got -1"),
        (LETTERS, {"score_limit": 0}, "score_limit must be at least 1, got 0"),
        (LETTERS, {"held_out": 1.0}, "held_out must lie between 0 and 1, got 1.0"),
        (LETTERS, {"unit": "words"}, "unit must be characters or bytes, got 'words'"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(text: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        task_of(text, **options)


def counting(inputs: Any, state: Any, lengths: Any = None) -> tuple[Any, Any]:
    """A model that is all but sure that the next symbol is the last plus one, of five."""
    return 5.0 * np.eye(5)[(np.asarray(inputs, int) + 1) % 5], None


def draw(temperature: float, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    vocabulary = Vocabulary("abcde", "characters")
    return "".join(sample(counting, vocabulary, length=400, prime="c", temperature=temperature, rng=rng))


def test_sampling_reads_what_it_wrote() -> None:
    assert draw(0.0) == ("deabc" * 80)


def test_sampling_reads_the_whole_prime_and_carries_the_state() -> None:
    """A model that says the symbol whose number is how many symbols it has read, of five."""

    def length(inputs: Any, state: Any, lengths: Any = None) -> tuple[Any, Any]:
        read = (state or 0) + np.arange(1, len(inputs) + 1)
        return 9.0 * np.eye(5)[read % 5][:, None], read[-1]

    rng = np.random.default_rng(0)
    written = sample(length, Vocabulary("abcde", "characters"), length=6, prime="bad", temperature=0, rng=rng)
    assert "".join(written) == "deabcd"


def test_temperature_spreads_the_choices() -> None:
    def follows(text: str) -> float:
        return float(np.mean([(ord(b) - ord(a)) % 5 == 1 for a, b in pairwise(text)]))

    cold, warm, hot = follows(draw(0.5)), follows(draw(1.0)), follows(draw(1000.0))
    assert cold > 0.99
    assert warm == pytest.approx(math.exp(5) / (math.exp(5) + 4), abs=0.04)
    assert hot == pytest.approx(0.2, abs=0.08)


def test_samples_repeat_with_their_seed() -> None:
    assert draw(2.0, seed=3) == draw(2.0, seed=3) != draw(2.0, seed=4)
