"""`train babi`, and what the other commands do with its runs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tyro.conf import OmitArgPrefixes

from numdnc import console
from numdnc.cli import progress
from numdnc.cli.options import BABI, DataFolder, ModelOptions, check_batch
from numdnc.cli.training import SessionOptions, Training, View, checked_run
from numdnc.cli.user_state import find_data_path, save_data_path
from numdnc.errors import UserError
from numdnc.inspection.trace import About
from numdnc.params import Array
from numdnc.reference.activations import softmax
from numdnc.schema import validated
from numdnc.tasks import Batch, Forward, Scores
from numdnc.tasks.babi import (
    BLANK,
    BabiSettings,
    BabiTask,
    Line,
    Vocabulary,
    find_babi,
    parse_lines,
    read_babi,
)
from numdnc.tasks.babi.task import EVAL_BATCH, FAILURE_THRESHOLD
from numdnc.tasks.sequences import loss_mask
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings

_MODEL = ModelOptions(hidden=128, memory_size=64, word_size=32, read_heads=4)
_TRAINING = TrainingSettings(steps=60_000, report_every=500, input_scale=20)
_OPTIMIZER = OptimizerSettings(learning_rate=1e-3, clip_norm=10)


def train_babi(
    *,
    data_folder: DataFolder = None,
    model: OmitArgPrefixes[ModelOptions] = _MODEL,
    babi: OmitArgPrefixes[BabiSettings] = BabiSettings(),
    training: OmitArgPrefixes[TrainingSettings] = _TRAINING,
    optimizer: OmitArgPrefixes[OptimizerSettings] = _OPTIMIZER,
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
) -> Training:
    """Answer questions about short stories, twenty kinds in one model (bAbI; Weston et al. 2015).

    On stories made by the published simulator 15 % of the test is wrong after 40,000 updates, 3 hours on one core, and
    10 % with masking, deallocation and layer norm (1 seed each). --published takes the settings of Graves et al. 2016.

    Args:
        data_folder: The published archive, its unpacked folder, or a folder with either (or set NUMDNC_DATA).

    """
    found = find_babi(data_folder)
    files = read_babi(found, babi.subset, babi.numbers)
    task = BabiTask(files, babi, training.seed)
    states = max(babi.batch * (task.longest + 2), 3 * EVAL_BATCH)
    save_data_path(files.sha256, found)
    described = {
        "name": task.name,
        "kind": BABI,
        "settings": dataclasses.asdict(babi),
        "data": found.resolve().name,
        "sha256": files.sha256,
        "words": list(task.vocabulary.words),
    }
    run = checked_run(
        task,
        described,
        model,
        training,
        optimizer,
        session,
        batch=babi.batch,
        states=states,
    )
    about = (
        f"{len(task.titles)} tasks of {babi.subset}, {len(task.vocabulary.words)} words; "
        f"{len(task.train):,} stories to train on, {len(task.validation):,} to validate, {len(task.test):,} to test; "
        f"{task.batches:,} updates an epoch, {100 * task.padding:.0f} % of their steps padding"
    )
    return Training(run, task, babi_view(run, task), f"babi-{model.model}", about, session)


def babi_task(run: Run, data_folder: Path | None) -> BabiTask:
    """The task of a run, on the same stories."""
    settings, _ = described(run)
    told, sha256 = run.task["data"], run.task["sha256"]
    given = Path(find_data_path(sha256, told)) if data_folder is None else data_folder
    try:
        files = read_babi(find_babi(given), settings.subset, settings.numbers)
    except UserError as error:
        hint = "" if data_folder else " If the run's data has moved, say with --data where it lies now."
        raise UserError(f"{error}{hint}") from None
    if files.sha256 != sha256:
        raise UserError(
            f"the stories must be those the run was started with (SHA-256 {sha256[:12]}..), "
            f"got others at {given} ({files.sha256[:12]}..). Give the old ones with --data."
        )
    run.task = {**run.task, "data": Path(told).name}  # earlier versions noted the whole path
    save_data_path(sha256, given)
    return BabiTask(files, settings, run.training.seed)


@dataclass(frozen=True, kw_only=True)
class _Described:
    """The task as a checkpoint says it."""

    name: str
    kind: str
    settings: BabiSettings
    data: str
    """The name of the archive or folder, not where it lies, which nobody else need know."""
    sha256: str
    words: tuple[str, ...]


def described(run: Run) -> tuple[BabiSettings, Vocabulary]:
    """Settings and words of a run."""
    try:
        told = validated(_Described, run.task)
        vocabulary = Vocabulary(told.words)
        if not len(vocabulary.symbols) == run.spec.input_size == run.spec.output_size:
            raise UserError(f"{len(vocabulary.symbols)} symbols for {run.spec.input_size} inputs")
        check_batch(run, told.settings.batch)
        return told.settings, vocabulary
    except UserError as error:
        raise UserError(
            f"the run must be one of bAbI as this version knows it, got a checkpoint of another ({error}). "
            "Use the version of numdnc that wrote it."
        ) from None


def babi_view(run: Run, task: BabiTask) -> View:
    """What people see of such a run: losses and errors, and a story with the model's answers."""

    def story() -> str:
        turn = run.iteration // run.training.report_every
        batch = task.evaluated[turn % len(task.evaluated)].batch
        return story_in_words(batch, run.forward(batch.inputs, None)[0], task.vocabulary)

    return View(
        line=lambda report: progress.babi_line(report, len(task.titles)),
        sample=story,
        score="mean error",
        number=lambda error: f"{100 * error:.2f} %",
        result=lambda report: error_words(report.scores, len(task.titles)),
        commands=("eval {}", 'ask {} "Mary went to the kitchen. Where is Mary?"', "view {}", "diagnose {}"),
    )


