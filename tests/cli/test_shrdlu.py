"""Mini-SHRDLU from the command line: train, resume, eval, ask, trace, plot, and what users get wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import contents, done, refused
from numdnc import load_run
from numdnc.inspection.ablation import ablations
from numdnc.inspection.trace_file import load_trace
from numdnc.training.run import forward_with

TINY = (
    *("-H", 5, "-N", 4, "-W", 3, "-R", 1, "--batch", 3, "--evaluated", 4, "--sample-every", 0),
    *("--report-every", 1, "--engine", "reference"),
)
ASKED = "board 12/3/; put 1 on 3; go"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shrdlu")
    done("train", "shrdlu", *TINY, "--steps", 2, "--out", folder / "blocks")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blocks").symlink_to(trained / "blocks")


def as_json(*words: Any) -> Any:
    return json.loads(done(*words, "--json"))


def test_a_problem_is_asked_about_and_played_move_by_move() -> None:
    found, words = as_json("ask", "blocks", ASKED), done("ask", "blocks", ASKED)
    assert found["moves_needed"] == 2
    assert found["boards"][0] == [[1, 2], [3], []]
    assert len(found["boards"]) == 1 + len(found["actions"]) == 1 + 2 + 6
    assert found["right"] == any(column[-2:] == [3, 1] for column in found["boards"][-1])
    assert (found["moves"] is None) <= (not found["right"])
    lines = words.splitlines()
    assert lines[:2] == ["A: 1 above 3", "go A (2 moves needed)"]
    assert lines[3].startswith("start ")
    assert [line[:5] for line in lines[4:7]] == [". . .", "2 . .", "1 3 ."]
    assert lines[-1].startswith("the goal was ")
    boards = [as_json("ask", "blocks", "1 on 2", "--seed", seed)["boards"][0] for seed in (1, 2, 1)]
    assert boards[0] == boards[2] != boards[1]


def test_scores_and_pictures(tmp_path: Path) -> None:
    found = as_json("eval", "blocks", "--set", "lesson=2", "--sequences", 7)
    assert (found["settings"]["lesson"], found["episodes"]) == (2, 7)
    assert 0 <= found["error"] <= found["goal_error"] <= found["not_optimal"] <= 1
    assert "optimal" not in found
    shown = done("eval", "blocks", "--set", "lesson=2", "--show", "--plot", tmp_path / "boards.svg")
    assert "move needed)" in shown
    assert (tmp_path / "boards.svg").read_text().startswith("<?xml")


@pytest.mark.thorough
@pytest.mark.parametrize("fewer", [(), ("--fewer",)])
def test_the_table_has_a_cell_for_every_goal_there_is(fewer: tuple[str, ...]) -> None:
    done("train", "shrdlu", *TINY, *fewer, "--steps", 1, "--out", "own")
    found, words = as_json("eval", "own", "--sequences", 1), done("eval", "own", "--sequences", 1)
    assert list(found["optimal"]) == ["1", "2", "3", "4", "5", "6", "up to 6"]
    assert found["optimal"]["6"][:2] == [None, None]
    assert None not in found["optimal"]["up to 6"]
    lines = words.splitlines()
    assert lines[1].split() == ["constraints", *"1234567"]
    assert "constraints hold at the end" in lines[-1]


def test_an_episode_is_traced() -> None:
    done("trace", "blocks", "-i", ASKED, "--out", "given.safetensors")
    trace = load_trace(Path("given.safetensors"))
    assert trace.about.sequence == "an episode given by hand"
    assert len(trace.about.input_channels) == trace.spec.input_size == 97
    assert trace.about.output_channels[0] == "1 to 2"
    assert done("trace", "blocks", "--sample", 3, "--out", "own.safetensors")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--published", "--layers", 1),
        ("--no-imitate", "--critic", "shared"),
        ("--no-imitate", "--trials", "--spare-moves", 0),
    ],
)
def test_a_run_is_resumed_bit_for_bit(options: tuple[Any, ...]) -> None:
    settings = ("train", "shrdlu", *options, *TINY)
    done(*settings, "--steps", 4, "--out", "whole")
    done(*settings, "--steps", 2, "--out", "halves")
    done("resume", "halves", "--steps", 4, "--sample-every", 0)
    whole, halves = contents(Path("whole")), contents(Path("halves"))
    assert whole.keys() == halves.keys()
    differ = [name for name in whole if whole[name] != halves[name]]
    assert set(differ) <= {"last training", "best training", "best target"}  # where the number of steps is
    assert any("critic" in name for name in whole) == ("--published" in options)


def test_a_policy_is_diagnosed_by_its_returns(trained: Path) -> None:
    found = as_json("diagnose", "blocks")
    scored = as_json("eval", "blocks", "--set", "lesson=0")
    parts = {finding["about"]: finding for finding in found["findings"]}
    assert found["scores"]["whole"]["loss"] == scored["loss"] < 1
    run = load_run("blocks")
    task, forward = run.task, run.forward
    returns = task.returns(forward)
    assert len(returns) == 4
    assert returns.mean() == pytest.approx(-found["scores"]["whole"]["loss"])
    without = ablations(run.spec, run.params)["reads"]
    rises = returns - task.returns(forward_with(run.engine, run.spec, without))
    assert parts["memory"]["numbers"]["noise"] == pytest.approx(2 * rises.std(ddof=1) / 2, rel=1e-6)


def test_what_compares_losses_above_0_is_refused() -> None:
    settings = ("train", "shrdlu", *TINY, "--steps", 1, "--restart-above", 3, "--out", "x")
    for more in ((), ("--no-imitate",)):
        refused(*settings, *more, expect="restart_above must be left out for a policy, got 3.0")


def test_learning_from_rewards_begins_with_what_was_imitated() -> None:
    settings = ("train", "shrdlu", *TINY, "--no-imitate", "--steps", 1, "--out", "rewards")
    assert "begins with all parameters of blocks" in done(*settings, "--start-from", "blocks")


def test_a_policy_that_is_its_own_critic_gives_a_value() -> None:
    settings = ("train", "shrdlu", *TINY, "--no-imitate", "--critic", "shared", "--steps", 1, "--out", "own")
    assert "begins with all parameters of blocks" in done(*settings, "--start-from", "blocks")
    done("trace", "own", "-i", ASKED, "--out", "value.safetensors")
    assert load_trace(Path("value.safetensors")).about.output_channels[-2:] == ("pass", "value")
    words = ("train", "shrdlu", *TINY, "--no-imitate", "--trials", "--minutes", 1e-9, "--out", "tried")
    assert "begins with all parameters of own" in done(*words, "--start-from", "own")
    own, tried = load_run("own").params.output, load_run("tried").params.output
    assert (own.weights[:, :-1] == tried.weights).all()
    assert (own.bias[:-1] == tried.bias).all()


def test_progress_says_what_is_learned() -> None:
    imitated = done("train", "shrdlu", *TINY, "--steps", 1, "--out", "one")
    assert " nats," in imitated
    assert " actions/s" in imitated
    assert "constraints hold" in imitated
    assert "level 0," in imitated
    paper = done("train", "shrdlu", "--published", "--layers", 1, *TINY, "--steps", 1, "--out", "paper")
    assert "level 1," in paper
    rewarded = done("train", "shrdlu", *TINY, "--no-imitate", "--steps", 1, "--out", "two")
    assert " return " in rewarded
    assert " episodes/s" in rewarded
    tried = done("train", "shrdlu", *TINY, "--no-imitate", "--trials", "--steps", 1, "--out", "tried")
    assert " nats," in tried
    assert load_run("tried").spec.output_size == 7  # without a value
    assert "-m" not in done(
        "train", "shrdlu", "-m", "lstm", *TINY[:2], *TINY[8:], "--steps", 1, "--out", "three"
    )


def test_mistakes_are_refused_in_a_line() -> None:
    refused("ask", "blocks", "put 1 onto 2", expect="a clause must be as in|got 'put 1 onto 2'")
    refused("ask", "blocks", "1 on 2; 2 on 1", expect="a goal must hold on some board")
    refused("eval", "blocks", "--set", "lesson=27", expect="lesson must be from 0 to 26, got 27")
    refused("eval", "blocks", "--set", "colour=5", expect="--set must be NAME=VALUE with a name of lesson")
    refused("sample", "blocks", expect="sample must be given a run of a text|, got one of shrdlu")
    train = ("train", "shrdlu", *TINY, "--steps", 1)
    refused(*train, "--optimal-share", 2, expect="optimal_share must lie in [0, 1], got 2")
    refused(*train, "--blocks", 1, expect="blocks must be from 2 to 6")
    refused(*train, "--trials", expect="trials must be given without imitate, got both. Add --no-imitate")
    refused(*train, "--last-weight", -1, expect="last_weight must be at least 0 and finite, got -1")
    refused(*train, "--no-imitate", "--weight-noise", 0.1, expect="weight_noise must be 0 for a policy")
