"""`train`: everything that a model can be trained on, by name."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from numdnc.cli.groups import Command, Group, Other, command
from numdnc.cli.options import DataFolder, ModelOptions, engine_on
from numdnc.cli.policies import PUBLISHED_SHRDLU, interface_commands, train_environment, train_shrdlu
from numdnc.cli.presets import PRESETS, Preset
from numdnc.cli.published import BABI, PUBLISHED
from numdnc.cli.signatures import with_defaults
from numdnc.cli.training import SessionOptions, plan_training
from numdnc.corpora import EMBEDDED
from numdnc.errors import UserError
from numdnc.runs.arrays import ArrayRun
from numdnc.runs.babi import BabiRun
from numdnc.runs.catbabi import CatbabiRun
from numdnc.runs.molecules import MoleculeRun
from numdnc.runs.reinvent import ReinventRun
from numdnc.runs.sequences import SequenceRun
from numdnc.runs.text import TextRun
from numdnc.tasks.arrays import ArraySettings
from numdnc.tasks.babi import BabiSettings
from numdnc.tasks.babi.stream import StreamSettings
from numdnc.tasks.bits.steps import BitsTask
from numdnc.tasks.custom import load_task_class
from numdnc.tasks.graphs.task import GraphTask
from numdnc.tasks.molecules import MoleculeSettings, ReinventSettings
from numdnc.tasks.sequence_task import SequenceSettings
from numdnc.tasks.text import TextSettings
from numdnc.tasks.typed import TypedTask
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings
from numdnc.training.workers import Workers

Start = Callable[[Workers], None]
"""Makes the folder and trains."""


def train_text(
    *,
    corpus: Annotated[tuple[str, ...], arg(aliases=["-c"], metavar="PATH|NAME ..")] = (EMBEDDED,),
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(),
    text: OmitArgPrefixes[TextSettings] = TextSettings(),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(steps=4800, input_scale=16),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(learning_rate=0.01, weight_noise=0.03),
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
    data_folder: DataFolder = None,
) -> Start:
    """Predict a text character by character, and score it on a part that is held out.

    On the text that comes with Python, held-out bits per character after 4,800 updates, one to two minutes on one core:
    1.78 with a DNC or an LSTM, 2.06 with an RNN (1 seed each).

    Args:
        corpus: A text file (also .gz), a folder of .txt files, or a name that `numdnc data list` knows; several are
            read one after the other.
        data_folder: Folder to look for named corpora in (or set NUMDNC_DATA).

    """
    new = TextRun.prepare(corpus, text, seed=training.seed, data_folder=data_folder)
    return plan_training(new, model, training, optimizer, session)


def train_babi(
    *,
    data_folder: DataFolder = None,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(
        hidden=128, memory_size=64, word_size=32, read_heads=4
    ),
    babi: OmitArgPrefixes[BabiSettings] = BabiSettings(),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(
        steps=60_000, report_every=500, input_scale=20
    ),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(learning_rate=1e-3, clip_norm=10),
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
) -> Start:
    """Answer questions about short stories, twenty kinds in one model (bAbI; Weston et al. 2015).

    On stories made by the published simulator 15 % of the test is wrong after 40,000 updates, 3 hours on one core, and
    10 % with masking, deallocation and layer norm (1 seed each). --published takes the settings of Graves et al. 2016,
    --published adnc and biadnc those of Franke et al. 2018, who report 6.3 and 3.2 %.

    Args:
        data_folder: The published archive, its unpacked folder, or a folder with either (or set NUMDNC_DATA).

    """
    new = BabiRun.prepare(babi, seed=training.seed, data_folder=data_folder)
    return plan_training(new, model, training, optimizer, session)


def train_catbabi(
    *,
    data_folder: DataFolder = None,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(
        hidden=128, memory_size=64, word_size=32, read_heads=4
    ),
    stream: OmitArgPrefixes[StreamSettings] = StreamSettings(),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(
        steps=40_000, report_every=500, input_scale=20
    ),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(learning_rate=1e-3, clip_norm=10),
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
) -> Start:
    """Answer questions while the stories of bAbI go by in a stream (catbAbI; Schlag et al. 2021).

    Stories follow each other without a pause, so the memory must free itself. Published: 96.75 % of the answers
    right by a fast weight memory, 80.9 % by an LSTM.

    Args:
        data_folder: The published archive, its unpacked folder, or a folder with either (or set NUMDNC_DATA).

    """
    new = CatbabiRun.prepare(stream, seed=training.seed, data_folder=data_folder)
    return plan_training(new, model, training, optimizer, session)


def train_molecules(
    *,
    corpus: Annotated[str, arg(aliases=["-c"])] = "",
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(
        hidden=256, memory_size=16, word_size=16, read_heads=2, normalisation=True
    ),
    molecules: OmitArgPrefixes[MoleculeSettings] = MoleculeSettings(),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(
        steps=10_000, report_every=250, input_scale=6
    ),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(learning_rate=1e-2, clip_norm=1),
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
) -> Start:
    """Write molecules token by token as SMILES, after a file of them (SeemonJ/reinvent-dnc).

    Of 78,102 molecules of ChEMBL: 86 % of the samples are valid after 10,000 updates, 24 minutes of one core (1 seed);
    docs/results/molecules.md has a model with 90 %.

    Args:
        corpus: A file with a molecule a line as SMILES, such as examples/molecules.smi.

    """
    new = MoleculeRun.prepare(corpus, molecules, seed=training.seed)
    return plan_training(new, model, training, optimizer, session)


def train_arrays(
    *,
    inputs: Annotated[Path | None, arg(aliases=["-i"], metavar="FILE")] = None,
    targets: Annotated[Path | None, arg(metavar="FILE.npy")] = None,
    mask: Annotated[Path | None, arg(metavar="FILE.npy")] = None,
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(),
    arrays: OmitArgPrefixes[ArraySettings] = ArraySettings(),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(steps=10_000, report_every=200),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(learning_rate=1e-3),
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
) -> Start:
    """Learn sequences of your own, from NumPy files or JSON lines, without code.

    Inputs are vectors or symbols, targets are bits or classes; docs/howto/data.md shows both.

    Args:
        inputs: A file .npy of vectors (S, T, X) or of whole numbers (S, T), which are symbols: S sequences of T steps.
            Or a file .jsonl with a sequence a line, {"inputs": [..], "targets": [..], "mask": [..]}.
        targets: A file .npy of numbers from 0 to 1, (S, T, Y), which are bits, or of whole numbers (S, T), which are
            classes.
        mask: A file .npy (S, T) with 1 where the loss counts and 0 elsewhere, as in the padding of shorter sequences
            (default: 1 everywhere).

    """
    new = ArrayRun.prepare(inputs, targets, mask, arrays, seed=training.seed)
    return plan_training(new, model, training, optimizer, session)


def train_reinvent(
    *,
    prior: str = "",
    score: Annotated[str, arg(metavar="MODULE:FUNCTION")] = "",
    reinvent: OmitArgPrefixes[ReinventSettings] = ReinventSettings(),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(steps=500, report_every=25),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(
        learning_rate=5e-4, schedule="constant"
    ),
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
) -> Start:
    """Steer a model of molecules towards a score of your own (REINVENT; Olivecrona et al. 2017).

    The mean drug-likeness rises from 0.50 to 0.72 in 300 updates, and the share of valid molecules from 85 to 96 %, 3
    minutes on one core (1 seed).

    Args:
        prior: The run of `train molecules` that training begins with, and whose molecules stay likely.
        score: A function of a molecule's SMILES to a number from -1 to 1, also as FILE.py:FUNCTION, such as
            examples/molecule_scores.py:drug_likeness.

    """
    engine = engine_on(session.engine, session.device)
    new, opened = ReinventRun.prepare_from(prior, score, reinvent, seed=training.seed, engine=engine)
    training = dataclasses.replace(training, start_from=training.start_from or prior)
    return plan_training(new, opened.checkpoint.spec, training, optimizer, session, score)


def preset_command(name: str) -> Command:
    """`train NAME` of a preset."""
    preset = PRESETS[name]
    if name not in PUBLISHED:
        return command(_sequence_command(name, preset))
    expect = f"{preset.expect} --published takes the settings of the source instead, which learn more slowly."
    return command(
        _sequence_command(name, preset._replace(expect=expect)),
        source=_sequence_command(name, PUBLISHED[name]),
    )


def custom_task_command(source: str) -> Callable[..., Start]:
    """`train MODULE:CLASS`, with the options that every task has."""
    task_class = load_task_class(source)
    for field in dataclasses.fields(task_class):  # type: ignore[arg-type]
        if field.name in TRAIN_OPTIONS:
            raise UserError(
                f"a field of {source} must have a name of its own, got {field.name}, an option of `train`. "
                "Name it otherwise."
            )
    preset = Preset(
        (task_class.__doc__ or source).strip().splitlines()[0],
        "",
        task_class(),
        ModelOptions(),
        optimizer=OptimizerSettings(learning_rate=1e-3, schedule="constant"),
        training=TrainingSettings(steps=100_000, report_every=200),
    )
    return _sequence_command(source, preset, custom_task=source)


def _sequence_command(name: str, preset: Preset, custom_task: str | None = None) -> Callable[..., Start]:
    """A command whose options are the preset's, the task's settings among them."""

    def train(
        *,
        task: Any = preset.generator,
        model: OmitArgPrefixes[ModelOptions] = preset.model,
        sequences: OmitArgPrefixes[SequenceSettings] = preset.settings,
        training: OmitArgPrefixes[TrainingSettings] = preset.training,
        optimizer: OmitArgPrefixes[OptimizerSettings] = preset.optimizer,
        session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
    ) -> Start:
        model, training = preset.adapt(model, training)
        new = SequenceRun.prepare(name, task, sequences, seed=training.seed, custom_task=custom_task)
        return plan_training(new, model, training, optimizer, session, custom_task)

    without_prefix: Any = OmitArgPrefixes
    train.__annotations__["task"] = without_prefix[type(preset.generator)]
    train.__doc__ = "\n\n".join(filter(None, (preset.summary, preset.expect)))
    return train


TRAIN_OPTIONS = {
    field.name
    for options in (ModelOptions, SequenceSettings, TrainingSettings, OptimizerSettings, SessionOptions)
    for field in dataclasses.fields(options)
}
"""The options of `train` beside the settings of a task of sequences."""


def _presets_of(kind: type, besides: tuple[type, ...] | type = ()) -> dict[str, Command]:
    """The commands of the presets whose tasks are of this kind and not of another."""
    return {
        name: preset_command(name)
        for name, preset in PRESETS.items()
        if isinstance(preset.generator, kind) and not isinstance(preset.generator, besides)
    }


TRAIN = Group(
    "Train a model from scratch.",
    {
        "text, stories and molecules": {
            "text": command(train_text),
            "molecules": command(train_molecules),
            "reinvent": command(train_reinvent),
            "babi": command(
                train_babi, **{name: with_defaults(train_babi, **settings) for name, settings in BABI.items()}
            ),
            "catbabi": command(train_catbabi),
        },
        "sequences of your own": {"arrays": command(train_arrays)},
        "sequences of bits": _presets_of(BitsTask, besides=TypedTask),
        "arithmetic and languages": _presets_of(TypedTask),
        "graphs": _presets_of(GraphTask),
        "learned interfaces": interface_commands(),
        "reinforcement": {
            "shrdlu": command(train_shrdlu, source=with_defaults(train_shrdlu, **PUBLISHED_SHRDLU)),
            "environment": command(train_environment),
        },
    },
    Other(
        "FILE.py:CLASS",
        "A task that you wrote: a class of this file, or of a module as MODULE:CLASS (docs/tasks.md).",
        lambda source: command(custom_task_command(source)),
    ),
)