def story_in_words(batch: Batch, outputs: Array, vocabulary: Vocabulary) -> str:
    """A story, a line a sentence, with the model's answers and, where they are wrong, the right ones."""
    symbols, due = vocabulary.symbols, loss_mask(batch)[:, 0]
    lines: list[list[str]] = [[]]
    for number, target, y, asked in zip(
        batch.inputs[:, 0], batch.targets[:, 0], outputs[:, 0], due, strict=True
    ):
        if asked:
            best = int(y.argmax())
            wrong = "" if best == target else f", right: {symbols[target]}"
            (lines[-1] or lines[-2]).append(f"{symbols[best]} ({100 * softmax(y)[best]:.0f} %{wrong})")
        elif number != BLANK:
            lines[-1].append(symbols[number])
            if symbols[number] in (".", "?"):
                lines.append([])
    return "\n".join(" ".join(line) for line in lines if line)


def error_words(scores: Scores, tasks: int) -> str:
    """Mean error and failed tasks."""
    return (
        f"mean error {100 * scores['mean_error']:.2f} %, {scores['failed']:.0f} of {tasks} tasks failed "
        f"(above {100 * FAILURE_THRESHOLD:.0f} %), loss {console.loss(scores['loss'])}"
    )


def evaluate_babi(
    run: Run, forward: Forward, lesioned: Forward | None, data_folder: Path | None, *, as_json: bool
) -> None:
    """Errors on the stories of the test: of each task, their mean, and how many tasks are failed."""
    task = babi_task(run, data_folder)
    with console.waiting_for("answering the questions of the test"):
        scores = task.score(forward, whole=True)
        without = None if lesioned is None else task.score(lesioned, whole=True)
    if as_json:
        result = {"task": task.name, "iteration": run.iteration, "stories": len(task.test), **scores}
        if without is not None:
            result["without_reads"] = without
        console.say_json(result)
        return
    tested = [scores] if without is None else [scores, without]
    rows = [["task", "error %", *(["without reads"] if without else []), ""]]
    for number, title in task.titles.items():
        errors = [found[f"error_{number}"] for found in tested]
        verdict = "failed" if errors[0] > FAILURE_THRESHOLD else ""
        rows.append(
            [f"{number:2} {title.replace('-', ' ')}", *(f"{100 * error:.2f}" for error in errors), verdict]
        )
    console.say(console.table_lines(rows))
    console.say()
    console.say(
        f"{error_words(scores, len(task.titles))}; {len(task.test):,} stories of the test (iteration {run.iteration})"
    )
    if without is not None:
        console.say(f"{error_words(without, len(task.titles))}; with every read vector zeroed")


def ask_story(run: Run, forward: Forward, text: str, *, answer_words: int, shown: int, as_json: bool) -> None:
    """Print the model's answer to each question of a story that somebody typed, and the next likely words."""
    settings, vocabulary = described(run)
    lines = parse_lines(text, answer_words)
    outputs, _ = forward(story_input(lines, vocabulary, settings.pause).inputs, None)
    probabilities = softmax(outputs[:, 0])
    answers, steps = [], 0
    for line in lines:
        steps += len(vocabulary.read(line, settings.pause))
        if line.answers:
            due = probabilities[steps - len(line.answers) : steps]
            answers.append((line.words, [_likeliest(p, vocabulary, shown) for p in due]))
    if as_json:
        found = [{"question": " ".join(words), "answer": answer} for words, answer in answers]
        console.say_json(found)
        return
    for words, answer in answers:
        console.say(" ".join(words))
        for likeliest in answer:
            text = ", ".join(f"{word} {100 * share:.1f} %" for word, share in likeliest.items())
            console.say(f"   {text}")


def story_input(lines: Sequence[Line], vocabulary: Vocabulary, pause: int) -> Batch:
    """A story that somebody typed, as a batch of one; nobody knows the answers, so the loss counts nowhere."""
    if not any(line.answers for line in lines):
        raise UserError(
            "a story must ask something, got none that ends with a question mark. "
            'Say it as in "Mary went to the kitchen. Where is Mary?".'
        )
    vocabulary.encode([word for line in lines for word in line.words])  # names all strangers at once
    inputs = np.concatenate([vocabulary.read(line, pause) for line in lines])[:, None]
    return Batch(inputs, np.zeros_like(inputs), mask=np.zeros(inputs.shape, bool))


def trace_story(
    run: Run, engine: str, given: str | None, sample: int, data_folder: Path | None
) -> tuple[Batch, About]:
    """A story to be traced: one of those that progress lines are scored on, or one given by hand."""
    settings, vocabulary = described(run)
    if given is None:
        task = babi_task(run, data_folder)
        if not 0 <= sample < len(task.evaluated):
            raise UserError(
                f"the story must be one of 0..{len(task.evaluated) - 1}, those scored on, got {sample}."
            )
        story = task.evaluated[sample]
        batch, sequence = story.batch, f"story {sample} of those scored on, of task {story.task}"
    else:
        batch, sequence = story_input(parse_lines(given), vocabulary, settings.pause), "a story given by hand"
    about = About(
        task="babi",
        settings=dataclasses.asdict(settings),
        sequence=sequence,
        iteration=run.iteration,
        engine=engine,
        input_channels=vocabulary.symbols,
        output_channels=vocabulary.symbols,
    )
    return batch, about


def _likeliest(probabilities: Array, vocabulary: Vocabulary, shown: int) -> dict[str, float]:
    """The likeliest words and their probabilities, highest first."""
    order = np.argsort(-probabilities, kind="stable")[:shown]
    return {vocabulary.symbols[number]: float(probabilities[number]) for number in order}
