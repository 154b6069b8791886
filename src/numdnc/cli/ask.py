"""`ask`."""

import errno
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.consent import CustomTask, confirm
from numdnc.cli.options import AsJson, EngineName
from numdnc.errors import UserError
from numdnc.input_files import read_stream
from numdnc.runs.kinds import call, open_path

MOST_TYPED = 1 << 20
"""Bytes of a question on standard input."""


def ask(
    folder: Positional[Path],
    question: Positional[str | None] = None,
    *,
    words: int | None = None,
    shown: int | None = None,
    graph: Annotated[Path | None, arg(aliases=["-g"], metavar="FILE.csv|model:NAME")] = None,
    two_way: bool = False,
    nodes: int | None = None,
    relations: Annotated[Path | None, arg(metavar="FILE.csv")] = None,
    seed: int | None = None,
    last: bool = False,
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    sparsity: int | None = None,
    engine: EngineName = "auto",
    custom_task: CustomTask = None,
    as_json: AsJson = False,
) -> None:
    """Ask a trained model about a story, about a graph in its own names, for a sum, for a word, for moves of blocks.

        numdnc ask DIR "Mary went to the kitchen. Where is Mary?"
        numdnc ask DIR "Oxford Circus -Central Line-> ? -Central Line-> ?" --graph FILE.csv
        numdnc ask DIR "123+989"
        numdnc ask DIR "(()())"
        numdnc ask DIR abcab
        numdnc ask DIR "put 1 on 2; 3 left of 1; go"

    Args:
        folder: The run's folder, a checkpoint, or model:NAME.
        question: Sentences and one or more questions; or "A -line-> ? -line-> ?" for a run of traversal, "A -> B" of
            shortest-path, "A -relation-> ?" of inference; a formula for arithmetic; a string for a language;
            symbols of the input tape for a learned interface; goals of mini-SHRDLU, a board before them if
            wanted, "board 12/3/456; .." (default: what standard input says).
        words: How many words each answer has (stories; default: 1).
        shown: How many of the likeliest words to show for each (stories; default: 4).
        graph: A CSV file with an edge a line, source,edge,destination or source,destination, or model:NAME for the
            graph of that model (graphs; default: the one that the model comes with).
        two_way: Take each edge of the file in both directions (graphs).
        nodes: Show the model only this many nodes, around those of the answer (graphs; default: all).
        relations: A CSV file of relation,path, as in grandmother,mother/mother (inference).
        seed: Seed of the numbering of names and the order of edges, or of the board (graphs, mini-SHRDLU; default: 0).
        last: Ask the last checkpoint, not the best.
        memory_size: Run a model with this many memory slots (default: as it was trained).
        sparsity: Run a DNC with weightings and links cut to this many entries (default: as it was trained).
        engine: What computes the model; auto takes the fastest that can.
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        as_json: Print JSON: one object, of a story a list with an object for each question.

    """
    run = open_path(
        folder,
        last=last,
        memory_size=memory_size,
        sparsity=sparsity,
        engine=engine,
        custom_task=custom_task,
        confirm=confirm,
    )
    found = call(
        run,
        "ask",
        question=_standard_input() if question is None else question,
        words=words,
        shown=shown,
        graph=graph,
        two_way=two_way,
        nodes=nodes,
        relations=relations,
        seed=seed,
    )
    console.say_result(found, as_json=as_json)


def _standard_input() -> str:
    """Read a question from standard input."""
    try:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed")
        return read_stream(sys.stdin.buffer, MOST_TYPED).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        problem = f"byte 0x{error.object[error.start]:02x}, which is not UTF-8"
    except OSError as error:
        problem = f"none: {error.strerror}"
    raise UserError(f"standard input must hold a question, got {problem}. Check what writes there.")
