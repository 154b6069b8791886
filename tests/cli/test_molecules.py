"""Molecules from the command line: train, sample, eval, trace, and what users get wrong."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from helpers.commands import call, contents, done, error_line, interrupted_after, refused
from numdnc.errors import UserError
from numdnc.inspection.trace_file import load_trace
from numdnc.runs.kinds import load_run
from numdnc.runs.results import MoleculePicture
from numdnc.tasks.custom import load_function
from numdnc.tasks.molecules import chemistry
from numdnc.tree import named_leaves

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE = EXAMPLES / "molecules.smi"
TINY = (
    *("-H", 5, "-N", 9, "-W", 3, "-R", 1, "--batch", 16, "--max-tokens", 60),
    *("--sample-every", 0, "--report-every", 2, "--engine", "reference"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, hardly trained."""
    folder = tmp_path_factory.mktemp("molecules")
    done("train", "molecules", "-c", EXAMPLE, *TINY, "--steps", 6, "--out", folder / "run")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to(trained / "run")
    shutil.copy(EXAMPLE, tmp_path)
    return tmp_path


def test_a_model_writes_molecules_one_a_line() -> None:
    lines = done("sample", "run", "--count", 4, "--engine", "reference").split("\n")
    assert len(lines) == 5
    assert lines[4] == ""
    run: Any = load_run("run", engine="reference")
    assert run.sample(count=4).split("\n") == lines[:4]
    assert len(run.sample(count=300, temperature=2.0).split("\n")) == 300
    begun = done(
        "sample", "run", "--count", 3, "--prime", "C[nH]", "--temperature", 0, "--engine", "reference"
    )
    assert all(line.startswith("C[nH]") for line in begun.split())


def test_a_run_is_scored_by_its_likelihoods_and_its_samples() -> None:
    words = done("eval", "run", "--sequences", 20, "--no-reads", "--engine", "reference")
    found = json.loads(done("eval", "run", "--sequences", 20, "--json", "--engine", "reference"))
    assert found["sampled"] == 20
    assert found["held_out_molecules"] == 9
    assert f"NLL {found['nll']:.3f} nats" in words
    assert f"20 sampled: NLL {found['sampled_nll']:.2f}, divergence {found['divergence']:.4f}" in words
    assert f"{100 * found['valid']:.2f} % valid" in words
    assert "with every read vector zeroed" in words


def test_valid_samples_are_drawn() -> None:
    options = ("--sequences", 100, "--engine", "reference")
    shown = done("eval", "run", *options, "--show", "--plot", "p.svg").splitlines()[2:]
    assert shown
    assert shown == [chemistry.canonical(smiles) for smiles in shown]
    assert Path("p.svg").read_text().startswith("<?xml")
    done("eval", "run", *options, "--plot", "p.png")
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    line = error_line(call("eval", "run", *options, "--plot", "p.pdf"))
    assert "a drawing of molecules must be named .png or .svg, got p.pdf" in line
    with pytest.raises(UserError, match="some samples must be valid to be drawn, got none"):
        MoleculePicture([]).save("p.png")
    with pytest.raises(UserError, match=r"nowhere/p\.png must be writable"):
        MoleculePicture(["CC"]).save("nowhere/p.png")


def test_without_rdkit_the_shares_are_left_out() -> None:
    chemistry._rdkit.cache_clear()
    with mock.patch.dict(sys.modules, {"rdkit": None}):
        result = call("eval", "run", "--sequences", 20, "--engine", "reference")
    chemistry._rdkit.cache_clear()
    assert result.code == 0
    assert "which samples are valid is not known: the package rdkit is not installed" in result.err
    assert "valid" not in result.out


def test_molecules_are_randomised_in_training() -> None:
    words = done(
        "train", "molecules", "-c", EXAMPLE, *TINY, "--steps", 4, "--randomised", "--out", "randomised"
    )
    assert "held-out" in words
    assert done("eval", "randomised", "--sequences", 20, "--engine", "reference")
    chemistry._rdkit.cache_clear()
    with mock.patch.dict(sys.modules, {"rdkit": None}):
        line = refused("train", "molecules", "-c", EXAMPLE, *TINY, "--randomised")
    chemistry._rdkit.cache_clear()
    assert "rdkit" in line


