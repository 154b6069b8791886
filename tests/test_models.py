"""The trained models that come with numdnc, and how one is made of a run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import numdnc
from helpers.commands import TEXT, done, on_disk, refused, rewrite, train, train_copy
from numdnc import models
from numdnc.models import FOLDER, WEIGHTS, model_names
from numdnc.recipes import recipe_names
from numdnc.runs import trained_model
from numdnc.training.checkpoint import load_run
from numdnc.training.folder import RunFolder
from numdnc.tree import leaves

EXAMPLES = Path(__file__).parents[1] / "examples"
LARGEST, LARGEST_IN_ALL = 3 << 20, 12 << 20
"""Bytes."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def own_models(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models for a test to fill."""
    monkeypatch.setattr(models, "FOLDER", place / "models")
    return place / "models"


def test_all_are_small_named_after_a_recipe_and_say_their_score() -> None:
    sizes = {name: sum(file.stat().st_size for file in (FOLDER / name).iterdir()) for name in model_names()}
    assert max(sizes.values()) <= LARGEST
    assert sum(sizes.values()) <= LARGEST_IN_ALL
    listed = json.loads(done("models", "--json"))
    assert listed.keys() == sizes.keys()
    for name, about in listed.items():
        assert about["recipe"] in recipe_names()
        assert about["score"] in done("models")
        assert set(load_run(FOLDER / name / WEIGHTS).task) >= {"name"}


def test_addition_adds_numbers_longer_than_it_was_trained_with() -> None:
    assert "1112" in done("ask", "model:addition", "123+989")
    options = ("--set", "length=64", "--set", "spread=0", "--memory-size", 128, "--sequences", 16, "--json")
    assert json.loads(done("eval", "model:addition", *options))["sequence_error"] <= 1 / 16


PROSE = """The little girl looked up at the clock, and it was very late. `You should have come before,' said
the old man, and he sat down by the fire with his hat in his hand. She did not know what to say to
this, so she took a piece of the cake and began to eat it as fast as she could. `I think,' she said
at last, `that they must have gone home without me;' and with that she went out of the door and down
the long road to the sea.
"""


def test_text_predicts_prose_that_it_has_not_read() -> None:
    run = numdnc.load_run("model:text")
    symbols = np.array([[run.vocabulary.symbols.index(character)] for character in PROSE])

    def bits(order: np.ndarray) -> float:
        logits, _ = run.forward(symbols[order], None)
        log_p = logits[:-1, 0] - np.logaddexp.reduce(logits[:-1, 0], axis=1, keepdims=True)
        return -float(np.mean(np.take_along_axis(log_p, symbols[order][1:], axis=1))) / np.log(2)

    assert bits(np.arange(len(symbols))) < 2.4
    assert bits(np.random.default_rng(0).permutation(len(symbols))) > 5
    assert done("sample", "model:text", "--length", 4, "--temperature", 0, "--prime", "said Al").startswith(
        "ice"
    )


def test_shrdlu_moves_blocks_until_the_goal_holds() -> None:
    asked = "board 12/3/456; a: 1 on 2; b: 4 below 5; b: 6 left of 3; go b"
    assert "after 3 moves, of which 3 were needed" in done("ask", "model:shrdlu", asked)
    words = ("--set", "goals=10", "--set", "blocks=6", "--set", "constraints=4", "--set", "moves=2")
    assert (
        json.loads(done("eval", "model:shrdlu", *words, "--sequences", 32, "--json"))["not_optimal"] <= 2 / 32
    )


def test_copy_answers_every_sequence_right() -> None:
    scores = json.loads(done("eval", "model:copy", "--sequences", 32, "--json"))
    assert (scores["sequence_error"], scores["bit_error"]) == (0, 0)
    run = numdnc.load_run("model:copy")
    assert run.evaluate(sequences=8).scores["sequence_error"] == 0  # type: ignore[call-arg]
    assert run.checkpoint.trained_model is not None


