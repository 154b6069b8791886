"""`train text` and `sample`."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import OmitArgPrefixes, Positional, arg

from numdnc import console, data
from numdnc.cli import progress
from numdnc.cli.options import BABI, EPISODES, DataFolder, EngineName, ModelOptions, check_batch
from numdnc.cli.training import SessionOptions, Training, View, checked_run
from numdnc.cli.user_input import as_symbols
from numdnc.cli.user_state import find_data_path, save_data_path
from numdnc.corpora import CORPORA, EMBEDDED
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.schema import validated
from numdnc.tasks.text import TextSettings, TextTask, Unit, Vocabulary, sample, segments_at_once
from numdnc.training.folder import RunFolder
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, finite_forward

SAMPLE_LENGTH = 200
_TRAINING = TrainingSettings(steps=4800, input_scale=16)
_OPTIMIZER = OptimizerSettings(learning_rate=0.01, weight_noise=0.03)


def train_text(
    *,
    corpus: Annotated[str, arg(aliases=["-c"])] = EMBEDDED,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(),
    text: OmitArgPrefixes[TextSettings] = TextSettings(),
    training: OmitArgPrefixes[TrainingSettings] = _TRAINING,
    optimizer: OmitArgPrefixes[OptimizerSettings] = _OPTIMIZER,
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
    data_folder: DataFolder = None,
) -> Training:
    """Predict a text character by character, and score it on a part that is held out.

    On the text that comes with Python, held-out bits per character after 4,800 updates, one to two minutes on one core:
    1.78 with a DNC or an LSTM, 2.06 with an RNN (1 seed each).

    Args:
        corpus: A text file, or a name that `numdnc data list` knows.
        data_folder: Folder to look for named corpora in (or set NUMDNC_DATA).

    """
    found = data.load(corpus, data_folder)
    task = TextTask(found, text, training.seed)
    trained, held_out = task.characters
    # Beside a window's states there are, when scoring, three or so of every stretch that is scored at once.
    states = max(text.batch * (text.window + 2), 3 * segments_at_once(held_out))
    _note_place(corpus, found)
    described = {
        "name": task.name,
        "settings": dataclasses.asdict(text),
        "corpus": corpus if corpus in CORPORA else Path(corpus).name,
        "sha256": found.sha256,
        "vocabulary": task.vocabulary._asdict(),
    }
    del found  # a large text need not be held twice
    run = checked_run(
        task,
        described,
        model,
        training,
        optimizer,
        session,
        batch=text.batch,
        states=states,
    )
    about = f"{task.corpus_name}: {trained:,} characters to train on, {held_out:,} held out, {task.input_size} symbols"
    return Training(run, task, text_view(run, task), f"text-{model.model}", about, session)


def sample_text(
    folder: Positional[Path],
    *,
    length: Annotated[int, arg(aliases=["-n"])] = 500,
    prime: Annotated[str | None, arg(aliases=["-p"])] = None,
    temperature: Annotated[float, arg(aliases=["-t"])] = 1.0,
    seed: Annotated[int, arg(aliases=["-s"])] = 0,
    engine: EngineName = "auto",
) -> None:
    """Write text with a model that was trained on text.

    Args:
        folder: The run's folder; its best checkpoint is taken.
        length: Characters to write.
        prime: Text that the model reads first (default: a line break, or the first symbol it knows).
        temperature: Divides the logits: below 1 the text is more regular, above 1 less; 0 = take the likeliest.
        seed: Seed of the random choices.
        engine: What computes the model; auto takes the fastest that can.

    """
    run = RunFolder(folder).load_best()
    if run.task.get("kind") == EPISODES:
        raise UserError(
            f"sample must be given a run of a text, got one of {run.task.get('name')}. "
            f"See what it answers with `numdnc eval {folder} --show`."
        )
    if run.task.get("kind") == BABI:
        raise UserError(
            f"sample must be given a run of a text, got one of bAbI. Ask it something with `numdnc ask {folder} STORY`."
        )
    if seed < 0:
        raise UserError(f"seed must be at least 0, got {seed}.")
    chosen = select_engine(engine, run.spec, run.training.precision)
    vocabulary, _ = described(run)
    raw = vocabulary.unit == "bytes" and not sys.stdout.isatty()
    characters = sample(
        finite_forward(chosen, run.spec, run.params),
        vocabulary,
        length=length,
        prime=_default_prime(vocabulary) if prime is None else as_symbols(prime, vocabulary),
        temperature=temperature,
        rng=np.random.default_rng(seed),
    )
    for character in characters:
        if raw:
            sys.stdout.buffer.write(character.encode("latin-1"))
        else:
            sys.stdout.write(console.terminal_text(character) if sys.stdout.isatty() else character)
        sys.stdout.flush()
    if not raw:
        sys.stdout.write("\n")


def text_view(run: Run, task: TextTask) -> View:
    """What people see of a text's run: bits per character, and text that the model writes."""

    def written() -> str:
        rng = np.random.default_rng([run.training.seed, run.iteration])
        prime = _default_prime(task.vocabulary)
        text = sample(
            run.forward, task.vocabulary, length=SAMPLE_LENGTH, prime=prime, temperature=0.8, rng=rng
        )
        return "".join(text)

    return View(
        line=lambda report: progress.text_line(report, task.unit),
        sample=written,
        score=task.unit,
        number=lambda score: f"{score:.4f}",
        result=lambda report: "",
        commands=("sample {} --length 500", "eval {}", "view {}"),
    )


