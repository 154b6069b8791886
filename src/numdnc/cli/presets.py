"""`train NAME`: each task with the model, optimizer and batch that learned it best of those measured (docs/results.md).

With `--published` the settings are those of the paper or program that the task comes from; values that it does not
give, mostly the number of steps, are ours. A run stops as soon as it is solved.
"""

import dataclasses
from typing import NamedTuple

from numdnc.cli.options import ModelOptions
from numdnc.model_options import VARIATIONS
from numdnc.spec import SPECS
from numdnc.tasks.arithmetic import Addition, Arithmetic, Multiplication, Subtraction, Successor
from numdnc.tasks.bits import Copy, InstructedCopy, KeyValue, PrioritySort, Recall, RepeatCopy
from numdnc.tasks.graphs import Inference, ShortestPath, Traversal
from numdnc.tasks.languages import Language
from numdnc.tasks.sequence_task import SequenceSettings
from numdnc.tasks.sequences import SequenceGenerator
from numdnc.training.optimizers import OptimizerSettings, Schedule
from numdnc.training.run import TrainingSettings


def rmsprop(
    learning_rate: float, schedule: Schedule = "constant", momentum: float = 0.9, clip_norm: float = 10
) -> OptimizerSettings:
    """RMSProp with these settings."""
    return OptimizerSettings(
        optimizer="rmsprop",
        learning_rate=learning_rate,
        schedule=schedule,
        momentum=momentum,
        clip_norm=clip_norm,
    )


class Preset(NamedTuple):
    """A task, and the defaults of the options beside it."""

    summary: str
    expect: str
    """Results to expect and how long they take, for its help."""
    generator: SequenceGenerator
    model: ModelOptions
    settings: SequenceSettings = SequenceSettings()
    optimizer: OptimizerSettings = rmsprop(1e-3)
    training: TrainingSettings = TrainingSettings()

    def adapt(self, model: ModelOptions, training: TrainingSettings) -> tuple[ModelOptions, TrainingSettings]:
        """Undo what the preset sets of a DNC where the model is none; options that the user changed stay."""
        return adapt(model, training, self.model, self.training)


def adapt(
    model: ModelOptions,
    training: TrainingSettings,
    preset_model: ModelOptions,
    preset_training: TrainingSettings,
) -> tuple[ModelOptions, TrainingSettings]:
    """Undo what a preset sets of a DNC where the model is another one; options that the user changed stay."""
    if model.model not in SPECS or model.model == preset_model.model:
        return model, training
    off = {
        name: getattr(ModelOptions, name)
        for name in VARIATIONS
        if getattr(model, name) == getattr(preset_model, name)
    }
    if training.init_scheme == preset_training.init_scheme:
        training = dataclasses.replace(training, init_scheme=TrainingSettings.init_scheme)
    return dataclasses.replace(model, **off), training


def dnc(
    hidden: int,
    memory_size: int,
    word_size: int,
    read_heads: int,
    controller: str = "lstm",
    layers: int = 1,
) -> ModelOptions:
    """A DNC of these sizes: hidden units of a layer, slots, numbers in a slot, read heads."""
    return ModelOptions(
        hidden=hidden,
        layers=layers,
        memory_size=memory_size,
        word_size=word_size,
        read_heads=read_heads,
        controller=controller,
    )


def _lessons(batch: int, pass_at: float) -> SequenceSettings:
    """Settings of a graph task that is learned lesson by lesson."""
    return SequenceSettings(
        batch=batch, evaluated=128, grow="lesson", grow_from=1, pass_at=pass_at, fall_at=0.6
    )


def _graph_training(steps: int) -> TrainingSettings:
    return TrainingSettings(steps=steps, report_every=250, init_scheme="store", input_scale=5)


_LONGER_AND_LONGER = SequenceSettings(
    batch=32, solved_at=2e-3, grow="length", grow_from=6, grow_by=3, pass_at=0.05, easier=0.2
)


def _arithmetic(
    what: str, task: Arithmetic, expect: str, settings: SequenceSettings = _LONGER_AND_LONGER
) -> Preset:
    """A preset of arithmetic: numbers grow once 95 % of the sequences are right."""
    return Preset(
        f"{what}, digit by digit (SiliconSloth/ADNC).",
        expect,
        task,
        dataclasses.replace(dnc(128, 64, 32, 4), normalisation=True),
        settings,
        OptimizerSettings(learning_rate=2e-3, schedule="constant", clip_norm=10),
        TrainingSettings(steps=150_000, report_every=100, input_scale=6),
    )


