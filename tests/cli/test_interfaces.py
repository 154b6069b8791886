"""Learned interfaces from the command line: train, resume, eval, ask, trace, plot, and what users get wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import done, refused
from numdnc.inspection.trace_file import load_trace
from numdnc.training.folder import RunFolder

TINY = (
    *("-m", "dnc", "-H", 5, "-N", 4, "-W", 3, "-R", 1, "--batch", 3, "--evaluated", 4, "--critic-hidden", 2),
    *("--sample-every", 0, "--report-every", 1, "--engine", "reference"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interfaces")
    settings = ("--length", 3, "--memory-width", 4)
    done("train", "interface-repeat-copy", *settings, *TINY, "--steps", 2, "--out", folder / "repeat")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "repeat").symlink_to(trained / "repeat")


def as_json(*words: Any) -> Any:
    return json.loads(done(*words, "--json"))


def test_a_tape_is_asked_about_and_played_step_by_step() -> None:
    found, words = as_json("ask", "repeat", "3ab"), done("ask", "repeat", "3ab")
    assert (found["truth"], found["iteration"] > 0) == ("ababab", True)
    assert found["right"] == (found["answer"] == "ababab")
    emitted = [step["emitted"] for step in found["steps"] if step["emitted"] is not None]
    assert "".join(emitted) == found["answer"]
    lines = words.splitlines()
    assert len(lines) == len(found["steps"]) + 2
    assert lines[1].split()[:2] == ["0", "[3]a"]
    assert lines[-1].startswith(found["answer"])
    assert "WRONG" in lines[-1] or found["right"]


def test_scores_and_pictures(tmp_path: Path) -> None:
    found = as_json("eval", "repeat", "--set", "length=2", "--sequences", 7)
    assert (found["settings"]["length"], found["episodes"]) == (2, 7)
    assert found["loss"] > 0
    assert 0 <= found["error"] <= 1
    assert "output tape" in done("eval", "repeat", "--show", "--plot", tmp_path / "tapes.svg")
    assert (tmp_path / "tapes.svg").read_text().count("memory tape")
    assert "with every read vector zeroed" in done("eval", "repeat", "--no-reads")


def test_an_episode_is_traced() -> None:
    done("trace", "repeat", "-i", "2ab", "--out", "given.safetensors")
    trace = load_trace(Path("given.safetensors"))
    assert trace.about.sequence == "an episode given by hand"
    assert len(trace.about.input_channels) == trace.spec.input_size
    assert len(trace.about.output_channels) == trace.spec.output_size
    assert done("trace", "repeat", "--sample", 3, "--out", "own.safetensors")
    refused(
        "trace", "repeat", "--sample", 4, expect="the episode must be one of 0..3, those scored on, got 4"
    )


def test_a_critic_must_fit_into_memory_too() -> None:
    words = ("train", "interface-copy", *TINY, "--critic-hidden", 10**10, "--steps", 1, "--out", "large")
    refused(*words, expect="the critic must fit into the |. Lower --critic-hidden, --hidden")


def test_a_run_is_resumed_with_its_critic() -> None:
    settings = ("train", "interface-copy", "--length", 3, *TINY)
    done(*settings, "--steps", 4, "--out", "whole")
    done(*settings, "--steps", 2, "--out", "halves")
    assert "done at iteration 4" in done("resume", "halves", "--steps", 4, "--sample-every", 0)
    ends = [RunFolder(Path(name)).load_last() for name in ("whole", "halves")]
    assert ends[0].critic
    assert ends[1].critic
    assert (ends[0].critic.params.output.weights == ends[1].critic.params.output.weights).all()
    assert (ends[0].params.output.weights == ends[1].params.output.weights).all()


def test_mistakes_are_refused_in_a_line() -> None:
    refused("ask", "repeat", "ab", expect="a question must be a tape of this task, such as 2abc, got 'ab'")
    refused("ask", "repeat", "2az", expect="got 'z'")
    refused("eval", "repeat", "--set", "symbols=5", expect="the environment must have the model's")
    refused("eval", "repeat", "--set", "colour=5", expect="--set must be NAME=VALUE with a name of length")
    refused(
        "sample", "repeat", expect="sample must be given a run of a text|, got one of interface-repeat-copy"
    )
    train = ("train", "interface-copy", *TINY, "--steps", 1)
    refused(*train, "--bypass-dropout", 0.1, expect="bypass_dropout must be 0 for a policy, got 0.1")
    refused(*train, "--bidirectional", expect="bidirectional must be left out with the task interface-copy")
    refused(*train, "--weight-noise", 0.1, expect="weight_noise must be 0 for a policy")
    refused(*train, "--grow", "colour", expect="grow must be one of length, memory_width, slack, symbols")
