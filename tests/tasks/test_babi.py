"""bAbI: how its files are read, what a story becomes, which stories validate, batches by length, scores."""

import os
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.babi_stories import FOLDER, TITLES, damaged, files, plain_reading, save_archive, save_folder
from numdnc import UserError
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.tasks.babi import BabiFiles, BabiSettings, BabiTask, Vocabulary, find_babi, parse_lines, read_babi
from numdnc.tasks.babi.induction import augment_induction
from numdnc.tasks.babi.stories import parse_stories
from numdnc.tasks.babi.task import EncodedStory, correct_questions
from numdnc.tasks.batches import batches_by_length, padding_share
from numdnc.tasks.sequences import single_sequence

TRAIN = f"{FOLDER}/en-10k/qa1_where-is-it_train.txt"
TEST = f"{FOLDER}/en-10k/qa1_where-is-it_test.txt"
BY_HAND = (
    "1 Ann ran home.\n2 Where is Ann?\thome\t1\n3 Bob took the cup.\n4 What is held?\tcup,lamp\t3\n"
    "1 Bob ran.\n2 Who ran?\tBob\t1\n"
)


def given(**settings: Any) -> BabiTask:
    return task_of(files(), **settings)


def task_of(contents: dict[str, str], seed: int = 0, **settings: Any) -> BabiTask:
    texts: dict[str, dict[int, str]] = {"train": {}, "test": {}}
    for name, text in contents.items():
        number = int(name.split("/qa")[1].split("_")[0])
        texts[name.removesuffix(".txt").rsplit("_", 1)[1]][number] = text
    found = BabiFiles(
        **texts, valid={}, titles={number: TITLES[number] for number in texts["train"]}, sha256=""
    )
    return BabiTask(found, BabiSettings(**{"batch": 4, **settings}), seed)


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def in_words(task: BabiTask, story: EncodedStory) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What goes in and what is wanted, by the task's own vocabulary."""
    symbols, batch = task.vocabulary.symbols, story.batch
    assert batch.mask is not None
    read = tuple(symbols[number] for number in batch.inputs[:, 0])
    pairs = zip(batch.targets[:, 0], batch.mask[:, 0], strict=True)
    return read, tuple(symbols[number] if asked else "" for number, asked in pairs)


def knowing(
    task: BabiTask, change: Callable[[int, tuple[int, ...]], int] = lambda answer, read: answer
) -> Any:
    """A model that has learned every answer by heart; `change` gives another one for what it has read so far."""
    answers = {}
    for story in (*task.train, *task.validation, *task.test):
        answers[tuple(story.batch.inputs[:, 0].tolist())] = story.batch.targets[:, 0]

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        assert state is None
        outputs = np.zeros((*inputs.shape, task.output_size))
        for row in range(inputs.shape[1]):
            read = tuple(np.trim_zeros(inputs[:, row], "b").tolist())
            for t, answer in enumerate(answers[read]):
                outputs[t, row, change(int(answer), read[: t + 1])] = 9
        return outputs, None

    return forward


def test_a_story_by_hand() -> None:
    contents = {TRAIN: BY_HAND, TEST: BY_HAND}
    first, second = (in_words(task_of(contents), story) for story in task_of(contents).test)
    assert first == (
        words("ann ran home . where is ann ? - bob took the cup . what is held ? - -"),
        (*[""] * 8, "home", *[""] * 9, "cup", "lamp"),
    )
    assert second == (words("bob ran . who ran ? -"), (*[""] * 6, "bob"))
    paused = in_words(task_of(contents, pause=2), task_of(contents, pause=2).test[1])
    assert paused == (words("bob ran . who ran ? _ _ -"), (*[""] * 8, "bob"))


def test_the_vocabulary_is_every_word_in_order_after_two_signs() -> None:
    task = task_of({TRAIN: BY_HAND, TEST: "1 Zoe ran.\n2 Who?\tZoe\n"})
    expected = words(". ? ann bob cup held home is lamp ran the took what where who zoe")
    assert task.vocabulary.words == expected
    assert task.vocabulary.symbols == ("_", "-", *expected)
    assert task.input_size == task.output_size == len(expected) + 2
    assert task.train[0].batch.inputs.dtype == np.uint8