def test_a_molecule_is_traced_token_by_token() -> None:
    done("trace", "run", "--input", "CCl", "--out", "t.safetensors")
    trace = load_trace(Path("t.safetensors"))
    names = trace.about.input_channels
    assert [names[number] for number in trace.arrays["inputs"]] == ["end", "C", "Cl"]
    assert [names[number] for number in trace.arrays["targets"]] == ["C", "Cl", "end"]
    done("view", "t.safetensors", "--no-open", "--out", "t.html")
    assert "a molecule given by hand, CCl" in Path("t.html").read_text(encoding="utf-8")
    assert "held-out molecule 3" in load_run("run", engine="reference").trace(number=3).about.sequence


def test_samples_are_shown_in_training() -> None:
    options = [*TINY, "--sample-every", 1, "--steps", 2, "--out", "shown"]
    assert " of 256 valid\n" in done("train", "molecules", "-c", EXAMPLE, *options)


def test_an_interrupted_run_continues_as_if_it_had_not_been() -> None:
    words = ("train", "molecules", "-c", EXAMPLE, *TINY, "--steps", 6, "--out")
    done(*words, "whole")
    with interrupted_after(3):
        assert call(*words, "stopped").code == 130
    done("resume", "stopped", "--sample-every", 0)
    assert contents(Path("stopped")) == contents(Path("whole"))


def test_a_file_that_has_moved_is_named() -> None:
    shutil.copy(EXAMPLE, "mine.smi")
    done("train", "molecules", "-c", "mine.smi", *TINY, "--steps", 2, "--out", "moved")
    shutil.move("mine.smi", "yours.smi")
    refused("eval", "moved", "--engine", "reference", expect="say with --corpus where it lies now")
    assert "valid" in done("eval", "moved", "--engine", "reference", "--corpus", "yours.smi")
    Path("other.smi").write_text("CC\n")
    refused("eval", "moved", "--corpus", "other.smi", expect="must be those the run was started with")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "molecules must come from a file with one a line as SMILES, got none"),
        (
            ("-c", "none.smi"),
            "--corpus must name a file with a molecule a line as SMILES, got 'none.smi', which is not there",
        ),
        (("-c", "empty.smi"), "empty file"),
        (("-c", "wrong.smi"), "line 2 of wrong.smi must be a molecule| 'x' as character 3"),
        (("-c", EXAMPLE, "--batch", 999), "must hold at least a batch of 999 different molecules"),
        (("-c", EXAMPLE, "--bidirectional"), "bidirectional must be left out with the task molecules"),
        (("-c", EXAMPLE, "--window", 9), "--window"),
    ],
)
def test_wrong_files_are_refused_in_a_line(words: tuple[Any, ...], message: str) -> None:
    Path("empty.smi").touch()
    Path("wrong.smi").write_text("CC\nCCxC C\n")
    refused("train", "molecules", *words, expect=message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("sample", "run", "--length", 9),
            "--length must be given for a run of a text, got one of molecules",
        ),
        (("sample", "run", "--count", 0), "count must be at least 1, got 0"),
        (("sample", "run", "--prime", "C?"), "--prime must be a molecule: SMILES must be"),
        (("sample", "run", "--prime", "[Xx]"), "must have tokens that the model was trained on| '[Xx]'"),
        (("sample", "run", "--prime", 61 * "C"), "the beginning must have at most 60 tokens"),
        (("trace", "run", "--input", "C C"), "' ' as character 2"),
        (("trace", "run", "--sample", 9), "the molecule must be one of 0..8"),
        (("ask", "run", "CC"), "ask must be given a run of"),
        (("eval", "run", "--sequences", 0), "sequences must be at least 1, got 0"),
        (("eval", "run", "--set", "batch=3"), "--set must be given for a run of"),
    ],
)
def test_mistakes_with_a_run_are_refused_in_a_line(words: tuple[Any, ...], message: str) -> None:
    refused(*words, "--engine", "reference", expect=message)


def test_a_text_has_no_molecules_to_count() -> None:
    Path("text.txt").write_text("a text, " * 30)
    done(
        "train",
        "text",
        "-c",
        "text.txt",
        "-H",
        3,
        "-m",
        "rnn",
        "--batch",
        2,
        "--window",
        4,
        "--steps",
        2,
        "--sample-every",
        0,
        "--out",
        "text",
    )
    line = error_line(call("sample", "text", "--count", 3))
    assert "--count must be given for a run of molecules, got one of text" in line


def steer(folder: str, *words: object) -> str:
    """A few updates towards the score of scores.py."""
    options = (
        "--batch",
        3,
        "--evaluated",
        8,
        "--report-every",
        1,
        "--engine",
        "reference",
        "--sample-every",
        0,
    )
    return done("train", "reinvent", "--prior", "run", *options, "--out", folder, "--steps", 3, *words)


