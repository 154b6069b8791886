"""Environments of Gymnasium's interface from the command line: train, resume, eval, trace, and what users get wrong."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import done, refused
from numdnc.inspection.trace_file import load_trace
from numdnc.training.folder import RunFolder

EXAMPLE = Path(__file__).parents[2] / "examples" / "memory_environments.py"
MAZE = "memory_environments.py:t_maze"
TINY = (
    *("-H", 5, "-N", 4, "-W", 3, "-R", 1, "--batch", 3, "--evaluated", 4, "--critic-hidden", 2),
    *("--max-steps", 15, "--sample-every", 0, "--report-every", 1, "--engine", "reference"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environments")
    shutil.copy(EXAMPLE, folder)
    maze = ("--env", folder / MAZE, "--goal", 1)
    done("train", "environment", *maze, *TINY, "--steps", 2, "--out", folder / "maze")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("maze", EXAMPLE.name):
        (tmp_path / name).symlink_to(trained / name)


def as_json(*words: Any) -> Any:
    return json.loads(done(*words, "--task", MAZE, "--json"))


def test_an_environment_of_the_users_own_is_scored_traced_and_shown(tmp_path: Path) -> None:
    found = as_json("eval", "maze", "--sequences", 5)
    assert found["settings"] == {"env": MAZE, "max_steps": 15, "goal": 1.0}
    assert (found["episodes"], found["iteration"] in (1, 2)) == (5, True)
    shorter = as_json("eval", "maze", "--set", "max_steps=3")
    assert shorter["settings"]["max_steps"] == 3
    shown = done("eval", "maze", "--task", MAZE, "--show", "--plot", tmp_path / "maze.svg")
    assert shown.splitlines()[1].split() == ["step", "action", "reward", "return"]
    assert "observation" in (tmp_path / "maze.svg").read_text()
    done("trace", "maze", "--task", MAZE, "--sample", 3, "--out", "trace.safetensors")
    trace = load_trace(Path("trace.safetensors"))
    assert trace.unit == "classes"
    assert trace.errors[0] == 0  # the likeliest actions are those that were taken
    assert trace.about.output_channels == ("action 0", "action 1", "action 2")


def test_a_run_is_resumed_bit_for_bit() -> None:
    maze = ("train", "environment", "--env", MAZE, *TINY)
    done(*maze, "--steps", 3, "--out", "whole")
    done(*maze, "--steps", 2, "--out", "halves")
    done("resume", "halves", "--steps", 3, "--sample-every", 0)
    ends = [RunFolder(Path(name)).load_last() for name in ("whole", "halves")]
    assert (ends[0].params.output.weights == ends[1].params.output.weights).all()


def test_an_environment_of_gymnasium() -> None:
    done("train", "environment", "--env", "CartPole-v1", *TINY, "--steps", 1, "--out", "pole")
    found = json.loads(done("eval", "pole", "--json"))
    assert found["settings"] == {"env": "CartPole-v1", "max_steps": 15, "goal": "inf"}
    assert 1 <= -found["loss"] <= 15
    assert found["error"] == 1


BROKEN = """
import gymnasium
from gymnasium import spaces

class Broken(gymnasium.Env):
    observation_space, action_space = spaces.Discrete(2), spaces.Discrete(2)
    def __init__(self, **changed):
        self.reward = 0.0
        self.__dict__ |= changed
    def reset(self, *, seed=None, options=None):
        return 0, {}
    def step(self, action):
        return self.seen(), self.reward, True, False, {}

def raises(): raise ValueError("no such\\nlevel")
def no_spaces(): return object()
def steers(): return Broken(action_space=spaces.Box(0, 1))
def unbounded(): return Broken(observation_space=spaces.Sequence(spaces.Discrete(2)))
def elsewhere(): return Broken(observation_space=spaces.Box(0, 1, (3,)))
def nowhere(): return Broken(reward=float("nan"), seen=lambda: 0)
def stops(): return Broken()
number = 3
"""
MISTAKES = {
    "raises": "must follow Gymnasium's interface, got ValueError: no such level. Fix it there.",
    "no_spaces": "must follow Gymnasium's interface, got AttributeError",
    "steers": "action_space must be Discrete, MultiDiscrete or MultiBinary with one axis, got Box",
    "unbounded": "observation_space must have a fixed width, got Sequence",
    "elsewhere": "must give observations of Box(0.0, 1.0, (3,), float32) that are finite, got 0",
    "nowhere": "rewards of broken.py:nowhere must be finite, got nan",
    "stops": "got AttributeError: 'Broken' object has no attribute 'seen'",
    "number": "must hold a function 'number', got a int",
    "missing": "must hold a function 'missing', got none such",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_environments_that_break_the_interface_are_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(BROKEN)
    train = ("train", "environment", "--env", f"{file}:{name}", *TINY, "--steps", 1)
    refused(*train, expect=MISTAKES[name])


def test_mistakes_are_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    train = ("train", "environment", *TINY, "--steps", 1)
    refused(*train, expect="the environment must be named, got none. Give it with --env NAME.")
    refused(
        *train,
        "--env",
        "Nothing-v9",
        expect="the environment must be one that Gymnasium knows, or MODULE:FUNC",
    )
    refused(*train, "--env", MAZE, "--grow", "max_steps", expect="grow must be left out with an environment")
    refused(*train, "--env", MAZE, "--goal", "nan", expect="goal must be a number, got nan")
    refused("train", "environment", "--env", MAZE, "--max-steps", 0, expect="max_steps must be from 1 to")
    refused("eval", "maze", "--task", MAZE, "--set", "env=CartPole-v1", expect="env must stay as it is")
    refused("ask", "maze", "--task", MAZE, "left?", expect="ask must be given a run of")
    refused(
        "trace", "maze", "--task", MAZE, "-i", "left", expect="--input must be given for a run of a learned"
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("another machine").absolute()))
    refused("eval", "maze", expect="must be one of numdnc's own or be named by this call")
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    message = "the environment CartPole-v1 must find the package gymnasium, got none. Install it by"
    refused(*train, "--env", "CartPole-v1", expect=message)
