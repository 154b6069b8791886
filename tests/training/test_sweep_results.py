"""The runs that a sweep plans; and what those of a setting have in common: success rate, means and deviations."""

import math

import pytest

from numdnc.training.sweep_plan import Sweep, options
from numdnc.training.sweep_results import RunResult, RunStatus, summary, wilson


def test_wilson_against_published_and_limiting_values() -> None:
    # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3 (score, no continuity correction).
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
    ):
        assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(29, 29) == pytest.approx((0.8830, 1), abs=5e-5)


def result(solved: int | None, failure: str | None = None, iteration: int = 10) -> RunResult:
    seconds = None if solved is None else solved / 10
    found = RunStatus(iteration, 10, 1.0, solved, seconds, iteration / 100, None)
    return RunResult("a", {}, 0, found, failure)


def test_a_summary_counts_failures_and_leaves_out_what_has_not_ended() -> None:
    runs = [result(4), result(8), result(None), result(None, "exit code 2", 5), result(None, None, 5)]
    found = summary({}, runs)
    assert (found.planned, found.runs, found.solved, found.failed) == (5, 4, 2, 1)
    assert found.success_rate == 0.5
    assert found.success_interval == wilson(2, 4)
    assert found.iterations_to_solve == (6, pytest.approx(math.sqrt(8)))
    assert found.seconds_to_solve == (pytest.approx(0.6), pytest.approx(0.08**0.5))
    assert found.held_out == (pytest.approx(0.1), 0)
    assert found.sequence_error == (None, None)
    empty = summary({}, [])
    assert (empty.success_rate, empty.success_interval, empty.held_out) == (None, None, (None, None))


def test_runs_of_a_sweep_and_their_words() -> None:
    sweep = Sweep(
        train=("text", "-c", "a/b.txt"), vary={"links": ("yes", "no"), "corpus_x": ("a/b", "c")}, seeds=2
    )
    assert [(run.name, run.seed) for run in sweep.runs] == [
        (f"links={links},corpus_x={x},seed={seed}", seed)
        for seed in (0, 1)
        for links in ("yes", "no")
        for x in ("a%2Fb", "c")
    ]
    words = [sweep.words(setting, 0)[3:] for setting in sweep.settings]
    assert words == [
        [f"--{links}", f"--corpus-x={x}"] for links in ("links", "no-links") for x in ("a/b", "c")
    ]
    assert dict(options(("text", "-c", "a/b.txt", "--no-links", "--steps=5"))) == {
        "c": ["-c", "a/b.txt"],
        "links": ["--no-links", "--steps=5"],
        "steps": ["--steps=5"],
    }