def test_babi_answers_from_one_fact_and_from_two() -> None:
    def answers(story: str, *words: str) -> list[str]:
        lines = done("ask", "model:babi", story, *words).splitlines()
        return [line.split()[0] for line in lines if line.startswith("   ")]

    assert answers(
        "Mary got the football. Mary went to the garden. John went to the kitchen. Where is the football?"
    ) == ["garden"]
    fears = "Mice are afraid of wolves. Gertrude is a mouse. Cats are afraid of sheep. Emily is a cat."
    assert answers(f"{fears} What is Gertrude afraid of? What is Emily afraid of?") == ["wolf", "sheep"]
    way = (
        "The kitchen is north of the hallway. The bathroom is west of the hallway. The garden is east of the bedroom. "
        "The office is south of the garden. The bedroom is south of the bathroom."
    )
    asked = f"{way} How do you go from the kitchen to the bathroom?"
    assert answers(asked, "--words", "2") == ["s", "w"]


def test_inference_knows_what_relations_stand_for() -> None:
    sibling = "maternal grandmother's younger sibling"
    for relation, person in (
        ("maternal grandmother", "Clara"),
        (sibling, "David"),
        (f"child of the {sibling}", "Julia"),
        ("mother/father", "Frank"),
    ):
        answer = done("ask", "model:inference", f"Olive -{relation}-> ?")
        assert answer.startswith(f"Olive -{relation}-> {person}  right\n")
    family = FOLDER / "inference" / "family.csv"
    for file in (family, family.with_name("relations.csv")):
        assert file.read_bytes() == (EXAMPLES / file.name).read_bytes()
    words = ("--graph", family, "--set", "queries=1", "--sequences", 64, "--json")
    assert json.loads(done("eval", "model:inference", *words))["sequence_error"] <= 5 / 64
    words = ("--set", "few_labels=0", "--set", "queries=1", "--sequences", 64, "--json")
    assert json.loads(done("eval", "model:inference", *words))["sequence_error"] <= 4 / 64


def test_shortest_path_finds_ways_through_the_underground() -> None:
    assert done("ask", "model:shortest-path", "Oxford Circus -> Holborn").splitlines() == [
        "Oxford Circus -Central Line 1-> Tottenham Court Road  right",
        "Tottenham Court Road -Central Line 1-> Holborn        right",
        "(end)                                                 right",
        "right; shown 54 edges between 20 nodes (iteration 40000)",
    ]
    london = FOLDER / "shortest-path" / "underground.csv"
    words = ("--graph", london, "--two-way", "--nodes", 20, "--set", "queries=1", "--sequences", 64, "--json")
    for edges, most in (2, 4 / 64), (4, 20 / 64):
        lengths = ("--set", f"min_path={edges}", "--set", f"max_path={edges}")
        assert json.loads(done("eval", "model:shortest-path", *words, *lengths))["sequence_error"] <= most


WALK = "Bank -Central Line-> ? -Central Line-> ? -Central Line-> ? -Piccadilly Line-> ? -Piccadilly Line-> ?"


def test_underground_walks_through_all_of_london() -> None:
    answer = done("ask", "model:underground", f"{WALK} -Northern Line-> ? -Northern Line-> ?")
    assert answer.splitlines()[-3:] == [
        "King's Cross St. Pancras -Northern Line 1-> Angel             right",
        "Angel -Northern Line 2-> Old Street                           right",
        "right; shown 812 edges between 302 nodes (iteration 3000)",
    ]
    london = FOLDER / "underground" / "underground.csv"
    words = ("--graph", london, "--two-way", "--set", "max_path=10", "--set", "queries=1", "--json")
    assert (
        json.loads(done("eval", "model:underground", *words, "--sequences", 32))["sequence_error"] <= 1 / 32
    )


def test_traversal_walks_through_the_underground() -> None:
    answer = done("ask", "model:traversal", WALK)
    assert answer.splitlines()[-2:] == [
        "Russell Square -Piccadilly Line 2-> King's Cross St. Pancras  right",
        "right; shown 54 edges between 20 nodes (iteration 10000)",
    ]
    london = FOLDER / "traversal" / "underground.csv"
    words = ("--graph", london, "--two-way", "--nodes", 20, "--set", "queries=1", "--set", "max_path=7")
    scores = json.loads(done("eval", "model:traversal", *words, "--sequences", 64, "--json"))
    assert scores["sequence_error"] <= 0.05


