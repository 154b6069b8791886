"""Users' data as a stranger could make it: damaged files, and well-formed ones that are odd in every way.

A case is a kind of data and a number, which settles it. Its reader must end in a UserError or in a right result, found
here by other and plainer means; `attempt` says which it was and lets everything else through.
"""

import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hardening.hostile_graphs import question, relations
from hardening.strange import NAMES, NUMBERS, Rng, damaged, one_line_end, one_of, saved
from helpers.babi_stories import files, plain_reading
from numdnc import UserError, data
from numdnc.corpora import SourceFile
from numdnc.data import Corpus
from numdnc.tasks import decoding
from numdnc.tasks.babi import BabiSettings, BabiTask, parse_lines, read_babi
from numdnc.tasks.babi.asking import story_batch
from numdnc.tasks.babi.stories import Vocabulary as Words
from numdnc.tasks.bits import Copy
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.text import TextSettings, TextTask
from numdnc.tasks.user_input import steps_batch

LONGEST_ERROR = 1500
"""Characters of a refusal: what was given may be megabytes, what is said of it stays readable."""
KNOWN = TextTask(Corpus("known", b"abc\n" * 300), TextSettings(batch=1, window=2), 0).vocabulary


# Texts


def text(rng: Rng, place: Path) -> None:
    """A corpus: decoded and numbered as Python's own decoding of it all at once would have it."""
    words = [one_of(rng, [*NAMES, "\r", "\n", "abc ", "\ud800"]) for _ in range(int(rng.integers(80)))]
    raw = damaged(rng, saved(rng, "".join(words)))
    raw = raw[: int(rng.integers(1, 5000))]
    (place / "text").write_bytes(raw)
    unit, piece = one_of(rng, ["characters", "characters", "bytes"]), int(rng.integers(1, 200))
    before, decoding._PIECE = decoding._PIECE, piece
    try:
        task = TextTask(
            data.load(str(place / "text")),
            TextSettings(unit=unit, batch=1, window=int(rng.integers(1, 9))),
            0,
        )
    finally:
        decoding._PIECE = before
    whole = raw.decode("latin-1" if unit == "bytes" else "utf-8-sig")
    if unit == "characters":
        whole = one_line_end(whole)
    assert "".join(task.vocabulary.symbols[number] for number in task._text) == whole
    assert task.vocabulary.symbols == "".join(sorted(set(whole)))
    batch = task.next_batch()
    assert 0 <= batch.targets.min() <= batch.targets.max() < task.input_size


def typed_text(rng: Rng, place: Path) -> None:
    """What is typed to be continued or traced: every symbol is known, or it is refused."""
    given = "".join(one_of(rng, ["a", "b", "c", "\n", *NAMES]) for _ in range(int(rng.integers(6))))
    numbers = KNOWN.encode(given)
    assert "".join(KNOWN.symbols[number] for number in numbers) == given


# Rows of numbers


def steps(rng: Rng, place: Path) -> None:
    """Rows of numbers for a task: as Python reads each of them."""
    task = SequenceTask("copy", Copy(width=2), SequenceSettings(), 0)
    width = one_of(rng, [4, 4, 4, 4, 3, 5])
    good, count = rng.random() < 0.5, int(rng.integers(9))
    rows = [[one_of(rng, NUMBERS[:6] if good else NUMBERS) for _ in range(width)] for _ in range(count)]
    (place / "steps.csv").write_bytes(damaged(rng, saved(rng, "\n".join(",".join(row) for row in rows))))
    batch = steps_batch(str(place / "steps.csv"), task.example(), Copy(width=2).input_channels)
    assert batch.inputs.dtype == np.float32
    assert np.isfinite(batch.inputs).all()
    if good and (place / "steps.csv").read_bytes() == "\n".join(",".join(row) for row in rows).encode():
        np.testing.assert_array_equal(
            batch.inputs[:, 0], np.array([[float(word) for word in row] for row in rows], "f4")
        )


# bAbI


def story_lines(rng: Rng) -> str:
    """Lines of a file of stories, now and then odd."""
    lines = []
    for _ in range(int(rng.integers(1, 12))):
        number = one_of(rng, ["1", "2", "3", "4", one_of(rng, NUMBERS)])
        words = " ".join(
            one_of(rng, ["Ann", "went", "home", one_of(rng, NAMES)]) for _ in range(int(rng.integers(5)))
        )
        answer = one_of(rng, [".", ".", "?\thome\t1", "?\tn,s\t1 2", "?\t\t", "\t", "?\ta\tb\tc"])
        lines.append(f"{number} {words}{answer}")
    return "\n".join(lines) + "\n"