@pytest.mark.parametrize("pause", [0, 3])
def test_a_plain_second_reading_says_the_same(pause: int) -> None:
    contents = files()
    task = task_of(contents, pause=pause)
    expected = {
        name: [(tuple(read), tuple(wanted)) for read, wanted in plain_reading(text, pause)]
        for name, text in contents.items()
    }
    tested = [story for name, stories in expected.items() if "_test" in name for story in stories]
    trained = [story for name, stories in expected.items() if "_train" in name for story in stories]
    assert [in_words(task, story) for story in task.test] == tested
    assert Counter(in_words(task, story) for story in (*task.train, *task.validation)) == Counter(trained)
    assert any(
        wanted.count("") < len(wanted) - 1 for _, wanted in tested
    )  # there are answers of several words


INDUCTION = """1 Lily is a frog.
2 Bernhard is a frog.
3 Bernhard is green.
4 Brian is a lion.
5 Brian is white.
6 Julius is a lion.
7 Julius is green.
8 Greg is a swan.
9 Greg is gray.
10 What color is Lily?\tgreen\t1 2 3
"""


def induction_task(text: str = INDUCTION, copies: int = 40, **settings: Any) -> BabiTask:
    texts = {"train": {16: text * copies}, "test": {16: text}}
    found = BabiFiles(**texts, valid={}, titles={16: "basic-induction"}, sha256="")
    return BabiTask(found, BabiSettings(**{"batch": 4, **settings}), 0)


def sentences(task: BabiTask, story: EncodedStory) -> list[str]:
    return " ".join(in_words(task, story)[0]).replace("? -", "? - .").split(" . ")


def test_augmentation_of_task_16_by_hand() -> None:
    """Relevant: both frogs, and that Bernhard is green. The second lion and green become what the story has not."""
    (story,) = parse_stories(16, INDUCTION, "qa16 train")
    other = parse_stories(16, INDUCTION.replace("swan", "rhino").replace("gray", "yellow"), "qa16 train")[0]
    found = {augment_induction([story, other], np.random.default_rng(seed))[0].lines for seed in range(20)}
    assert {" ".join(lines[5].words) for lines in found} == {"julius is a rhino .", "julius is a swan ."}
    assert {" ".join(lines[6].words) for lines in found} == {"julius is gray .", "julius is yellow ."}
    for lines in found:
        assert [lines[i] for i in (0, 1, 2, 3, 4, 9)] == [story.lines[i] for i in (0, 1, 2, 3, 4, 9)]
        colours = [line.words[2] for line in lines[:9] if len(line.words) == 4]
        kinds = [line.words[3] for line in lines[:9] if len(line.words) == 5]
        assert len(set(colours)) == 4
        assert len(set(kinds)) == len(kinds) - 1


def test_augmentation_keeps_every_animal_of_the_kind_asked_about() -> None:
    """Of two other frogs the later one gives the answer; the colour of the first is irrelevant, its kind is not."""
    text = INDUCTION.replace("Brian is a lion", "Brian is a frog").replace("\tgreen", "\twhite")
    other = INDUCTION.replace("gray", "yellow")
    lines = augment_induction(parse_stories(16, text + other, "qa16 train"), np.random.default_rng(0))[
        0
    ].lines
    assert [line.words[3] for line in lines[:9] if len(line.words) == 5] == [
        "frog",
        "frog",
        "frog",
        "lion",
        "swan",
    ]
    colours = [line.words[2] for line in lines[:9] if len(line.words) == 4]
    assert colours[:2] == ["green", "white"]
    assert set(colours[2:]) == {"gray", "yellow"}


@pytest.mark.parametrize(
    "text",
    [
        INDUCTION.replace("9 Greg is gray.\n", ""),  # eight facts
        INDUCTION.replace("\tgreen", "\tgray"),  # not the answer that the facts give
        INDUCTION.replace("9 Greg is gray.", "9 Greg went home."),
        INDUCTION.replace("is Lily?", "is Winona?"),
        INDUCTION.replace("Bernhard is a frog", "Bernhard is a swan"),  # no other frog
    ],
)
def test_augmentation_leaves_stories_of_another_form(text: str) -> None:
    stories = parse_stories(16, text, "qa16 train")
    assert augment_induction(stories, np.random.default_rng(0)) == stories


