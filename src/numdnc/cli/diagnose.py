"""`diagnose`."""

from pathlib import Path

from tyro.conf import Positional

from numdnc import console
from numdnc.cli.consent import CustomTask, confirm
from numdnc.cli.options import AsJson, Corpus, DataFolder, EngineName
from numdnc.runs.kinds import open_path


def diagnose_run(
    folder: Positional[Path],
    *,
    last: bool = False,
    engine: EngineName = "auto",
    custom_task: CustomTask = None,
    corpus: Corpus = (),
    data_folder: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Say in words and numbers whether and how a model uses its memory.

    Each part of the memory is taken away in turn, and the loss is that of a progress line.

    Args:
        folder: The run's folder, a checkpoint, or model:NAME.
        last: Examine the last checkpoint, not the best.
        engine: What computes the model; auto takes the fastest that can.
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        corpus: Where the run's text lies now, if it has moved; of several files all, in order (a text only).
        data_folder: Folder to look for named corpora in, or set NUMDNC_DATA (a text only); of bAbI and
            arrays, where the files lie now.
        as_json: Print the result as one JSON object.

    """
    run = open_path(
        folder,
        last=last,
        finite=False,
        engine=engine,
        custom_task=custom_task,
        confirm=confirm,
        corpus=corpus,
        data_folder=data_folder,
    )
    with console.waiting_for("examining"):
        found = run.diagnose()
    console.say_result(found, as_json=as_json)
