"""`sample`."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.consent import CustomTask, confirm
from numdnc.cli.options import AsJson, EngineName
from numdnc.runs.kinds import call, open_path


def sample_text(
    folder: Positional[Path],
    *,
    length: Annotated[int | None, arg(aliases=["-n"])] = None,
    count: int | None = None,
    prime: Annotated[str | None, arg(aliases=["-p"])] = None,
    temperature: Annotated[float, arg(aliases=["-t"])] = 1.0,
    seed: Annotated[int, arg(aliases=["-s"])] = 0,
    engine: EngineName = "auto",
    custom_task: CustomTask = None,
    as_json: AsJson = False,
) -> None:
    """Write text, or molecules as SMILES, with a model that was trained on them.

    Args:
        folder: The run's folder, whose best checkpoint is taken, a checkpoint, or model:NAME.
        length: Characters to write (a text only; default: 500).
        count: Molecules to write, one a line (molecules only; default: 10).
        prime: Text that the model reads first (default: a line break, or the first symbol it knows), or what every
            molecule begins with (default: nothing).
        temperature: Divides the logits: below 1 the text is more regular, above 1 less; 0 = take the likeliest.
        seed: Seed of the random choices.
        engine: What computes the model; auto takes the fastest that can.
        custom_task: The score of a run of reinvent, which is code; needed once for a run that was not trained here.
        as_json: Print the text as one JSON object, when it is whole.

    """
    run = open_path(folder, engine=engine, custom_task=custom_task, confirm=confirm, needs="stream")
    characters = call(
        run, "stream", length=length, count=count, prime=prime, temperature=temperature, seed=seed
    )
    if as_json:
        console.say_json({"text": "".join(characters)})
        return
    raw = run.writes_bytes and not sys.stdout.isatty()
    for character in characters:
        if raw:
            sys.stdout.buffer.write(character.encode("latin-1"))
        else:
            sys.stdout.write(console.terminal_text(character) if sys.stdout.isatty() else character)
        sys.stdout.flush()
    if not raw:
        sys.stdout.write("\n")
