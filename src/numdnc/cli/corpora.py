"""`data list`, `data fetch`."""

from tyro.conf import Positional

from numdnc import console, data
from numdnc.cli.options import DataFolder


def list_data(*, data_folder: DataFolder = None) -> None:
    """The corpora known by name, and where each was found.

    Args:
        data_folder: Folder to look in (or set NUMDNC_DATA).

    """
    for corpus in data.list_corpora(data_folder):
        found = corpus.path or f"not here; `{console.command()} data fetch {corpus.name}`"
        console.say(f"{corpus.name:14s} {corpus.size:>12,} bytes  {corpus.description}\n{'':14s} {found}")


def fetch_data(name: Positional[str], *, data_folder: DataFolder = None) -> None:
    """Download a corpus and check its SHA-256.

    Args:
        name: One that `numdnc data list` shows.
        data_folder: Folder to put it in (or set NUMDNC_DATA; default: a cache folder of yours).

    """
    with console.download_bar() as progress:
        path = data.fetch(name, data_folder, progress)
    console.say(f"{name} is at {path}")