def test_every_command_takes_a_model_and_writes_nothing_beside_it() -> None:
    before = on_disk(FOLDER)
    assert "100.0 % of sequences" in done("eval", "model:copy", "--sequences", 4, "--show")
    assert "in copy-trace.html" in done("view", "model:copy", "--no-open")
    assert "in copy-trace.safetensors" in done("trace", "model:copy")
    assert "in here.html" in done("view", "copy-trace.safetensors", "--no-open", "--out", "here.html")
    assert "findings to look at" in done("diagnose", "model:copy")
    assert "62,256 parameters" in done("info", "model:copy")
    assert "62,256 parameters in copy.pt" in done("export", "model:copy", "--to", "torch")
    refused(
        "sample", "model:copy", expect="sample must be given a run of a text or molecules, got one of copy"
    )
    refused("ask", "model:copy", "x", expect="ask must be given a run of")
    done("export", "copy.pt", "--to", "run", "--like", "model:copy", "--out", "again")
    assert RunFolder(Path("again")).load_last().trained_model is None
    shutil.rmtree("again")
    assert on_disk(FOLDER) == before
    assert {path.name for path in Path().iterdir()} == {
        *("copy-trace.html", "copy-trace.safetensors", "here.html", "copy.pt")
    }


def test_what_a_model_cannot_do_is_refused() -> None:
    refused(
        "resume", "model:copy", expect="resume must be given a run's folder, got model:copy, a trained model"
    )
    refused(
        "eval",
        "model:copy",
        "--last",
        expect="--last must be given with a run's folder, got model:copy, which is one checkpoint",
    )
    refused(
        "export", "model:copy", "--to", "run", expect="must be given a file that --to torch|got model:copy"
    )
    refused("ask", "model:shrdlu", "1 on 2", "--seed", -1, expect="seed must be at least 0, got -1")
    refused(
        "eval", "model:traversal", "--graph", "model:copy", expect="must name a model that comes with a graph"
    )
    refused("ask", "model:addition", "7-5", expect="the model has learned addition alone")
    refused(
        "eval",
        "model:coppy",
        expect="must name a model that comes with numdnc, got 'coppy'. Perhaps model:copy",
    )
    refused("view", "model:", "--no-open", expect="got ''. `numdnc models` lists them.")
    refused("eval", "model:../models/copy", expect="must name a model that comes with numdnc")


def test_weights_alone_score_as_the_run_and_are_a_fraction_of_it() -> None:
    train_copy("run")
    out = done("export", "run", "--to", "model", "--recipe", "copy")
    assert "of float16 in run/model; loss " in out
    assert {path.name for path in Path("run/model").iterdir()} == {WEIGHTS}
    assert Path("run/model", WEIGHTS).stat().st_size < RunFolder(Path("run")).best.stat().st_size / 2
    whole, alone = (json.loads(done("eval", name, "--json")) for name in ("run", "run/model"))
    assert abs(whole["loss"] - alone["loss"]) < 1e-3
    stored = load_run(Path("run/model", WEIGHTS))
    about = stored.trained_model
    assert about is not None
    assert (about.dtype, about.recipe) == ("float16", "copy")
    assert f"{alone['loss']:.4f}" in about.score
    for given, kept in zip(
        leaves(load_run(Path("run/best.safetensors")).params), leaves(stored.params), strict=True
    ):
        assert kept.dtype == given.dtype == np.float32
        assert np.array_equal(given.astype(np.float16), kept)
    assert "in run/model/trace.safetensors" in done("trace", "run/model")


def test_what_float16_would_cost_is_kept_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    train_copy("run", "--precision", "float64")
    with monkeypatch.context() as patch:
        patch.setattr(trained_model, "TOLERANCE", -1.0)
        assert "of float64 in worse" in done("export", "run", "--to", "model", "--out", "worse")
    place = RunFolder(Path("run"))
    run = place.load_best()
    large = run.params.output.bias.copy()
    large[:] = 1e5
    run.params = run.params._replace(output=run.params.output._replace(bias=large))
    place.save_best(run)
    assert "of float64 in large" in done("export", "run", "--to", "model", "--out", "large")
    assert load_run(Path("large", WEIGHTS)).params.output.bias[0] == 1e5