PRESETS = {
    "copy": Preset(
        "Copy 1 to 20 vectors of 8 bits (Graves et al. 2014, NTM).",
        "Solved after some 200 updates, within a minute on one core (3 of 3 seeds).",
        Copy(),
        dnc(100, 128, 20, 1),
        training=TrainingSettings(steps=3000, report_every=50, input_scale=6),
    ),
    "copy-four": Preset(
        "Four copies of 4 vectors of 4 bits in a row (bhpfelix/DNC-NumPy).",
        "A loss of 1e-5 after some 3,000 updates, half a minute on one core (5 of 5 seeds).",
        Copy(width=4, min_length=4, max_length=4, min_copies=4, max_copies=4, end_marker=True),
        dnc(32, 64, 8, 2),
        SequenceSettings(batch=8, evaluated=64, solved_at=1e-5),
        training=TrainingSettings(steps=10_000, report_every=200),
    ),
    "repeat-copy": Preset(
        "Copy 1 or 2 vectors of 4 bits once or twice, as told (DeepMind's open-source DNC).",
        "Solved after some 1,000 updates, 10 seconds on one core (3 of 3 seeds).",
        RepeatCopy(),
        dnc(64, 16, 16, 4),
        training=TrainingSettings(steps=10_000, report_every=50, input_scale=6),
    ),
    "repeat-copy-raw": Preset(
        "Copy 1 to 4 vectors of 4 bits 1 to 4 times, the count given as it is (bhpfelix/DNC-NumPy).",
        "A loss of 1e-4 after some 7,000 updates, a minute on one core (4 of 5 seeds).",
        RepeatCopy(min_length=1, max_length=4, min_repeats=1, max_repeats=4, repeat_scale=1),
        dnc(32, 64, 8, 2),
        SequenceSettings(batch=8, evaluated=64, solved_at=1e-4),
        training=TrainingSettings(steps=20_000),
    ),
    "repeat-copy-large": Preset(
        "1 to 8 copies of 2 to 14 vectors in a row through 16 slots (Csordas and Schmidhuber 2019).",
        "Solved after some 3,200 updates, a minute on one core (5 of 5 seeds).",
        Copy(width=8, min_length=2, max_length=14, min_copies=1, max_copies=8, end_marker=True),
        dnc(32, 16, 16, 1),
        SequenceSettings(evaluated=64, grow="max_copies"),
        training=TrainingSettings(steps=8000, report_every=200),
    ),
    "instructed-copy": Preset(
        "Copy 1 to 4 vectors of 6 bits once or twice, or invert them, or take their bitwise and, or (ksluck/sl-dnhc).",
        "94 % of the sequences right after 6,000 updates, 3 minutes on one core (3 seeds); 1 of 3 solved by then.",
        InstructedCopy(),
        dnc(64, 16, 16, 4),
        training=TrainingSettings(steps=10_000, report_every=100, input_scale=6),
    ),
    "recall": Preset(
        "Of items shown, name the one after the one asked for (Graves et al. 2014, NTM).",
        "1 to 7 % of the sequences wrong after 4,000 updates, 3 minutes on one core (5 seeds).",
        Recall(),
        dnc(128, 64, 32, 1),
        optimizer=rmsprop(1e-3, "cosine"),
        training=TrainingSettings(steps=4000, report_every=200),
    ),
    "key-value": Preset(
        "Of pairs shown, name the value of each key (Csordas and Schmidhuber 2019).",
        "Solved after some 1,500 updates, a minute on one core (3 of 3 seeds).",
        KeyValue(),
        dnc(32, 16, 32, 1, "feedforward"),
        optimizer=OptimizerSettings(learning_rate=2e-3, clip_norm=10),
        training=TrainingSettings(steps=3000, report_every=100, init_scheme="store", input_scale=6),
    ),
    "key-value-two-way": Preset(
        "Of pairs shown, name the value of each key and the key of each value (Csordas and Schmidhuber 2019).",
        "1 to 7 % of the sequences wrong after 4,000 updates, 2 minutes on one core (3 seeds).",
        KeyValue(two_way=True),
        dnc(32, 16, 32, 1, "feedforward"),
        optimizer=OptimizerSettings(learning_rate=2e-3, clip_norm=10),
        training=TrainingSettings(steps=4000, report_every=100, init_scheme="store", input_scale=6),
    ),
    "sort": Preset(
        "Name the vectors of highest priority, highest first (Graves et al. 2014, NTM).",
        "45 to 64 % of the sequences right after 6,000 updates, 5 minutes on one core (5 seeds).",
        PrioritySort(),
        dnc(100, 128, 20, 1),
        optimizer=rmsprop(1e-3, "cosine"),
        training=TrainingSettings(steps=6000, report_every=200),
    ),
    "reuse": Preset(
        "10 copies of 5 vectors in a row through 10 slots, which must be freed (Graves et al. 2016).",
        "Solved after some 5,300 updates, 2 minutes on one core (4 of 5 seeds).",
        Copy(width=8, min_length=5, max_length=5, min_copies=10, max_copies=10),
        dnc(64, 10, 12, 1, "feedforward"),
        optimizer=rmsprop(3e-4),
        training=TrainingSettings(steps=20_000, report_every=200),
    ),
    "links": Preset(
        "Copy up to 100 vectors of 6 bits without a controller that remembers: by temporal links (Graves et al. 2016).",
        "Solved after some 2,600 updates, 2 minutes on one core (5 of 5 seeds).",
        Copy(width=6, max_length=100),
        dnc(64, 128, 12, 1, "feedforward"),
        SequenceSettings(batch=8, evaluated=32, grow="max_length", grow_from=5, grow_by=5),
        training=TrainingSettings(steps=10_000, report_every=200),
    ),
    "addition": _arithmetic(
        "Add",
        Addition(spread=4),
        "Begun from a run of successor: 36 digits solved after 3,000 updates, 5 minutes on one core (3 of 3 seeds).",
    ),
    "subtraction": _arithmetic(
        "Subtract",
        Subtraction(spread=4),
        "Begun from a run of addition: 36 digits solved after 2,400 updates, 5 minutes on one core (3 of 3 seeds).",
    )._replace(optimizer=OptimizerSettings(learning_rate=1e-3, schedule="constant", clip_norm=10)),
    "multiplication": _arithmetic(
        "Multiply",
        Multiplication(),
        "Not measured yet, on one core or more.",
        SequenceSettings(batch=32, grow="length", grow_from=2, pass_at=0.05),
    ),
    "successor": _arithmetic(
        "Add 1",
        Successor(length=10, spread=9),
        "Numbers of up to 10 digits solved after 400 updates, half a minute on one core (3 of 3 seeds).",
        SequenceSettings(batch=32, solved_at=3e-3),
    ),
    "language": Preset(
        "Say whether a string is a word of a formal language, one by name or that of a regular expression.",
        "Solved after 200 updates, half a minute on one core (dyck-1, 1 seed).",
        Language(),
        dnc(64, 32, 16, 1),
        SequenceSettings(batch=32),
        training=TrainingSettings(steps=10_000, report_every=100, input_scale=6),
    ),
    "traversal": Preset(
        "Follow a walk through a random graph, up to lesson 14 (Graves et al. 2016).",
        "Lesson 13 passed after 3,750 updates, two minutes on one core (2 seeds); the recipe learns lesson 14, "
        "whose walks are twice as long, in a part of its own.",
        Traversal(few_labels=0.5, queries=4),
        dataclasses.replace(dnc(256, 96, 128, 2, "feedforward"), masking=True),
        dataclasses.replace(_lessons(4, 0.2), easier=0.2, grow_from=3),
        OptimizerSettings(learning_rate=5e-4, clip_norm=1),
        dataclasses.replace(
            _graph_training(14_000), average_decay=0.998, restart_above=3, slots_per_vector=1.1
        ),
    ),
    "shortest-path": Preset(
        "Name a shortest path in a random graph, up to lesson 9 (Graves et al. 2016).",
        "Lessons 1, 2, 3, 4 passed after 1,250, 1,500, 1,750, 3,250 updates, three minutes on one core (1 seed, of the "
        "recipe, whose memory grows, and which goes on to the last lesson in a second part).",
        ShortestPath(few_labels=0.5, queries=4, valid_edges=True, hints=1.0, planning="path"),
        dataclasses.replace(dnc(256, 160, 128, 4, "feedforward"), masking=True),
        _lessons(4, 0.2),
        OptimizerSettings(learning_rate=7e-4, warmup=500, clip_norm=1),
        dataclasses.replace(_graph_training(12_000), average_decay=0.998, restart_above=3),
    ),
    "inference": Preset(
        "Follow relations, of which no input says what they stand for, up to lesson 11 (Graves et al. 2016).",
        "Lessons 1, 2, 3 passed after 3,250, 7,000, 12,250 updates, nine minutes on one core (1 seed); the recipe, "
        "which begins with model:traversal, passes all within half an hour.",
        Inference(few_labels=0.5, queries=4, hints=0.5),
        dnc(256, 128, 64, 2, "rnn", layers=3),
        _lessons(4, 0.1),
        OptimizerSettings(learning_rate=5e-4, schedule="plateau", patience=8, clip_norm=10),
        dataclasses.replace(_graph_training(40_000), average_decay=0.998, restart_above=3),
    ),
}
"""The presets by name."""
