"""`data list`, `data fetch`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tyro.conf import Positional

from numdnc import console, data
from numdnc.cli.options import DataFolder


def list_data(*, data_folder: DataFolder = None) -> None:
    """List the texts that are known by name, and where each was found.

    Args:
        data_folder: Folder to look in (or set NUMDNC_DATA).

    """
    for corpus in data.list_corpora(data_folder):
        found = corpus.path or f"not here; `{console.command()} data fetch {corpus.name}`"
        console.say(f"{corpus.name:14s} {corpus.size:>12,} bytes  {corpus.description}\n{'':14s} {found}")


def fetch_data(name: Positional[str], *, data_folder: DataFolder = None) -> None:
    """Download a text and check its SHA-256.

    Args:
        name: One that `numdnc data list` shows.
        data_folder: Folder to put it in (or set NUMDNC_DATA; default: a cache folder of yours).

    """
    with _stopped_in_order(), console.download_bar() as progress:
        path = data.fetch(name, data_folder, progress)
    console.say(f"{name} is at {path}")


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
