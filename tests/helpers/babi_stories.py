"""Stories of our own in the layout of the published bAbI archive, and a second, plain way to read such files."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

FOLDER = "tasks_1-20_v1-2"
PEOPLE, PLACES, THINGS = ("Ann", "Bob", "Cleo"), ("attic", "cellar", "porch"), ("cup", "drum", "lamp")
TITLES = {1: "where-is-it", 8: "what-is-held", 19: "which-way"}


def files(stories: int = 30, tests: int = 5, seed: int = 0) -> dict[str, str]:
    """Path in the archive -> text: three tasks; the second and third have answers of several words."""
    rng = np.random.default_rng(seed)
    return {
        f"{FOLDER}/en-10k/qa{task}_{title}_{part}.txt": "".join(_story(task, rng) for _ in range(count))
        for task, title in TITLES.items()
        for part, count in (("train", stories), ("test", tests))
    }


def _story(task: int, rng: np.random.Generator) -> str:
    """A few lines, numbered from 1."""
    rows: list[str] = []
    if task == 1:
        for _ in range(rng.integers(1, 4)):
            who, where = rng.choice(PEOPLE), rng.choice(PLACES)
            rows += [f"{who} ran to the {where}.", f"Where is {who}?\t{where}\t{len(rows) + 1}"]
    elif task == 8:
        held: list[str] = []
        for thing in rng.permutation(THINGS)[: rng.integers(1, 4)]:
            held.append(str(thing))
            rows += [f"Bob took the {thing}.", f"What does Bob hold?\t{','.join(held)}\t1 2"]
    else:
        first, second = rng.choice(["n", "s", "e", "w"], 2)
        rows = [f"The attic lies {first} and {second}.", f"How does one go there?\t{first},{second}\t1"]
    return "".join(f"{number} {row}\n" for number, row in enumerate(rows, 1))


def save_archive(path: Path, contents: Mapping[str, str | bytes]) -> Path:
    """A tar.gz of these files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in contents.items():
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def save_folder(path: Path, contents: Mapping[str, str | bytes]) -> Path:
    """The same files unpacked below `path`."""
    for name, text in contents.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    return path / FOLDER


def damaged(path: Path, at: int = -30) -> Path:
    """The same archive with one byte of what it holds changed, packed so that only its checksum can tell."""
    raw = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    raw[at] ^= 1
    path.write_bytes(raw)
    return path


def plain_reading(text: str, pause: int = 0) -> list[tuple[list[str], list[str]]]:
    """What goes in and what is wanted ("" = nothing), word by word, of each story of a file."""
    stories: list[tuple[list[str], list[str]]] = []
    for row in text.strip().split("\n"):
        if row.startswith("1 "):
            stories.append(([], []))
        read, wanted = stories[-1]
        sentence, *answer = row[row.index(" ") + 1 :].lower().split("\t")
        words = sentence.replace(".", " .").replace("?", " ?").split()
        read += words
        wanted += [""] * len(words)
        if answer:
            asked = answer[0].split(",")
            read += ["_"] * pause + ["-"] * len(asked)
            wanted += [""] * pause + asked
    return stories
