"""`ask`."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from numdnc.cli.babi import ask_story
from numdnc.cli.changes import with_slots
from numdnc.cli.options import BABI, AsJson, EngineName
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.run import forward_with

_STATES = 2
"""Held at once: before a step and after it."""


def ask(
    folder: Positional[Path],
    question: Positional[str | None] = None,
    *,
    words: int = 1,
    shown: int = 4,
    last: bool = False,
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Tell a model trained on bAbI a story and ask it something.

    Args:
        folder: The run's folder.
        question: Sentences and a question, or several, as "Mary went to the kitchen. Where is Mary?" (default: what
            standard input says).
        words: Each answer has so many words.
        shown: So many of the likeliest words are shown for each.
        last: Ask the last checkpoint, not the best.
        memory_size: Give a DNC so many memory slots (default: as it was trained).
        engine: How the model is computed.
        as_json: Print a JSON list with an object for each question.

    """
    place = RunFolder(folder)
    run = place.load_last() if last else place.load_best()
    if run.task.get("kind") != BABI:
        raise UserError(
            f"ask must be given a run of bAbI, got one of {run.task.get('name')}. Train one with `train babi`."
        )
    for name, value in (("words", words), ("shown", shown)):
        if value < 1:
            raise UserError(f"{name} must be at least 1, got {value}.")
    spec = run.spec if memory_size is None else with_slots(run.spec, memory_size)
    chosen = select_engine(engine, spec, run.training.precision)
    check_memory(spec, chosen, run.training.precision, _STATES, 1)
    text = sys.stdin.read() if question is None else question
    ask_story(
        run, forward_with(chosen, spec, run.params), text, answer_words=words, shown=shown, as_json=as_json
    )