def test_the_average_is_what_is_kept_of_a_run_that_has_one() -> None:
    train_copy("run", "--average-decay", 0.5, "--precision", "float64")
    done("export", "run", "--to", "model")
    average = RunFolder(Path("run")).load_best().average[0]
    stored = load_run(Path("run/model", WEIGHTS))
    assert stored.average == ()
    assert np.array_equal(stored.evaluated.output.bias, average.output.bias.astype(np.float16))


def test_a_model_is_no_run() -> None:
    train_copy("run")
    refused(
        "export",
        "run",
        "--to",
        "model",
        "--out",
        "run",
        expect="--out must not be the folder of a run, got run",
    )
    done("export", "run", "--to", "model", "--out", "alone")
    refused("resume", "alone", "--steps", 20, expect="got one without last.safetensors")
    shutil.copyfile(Path("alone", WEIGHTS), "alone/last.safetensors")
    refused(
        "resume",
        "alone",
        "--steps",
        20,
        expect="must hold a run that can be trained further, got a trained model",
    )
    refused(
        "export", "run", "--to", "torch", "--recipe", "x", expect="--recipe must be given with --to model"
    )
    refused("export", "run", "--to", "model", "--like", "run", expect="--like must be given with --to run")


def test_the_recipe_of_a_reproduction_is_kept(own_models: Path) -> None:
    Path("text.txt").write_text(TEXT)
    train("runs/seed=0", model="lstm")
    shutil.copyfile(Path(__file__).parents[1] / "docs" / "results" / "copy.json", "runs/results.json")
    done("export", "runs/seed=0", "--to", "model", "--out", own_models / "text")
    about = json.loads(done("models", "--json"))["text"]
    assert (about["recipe"], about["model"]) == ("copy", "lstm")
    assert "BPC on 90 held-out characters" in about["score"]
    assert len(done("sample", "model:text", "-n", 9)) == 10


def test_a_model_of_a_graph_task_may_come_with_a_graph(own_models: Path) -> None:
    sizes = "--hidden 5 -N 8 -W 4 -R 1 --steps 2 --report-every 1 --batch 2 --evaluated 3 --sample-every 0"
    done("train", "traversal", "--lesson", 2, *sizes.split(), "--engine", "reference", "--out", "run")
    done("export", "run", "--to", "model", "--out", own_models / "walks")
    question = ("ask", "model:walks", "B -red-> ?", "--engine", "reference")
    refused(*question, expect="--graph must be given")
    graph = "source,edge,destination\nA,red,B\nB,red,C\nC,blue,D\nD,blue,E\n"
    (own_models / "walks" / "map.csv").write_text(graph)
    about = own_models / "walks" / "graph.json"
    about.write_text('{"graph": "map.csv", "two_way": true, "nodes": 3}')
    assert "6 edges between 4 nodes" in done(*question, "--nodes", 4)
    out = done(*question)
    assert "B -red" in out
    assert "edges between 3 nodes" in out
    run = numdnc.load_run("model:walks", engine="reference")
    assert run.ask("B -red-> ?").nodes == 3
    traced = done("trace", "model:walks", "--input", "B -red-> ?", "--out", "walk.safetensors")
    assert "the question B -red-> ?" in traced
    refused("trace", "model:walks", "--nodes", 3, expect="must be given with a question as --input, got none")
    for wrong in ("{", '{"graph": 3}', '{"map": "map.csv"}'):
        about.write_text(wrong)
        refused(*question, expect="graph.json must say what graph the model comes with, got something else")


def test_a_file_that_claims_a_state_of_any_size_takes_no_memory() -> None:
    train_copy("run")
    done("export", "run", "--to", "model", "--out", "alone")
    for size in (2**24, 2**31):
        rewrite(
            Path("alone", WEIGHTS), lambda _, metadata, size=size: metadata["spec"].update(memory_size=size)
        )
        refused("eval", "alone", "--engine", "reference", expect="must ")
