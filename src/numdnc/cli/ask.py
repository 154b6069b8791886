"""`ask`."""

import json
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.changes import with_slots
from numdnc.cli.episodes import episode_task
from numdnc.cli.graphs import Answer, ask_graph
from numdnc.cli.options import EPISODES, AsJson, EngineName
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.tasks import Forward
from numdnc.tasks.graphs import GraphTask
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.run import forward_with


def ask(
    folder: Positional[Path],
    question: Positional[str],
    *,
    graph: Annotated[Path | None, arg(aliases=["-g"], metavar="FILE.csv")] = None,
    two_way: bool = False,
    nodes: int | None = None,
    relations: Annotated[Path | None, arg(metavar="FILE.csv")] = None,
    seed: int = 0,
    last: bool = False,
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Ask a trained model a question about a graph, in names: numdnc ask DIR "A -line-> ? -line-> ?" --graph FILE.csv.

    Args:
        folder: The run's folder.
        question: "A -line-> ? -line-> ?" for a run of traversal, "A -> B" of shortest-path, "A -relation-> ?" of
            inference.
        graph: A CSV file that begins with the line source,edge,destination and has an edge a line.
        two_way: Each line of the file holds backwards too.
        nodes: Show the model only a part of the graph: so many nodes around those of the answer (default: all).
        relations: A CSV file of relation,path, as in grandmother,mother/mother (inference only).
        seed: How names are numbered and in which order edges are shown.
        last: Ask the last checkpoint, not the best.
        memory_size: Give a DNC so many memory slots (default: as it was trained).
        engine: How the model is computed.
        as_json: Print one JSON object.

    """
    place = RunFolder(folder)
    run = place.load_last() if last else place.load_best()
    task = episode_task(run) if run.task.get("kind") == EPISODES else None
    if task is None or not isinstance(task.episodes, GraphTask):
        raise UserError(
            f"ask must be given a run of traversal, shortest-path or inference, got one of {run.task.get('name')}."
        )
    if graph is None:
        raise UserError("--graph must be given, the graph to ask about, got none. Name a CSV file.")
    if seed < 0:
        raise UserError(f"seed must be at least 0, got {seed}.")
    spec = run.spec if memory_size is None else with_slots(run.spec, memory_size)
    chosen = select_engine(engine, spec, run.training.precision)
    check_memory(spec, chosen, run.training.precision, 3, 1)
    forward: Forward = forward_with(chosen, spec, run.params)
    answer = ask_graph(
        task.episodes,
        spec,
        forward,
        question,
        graph,
        two_way=two_way,
        nodes=nodes,
        relations=relations,
        seed=seed,
    )
    _say(answer, run.iteration, as_json=as_json)


def _say(answer: Answer, iteration: int, *, as_json: bool) -> None:
    right = all(line.right for line in answer.lines)
    if as_json:
        print(
            json.dumps(
                {
                    "right": right,
                    "answer": [line.given for line in answer.lines],
                    "truth": [line.wanted for line in answer.lines],
                    "notes": answer.notes,
                    "nodes": answer.nodes,
                    "edges": answer.edges,
                    "iteration": iteration,
                }
            )
        )
        return
    for note in answer.notes:
        console.say(note)
    width = max(len(line.given) for line in answer.lines)
    for line in answer.lines:
        console.say(f"{line.given:<{width}}  {'right' if line.right else f'WRONG: {line.wanted}'}")
    console.say(
        f"{'right' if right else 'wrong'}; shown {answer.edges} edges between {answer.nodes} nodes "
        f"(iteration {iteration})"
    )
