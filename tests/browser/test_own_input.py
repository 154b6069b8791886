"""Sequences that a reader gives the page: bits, a text, a story, a question about the graph shown."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from browser.chromium import Page
from browser.test_edits import MEMORY, SIZES, array, assert_shown, model, press, shown, traced
from helpers.examples import random_params
from helpers.traces import EVIL, about, text_trace
from numdnc import DNCSpec, map_leaves
from numdnc.engines import get_engine
from numdnc.inspection.trace import Trace, record
from numdnc.tasks import Batch, Forward
from numdnc.tasks.babi.asking import story_batch
from numdnc.tasks.babi.stories import Vocabulary, parse_lines
from numdnc.tasks.graphs import Inference, ShortestPath, Traversal
from numdnc.tasks.graphs.encoding import PHASE, decode
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.graphs.inference import relation_question
from numdnc.tasks.graphs.task import GraphTask, Question
from numdnc.tasks.graphs.traversal import walk_question
from numdnc.training.run import finite_forward


def params_like(trace: Trace, seed: int) -> Any:
    params = random_params(trace.spec, np.random.default_rng(seed), 1.0)
    return map_leaves(lambda leaf: leaf.astype(np.float32).astype(float), params)


def type_in(page: Page, text: str) -> None:
    page.run(
        f"(() => {{ const field = document.getElementById('own-text'); field.value = {json.dumps(text)};"
        " field.dispatchEvent(new Event('input')); })()"
    )
    page.settle()


def said(page: Page) -> str:
    found: str = page.run("document.getElementById('own-error').textContent")
    return found


def typed(page: Page) -> str:
    found: str = page.run("document.getElementById('own-text').value")
    return found


def test_bits_are_computed_while_they_are_typed(browser: Page, tmp_path: Path) -> None:
    spec = DNCSpec(**SIZES, **MEMORY)
    params, inputs, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    press(page, "#own-button")
    assert typed(page).split() == ["".join(f"{bit:.0f}" for bit in x[0]) for x in inputs]
    type_in(page, "101 010\n11")
    assert said(page) == "row 3 must be 3 digits or numbers"
    rows = [[1, 0, 1], [0, 1, 0], [0.5, -2, 0]]
    type_in(page, "101 010\n.5,-2,0")
    assert said(page) == ""
    assert page.run("numdnc.step") == 2
    own = traced(spec, params, np.array(rows)[:, None])
    assert_shown(page, own)
    assert array(page, own, "mask").tolist() == [0, 0, 0]
    assert "your sequence" in page.run("document.getElementById('runs-note').textContent")
    press(page, "#own-back")
    assert_shown(page, trace)
    assert page.run("document.getElementById('slider').max") == "8"


def test_a_text_is_predicted_character_by_character(browser: Page, tmp_path: Path) -> None:
    trace = text_trace()
    params = params_like(trace, 1)
    page = shown(browser, tmp_path, trace, params)
    press(page, "#own-button")
    type_in(page, "the €")
    assert said(page) == "the model does not know the character €"
    type_in(page, f"tea{EVIL[:9]}")
    assert said(page) == ""
    assert trace.about.symbols is not None
    numbers = np.array([trace.about.symbols.index(character) for character in f"tea{EVIL[:9]}"])[:, None]
    other = record(trace.spec, params, Batch(numbers, np.roll(numbers, -1)), trace.about)
    assert_shown(page, other)
    assert array(page, other, "targets").tolist()[:-1] == numbers[1:, 0].tolist()
    assert array(page, other, "mask").tolist() == [1] * 11 + [0]
    assert page.run("window.numdncWasHere") is None


def test_a_story_is_read_as_by_ask(browser: Page, tmp_path: Path) -> None:
    vocabulary = Vocabulary(("mary", "kitchen", "is", "in", "where", ".", "?"))
    spec = DNCSpec(**{**SIZES, "input_size": 9, "output_size": 9}, **MEMORY)
    described = about(
        spec,
        task="babi",
        settings={"pause": 2},
        input_channels=vocabulary.symbols,
        output_channels=vocabulary.symbols,
    )
    params = map_leaves(
        lambda leaf: leaf.astype(np.float32).astype(float), random_params(spec, np.random.default_rng(0))
    )

    def read(story: str) -> Trace:
        return record(spec, params, story_batch(parse_lines(story), vocabulary, 2), described)

    page = shown(browser, tmp_path, read("Mary is in kitchen. Where is Mary?"), params)
    press(page, "#own-button")
    assert typed(page) == "mary is in kitchen. where is mary?"
    type_in(page, "Mary is in garden.")
    assert said(page) == "the model does not know the word garden"
    story = "Kitchen, is in Mary. Where is kitchen? where is Mary"
    type_in(page, f"{story}?")
    assert_shown(page, read(f"{story}?"))


def posed(task: GraphTask) -> tuple[Trace, Any, Forward]:
    """A trace of a random DNC on a question of a task, the DNC's parameters, and the DNC itself."""
    spec = DNCSpec(input_size=task.input_size, output_size=task.output_size, hidden_sizes=(8,), **MEMORY)
    rng = np.random.default_rng(4)
    params = map_leaves(lambda leaf: leaf.astype(np.float32).astype(float), random_params(spec, rng, 1.0))
    forward = finite_forward(get_engine("reference"), spec, params)
    described = about(
        spec,
        task=task.name,
        settings=task.resolved_settings,
        input_channels=task.input_channels,
        output_channels=task.output_channels,
        digits=task.digits,
    )
    batch = played(task, task.draw(rng, 1), forward)
    return record(spec, params, batch, described), params, forward


