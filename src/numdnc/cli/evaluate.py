"""`eval`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from numdnc import console
from numdnc.cli.consent import CustomTask, confirm
from numdnc.cli.options import AsJson, Corpus, DataFolder, EngineName
from numdnc.errors import UserError
from numdnc.runs.kinds import call, open_path
from numdnc.runs.results import Evaluation


def evaluate(
    folder: Positional[Path],
    *,
    last: bool = False,
    no_reads: bool = False,
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    sparsity: int | None = None,
    engine: EngineName = "auto",
    corpus: Corpus = (),
    data_folder: DataFolder = None,
    overrides: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="NAME=VALUE")] = (),
    sequences: int | None = None,
    graph: Annotated[Path | None, arg(aliases=["-g"], metavar="FILE.csv|model:NAME")] = None,
    two_way: bool = False,
    nodes: int | None = None,
    custom_task: CustomTask = None,
    show: bool = False,
    plot: Path | None = None,
    as_json: AsJson = False,
) -> None:
    """Score a run on data that it was not trained on.

    A text is scored by the bits per character on all of its held-out part, sequences by how many have errors, bAbI by
    the share of wrong answers on the stories of the test, molecules by how many samples are valid, different and new.

    Args:
        folder: The run's folder, a checkpoint, or model:NAME.
        last: Score the last checkpoint, not the best.
        no_reads: Also score the DNC with every read vector set to zero.
        memory_size: Run a model with this many memory slots (default: as it was trained).
        sparsity: Run a DNC with weightings and links cut to this many entries (default: as it was trained).
        engine: What computes the model; auto takes the fastest that can.
        corpus: Where the run's text lies now, if it has moved; of several files all, in order (a text only).
        data_folder: Folder to look for named corpora in, or set NUMDNC_DATA (a text only); of bAbI and
            arrays, where the files lie now.
        overrides: Change a setting of the task, as --set max_length=40; may be repeated (sequences, episodes).
        sequences: How many sequences or episodes to score (default: as many as in training), or molecules to sample
            (default: 1,000).
        graph: Ask about the graph of this CSV file, numbered anew at random for each sequence: an edge a line,
            source,edge,destination or source,destination; or about that of model:NAME (runs of graph tasks only).
        two_way: Take each edge of the file in both directions.
        nodes: Ask about parts of the graph, each of this many nodes (default: about the whole graph,
            or as many as model:NAME shows).
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        show: Print a picture of one sequence: inputs, targets, outputs, and when a DNC frees slots and writes
            (sequences only); of molecules, some samples that are valid.
        plot: Save that picture as a figure: a PNG, PDF or SVG file (sequences, needs matplotlib; molecules, PNG or
            SVG).
        as_json: Print the result as one JSON object.

    """
    if show and as_json:
        raise UserError(
            "--show must be given without --json, got both. Leave one out; --plot goes with both."
        )
    run = open_path(
        folder,
        last=last,
        memory_size=memory_size,
        sparsity=sparsity,
        engine=engine,
        corpus=corpus,
        data_folder=data_folder,
        custom_task=custom_task,
        confirm=confirm,
    )
    with console.waiting_for("scoring"):
        found: Evaluation = call(
            run,
            "evaluate",
            no_reads=no_reads,
            overrides=parse_overrides(overrides),
            sequences=sequences,
            graph=graph,
            two_way=two_way,
            nodes=nodes,
            picture=show or plot is not None,
        )
    console.say_result(found, as_json=as_json)
    if plot is not None and found.picture is not None:
        found.picture.save(plot)
    if show:
        console.say(str(found.picture))


def parse_overrides(texts: Sequence[str]) -> dict[str, str | None]:
    """Name -> value of texts such as max_length=40; None if there is no =."""
    pairs = (text.partition("=") for text in texts)
    return {name: value if equals else None for name, equals, value in pairs}