@pytest.fixture
def scores() -> str:
    Path("scores.py").write_text("def short(smiles):\n    return 1 / len(smiles)\n\nfive = 5\n")
    return "scores.py:short"


def test_a_model_is_steered_towards_a_score(scores: str) -> None:
    assert "valid" in steer("steered", "--score", scores)
    start, end = (load_run(name, engine="reference", last=True) for name in ("run", "steered"))
    assert end.spec == start.spec
    words = done("eval", "steered", "--sequences", 20, "--engine", "reference")
    found = json.loads(done("eval", "steered", "--sequences", 20, "--json", "--engine", "reference"))
    assert f"mean score {1 - found['shortfall']:.4f}, {100 * (1 - found['invalid']):.2f} % valid" in words
    assert f"the prior: mean score {1 - found['prior']['shortfall']:.4f}" in words
    done("eval", "steered", "--sequences", 20, "--plot", "p.svg", "--engine", "reference")
    assert done("sample", "steered", "--count", 4, "--engine", "reference").count("\n") == 4
    done("trace", "steered", "--sample", 2, "--out", "t.safetensors")
    steer("stopped", "--score", scores, "--steps", 2)
    done("resume", "stopped", "--steps", 3, "--sample-every", 0)
    steer("whole", "--score", scores)
    assert (Path("stopped/metrics.jsonl").read_text().count("\n"), end.checkpoint.iteration) == (3, 3)
    stopped, whole = (load_run(name, engine="reference", last=True) for name in ("stopped", "whole"))
    for (name, one), (_, other) in zip(named_leaves(stopped.params), named_leaves(whole.params), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_the_prior_must_stay_and_the_code_of_the_score_be_named(
    scores: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steer("steered", "--score", scores)
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("another machine").absolute()))
    refused("sample", "steered", expect="--task scores.py:short")
    place = ("--engine", "reference", "--task", scores)
    assert done("sample", "steered", *place, "--count", 1)
    Path("run").unlink()
    refused("eval", "steered", *place, expect="run must be")
    train = ("train", "molecules", "-c", EXAMPLE, *TINY, "--steps", 2, "--seed", 5, "--out", "run")
    done(*train)
    refused("eval", "steered", *place, expect="the prior must be the one the run was started with")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "the prior must be a run of molecules, got none. Give its folder with --prior DIR"),
        (("--prior", "run"), "the score must be MODULE:FUNCTION or FILE.py:FUNCTION, got ''"),
        (
            ("--prior", "run", "--score", "qed"),
            "the score must be MODULE:FUNCTION or FILE.py:FUNCTION, got 'qed'",
        ),
        (
            ("--prior", "run", "--score", "none.py:qed"),
            "the score must be MODULE:FUNCTION|'none.py': there is none",
        ),
        (
            ("--prior", "run", "--score", "scores.py:qed"),
            "scores.py must hold a function 'qed', got none such",
        ),
        (("--prior", "run", "--score", "scores.py:five"), "must hold a function 'five', got a int"),
        (("--prior", "nowhere", "--score", "scores.py:short"), "nowhere"),
        (
            ("--prior", "model:copy", "--score", "scores.py:short"),
            "the prior must be a run of molecules, got one of",
        ),
        (("--prior", "run", "--score", "scores.py:short", "--hidden", 9), "--hidden"),
    ],
)
def test_a_wrong_prior_or_score_is_refused_in_a_line(
    words: tuple[Any, ...], message: str, scores: str
) -> None:
    refused("train", "reinvent", "--engine", "reference", *words, expect=message)


def test_without_rdkit_nothing_is_steered(scores: str) -> None:
    chemistry._rdkit.cache_clear()
    with mock.patch.dict(sys.modules, {"rdkit": None}):
        line = refused("train", "reinvent", "--prior", "run", "--score", scores, "--engine", "reference")
    chemistry._rdkit.cache_clear()
    assert "checking molecules must find the package rdkit, got none. Install it by" in line


def test_the_scores_of_the_example_are_those_of_rdkit() -> None:
    path = EXAMPLES / "molecule_scores.py"
    like, similar = (load_function(f"{path}:{name}") for name in ("drug_likeness", "like_celecoxib"))
    assert like("CC(=O)Oc1ccccc1C(=O)O") == pytest.approx(0.55, abs=0.01)  # aspirin, Bickerton et al. 2012
    assert similar("Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1") == 1
    assert 0 <= similar("CCO") < 0.3
