"""`sample`."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.options import EngineName
from numdnc.runs.kinds import open_path


def sample_text(
    folder: Positional[Path],
    *,
    length: Annotated[int, arg(aliases=["-n"])] = 500,
    prime: Annotated[str | None, arg(aliases=["-p"])] = None,
    temperature: Annotated[float, arg(aliases=["-t"])] = 1.0,
    seed: Annotated[int, arg(aliases=["-s"])] = 0,
    engine: EngineName = "auto",
) -> None:
    """Write text with a model that was trained on text.

    Args:
        folder: The run's folder, whose best checkpoint is taken, a checkpoint, or model:NAME.
        length: Characters to write.
        prime: Text that the model reads first (default: a line break, or the first symbol it knows).
        temperature: Divides the logits: below 1 the text is more regular, above 1 less; 0 = take the likeliest.
        seed: Seed of the random choices.
        engine: What computes the model; auto takes the fastest that can.

    """
    run = open_path(folder, engine=engine, needs="stream")
    characters = run.stream(length=length, prime=prime, temperature=temperature, seed=seed)
    raw = run.writes_bytes and not sys.stdout.isatty()
    for character in characters:
        if raw:
            sys.stdout.buffer.write(character.encode("latin-1"))
        else:
            sys.stdout.write(console.terminal_text(character) if sys.stdout.isatty() else character)
        sys.stdout.flush()
    if not raw:
        sys.stdout.write("\n")
