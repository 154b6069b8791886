"""`data list`, `data fetch`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tyro.conf import Positional

from numdnc import console, data
from numdnc.cli.options import AsJson, DataFolder


def list_data(*, data_folder: DataFolder = None, as_json: AsJson = False) -> None:
    """List the texts that are known by name, and where each was found.

    Args:
        data_folder: Folder to look in (or set NUMDNC_DATA).
        as_json: Print the result as one JSON object.

    """
    found = data.list_corpora(data_folder)
    if as_json:
        console.say_json({corpus.name: _record(corpus) for corpus in found})
        return
    for corpus in found:
        place = corpus.path or f"not here; `{console.command()} data fetch {corpus.name}`"
        console.say(f"{corpus.name:14s} {corpus.size:>12,} bytes  {corpus.description}\n{'':14s} {place}")


def fetch_data(name: Positional[str], *, data_folder: DataFolder = None, as_json: AsJson = False) -> None:
    """Download a text and check its SHA-256.

    Args:
        name: One that `numdnc data list` shows.
        data_folder: Folder to put it in (or set NUMDNC_DATA; default: a cache folder of yours).
        as_json: Print the result as one JSON object.

    """
    with _stopped_in_order(), console.download_bar() as progress:
        path = data.fetch(name, data_folder, progress)
    if as_json:
        console.say_json({"name": name, "path": str(path)})
    else:
        console.say(f"{name} is at {path}")


def _record(corpus: data.CorpusStatus) -> dict[str, Any]:
    path = None if corpus.path is None else str(corpus.path)
    return {"description": corpus.description, "bytes": corpus.size, "path": path}


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """Turn a signal that ends this process into an exit, so that half-done files are removed."""
    numbers = [
        number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None
    ]
    before = {number: signal.signal(number, lambda got, frame: sys.exit(128 + got)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