def test_only_training_stories_of_task_16_are_augmented_and_results_say_so() -> None:
    plain, augmented = induction_task(), induction_task(augment_16=True)
    published = sentences(plain, plain.test[0])
    assert [sentences(augmented, story) for story in (*augmented.test, *augmented.validation)] == [
        published
    ] * 5
    assert all(sentences(plain, story) == published for story in plain.train)
    assert not any(sentences(augmented, story) == published for story in augmented.train)
    again = induction_task(augment_16=True)
    assert [sentences(again, s) for s in again.train] == [sentences(augmented, s) for s in augmented.train]
    assert (plain.settings.changes, augmented.settings.changes) == (
        "",
        "training stories of task 16 augmented",
    )
    other = given(augment_16=True)
    assert [in_words(other, story) for story in other.train] == [in_words(given(), s) for s in given().train]


def test_consecutive_duplicates_are_dropped_in_every_story() -> None:
    text = "1 Ann ran home.\n2 Ann ran home.\n3 Where is Ann?\thome\n4 Where is Ann?\thome\n5 Ann ran home.\n"
    text += "1 Bob ran home.\n2 Who ran?\tBob\n"
    task = task_of({TRAIN: text, TEST: text}, drop_duplicates=True)
    shown = [in_words(task, story)[0] for story in task.test]
    assert shown == [
        words("ann ran home . where is ann ? - ann ran home ."),
        words("bob ran home . who ran ? -"),
    ]
    assert {in_words(task, story)[0] for story in (*task.train, *task.validation)} == set(shown)
    assert task.settings.changes == "consecutive duplicate lines dropped"
    kept = task_of({TRAIN: text, TEST: text})
    assert len(in_words(kept, kept.test[0])[0]) == 4 * 3 + 5 * 2


def test_binary_cross_entropy_of_the_answers() -> None:
    """Summed over symbols, mean over answer words, written out; training and scores use it, errors do not."""
    task, plain = given(loss="binary_cross_entropy"), given()
    batch = task.next_batch()
    outputs = np.random.default_rng(0).standard_normal((*batch.inputs.shape, task.output_size))
    assert batch.mask is not None
    due, one_hot = batch.mask, np.eye(task.output_size)[batch.targets]
    p = np.exp(outputs) / np.exp(outputs).sum(axis=2, keepdims=True)
    nats = -(one_hot * np.log(p) + (1 - one_hot) * np.log(1 - p)).sum(axis=2)
    loss, count, gradient = task.loss(outputs, batch)
    assert (loss, count) == (pytest.approx(nats[due].mean()), due.sum())
    assert not gradient[~due].any()
    step = 1e-6 * np.random.default_rng(1).standard_normal(outputs.shape)
    rise = task.loss(outputs + step, batch)[0] - task.loss(outputs - step, batch)[0]
    assert rise == pytest.approx(2 * (gradient * step).sum(), rel=1e-6)
    scores, usual = (task.score(knowing(task)) for task in (task, plain))
    assert scores["loss"] > usual["loss"]
    assert scores["mean_error"] == usual["mean_error"] == 0


def test_a_story_of_one_line_ends_where_the_next_has_its_number() -> None:
    stories = parse_stories(1, "1 Who ran?\tAnn\n1 Who ran?\tBob\n2 Who ran?\tAnn\n", "qa1 train")
    assert [len(story.lines) for story in stories] == [1, 2]


def test_archive_and_folder_say_the_same(tmp_path: Path) -> None:
    contents = files()
    archive = save_archive(
        tmp_path / "any-name.tar.gz", {**contents, f"{FOLDER}/README": "read me", "._x": b"\xff"}
    )
    folder = save_folder(tmp_path, contents)
    one, other = read_babi(archive, "en-10k"), read_babi(folder, "en-10k")
    assert one == other
    assert one.titles == TITLES
    assert one.train[8] == contents[f"{FOLDER}/en-10k/qa8_what-is-held_train.txt"]
    assert len(one.sha256) == 64
    changed = save_archive(
        tmp_path / "b.tar.gz", {**contents, TEST: contents[TEST] + "1 Bob.\n2 Who?\tBob\n"}
    )
    assert read_babi(changed, "en-10k").sha256 != one.sha256
    part = read_babi(archive, "en-10k", (8, 19))
    assert list(part.train) == list(part.test) == list(part.titles) == [8, 19]
    assert part.sha256 != one.sha256
    assert {path.name for path in tmp_path.iterdir()} == {"any-name.tar.gz", "b.tar.gz", FOLDER}


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMDNC_DATA", str(tmp_path))
    with pytest.raises(
        UserError, match=r"must be on disk as .* got no such thing in .*Download https://.*--data"
    ):
        find_babi(None)
    for name in (f"babi_{FOLDER}.tar.gz", f"{FOLDER}.tar.gz"):
        archive = save_archive(tmp_path / name, files())
        assert find_babi(None) == find_babi(tmp_path) == find_babi(archive) == archive
    folder = save_folder(tmp_path, files())
    assert find_babi(None) == find_babi(tmp_path) == find_babi(folder) == folder
    with pytest.raises(UserError, match=r"got no such thing at .*nowhere"):
        find_babi(tmp_path / "nowhere")


