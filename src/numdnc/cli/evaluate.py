"""`eval`."""

import sys
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from numdnc import console
from numdnc.cli.babi import evaluate_babi
from numdnc.cli.consent import CustomTask
from numdnc.cli.custom_task import channels, sequence_lines, settings_of
from numdnc.cli.episodes import custom_task_source, episode_task
from numdnc.cli.graphs import on_graph
from numdnc.cli.options import BABI, EPISODES, AsJson, DataFolder, EngineName, refuse_options
from numdnc.cli.overrides import override_settings, with_memory_size
from numdnc.cli.text import text_task
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.inspection.ablation import without_reads
from numdnc.inspection.gates import gates
from numdnc.inspection.task_plot import save_task_plot
from numdnc.spec import Spec
from numdnc.tasks import Forward
from numdnc.tasks.sequence_task import EVAL_BATCH, SequenceTask
from numdnc.tasks.sequences import SequenceGenerator, optional_attribute
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.run import Run, finite_forward


def evaluate(
    folder: Positional[Path],
    *,
    last: bool = False,
    no_reads: bool = False,
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    engine: EngineName = "auto",
    corpus: str | None = None,
    data_folder: DataFolder = None,
    overrides: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="NAME=VALUE")] = (),
    sequences: int | None = None,
    graph: Annotated[Path | None, arg(aliases=["-g"], metavar="FILE.csv")] = None,
    two_way: bool = False,
    nodes: int | None = None,
    custom_task: CustomTask = None,
    show: bool = False,
    plot: Path | None = None,
    as_json: AsJson = False,
) -> None:
    """Score a run on data that it was not trained on.

    A text is scored by the bits per character on all of its held-out part, sequences by how many have errors, bAbI by
    the share of wrong answers on the stories of the test.

    Args:
        folder: The run's folder.
        last: Score the last checkpoint, not the best.
        no_reads: Also score the DNC with every read vector set to zero.
        memory_size: Run a DNC with this many memory slots (default: as it was trained).
        engine: What computes the model; auto takes the fastest that can.
        corpus: Where the run's text lies now, if it has moved (a text only).
        data_folder: Folder to look for named corpora in, or set NUMDNC_DATA (a text only); of bAbI, where it lies now.
        overrides: Change a setting of the task, as --set max_length=40; as often as needed (sequences only).
        sequences: How many sequences to score (default: as many as in training; sequences only).
        graph: Ask about the graph of this CSV file, numbered anew at random for each sequence: first the line
            source,edge,destination, then an edge a line (runs of graph tasks only).
        two_way: Take each edge of the file in both directions.
        nodes: Ask about parts of the graph, each of this many nodes (default: about the whole graph).
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        show: Print a picture of one sequence: what goes in, what should and what does come out, and when a DNC frees
            slots and writes (sequences only).
        plot: Save that picture as a figure: a PNG, PDF or SVG file (sequences only; needs matplotlib).
        as_json: Print the result as one JSON object.

    """
    place = RunFolder(folder)
    run = place.load_last() if last else place.load_best()
    if no_reads and not run.spec.has_memory:
        raise UserError(f"--no-reads must be given for a dnc, got a run of a {run.spec.kind}. Leave it out.")
    spec = run.spec if memory_size is None else with_memory_size(run.spec, memory_size)
    chosen = select_engine(engine, spec, run.training.precision)
    check_memory(spec, chosen, run.training.precision, 3 * EVAL_BATCH, EVAL_BATCH)
    source = custom_task_source(run, folder, custom_task)
    forward, lesioned = finite_forward(chosen, spec, run.params), None
    if spec.has_memory and no_reads:
        lesioned = finite_forward(chosen, spec, without_reads(spec, run.params))
    if run.task.get("kind") != EPISODES:
        given: dict[str, object] = {
            "--set": overrides,
            "--sequences": sequences,
            "--graph": graph,
            "--two-way": two_way,
            "--nodes": nodes,
            "--show": show,
            "--plot": plot,
        }
        refuse_options(run, given, "separate sequences")
        if run.task.get("kind") == BABI:
            refuse_options(run, {"--corpus": corpus}, "a text")
            evaluate_babi(run, forward, lesioned, data_folder, as_json=as_json)
            return
        _evaluate_text(run, forward, lesioned, corpus, data_folder, as_json)
        return
    refuse_options(run, {"--corpus": corpus, "--data": data_folder}, "a text")
    if show and as_json:
        raise UserError(
            "--show must be given without --json, got both. Leave one out; --plot goes with both."
        )
    task = override_settings(run, episode_task(run, source), overrides, sequences)
    settings = settings_of(task.generator)
    if graph is not None:
        task = on_graph(task, graph, two_way=two_way, nodes=nodes, seed=run.training.seed)
        settings |= {"graph": str(graph), "two_way": two_way, "nodes": nodes}
    elif two_way or nodes is not None:
        raise UserError(
            "--two-way and --nodes must be given with --graph, got one alone. Name a graph, or leave it out."
        )
    _warn_of_few_slots(task.generator, spec)
    _evaluate_episodes(run, task, settings, forward, lesioned, as_json)
    if show or plot:
        batch = task.scoring_rollout(forward, task.example())
        outputs, _ = forward(batch.inputs, None)
        names = channels(task.generator, "input"), channels(task.generator, "output")
        shown = gates(spec, run.params, chosen, batch) if spec.has_memory else None
        if plot:
            save_task_plot(plot, batch, outputs, 0, *names, shown)
        if show:
            console.say(sequence_lines(task.generator, batch, outputs, shown))


def _evaluate_text(
    run: Run,
    forward: Forward,
    lesioned: Forward | None,
    corpus: str | None,
    data_folder: Path | None,
    as_json: bool,
) -> None:
    task = text_task(run, corpus, data_folder)
    result = {
        "held_out_bpc": task.score(forward, whole=True)["bpc"],
        "iteration": run.iteration,
        "held_out_characters": task.characters[1],
    }
    if lesioned is not None:
        result["held_out_bpc_without_reads"] = task.score(lesioned, whole=True)["bpc"]
    if as_json:
        console.say_json(result)
        return
    console.say(
        f"{result['held_out_bpc']:.4f} BPC on {result['held_out_characters']:,} held-out characters "
        f"(iteration {run.iteration})"
    )
    if lesioned is not None:
        console.say(f"{result['held_out_bpc_without_reads']:.4f} BPC with every read vector zeroed")


def _evaluate_episodes(
    run: Run,
    task: SequenceTask,
    settings: dict[str, Any],
    forward: Forward,
    lesioned: Forward | None,
    as_json: bool,
) -> None:
    result: dict[str, Any] = {
        "task": task.name,
        "settings": settings,
        "iteration": run.iteration,
        "sequences": task.settings.evaluated,
        **task.score(forward, whole=True),
    }
    if lesioned is not None:
        result["without_reads"] = task.score(lesioned, whole=True)
    if as_json:
        console.say_json(result)
        return
    words = console.scores_in_words(result, task.target_kind)
    console.say(f"{words}; {result['sequences']:,} sequences (iteration {run.iteration})")
    if lesioned is not None:
        words = console.scores_in_words(result["without_reads"], task.target_kind)
        console.say(f"{words}; with every read vector zeroed")


def _warn_of_few_slots(episodes: SequenceGenerator, spec: Spec) -> None:
    held = optional_attribute(episodes, "slots_needed")
    if held is not None and spec.has_memory and spec.memory_size < held:
        sys.stderr.write(
            f"warning: a sequence can make it hold {held} vectors at once, more than its {spec.memory_size} slots\n"
        )
