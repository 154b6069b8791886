"""`--corpus` with several files, `--encoding`: what a run records of its text, and how it is found again."""

import hashlib
from pathlib import Path

import pytest

from helpers.commands import TEXT, contents, done, refused, train
from numdnc.training.checkpoint import load_checkpoint

HALF = len(TEXT) // 2


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path.parent / f"{tmp_path.name}-state"))
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "a.txt").write_text(TEXT[:HALF])
    (tmp_path / "books" / "b.txt").write_text(TEXT[HALF:])
    return tmp_path


def stored(folder: str) -> dict[str, object]:
    return load_checkpoint(Path(folder, "last.safetensors"))[1]["task"]  # type: ignore[no-any-return]


def learned(folder: str) -> dict[str, object]:
    """All of a run but its settings and its record of the text."""
    kept = contents(Path(folder)).items()
    return {name: value for name, value in kept if name.split()[-1] not in ("task", "training")}


def train_on(folder: str, *corpora: object, steps: int = 12) -> None:
    train(folder, "--steps", steps, "--schedule", "constant", "-c", *corpora)


def test_several_files_are_one_text_and_the_run_records_each() -> None:
    train_on("two", "books/a.txt", "books/b.txt")
    train_on("whole", "text.txt")
    train_on("folder", "books")
    assert learned("two") == learned("whole") == learned("folder")
    train_on("pattern", "books/*.txt")
    assert contents(Path("pattern"))["last task"] == contents(Path("two"))["last task"]
    done("eval", "pattern", "--corpus", "book[s]/?.txt")
    refused(
        "train", "text", "-c", "books/*.csv", "--out", "run", expect="must match some file, got 'books/*.csv'"
    )
    files = [
        {"name": name, "size": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        for name, text in (("a.txt", TEXT[:HALF]), ("b.txt", TEXT[HALF:]))
    ]
    assert (stored("two")["corpus"], stored("two")["files"]) == (["a.txt", "b.txt"], files)
    assert (stored("folder")["corpus"], stored("folder")["files"]) == (
        "books",
        [{**file, "name": f"books/{file['name']}"} for file in files],
    )
    assert stored("two")["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()


def test_a_run_of_several_files_is_resumed_bit_for_bit_also_where_they_have_moved(place: Path) -> None:
    train_on("whole", "books/a.txt", "books/b.txt", steps=20)
    train_on("run", "books/a.txt", "books/b.txt")
    done("resume", "run", "--steps", 20, "--sample-every", 0)
    assert learned("run") == learned("whole")
    (place / "books").rename("moved")
    refused("eval", "run", expect="say with --corpus")
    done("eval", "run", "--corpus", "moved/a.txt", "moved/b.txt")
    done("eval", "run")  # remembered
    done("eval", "run", "--corpus", "moved")  # the same files in the same order
    for words, expect in (
        (["moved/b.txt", "moved/a.txt"], "the corpus must be the one|got another"),
        (["moved/a.txt"], "1 files, not 2"),
        (["text.txt"], "1 files, not 2"),
    ):
        refused("eval", "run", "--corpus", *words, expect=expect)
    (place / "moved/b.txt").write_text(TEXT[HALF:] + "!")
    refused("eval", "run", expect="the first other file is b.txt|Give the old one with --corpus")


def test_a_text_of_another_encoding(place: Path) -> None:
    text = TEXT.replace("cat", "c\u00e9t")
    (place / "utf8.txt").write_text(text, encoding="utf-8")
    (place / "western.txt").write_bytes(text.encode("latin-1"))
    line = refused(
        "train", "text", "-c", "western.txt", "--out", "run", expect="UTF-8, got byte 0xe9|western.txt"
    )
    assert "Give its --encoding (it fits cp1252, latin-1, " in line
    train("western", "--encoding", "latin-1", corpus="western.txt")
    train("utf8", corpus="utf8.txt")
    assert learned("western") == learned("utf8")
    done("resume", "western", "--steps", 16, "--sample-every", 0)
    refused("train", "text", "-c", "utf8.txt", "--encoding", "latin1x", expect="Perhaps latin_1 is meant")
    refused("train", "text", "-c", "--out", "run", expect="--corpus must name a text, got nothing")
    refused(
        "train",
        "text",
        "-c",
        "utf8.txt",
        "gone.txt",
        "--out",
        "run",
        expect="got 'gone.txt', which is neither",
    )
