"""Predict the next character of a text.

The first part of the text is for training, the last part is held out for scores. Training reads B streams, equal
stretches of the first part, window by window; the model's state is carried from window to window, gradients are not
(truncated back-propagation). Scores are bits per character (BPC).
"""

import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.data import Corpus
from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.reference.activations import softmax
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.schema import Count
from numdnc.tasks import Batch, Forward, RandomState, Scores, generator_from, position_from
from numdnc.tasks.decoding import Unit, check_encoding, decode

SEGMENT_LENGTH = 512
"""Held-out text is scored in segments of this many characters, side by side, ..."""
WARM_UP = 128
"""... and reading begins this many characters before each segment, so that every prediction has a context."""
MAX_SEGMENTS = 256
"""Segments that are scored at once, to limit memory."""


class Vocabulary(NamedTuple):
    """The symbols of a text, sorted by code point; a symbol's number is its position."""

    symbols: str
    unit: Unit

    @classmethod
    def from_text(cls, text: Iterable[str], unit: Unit) -> "Vocabulary":
        """The vocabulary of a text, given in pieces."""
        seen = np.zeros(sys.maxunicode + 1, bool)
        for piece in text:
            seen[_code_points(piece)] = True
        return cls("".join(map(chr, np.flatnonzero(seen))), unit)

    def check(self, inputs: int, outputs: int) -> None:
        """Refuse a vocabulary from a file that does not fit a model of these sizes."""
        codes = _code_points(self.symbols)
        if not len(codes) == inputs == outputs:
            raise UserError(f"{len(codes)} symbols are not the model's {inputs} inputs and {outputs} outputs")
        if (np.diff(codes.astype(np.int64)) <= 0).any() or (self.unit == "bytes" and codes[-1] > 255):
            raise UserError("the symbols are not sorted, or are not bytes")

    def encode(self, text: str) -> NDArray[np.integer]:
        """Symbol numbers, of one byte each if possible; UserError for a character that the vocabulary lacks."""
        known, codes = _code_points(self.symbols), _code_points(text)
        numbers = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        strangers = np.unique(codes[known[numbers] != codes])
        if len(strangers):
            raise UserError(
                f"text must use the {len(known)} symbols the model was trained on, "
                f"got others: {', '.join(repr(chr(code)) for code in strangers[:5])}. Leave them out."
            )
        return numbers.astype(self.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest dtype that holds every symbol number."""
        return np.min_scalar_type(len(self.symbols) - 1)


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """How the text is split, batched and scored."""

    unit: Unit = "characters"
    """characters, with universal newlines; bytes: the bytes of any file."""
    encoding: str = "utf-8"
    """Encoding of the characters by Python's name for it, such as latin-1, cp1252 or utf-16."""
    batch: int = 8
    """B, streams read side by side."""
    window: int = 64
    """T, steps of an update; gradients stop at its beginning, the state is carried over."""
    held_out: float = 0.1
    """Share of the text, at its end, that is kept out of training."""
    score_limit: int = 50_000
    """At most this many held-out characters are scored for a progress line (`eval` scores them all)."""

    def __post_init__(self) -> None:
        check_encoding(self.encoding)
        if self.unit == "bytes" and self.encoding != "utf-8":
            raise UserError(
                f"encoding must be left out with the unit bytes, which are read as they are, got {self.encoding}."
            )
        for name in ("batch", "window", "score_limit"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.held_out < 1:
            raise UserError(f"held_out must lie between 0 and 1, got {self.held_out}.")


@dataclass(frozen=True)
class _Position:
    epoch: Count
    read: Count
    shift: Count
    rng: RandomState


class TextTask:
    """Next-character prediction; see `Task`."""

    name = "text"
    unit = "BPC"
    nats_per_unit = math.log(2)

    def __init__(self, corpus: Corpus, settings: TextSettings, seed: int) -> None:
        self.corpus_name = corpus.name
        self.settings = settings
        self.vocabulary = Vocabulary.from_text(
            decode(corpus, settings.unit, settings.encoding), settings.unit
        )
        self.input_size = self.output_size = len(self.vocabulary.symbols)
        if self.input_size < 2:
            raise UserError(
                f"a corpus must have at least 2 different symbols, got {self.vocabulary.symbols!r} only in "
                f"{corpus.name}. There is nothing to predict; give another text."
            )
        self._text = _numbers(corpus, self.vocabulary, settings.encoding)
        self._cut = len(self._text) - max(1, round(settings.held_out * len(self._text)))
        shortest = settings.batch * settings.window + settings.window
        if self._cut < shortest:
            raise UserError(
                f"a corpus must have at least {shortest} training characters for {settings.batch} streams of windows "
                f"of {settings.window}, got {self._cut} in {corpus.name}. Lower --batch or --window, or give more text."
            )
        self._rng = np.random.default_rng(seed)
        self._begin_epoch(0)

    def _begin_epoch(self, epoch: int) -> None:
        """Cut new streams, shifted by a random part of a window, so that gradients stop at other characters."""
        self._epoch, self._read = epoch, 0
        self._shift = int(self._rng.integers(self.settings.window))

    @property
    def _stream_length(self) -> int:
        return (self._cut - 1 - self._shift) // self.settings.batch

    @property
    def characters(self) -> tuple[int, int]:
        """Numbers of training and of held-out characters."""
        return self._cut, len(self._text) - self._cut

    def next_batch(self) -> Batch:
        """The next window of every stream, (T, B); the last one of an epoch may be shorter."""
        if self._read == self._stream_length:
            self._begin_epoch(self._epoch + 1)
        start, stop = self._read, min(self._read + self.settings.window, self._stream_length)
        streams = self._shift + self._stream_length * np.arange(self.settings.batch)
        at = streams + np.arange(start, stop)[:, None]
        self._read = stop
        return Batch(self._text[at], self._text[at + 1], starts_sequence=start == 0)

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean cross-entropy in nats, number of characters, gradient by the outputs."""
        nats, d_outputs = softmax_cross_entropy(outputs, batch.targets)
        return nats, batch.targets.size, d_outputs

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Held-out bits per character, "bpc"; each character is predicted once, after at least WARM_UP others.

        Only the first `score_limit` held-out characters are scored, unless `whole`.
        """
        held_out = self.characters[1]
        end = self._cut + (held_out if whole else min(held_out, self.settings.score_limit))
        starts = np.arange(self._cut, end, SEGMENT_LENGTH)
        warm_up = min(WARM_UP, self._cut - 1)
        total, group = 0.0, MAX_SEGMENTS
        for first in range(0, len(starts), group):
            target = starts[first : first + group] + np.arange(-warm_up, SEGMENT_LENGTH)[:, None]
            counts = (target >= starts[first : first + group]) & (target < end)
            target = np.minimum(target, end - 1)
            state = None
            for t in range(0, len(target), SEGMENT_LENGTH):
                window = slice(t, t + SEGMENT_LENGTH)
                outputs, state = forward(self._text[target[window] - 1], state)
                nats, _ = softmax_cross_entropy(outputs, self._text[target[window]], counts[window])
                total += nats * int(counts[window].sum())
        return {"bpc": total / (end - self._cut) / self.nats_per_unit}

    def segment(self, number: int, length: int) -> Batch:
        """Segment `number` of the held-out part, in segments of `length` characters, all of them to be predicted."""
        if length < 1:
            raise UserError(f"length must be at least 1, got {length}.")
        most = self.characters[1] // length
        if not 0 <= number < most:
            raise UserError(
                f"the segment must be one of the {most} of {length} characters in the {self.characters[1]} held-out "
                f"ones, got number {number}. Choose an earlier or a shorter one."
            )
        target = self._cut + number * length + np.arange(length)[:, None]
        return Batch(self._text[target - 1], self._text[target])

    def example(self, sequences: int = 1) -> Batch:
        """Windows of the held-out text at equal distances; shorter ones if the text is short."""
        held_out = self.characters[1]
        steps = min(self.settings.window, max(1, held_out // sequences))
        starts = self._cut + np.linspace(0, held_out - steps, sequences).astype(int)
        at = starts + np.arange(steps)[:, None]
        return Batch(self._text[at - 1], self._text[at])

    def solved(self, scores: Scores) -> bool:
        """Never: how well a text can be predicted is unknown."""
        return False

    def on_scores(self, scores: Scores) -> None:
        """Do nothing: a text has no curriculum."""

    def position(self) -> dict[str, Any]:
        """Epoch, steps read of it, shift of its streams, and random state."""
        rng = self._rng.bit_generator.state
        return {"epoch": self._epoch, "read": self._read, "shift": self._shift, "rng": rng}

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""

        def problem(saved: _Position) -> str:
            most = (self._cut - 1 - saved.shift) // self.settings.batch
            fits = saved.shift < self.settings.window and saved.read <= most
            return "" if fits else "it is not in the text"

        saved = position_from(_Position, position, problem)
        self._epoch, self._read, self._shift = saved.epoch, saved.read, saved.shift
        self._rng = generator_from(saved.rng)


def _numbers(corpus: Corpus, vocabulary: Vocabulary, encoding: str) -> NDArray[np.integer]:
    """The symbol numbers of a whole corpus."""
    numbers, end = np.empty(len(corpus.data), vocabulary.dtype), 0  # a character has at least a byte
    for piece in decode(corpus, vocabulary.unit, encoding):
        numbers[end : end + len(piece)] = vocabulary.encode(piece)
        end += len(piece)
    return numbers[:end]


def segments_at_once(held_out: int) -> int:
    """How many segments of the held-out characters `score` reads at once."""
    return min(MAX_SEGMENTS, -(-held_out // SEGMENT_LENGTH))


def sample(
    forward: Forward,
    vocabulary: Vocabulary,
    *,
    length: int,
    prime: str,
    temperature: float,
    rng: np.random.Generator,
) -> Iterator[str]:
    """Text that the model writes after `prime`, character by character.

    Each character is drawn from softmax(y / temperature), or is the likeliest if the temperature is 0, and is the
    model's next input.
    """
    if length < 0:
        raise UserError(f"length must be at least 0, got {length}.")
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise UserError(f"temperature must be a number of at least 0, got {temperature}.")
    if not prime:
        raise UserError("prime must hold at least one character, got none. Give --prime TEXT.")
    outputs, state = forward(vocabulary.encode(prime)[:, None], None)
    for _ in range(length):
        logits = outputs[-1, 0].astype(np.float64)
        if temperature == 0:
            number = int(logits.argmax())
        else:
            with np.errstate(over="ignore"):  # the likeliest is at 0; -inf is never drawn
                cooled = (logits - logits.max()) / temperature
            number = int(rng.choice(len(logits), p=softmax(cooled)))
        yield vocabulary.symbols[number]
        outputs, state = forward(np.array([[number]]), state)