def archive(rng: Rng, place: Path) -> None:
    """An archive or folder of stories: read as a plain reading of the files has it."""
    contents: dict[str, Any] = dict(files(stories=3, tests=2, seed=int(rng.integers(1000))))
    texts = {name: saved(rng, text) for name, text in contents.items()}
    harm = int(rng.integers(4))
    for name in list(texts):
        if harm == 1 and rng.random() < 0.3:
            texts[name] = damaged(rng, texts[name])
        elif harm == 2 and rng.random() < 0.3:
            texts[name] = saved(rng, story_lines(rng))
        elif harm == 3 and rng.random() < 0.2:
            texts[str(one_of(rng, [name.replace("_", one_of(rng, NAMES), 1), name + "x", "/" + name]))] = (
                texts.pop(name)
            )
    if rng.random() < 0.2:
        path = place / "folder"
        for name, raw in texts.items():
            if "\0" not in name and len(name) < 200 and name[0] != "/":
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(raw)
        path = path / "tasks_1-20_v1-2"
    else:
        path = place / "stories.tar.gz"
        packed = packed_files(rng, texts)
        harmed = damaged(rng, packed, 0.2)
        harm = harm if harmed == packed else -1
        path.write_bytes(damaged(rng, gzip.compress(harmed, compresslevel=1), 0.2))
    found = read_babi(path, "en-10k")
    task = BabiTask(found, BabiSettings(batch=2, validation=0.34), 0)
    task.next_batch()
    if harm == 0:
        for number, title in found.titles.items():
            name = f"tasks_1-20_v1-2/en-10k/qa{number}_{title}_test.txt"
            wanted = [(tuple(read), tuple(answers)) for read, answers in plain_reading(contents[name])]
            assert [in_words(task, story) for story in task.test if story.task == number] == wanted


def packed_files(rng: Rng, texts: dict[str, bytes]) -> bytes:
    """A tar of them, in any format, with strange members among them."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=one_of(rng, [0, 1, 2])) as tar:
        for name, raw in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            if rng.random() < 0.05:
                member.type = one_of(
                    rng, [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"S", b"Z"]
                )
                member.linkname = one_of(rng, ["/etc/passwd", name, "../x"])
            if rng.random() < 0.05 and tar.format == tarfile.PAX_FORMAT:
                key = str(
                    one_of(
                        rng,
                        [
                            "size",
                            "path",
                            "GNU.sparse.major",
                            "GNU.sparse.map",
                            "mtime",
                            "hdrcharset",
                            "x" * 3000,
                        ],
                    )
                )
                member.pax_headers = {key: one_of(rng, [*NUMBERS, "../x", "a" * 3000])}
            try:
                tar.addfile(member, io.BytesIO(raw))
            except (ValueError, UnicodeEncodeError):  # no tar holds such a name
                continue
    return held.getvalue()


def in_words(task: BabiTask, story: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    symbols, batch = task.vocabulary.symbols, story.batch
    pairs = zip(batch.targets[:, 0], batch.mask[:, 0], strict=True)
    read = tuple(symbols[number] for number in batch.inputs[:, 0])
    return read, tuple(symbols[number] if asked else "" for number, asked in pairs)


def typed_story(rng: Rng, place: Path) -> None:
    """A story that somebody types: every word of it is read, and every mark that ends some, or it is refused."""
    known = Words(("ann", "home", "where", "is", ".", "?"))
    usual = [*known.words, "Where", "is Ann?", ", "]
    words = [
        one_of(rng, [*usual, one_of(rng, NAMES)] if rng.random() < 0.2 else usual)
        for _ in range(int(rng.integers(30)))
    ]
    typed = one_of(rng, [" ", " ", "\n", ""]).join(words)
    lines = parse_lines(typed, int(rng.integers(1, 4)))
    batch = story_batch(lines, known, int(rng.integers(3)))
    read = [known.symbols[number] for number in batch.inputs[:, 0] if number > 1]
    marks_alone = r"(?<![^.?])[.?]"
    assert "".join(read) == re.sub(marks_alone, "", re.sub(r"[\s,]", "", typed.lower()))


# Published files


BODY = b"It was the best of times, it was the worst of times.\n" * 30
SOURCE = SourceFile("tale.txt", len(BODY), hashlib.sha256(BODY).hexdigest(), "http://nowhere/tale.zip")


def published(rng: Rng, place: Path) -> None:
    """A zip or file under a corpus's name: its very bytes, or it is refused."""
    held = io.BytesIO()
    with zipfile.ZipFile(
        held,
        "w",
        one_of(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
    ) as zipped:
        for name in ("../x", "tale.txt", "other"):
            zipped.writestr(name, BODY + (bytes(5_000_000) if rng.random() < 0.02 else b""))
    name, raw = one_of(
        rng, [("tale.zip", held.getvalue()), ("tale.zip", held.getvalue()), ("tale.txt", BODY)]
    )
    (place / name).write_bytes(damaged(rng, raw))
    assert data._read_checked("tale", SOURCE, place / name) == BODY


KINDS: dict[str, Callable[[Rng, Path], None]] = {
    made.__name__: made
    for made in (text, typed_text, question, relations, steps, archive, typed_story, published)
}


def attempt(kind: str, number: int, place: Path) -> bool:
    """Whether this case gave a result; False where a UserError refused it."""
    rng = np.random.default_rng([number, *kind.encode()])
    try:
        KINDS[kind](rng, place)
    except UserError as error:
        message = str(error)
        assert " must " in message, message
        assert "got " in message, message
        assert message.endswith("."), message
        assert len(message) - message.count(str(place)) * len(str(place)) < LONGEST_ERROR, message
        return False
    return True
