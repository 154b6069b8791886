"""The help texts, and the messages for unknown commands and options."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import call, done, refused
from numdnc import __version__
from numdnc.cli.commands import NUMDNC
from numdnc.cli.groups import Command, Group, command, find
from numdnc.cli.help import RARE
from numdnc.cli.presets import PRESETS
from numdnc.cli.suggestions import closest_word, option_flags
from numdnc.tasks.graphs import Inference
from numdnc.tasks.graphs.lessons import INFERENCE


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def commands(group: Group = NUMDNC, before: str = "") -> dict[str, Command]:
    """All commands by their whole names."""
    found: dict[str, Command] = {}
    for below in group.titled.values():
        for name, entry in below.items():
            whole = f"{before} {name}".strip()
            found |= {whole: entry} if isinstance(entry, Command) else commands(entry, whole)
    return found


def written(text: str) -> set[str]:
    """The options that a help shows."""
    return set(re.findall(r"(?<![\w`-])--?[a-zA-Z][\w-]*", text))


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_the_first_help_names_every_command_in_a_few_lines(word: str) -> None:
    out = done(word)
    names = [name for below in NUMDNC.titled.values() for name in below]
    assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in names)
    assert len(out.splitlines()) <= 50
    assert max(map(len, out.splitlines())) <= 80


def test_the_help_of_train_names_every_task() -> None:
    out = done("train", "--help")
    for name in ("text", "babi", "copy", "inference", "FILE.py:CLASS"):
        assert re.search(rf"^  {name} ", out, re.MULTILINE)


@pytest.mark.parametrize("name", commands())
def test_every_help_is_whole_and_says_nothing_of_none(name: str) -> None:
    """The short one hides what few people change, --help-all shows what `option_flags` knows."""
    short, whole = done(*name.split(), "--help"), done(*name.split(), "--help-all")
    for out in (short, whole):
        assert "None" not in out
        assert "(default: False)" not in out
        assert "inf)" not in out
        assert max(len(line) for line in out.splitlines() if not line.startswith("    ")) <= 80  # but tables
        assert f"numdnc {name}" in out.splitlines()[0]
    options = option_flags(commands()[name].function)
    for parameter, names in options.items():
        assert any(option in written(whole) for option in names), (parameter, names)
        assert any(option in written(short) for option in names) == (parameter not in RARE), parameter
    assert ("--help-all` shows all" in " ".join(short.split())) == (not RARE.isdisjoint(options))


def test_the_short_help_of_a_task_fits_two_screens() -> None:
    assert len(done("train", "copy", "--help").splitlines()) <= 60
    assert len(done("train", "text", "--help").splitlines()) <= 60


def test_the_version() -> None:
    assert done("--version") == f"numdnc {__version__}\n"


SUGGESTIONS = {
    "train copy --lr 3": "got --lr. Did you mean --learning-rate?| See `numdnc train copy --help-all`.",
    "train copy --epochs 3": "Did you mean --steps?",
    "train copy --batch-size 3": "Did you mean --batch?",
    "train copy --num_layers 3": "Did you mean --layers?",
    "train copy --gpu 0": "Did you mean --device?",
    "train text --learning-rat=3": "got --learning-rat. Did you mean --learning-rate?",
    "train text --zzz": "got --zzz. See `numdnc train text --help-all`.",
    "train copy 3": "got '3' besides. See `numdnc train copy --help-all`.",
    "train copyy": "got copyy. Did you mean `numdnc train copy`? See `numdnc train --help`.",
    "train --steps 3 copy": "got --steps. Options come after the name.",
    "trian copy": "got trian. Did you mean `numdnc train`? See `numdnc --help`.",
    "xyzzy": "got xyzzy. See `numdnc --help`.",
    "data fetsh ptb": "Did you mean `numdnc data fetch`?",
    "eval run --max-length 40": "got --max-length. |--set max_length=40. See `numdnc eval --help-all`.",
    "eval run --max-len=40": "--set max_length=40.",
    "trace run --max-nodes": "--set max_nodes=VALUE|See `numdnc trace --help-all`",
    "eval run --sequence 3": "Did you mean --sequences?",
    "sweep all --steps 3": "Options of `numdnc train` come after --. See `numdnc sweep --help`.",
    "sample run -q": "got -q. See `numdnc sample --help`.",
}


@pytest.mark.parametrize("words", SUGGESTIONS)
def test_what_was_meant_is_said(words: str) -> None:
    refused(*words.split(), expect=SUGGESTIONS[words])


@pytest.mark.parametrize("words", ["", "train", "data"])
def test_too_few_words_get_the_list_of_what_could_follow(words: str) -> None:
    result = call(*words.split())
    assert (result.code, result.out) == (2, "")
    assert result.err == done(*words.split(), "--help")


def test_an_option_that_is_wrong_names_the_help_of_its_command() -> None:
    for words in ("train copy --steps many", "train text --precision half", "eval"):
        result = call(*words.split())
        assert (result.code, result.out) == (2, "")
        assert f"numdnc {' '.join(words.split()[:2]) if 'train' in words else 'eval'} --help" in result.err


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("lr", "learning-rate"),
        ("steps", "steps"),
        ("l", None),
        ("size", "memory-size"),
        ("stesp", "steps"),
        ("q", None),
    ],
)
def test_nearest(word: str, meant: Any) -> None:
    assert closest_word(word, ["steps", "learning-rate", "memory-size"]) == meant


def test_after_two_dashes_nothing_asks_for_help() -> None:
    result = call("sweep", "all", "--seeds", 0, "--", "copy", "--help")
    assert "seeds must be at least 1" in result.err


def test_a_run_that_does_not_exist_is_said_to_be_none() -> None:
    for word in ("view", "eval", "trace", "resume"):
        refused(
            word,
            "runs/none",
            expect="runs/none must be the folder of a run, got no such folder. Start a run",
        )
    Path("runs/copy-dnc-1").mkdir(parents=True)
    refused("view", "runs/copy-dnc-1", expect="got one without last.safetensors. Start a run")
    Path("runs/copy-dnc-1/last.safetensors").touch()
    refused("view", "runs/copy-dnc1", expect="got no such folder. Perhaps runs/copy-dnc-1 is meant.")


def test_settings_that_the_lesson_decides_are_shown_as_it_has_them() -> None:
    small = "--hidden 3 -N 4 -W 2 -R 1 --batch 1 --evaluated 1 --steps 1 --engine reference --sample-every 0 -o run"
    out = done(
        "train", "traversal", "--lesson", 2, "--max-nodes", 5, "--queries", 1, "--grow", "", *small.split()
    )
    assert "min_nodes 3, max_nodes 5, min_degree 2, max_degree 4, min_path 1, max_path 2," in " ".join(
        out.split()
    )
    assert max(map(len, out.splitlines())) <= 80
    settings = json.loads(call("eval", "run", "--json", "--set", "min_nodes=4").out)["settings"]
    assert (settings["min_nodes"], settings["max_nodes"], settings["max_path"]) == (4, 5, 2)
    assert Inference(lesson=1).resolved_settings["relations"] == INFERENCE[0].relations


def test_a_task_says_what_to_expect_and_how_to_get_the_published_settings() -> None:
    for name in (*PRESETS, "babi"):
        out = " ".join(done("train", name, "--help").split())
        assert re.search(r"one core", out), name
        assert ("--published takes the settings" in out) == (name not in ("language", "instructed-copy")), (
            name
        )


def test_published_babi_is_that_of_graves() -> None:
    """LSTM 256, 256 slots of 64, 4 heads, one story an update, RMSProp at 1e-4."""
    found = commands()["train babi"].published["graves"]
    given = {name: each.default for name, each in inspect.signature(found).parameters.items()}
    model = given["model"]
    sizes = (model.hidden, model.memory_size, model.word_size, model.read_heads)
    assert sizes == (256, 256, 64, 4)
    assert (given["babi"].batch, given["optimizer"].optimizer, given["optimizer"].learning_rate) == (
        1,
        "rmsprop",
        1e-4,
    )
    assert given["data_folder"] is None


def test_published_settings_are_found_by_name() -> None:
    group = Group("", {"": {"babi": command(test_published_settings_are_found_by_name, a=len, b=sum)}})

    def found(*options: str) -> tuple[object, list[str]]:
        _, chosen, rest = find(group, ["babi", *options])
        return chosen.function, list(rest)

    assert found("--published", "--steps", "3") == (len, ["--steps", "3"])
    assert found("--steps", "3", "--published", "b") == (sum, ["--steps", "3"])
    assert found("--published", "a", "-N", "3") == (len, ["-N", "3"])
    refused(
        "train",
        "babi",
        "--published",
        "adcn",
        expect="must be one of graves, adnc, biadnc|, or alone, got adcn",
    )


def test_published_adnc_is_that_of_franke() -> None:
    """LSTM 256, 192 slots of 64, 4 heads, content alone, layer norm, 90 % of the bypass kept; 32 stories, 50 epochs."""
    found = commands()["train babi"].published["adnc"]
    given = {name: each.default for name, each in inspect.signature(found).parameters.items()}
    model, babi, training, optimizer = (given[name] for name in ("model", "babi", "training", "optimizer"))
    assert (model.hidden, model.memory_size, model.word_size, model.read_heads) == (256, 192, 64, 4)
    assert (model.links, model.normalisation, model.bypass_dropout) == (False, True, 0.1)
    assert (babi.batch, babi.loss, babi.drop_duplicates) == (32, "binary_cross_entropy", True)
    assert (babi.longest, babi.augment_16) == (499, False)
    assert (training.steps, training.report_every, training.early_stop) == (87_050, 1741, 10)
    assert (optimizer.optimizer, optimizer.learning_rate, optimizer.momentum) == ("rmsprop", 3e-5, 0.9)
    assert (optimizer.clip_norm, optimizer.clip_value, optimizer.schedule) == (0, 10, "constant")
    found = commands()["train babi"].published["biadnc"]
    both = inspect.signature(found).parameters["model"].default
    assert (both.hidden, both.memory_size, both.word_size, both.read_heads) == (172, 128, 64, 4)
    assert (both.bidirectional, model.bidirectional) == (True, False)
    assert inspect.signature(found).parameters["optimizer"].default == optimizer