def played(task: GraphTask, batch: Batch, forward: Forward) -> Batch:
    """A sequence with the model's own choices, where the task lets it choose."""
    return task.rollout(forward, batch, None) if isinstance(task, ShortestPath) else batch


def graph_shown(trace: Trace) -> Graph:
    """The graph of a trace, its edges in the order in which they are shown."""
    labels = decode(trace.arrays["inputs"])
    return Graph(Triple(*triple) for triple in labels[: trace.arrays["inputs"][:, PHASE].argmax()].tolist())


def assert_asked(
    page: Page, task: GraphTask, trace: Trace, params: Any, forward: Forward, asked: Question
) -> None:
    """The page computes what Python makes of a question about the graph of a trace."""
    triples = graph_shown(trace).triples
    batch = task.sequence(np.random.default_rng(0), triples, [asked])
    batch.inputs[: len(triples), 0] = trace.arrays["inputs"][: len(triples)]
    own = record(trace.spec, params, played(task, batch, forward), trace.about)
    assert said(page) == ""
    assert_shown(page, own)
    for name in ("targets", "mask"):
        np.testing.assert_array_equal(array(page, own, name), own.arrays[name])


def test_a_walk_through_the_graph_shown(browser: Page, tmp_path: Path) -> None:
    task = Traversal(lesson=3, digits=2, min_path=3, max_path=3)
    trace, params, forward = posed(task)
    page = shown(browser, tmp_path, trace, params)
    press(page, "#own-button")
    graph = graph_shown(trace)
    asked = decode(trace.arrays["inputs"])[len(graph.triples) :][:3]
    assert typed(page) == f"{asked[0, 0]:02}" + "".join(f" -{label:02}-> ?" for label in asked[:, 1])
    first = graph.triples[0]
    second, third = graph.edges_from(first.destination)[0], graph.edges_from(first.destination)[-1]
    for text in (f"{first.source:02}", *(f"–{e.edge:02}→ {e.destination:02}" for e in (first, second))):
        page.run(
            "[...document.querySelectorAll('#own-walk button')]"
            f".find((button) => button.textContent === {json.dumps(text)}).click()"
        )
        page.settle()
    assert typed(page) == f"{first.source:02} -{first.edge:02}-> ? -{second.edge:02}-> ?"
    assert_asked(page, task, trace, params, forward, walk_question([first, second]))
    type_in(page, f"{first.source} -{first.edge}-> ? -{third.edge:02}->?")
    assert_asked(page, task, trace, params, forward, walk_question([first, third]))
    missing = next(label for label in range(100) if graph.walk(first.source, [label]) is None)
    for text, problem in (
        (f"{first.source} -{missing}-> ?", f"{missing:02} leads nowhere from {first.source:02}"),
        (f"{first.source:02} -> {first.destination:02}", "a walk must be written like"),
        ("x -01-> ?", "the graph has no node x"),
    ):
        type_in(page, text)
        assert problem in said(page)


