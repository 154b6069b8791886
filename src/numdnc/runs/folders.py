"""The folder that a run is trained in: made for a new run, or locked to go on with one."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from numdnc.errors import UserError
from numdnc.training.checkpoint import load_run
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run
from numdnc.training.workers import Workers


@contextmanager
def new_folder(run: Run, out: Path | None, stem: str, workers: Workers) -> Iterator[RunFolder]:
    """Make and lock the folder of a new run: `out`, or else runs/STEM-1, or the first such that does not exist."""
    workers.check_batch(run.batch)
    with ExitStack() as locks:
        path = str(_create(run, out, stem, locks)) if workers.rank == 0 else ""
        yield RunFolder(Path(workers.broadcast_object(path)))


@contextmanager
def last_run(folder: RunFolder, workers: Workers) -> Iterator[Run]:
    """The run as it was saved last, in every process; only the first needs the folder, and locks it."""
    with ExitStack() as locks:
        if workers.rank == 0:
            locks.enter_context(folder.lock())
            run = folder.load_last()
        if workers.world_size > 1:
            contents = workers.broadcast(folder.last.read_bytes() if workers.rank == 0 else b"")
            if workers.rank > 0:
                with TemporaryDirectory() as place:
                    copy = Path(place, folder.last.name)
                    copy.write_bytes(contents)
                    run = load_run(copy)
            workers.check_batch(run.batch)
        yield run


def _create(run: Run, out: Path | None, stem: str, locks: ExitStack) -> Path:
    if out is not None:
        locks.enter_context(RunFolder(out).create_locked(run))
        return out
    for number in itertools.count(1):
        path = Path("runs") / f"{stem}-{number}"
        if not path.exists():
            try:
                locks.enter_context(RunFolder(path).create_locked(run))
                break
            except UserError:
                if not path.exists():  # else another process has just taken it
                    raise
    return path
