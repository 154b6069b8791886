"""The collectives of workers, with threads that stand in for processes."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.workers import in_each
from numdnc import RNNSpec, UserError, init_params, map_leaves
from numdnc.tasks import Batch
from numdnc.tasks.bits import Copy
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings, new_run
from numdnc.training.workers import SINGLE, Workers
from numdnc.tree import leaves


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("total", [0, 1, 4, 5, 7, 15])
def test_rows_are_shared_evenly_and_come_together_again(count: int, total: int) -> None:
    numbers = np.arange(2 * total * 3.0).reshape(2, total, 3)

    def shared(here: Workers) -> Any:
        part = numbers[:, here.shard(total)]
        assert part.shape[1] in (total // count, -(-total // count))
        return here.all_gather(part, axis=1)

    for found in in_each(count, shared):
        assert np.array_equal(found, numbers)
    assert np.array_equal(SINGLE.all_gather(numbers[:, SINGLE.shard(total)], axis=1), numbers)


def test_means_are_those_over_everything_that_counts() -> None:
    rng = np.random.default_rng(0)
    params = init_params(RNNSpec(input_size=2, output_size=3, hidden_sizes=(4,)), 0, np.float64)
    gradients = [map_leaves(lambda leaf: rng.standard_normal(leaf.shape), params) for _ in range(3)]
    nats, counts = rng.random(3), np.array([5.0, 0, 2])
    nats[1] = 0  # where nothing counts
    for gradient, loss, count in in_each(
        3, lambda p: p.all_reduce_mean(gradients[p.rank], nats[p.rank], counts[p.rank])
    ):
        assert count == 7
        assert loss == pytest.approx((5 * nats[0] + 2 * nats[2]) / 7, rel=1e-15)
        for found, first, last in zip(*map(leaves, (gradient, gradients[0], gradients[2])), strict=True):
            np.testing.assert_allclose(found, (5 * first + 2 * last) / 7, rtol=1e-13)
    (nothing, loss, count), _ = in_each(2, lambda p: p.all_reduce_mean(gradients[0], 0.0, 0))
    assert (loss, count) == (0, 0)
    assert not any(leaf.any() for leaf in leaves(nothing))


def test_what_is_said_is_heard() -> None:
    words = "größer than".encode()
    assert in_each(3, lambda p: p.broadcast(words if p.rank == 2 else b"ignored", source=2)) == [words] * 3
    value = {"a": [1 / 3, None, "ü"], "b": math.inf}
    assert in_each(2, lambda p: p.broadcast_object(value if p.rank == 0 else p.rank)) == [value] * 2
    assert in_each(3, lambda p: p.all_gather_number(p.rank / 3)) == [[0, 1 / 3, 2 / 3]] * 3


def test_the_process_whose_rows_go_bad_says_where(tmp_path: Path) -> None:
    class Spoilt(SequenceTask):
        def next_batch(self) -> Batch:
            batch = super().next_batch()
            batch.inputs[2, 3] = math.nan
            return batch

    def trained(here: Workers) -> str:
        task = Spoilt("copy", Copy(min_length=3, max_length=3), SequenceSettings(batch=5), 0)
        spec = RNNSpec(input_size=task.input_size, output_size=task.output_size, hidden_sizes=(4,))
        run = new_run(
            *(spec, TrainingSettings(), OptimizerSettings()),
            **{"task": {}, "position": task.position(), "batch": 5, "engine": "reference"},
        )
        with pytest.raises(UserError) as error:
            list(train(run, task, RunFolder(tmp_path / "none"), workers=here))
        return str(error.value)

    lines = in_each(3, trained)
    assert lines == [lines[0]] * 3
    assert "but state.controller.0.hidden at step 2 of the window is not, at iteration 1." in lines[0]


@pytest.mark.parametrize("other", [b"one", b"two"])
def test_workers_must_record_the_same(other: bytes) -> None:
    def recorded(workers: Workers) -> str:
        workers.record(b"one" if workers.rank == 0 else other, np.arange(3.0))
        try:
            workers.check_identical()
        except UserError as error:
            return str(error)
        return ""

    found = in_each(3, recorded)
    assert [bool(text) for text in found] == [other != b"one"] * 3


def test_workers_share_a_batch_that_each_has_a_row_of() -> None:
    for workers in in_each(3, lambda workers: workers):
        workers.check_batch(3)
        with pytest.raises(UserError, match="batch must be at least 3"):
            workers.check_batch(2)
