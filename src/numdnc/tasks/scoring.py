"""Scores of a model on separate sequences."""

from collections.abc import Iterable

import numpy as np

from numdnc.tasks import Batch, Forward, Scores
from numdnc.tasks.sequences import answer_numbers, loss_mask, sequence_lengths
from numdnc.tasks.targets import cross_entropy, errors


def sequence_scores(forward: Forward, batches: Iterable[Batch], *, several: bool = False) -> Scores:
    """Scores on the sequences of all batches: "loss" in nats, "bit_error", "sequence_error".

    bit_error is the share of wrong predictions, sequence_error that of sequences with any wrong prediction and, where a
    sequence has `several` questions, question_error that of questions with any in their answer.
    """
    nats = predictions = wrong = sequences = failed = asked = missed = 0.0
    for batch in batches:
        mask = loss_mask(batch)
        outputs, _ = forward(batch.inputs, None, sequence_lengths(batch))
        mean, count, _ = cross_entropy(outputs, batch.targets, mask, batch.choices)
        misses = errors(outputs, batch.targets, batch.choices) & mask[..., None]
        nats += mean * count
        predictions += count
        wrong += int(misses.sum())
        sequences += mask.shape[1]
        failed += int(misses.any(axis=(0, 2)).sum())
        answers = answer_numbers(mask)
        asked += int(answers.max(axis=0).sum())
        step, row, _ = np.nonzero(misses)
        missed += len(set(zip(row.tolist(), answers[step, row].tolist(), strict=True)))
    scores = {
        "loss": nats / predictions,
        "bit_error": wrong / predictions,
        "sequence_error": failed / sequences,
    }
    return {**scores, "question_error": missed / asked} if several else scores