def text_task(run: Run, corpus: str | None, data_folder: Path | None) -> TextTask:
    """The task of a run, on the same text, byte for byte."""
    _, settings = described(run)
    told, sha256 = run.task["corpus"], run.task["sha256"]
    wanted = corpus or (told if told in CORPORA else find_data_path(sha256, told))
    try:
        found = data.load(wanted, data_folder)
    except UserError as error:
        hint = "" if corpus else " If the run's text has moved, say with --corpus where it lies now."
        raise UserError(f"{error}{hint}") from None
    digest = found.sha256
    if digest != sha256:
        raise UserError(
            f"the corpus must be the one the run was started with (SHA-256 {sha256[:12]}..), "
            f"got another at {wanted} ({digest[:12]}..). Give the old one with --corpus."
        )
    if told not in CORPORA:
        run.task = {**run.task, "corpus": Path(told).name}  # earlier versions noted the whole path
        _note_place(wanted, found)
    return TextTask(found, settings, run.training.seed)


@dataclass(frozen=True, kw_only=True)
class _Symbols:
    symbols: str
    unit: Unit


@dataclass(frozen=True, kw_only=True)
class _Described:
    """The task as a checkpoint says it."""

    name: str
    settings: TextSettings
    corpus: str
    """Its name; of a file without its folder, which nobody else need know."""
    sha256: str
    vocabulary: _Symbols


def described(run: Run) -> tuple[Vocabulary, TextSettings]:
    """Vocabulary and settings of a run's text task."""
    try:
        told = validated(_Described, run.task)
        vocabulary = Vocabulary(told.vocabulary.symbols, told.vocabulary.unit)
        vocabulary.check(run.spec.input_size, run.spec.output_size)
        check_batch(run, told.settings.batch)
        return vocabulary, told.settings
    except UserError as error:
        raise UserError(
            f"the run must be one of the text task as this version knows it, got a checkpoint of another ({error}). "
            "Use the version of numdnc that wrote it."
        ) from None


def _note_place(corpus: str, found: data.Corpus) -> None:
    """Remember, on this machine alone, where a text lies that has no name of its own."""
    if corpus not in CORPORA:
        save_data_path(found.sha256, Path(corpus))


def _default_prime(vocabulary: Vocabulary) -> str:
    return "\n" if "\n" in vocabulary.symbols else vocabulary.symbols[0]