def test_a_shortest_path_of_the_models_own_choices(browser: Page, tmp_path: Path) -> None:
    assert_shortest_paths(browser, tmp_path, valid_edges=False)


def test_a_shortest_path_of_choices_among_edges(browser: Page, tmp_path: Path) -> None:
    assert_shortest_paths(browser, tmp_path, valid_edges=True)


def assert_shortest_paths(browser: Page, tmp_path: Path, *, valid_edges: bool) -> None:
    task = ShortestPath(lesson=4, digits=2, planning=3, valid_edges=valid_edges)
    trace, params, forward = posed(task)
    page = shown(browser, tmp_path, trace, params)
    press(page, "#own-button")
    graph = graph_shown(trace)
    start, _, end = decode(trace.arrays["inputs"])[len(graph.triples)]
    assert typed(page) == f"{start:02} -> {end:02}"
    distances = {(a, b): steps for a in graph.nodes for b, steps in graph.distances_from(a).items()}
    far = max(distances, key=lambda pair: distances[pair])
    assert distances[far] > 2
    several = [
        pair for pair in distances if len(graph.shortest_edges(pair[0], graph.distances_to(pair[1]))) > 1
    ]
    assert several
    for a, b in (far, far[::-1], (end, start), *several[:6]):
        type_in(page, f"{a} -> {b:02}")
        if (a, b) not in distances:
            assert said(page) == f"no path leads from {a:02} to {b:02}"
            continue
        asked = task.between(np.random.default_rng(0), graph, a, b)
        assert_asked(page, task, trace, params, forward, asked)
    strange = next(label for label in range(100) if label not in graph.nodes)
    for text, problem in (
        (f"{start} -> {strange}", f"the graph has no node {strange}"),
        (f"{start} -> {start}", "a path must join two different nodes"),
        (f"{start} -01-> ?", "a question must be written like"),
    ):
        type_in(page, text)
        assert problem in said(page)


def test_a_relation_is_asked_for_by_label_or_by_its_edges(browser: Page, tmp_path: Path) -> None:
    task = Inference(lesson=4, digits=2, planning=3, relations=80)
    trace, params, forward = posed(task)
    page = shown(browser, tmp_path, trace, params)
    press(page, "#own-button")
    graph = graph_shown(trace)
    start, relation, _ = decode(trace.arrays["inputs"])[len(graph.triples)]
    assert typed(page) == f"{start:02} -{relation:02}-> ?"
    walks = {
        (node, label): path
        for node in graph.nodes
        for label, edges in task.meanings.items()
        if (path := graph.walk(node, edges))
    }
    (node, label), path = next(
        (key, walk) for key, walk in walks.items() if len(walk) > 2 and key[1] != relation
    )
    for text in (str(label), "/".join(map(str, task.meanings[label]))):
        type_in(page, f"{node} -{text}-> ?")
        assert_asked(page, task, trace, params, forward, relation_question(node, label, path[-1].destination))
        press(page, "#own-back")
    nowhere = next(key for key in itertools.product(graph.nodes, task.meanings) if key not in walks)
    for text, problem in (
        (f"{nowhere[0]} -{nowhere[1]}-> ?", "leads nowhere from"),
        (f"{node} -95-> ?", "no relation that the model may know stands for 95"),
        (f"{node} -> {node}", "a question must be written like"),
    ):
        type_in(page, text)
        assert problem in said(page)
