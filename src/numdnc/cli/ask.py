"""`ask`."""

import errno
import sys
from pathlib import Path
from typing import Annotated, cast

from tyro.conf import Positional, arg

from numdnc.cli.babi import ask_story
from numdnc.cli.consent import CustomTask
from numdnc.cli.episodes import custom_task_source, episode_task
from numdnc.cli.graphs import ask_graph, say_answer
from numdnc.cli.options import BABI, EPISODES, AsJson, EngineName, refuse_options
from numdnc.cli.overrides import with_memory_size
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.input_files import read_stream
from numdnc.tasks.graphs import GraphTask
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.run import Run, finite_forward

MOST_TYPED = 1 << 20
"""Bytes of a question on standard input."""
_STATES = 3
"""Held at once: before a step and after it, and where the answer began."""


def ask(
    folder: Positional[Path],
    question: Positional[str | None] = None,
    *,
    words: int | None = None,
    shown: int | None = None,
    graph: Annotated[Path | None, arg(aliases=["-g"], metavar="FILE.csv")] = None,
    two_way: bool = False,
    nodes: int | None = None,
    relations: Annotated[Path | None, arg(metavar="FILE.csv")] = None,
    seed: int | None = None,
    last: bool = False,
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    engine: EngineName = "auto",
    custom_task: CustomTask = None,
    as_json: AsJson = False,
) -> None:
    """Ask a trained model about a story, or about a graph in its own names.

        numdnc ask DIR "Mary went to the kitchen. Where is Mary?"
        numdnc ask DIR "Oxford Circus -Central Line-> ? -Central Line-> ?" --graph FILE.csv

    Args:
        folder: The run's folder.
        question: Sentences and one or more questions; or "A -line-> ? -line-> ?" for a run of traversal, "A -> B" of
            shortest-path, "A -relation-> ?" of inference (default: what standard input says).
        words: How many words each answer has (stories; default: 1).
        shown: How many of the likeliest words to show for each (stories; default: 4).
        graph: A CSV file that begins with the line source,edge,destination and has an edge a line (graphs).
        two_way: Take each edge of the file in both directions (graphs).
        nodes: Show the model only a part of the graph: so many nodes around those of the answer (graphs; default: all).
        relations: A CSV file of relation,path, as in grandmother,mother/mother (inference).
        seed: How names are numbered and in which order edges are shown (graphs; default: 0).
        last: Ask the last checkpoint, not the best.
        memory_size: Run a DNC with this many memory slots (default: as it was trained).
        engine: What computes the model; auto takes the fastest that can.
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        as_json: Print JSON: of a graph one object, of a story a list with an object for each question.

    """
    place = RunFolder(folder)
    run = place.load_last() if last else place.load_best()
    of_graphs = {
        "--graph": graph is not None,
        "--two-way": two_way,
        "--nodes": nodes is not None,
        "--relations": relations is not None,
        "--seed": seed is not None,
    }
    of_stories = {"--words": words is not None, "--shown": shown is not None}
    if run.task.get("kind") == BABI:
        refuse_options(run, of_graphs, "graphs")
        episodes = None
    else:
        episodes = _graph_task(run, custom_task_source(run, folder, custom_task))
        refuse_options(run, of_stories, "bAbI")
        if graph is None:
            raise UserError("--graph must be given, the graph to ask about, got none. Name a CSV file.")
    for name, value, least in (("words", words, 1), ("shown", shown, 1), ("seed", seed, 0)):
        if value is not None and value < least:
            raise UserError(f"{name} must be at least {least}, got {value}.")
    spec = run.spec if memory_size is None else with_memory_size(run.spec, memory_size)
    chosen = select_engine(engine, spec, run.training.precision)
    check_memory(spec, chosen, run.training.precision, _STATES, 1)
    forward = finite_forward(chosen, spec, run.params)
    text = _standard_input() if question is None else question
    if episodes is None or graph is None:
        ask_story(run, forward, text, answer_words=words or 1, shown=shown or 4, as_json=as_json)
        return
    answer = ask_graph(
        episodes,
        spec,
        forward,
        text,
        graph,
        two_way=two_way,
        nodes=nodes,
        relations=relations,
        seed=seed or 0,
    )
    say_answer(answer, run.iteration, as_json=as_json)


def _standard_input() -> str:
    """All of standard input, which must be text that a question can be."""
    try:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed")
        return read_stream(sys.stdin.buffer, MOST_TYPED).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        problem = f"byte 0x{error.object[error.start]:02x}, which is not UTF-8"
    except OSError as error:
        problem = f"none: {error.strerror}"
    raise UserError(f"standard input must hold a question, got {problem}. Check what is written there.")


def _graph_task(run: Run, source: str | None) -> GraphTask:
    """As it is on the lesson that the run has come to, which says what relations it may know."""
    task = episode_task(run, source) if run.task.get("kind") == EPISODES else None
    if task is None or not isinstance(task.generator, GraphTask):
        raise UserError(
            "ask must be given a run of traversal, shortest-path, inference or babi, "
            f"got one of {run.task.get('name')}. Train one of those."
        )
    task.move_to(run.position)
    return cast(GraphTask, task.current)