@pytest.mark.parametrize("save", [save_archive, save_folder])
def test_subsets_with_stories_that_validate(tmp_path: Path, save: Any) -> None:
    """As the published en-valid and en-valid-10k: names without titles, and a third part."""
    contents = files()
    other = {
        name.replace("en-10k", "en-valid-10k").replace(f"_{title}", ""): text
        for name, text in contents.items()
        for title in TITLES.values()
        if title in name
    }
    valid = {name.replace("train", "valid"): text for name, text in other.items() if "train" in name}
    valid = {name: text.replace("attic", "loft") for name, text in valid.items()}
    place = save(tmp_path / "data", {**contents, **other, **valid})
    found = read_babi(place, "en-valid-10k")
    assert found.titles == TITLES
    assert list(found.valid) == list(TITLES)
    task = BabiTask(found, BabiSettings(subset="en-valid-10k"), 0)
    assert len(task.train) == len(task.validation) == 90
    assert "loft" in task.vocabulary.words
    assert any("loft" in in_words(task, story)[0] for story in task.validation)
    assert not any("loft" in in_words(task, story)[0] for story in task.train)
    plain = read_babi(place, "en-10k")
    assert (plain.valid, plain.sha256) == ({}, read_babi(save(tmp_path / "plain", contents), "en-10k").sha256)
    assert plain.sha256 != found.sha256
    del valid[f"{FOLDER}/en-valid-10k/qa8_valid.txt"]
    lacking = save(tmp_path / "lacking", {**other, **valid})
    assert read_babi(lacking, "en-valid-10k", (1,)).titles == {1: ""}
    with pytest.raises(UserError, match=r"must hold en-valid-10k/qa8_\.\._valid\.txt, got none"):
        read_babi(lacking, "en-valid-10k")


def test_byte_order_marks_and_line_ends_change_nothing(tmp_path: Path) -> None:
    plain = read_babi(save_archive(tmp_path / "plain.tar.gz", files()), "en-10k")
    for number, end in enumerate(("\n", "\r\n", "\r")):
        changed = {name: "\ufeff" + text.replace("\n", end) for name, text in files().items()}
        found = read_babi(save_archive(tmp_path / f"{number}.tar.gz", changed), "en-10k")
        for task, text in plain.train.items():
            assert parse_stories(task, found.train[task], "x") == parse_stories(task, text, "x")
    (story,) = parse_stories(1, "\ufeff1 Ann\u2028ran\x0chome.\n2 Which way?\t n , s\t1\n", "x")
    assert [line.words for line in story.lines] == [words("ann ran home ."), words("which way ?")]
    assert story.lines[1].answers == ("n", "s")


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.tar.gz"
    os.mkfifo(pipe)
    folder = save_folder(tmp_path, files())
    file = tmp_path / TRAIN
    file.unlink()
    os.mkfifo(file)
    for path in (pipe, Path("/dev/zero"), folder):
        with pytest.raises(UserError, match="must be readable, got: it is a pipe or a device, not a regular"):
            read_babi(path, "en-10k")
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="it is a pipe or a device, not a regular file"):
        read_babi(folder, "en-10k")


def test_files_have_a_limit_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these is small enough by itself."""
    large = {f"{FOLDER}/en-10k/qa{number}_x_train.txt": bytes(1000) for number in range(1, 40)}
    monkeypatch.setattr("numdnc.tasks.babi.files._LARGEST_SUBSET", 38_999)
    for place in (save_archive(tmp_path / "a.tar.gz", large), save_folder(tmp_path / "b", large)):
        with pytest.raises(
            UserError, match="the files of en-10k must have at most 38,999 bytes together, got more"
        ):
            read_babi(place, "en-10k")
    monkeypatch.setattr("numdnc.tasks.babi.files._LARGEST_ARCHIVE", 100_000)
    others = {f"{FOLDER}/README{number}.txt": bytes(1 << 16) for number in range(3)}
    with pytest.raises(UserError, match="must be readable, got: it unpacks to more than 100,000 bytes"):
        read_babi(save_archive(tmp_path / "c.tar.gz", {**files(), **others}), "en-10k")


def bad_archive(path: Path, kind: str) -> Path:
    contents: dict[str, Any] = dict(files())
    if kind == "climbs":
        return save_archive(path, {**contents, "../../etc/evil": "x"})
    if kind == "climbs inside":
        return save_archive(path, {**contents, f"{FOLDER}/../../evil": "x"})
    if kind == "absolute":
        return save_archive(path, {**contents, "/etc/evil": "x"})
    if kind == "twice":
        return save_archive(path, {**contents, f"{FOLDER}/en-10k/qa1_other_train.txt": "x"})
    if kind == "large":
        return save_archive(path, {**contents, TRAIN: bytes((1 << 26) + 1)})
    if kind == "not UTF-8":
        return save_archive(path, {**contents, TRAIN: b"\xff"})
    if kind == "incomplete":
        del contents[TEST]
        return save_archive(path, contents)
    if kind == "other":
        return save_archive(path, {"README": "nothing"})
    save_archive(path, contents)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    elif kind == "no gzip":
        path.write_bytes(b"hello" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "a bit flipped":
        damaged(path)
    return path


@pytest.mark.parametrize(
    ("kind", "expect"),
    [
        ("climbs", r"must hold paths inside its own folder, got '\.\./\.\./etc/evil'"),
        ("climbs inside", "must hold paths inside its own folder"),
        ("absolute", "must hold paths inside its own folder, got '/etc/evil'"),
        ("twice", "must hold task 1's train file once"),
        ("large", "must have at most 67,108,864 bytes, got 67,108,865"),
        ("not UTF-8", "must be UTF-8, got byte 0xff"),
        ("incomplete", r"must hold en-10k/qa1_\.\._test\.txt, got none"),
        ("other", "must hold a folder en-10k of files .*got none of the kind"),
        ("cut", r"must be a whole tar\.gz archive"),
        ("no gzip", r"must be a whole tar\.gz archive"),
        ("empty", r"must be a whole tar\.gz archive"),
        ("a bit flipped", r"must be a whole tar\.gz archive.*CRC"),
    ],
)
def test_bad_archives(tmp_path: Path, kind: str, expect: str) -> None:
    with pytest.raises(UserError, match=expect) as caught:
        read_babi(bad_archive(tmp_path / "a.tar.gz", kind), "en-10k")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_what_there_is_not(tmp_path: Path) -> None:
    archive = save_archive(tmp_path / "a.tar.gz", files())
    with pytest.raises(UserError, match=r"must hold a folder hn of files .*got en-10k"):
        read_babi(archive, "hn")
    with pytest.raises(UserError, match=r"must hold en-10k/qa2_\.\._train\.txt, got none"):
        read_babi(archive, "en-10k", (1, 2))


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("1 Ann ran.\nhello\n", "must be a number and a sentence, got 'hello' as line 2"),
        ("1 Ann ran.\n2 \n", "must be a number and a sentence"),
        ("1 Where is Ann?\t\t1\n", "must have words and an answer, got .* as line 1"),
        ("1 \tattic\t1\n", "must have words and an answer"),
        ("1 Ann ran.\n2 Bob ran.\n", "must ask something, got one that begins with 'ann ran .'"),
        ("\n", "must hold stories, got none"),
        ("1" * 5000 + " Ann ran.\n", "must be a number and a sentence, got '1111"),
        ("\u0661 Ann ran.\n", "must be a number and a sentence"),
        ("1 Where?\t, ,\t1\n", "must have words and an answer"),
    ],
)
def test_malformed_files(text: str, expect: str) -> None:
    with pytest.raises(UserError, match=expect):
        parse_stories(1, text, "qa1 train")


@pytest.mark.parametrize(
    ("settings", "expect"),
    [
        ({"only": "1,x"}, "only must be numbers of tasks"),
        ({"only": "0"}, "only must be numbers of tasks"),
        ({"only": "1" * 5000}, "only must be numbers of tasks"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"evaluated": 0}, "evaluated must be at least 1"),
        ({"pause": -1}, "pause must be at least 0"),
        ({"longest": -1}, "longest must be at least 0"),
        ({"validation": 0}, "validation must lie between 0 and 1"),
        (
            {"validation": 0.99},
            "validation must leave stories to train on, got 0.99 of the 30 stories of task 1",
        ),
        ({"longest": 1}, "longest must leave stories to train on, got 1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], expect: str) -> None:
    with pytest.raises(UserError, match=expect):
        given(**settings)


def test_stories_that_validate_are_never_trained_on() -> None:
    task = given(validation=0.2)
    assert Counter(story.task for story in task.train) == dict.fromkeys(TITLES, 24)
    assert Counter(story.task for story in task.validation) == dict.fromkeys(TITLES, 6)
    assert not {id(story) for story in task.train} & {id(story) for story in task.validation}
    # Each story of the file is in one of them, once: see the plain reading. Here: the same ones for the same seed,
    # whatever other tasks there are and however they are batched.
    contents = files()
    alone_8 = task_of(
        {name: text for name, text in contents.items() if "qa8" in name}, validation=0.2, batch=3
    )
    chosen = [in_words(task, story) for story in task.validation if story.task == 8]
    assert [in_words(alone_8, story) for story in alone_8.validation] == chosen
    other = task_of(contents, seed=1, validation=0.2)
    assert [in_words(other, story) for story in other.validation if story.task == 8] != chosen
    drawn = []
    for _ in range(task.batches):
        batch = task.next_batch()
        drawn += [single_sequence(batch, row).inputs.tobytes() for row in range(batch.inputs.shape[1])]
    assert Counter(drawn) == Counter(
        story.batch.inputs.tobytes() for story in task.train
    )  # an epoch: each once


def test_long_stories_may_be_left_out_of_training_but_not_of_scores() -> None:
    whole, cut = given(), given(longest=20)
    assert whole.longest > 20 >= cut.longest
    assert [story.steps for story in cut.train] == [story.steps for story in whole.train if story.steps <= 20]
    assert len(cut.validation) == len(whole.validation)
    assert len(cut.test) == len(whole.test)


def test_batches_have_stories_of_about_equal_length() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 300, 5003).tolist()
    batches = batches_by_length(lengths, 16, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(5003))
    assert sorted(map(len, batches))[:2] == [11, 16]
    share = padding_share(lengths, batches)
    held = np.concatenate([np.full(len(batch), max(lengths[i] for i in batch)) for batch in batches])
    assert share == pytest.approx(1 - sum(lengths) / held.sum())
    assert share < 0.06 < padding_share(lengths, np.split(rng.permutation(5003)[:5000], 500))
    again = batches_by_length(lengths, 16, np.random.default_rng(1))
    assert all(map(np.array_equal, batches, again))
    longest_first = [max(lengths[i] for i in batch) for batch in batches[:32]]
    assert longest_first != sorted(longest_first)  # the order of a pool's batches is shuffled


def test_batches_come_in_no_order_of_length() -> None:
    lengths = list(range(64))
    longest = [max(batch) for batch in batches_by_length(lengths, 2, np.random.default_rng(0))]
    assert sorted(longest) == list(range(1, 64, 2))
    rises = sum(b > a for a, b in pairwise(longest))
    assert 8 <= rises <= 23  # of 31; measured 16
    first_pool = batches_by_length([1] * 256, 2, np.random.default_rng(0))[:32]
    assert max(map(max, first_pool)) > 192 > 64 > min(map(min, first_pool))


def test_each_epoch_has_an_order_of_its_own() -> None:
    task = given(batch=4)
    first, second = ([task.next_batch().inputs.tobytes() for _ in range(task.batches)] for _ in range(2))
    assert first != second


def test_goes_on_from_any_position() -> None:
    task = given()
    count = 2 * task.batches + 3
    positions, batches = [], []
    for _ in range(count):
        positions.append(task.position())
        batches.append(task.next_batch())
    for at in (0, 5, task.batches - 1, task.batches, task.batches + 1, count - 1):
        other = given()
        other.move_to(positions[at])
        assert other.position() == positions[at]
        for batch in batches[at:]:
            assert all(map(np.array_equal, other.next_batch(), batch))
    first, second = (
        [b.inputs.tobytes() for b in batches[at : at + task.batches]] for at in (0, task.batches)
    )
    assert first != second  # each epoch has an order of its own


def test_batches_are_padded_with_blanks_that_ask_for_nothing() -> None:
    task = given(batch=60)
    batch = task.next_batch()
    assert batch.starts_sequence
    assert batch.mask is not None
    lengths = set()
    for row in range(batch.inputs.shape[1]):
        steps = len(np.trim_zeros(batch.inputs[:, row], "b"))
        lengths.add(steps)
        assert not batch.mask[steps:, row].any()
        np.testing.assert_array_equal(batch.mask[:, row], batch.inputs[:, row] == 1)
    assert len(lengths) > 1


def test_loss_counts_answers_alone() -> None:
    task = given()
    batch = task.next_batch()
    assert batch.mask is not None
    outputs = np.random.default_rng(0).standard_normal((*batch.inputs.shape, task.output_size))
    nats, count, d_outputs = task.loss(outputs, batch)
    expected, d_expected = softmax_cross_entropy(outputs, batch.targets.astype(int), batch.mask)
    assert count == batch.mask.sum()
    assert nats == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(d_outputs, d_expected, atol=1e-15)


def test_a_question_is_right_only_if_all_its_words_are() -> None:
    due = np.array([0, 1, 0, 1, 1, 0, 0, 1, 1, 1], bool)
    right = np.array([1, 1, 0, 1, 0, 1, 0, 1, 1, 1], bool)
    assert correct_questions(right, due).tolist() == [True, False, True]
    assert correct_questions(~due, due).tolist() == [False, False, False]


def test_scores() -> None:
    task = given(evaluated=4, validation=0.5)
    perfect = task.score(knowing(task))
    assert perfect["mean_error"] == perfect["failed"] == 0
    assert list(perfect) == ["mean_error", "loss", "failed", "error_1", "error_8", "error_19"]
    assert task.solved(perfect)
    assert perfect["loss"] == pytest.approx(np.log(1 + (task.output_size - 2 + 1) * np.exp(-9)), rel=1e-9)
    # Every second word of an answer wrong: in task 8 all questions that want two words or more, in 19 all, in 1 none.
    lamp = task.vocabulary.symbols.index("lamp")

    def second_wrong(answer: int, read: tuple[int, ...]) -> int:
        return 0 if len(read) > 1 and read[-2:] == (1, 1) else answer

    for whole, stories in ((False, task.evaluated), (True, task.test)):
        counts = {number: [0, 0] for number in TITLES}
        for story in stories:
            _, wanted = in_words(task, story)
            for answer in " ".join(word or "|" for word in wanted).split("|"):
                if answer.strip():
                    counts[story.task][0] += len(answer.split()) > 1
                    counts[story.task][1] += 1
        errors = {f"error_{number}": wrong / asked for number, (wrong, asked) in counts.items()}
        found = task.score(knowing(task, second_wrong), whole=whole)
        assert found["error_1"] == 0 < found["error_8"] < found["error_19"] == 1
        assert {name: found[name] for name in errors} == errors
        assert found["mean_error"] == pytest.approx(sum(errors.values()) / 3)
        assert found["failed"] == 2
        assert not task.solved(found)
    never_lamp = task.score(knowing(task, lambda answer, read: 0 if answer == lamp else answer))
    assert never_lamp["error_1"] == never_lamp["error_19"] == 0 < never_lamp["error_8"]


def test_a_hundred_stories_are_scored_each_once_and_a_task_fails_above_a_twentieth() -> None:
    """More stories than are scored at once; those with errors are the last."""
    text = "".join(f"1 Ann ran to p{n:02}.\n2 Where is Ann?\tp{n:02}\t1\n" for n in range(100))
    task = task_of({TRAIN: text, TEST: text})
    numbers = [task.vocabulary.symbols.index(f"p{n:02}") for n in range(100)]
    for errors in (5, 6):
        wrong = numbers[100 - errors :]
        found = task.score(knowing(task, lambda answer, read: 0 if answer in wrong else answer), whole=True)  # noqa: B023
        assert (found["mean_error"], found["failed"]) == (errors / 100, errors > 5)
        rest = np.log(np.exp(9) + task.output_size - 1)
        assert found["loss"] == pytest.approx(rest - 9 * (100 - errors) / 100, rel=1e-9)


def test_progress_lines_are_scored_on_a_fixed_part() -> None:
    task = given(evaluated=5, validation=0.5)
    assert {id(story) for story in task.evaluated} <= {id(story) for story in task.validation}
    for number in TITLES:
        chosen = [story for story in task.evaluated if story.task == number]
        asked = []
        for story in chosen:
            _, wanted = in_words(task, story)
            asked.append(sum(bool(word) and not before for before, word in pairwise(("", *wanted))))
        assert sum(asked) >= 5 > sum(asked[:-1])
    again = given(evaluated=5, validation=0.5)
    again.next_batch()
    assert [in_words(task, s) for s in task.evaluated] == [in_words(again, s) for s in again.evaluated]
    everything = given(evaluated=10**6)
    assert len(everything.evaluated) == len(everything.validation)
    example = task.example(4)
    assert example.inputs.shape[1] == 4
    shown = {single_sequence(example, row).inputs.tobytes() for row in range(4)}
    assert shown <= {story.batch.inputs.tobytes() for story in task.evaluated}


def test_what_somebody_types() -> None:
    lines = parse_lines("Ann ran, home.  Where is ANN? what? she", 2)
    assert [line.words for line in lines] == [
        ("ann", "ran", "home", "."),
        ("where", "is", "ann", "?"),
        ("what", "?"),
        ("she",),
    ]
    assert [len(line.answers) for line in lines] == [0, 2, 2, 0]
    assert [line.words for line in parse_lines("where is ann?? .")] == [("where", "is", "ann", "?")]
    assert parse_lines(" \n ") == parse_lines(" ? . ") == ()
    vocabulary = Vocabulary(("?", "cellar", "is", "where"))
    assert vocabulary.encode(["where", "is", "cellar", "?"]).tolist() == [5, 4, 3, 2]
    with pytest.raises(UserError, match=r"among the 4 .* got others: 'celar', 'xyz'\. Similar: cellar\."):
        vocabulary.encode(["where", "celar", "xyz", "celar"])
    with pytest.raises(UserError, match=r"got others: '-'\. Use other words"):
        vocabulary.encode(["-"])
    assert vocabulary.read(parse_lines("where is?")[0], 2).tolist() == [5, 4, 2, 0, 0, 1]


def real() -> Path | None:
    """The archive, in the data folder or beside the project."""
    places = [Path(os.environ["NUMDNC_DATA"])] if "NUMDNC_DATA" in os.environ else []
    for place in (*places, Path(__file__).parents[3] / "shared" / "data"):
        try:
            return find_babi(place) if place.exists() and find_babi(place) != place else None
        except UserError:
            continue
    return None


@pytest.mark.skipif(real() is None, reason="needs bAbI, in NUMDNC_DATA")
def test_the_real_archive() -> None:
    path = real()
    assert path is not None
    found = read_babi(path, "en-10k")
    task = BabiTask(found, BabiSettings(), 0)
    assert list(task.titles) == list(range(1, 21))
    question = task.vocabulary.symbols.index("?")
    asked: dict[str, Counter[int]] = {"train": Counter(), "test": Counter()}
    for part, stories in (("train", (*task.train, *task.validation)), ("test", task.test)):
        for story in stories:
            asked[part][story.task] += story.batch.inputs[:, 0].tobytes().count(bytes([question, 1]))
    for number in task.titles:
        assert asked["train"][number] == found.train[number].count("\t") / 2
        assert asked["test"][number] == found.test[number].count("\t") / 2
        assert 900 <= asked["test"][number] <= 1100
        assert 9000 <= asked["train"][number] <= 11000
    assert task.padding < 0.2  # 0.170 and 0.199 measured; the stories of task 3 are long
    lengths = [story.steps for story in task.train]
    assert padding_share(lengths, batches_by_length(lengths, 32, np.random.default_rng(0))) < 0.22
    for number in task.titles:
        expected = [(tuple(read), tuple(wanted)) for read, wanted in plain_reading(found.test[number])]
        same = [in_words(task, story) for story in task.test if story.task == number] == expected
        assert same, number


def test_longest_counts_what_is_left_without_duplicates() -> None:
    text = "1 Ann ran home.\n2 Ann ran home.\n3 Where is Ann?\thome\n" * 4 + "1 Who ran?\tAnn\n" * 4
    dropped, kept = (
        task_of({TRAIN: text, TEST: text}, drop_duplicates=drop, longest=9) for drop in (True, False)
    )
    assert {story.steps for story in dropped.train} == {4, 9}
    assert {story.steps for story in kept.train} == {4}
    assert len(dropped.train) == 7
