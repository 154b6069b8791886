"""`train NAME`: tasks with the model, optimizer and batch of whoever published results on them.

Where a source leaves something open (a count of steps, mostly), it is ours. The graph tasks have settings of our own,
since the published ones take very long. A run stops as soon as it is solved.
"""

from typing import NamedTuple

from numdnc.cli.options import ModelOptions
from numdnc.tasks.bits import Copy, KeyValue, PrioritySort, Recall, RepeatCopy
from numdnc.tasks.episodes import EpisodeSettings
from numdnc.tasks.graphs import Inference, ShortestPath, Traversal
from numdnc.tasks.sequences import Episodes
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings


class Preset(NamedTuple):
    """A task, and what options are unless they are given."""

    summary: str
    episodes: Episodes
    model: ModelOptions
    settings: EpisodeSettings = EpisodeSettings()
    optimizer: OptimizerSettings = OptimizerSettings(
        optimizer="rmsprop", learning_rate=1e-4, schedule="constant", momentum=0.9, clip_norm=10
    )
    training: TrainingSettings = TrainingSettings(steps=100_000, report_every=200)
    expect: str = ""
    """What comes of it in how long, for its help."""


def _dnc(
    hidden: int, memory_size: int, word_size: int, read_heads: int, controller: str = "lstm"
) -> ModelOptions:
    return ModelOptions(
        hidden=hidden,
        memory_size=memory_size,
        word_size=word_size,
        read_heads=read_heads,
        controller=controller,
    )


_ONE_BY_ONE = TrainingSettings(steps=100_000, report_every=1000)
_PLAIN_RMSPROP = OptimizerSettings(optimizer="rmsprop", learning_rate=1e-3, schedule="constant", momentum=0)


def _graphs(
    summary: str,
    episodes: Episodes,
    model: ModelOptions,
    pass_at: float,
    grow_from: int = 1,
    batch: int = 8,
    learning_rate: float = 1e-3,
) -> Preset:
    """A graph task, lesson by lesson up to the one that its settings say."""
    return Preset(
        summary,
        episodes,
        model,
        EpisodeSettings(
            batch=batch, evaluated=128, grow="lesson", grow_from=grow_from, pass_at=pass_at, fall_at=0.6
        ),
        OptimizerSettings(learning_rate=learning_rate, schedule="constant", clip_norm=10),
        TrainingSettings(steps=1_000_000, report_every=250, start="store", input_scale=5),
    )


PRESETS = {
    "copy": Preset(
        "Copy 1 to 20 vectors of 8 bits (Graves et al. 2014, NTM).", Copy(), _dnc(100, 128, 20, 1)
    ),
    "copy-four": Preset(
        "Copy 4 vectors of 4 bits, four times in a row (as bhpfelix/DNC-NumPy).",
        Copy(width=4, min_length=4, max_length=4, min_copies=4, max_copies=4, end_marker=True),
        _dnc(32, 64, 8, 2),
        EpisodeSettings(batch=1, evaluated=64, solved_at=1e-5),
        _PLAIN_RMSPROP,
        _ONE_BY_ONE,
    ),
    "repeat-copy": Preset(
        "Copy 1 or 2 vectors of 4 bits once or twice, as told (DeepMind's open-source DNC).",
        RepeatCopy(),
        _dnc(64, 16, 16, 4),
        optimizer=OptimizerSettings(
            optimizer="rmsprop", learning_rate=1e-4, schedule="constant", momentum=0, clip_norm=50
        ),
    ),
    "repeat-copy-raw": Preset(
        "Copy 1 to 4 vectors of 4 bits 1 to 4 times, as told (as bhpfelix/DNC-NumPy).",
        RepeatCopy(min_length=1, max_length=4, min_repeats=1, max_repeats=4, repeat_scale=1),
        _dnc(32, 64, 8, 2),
        EpisodeSettings(batch=1, evaluated=64, solved_at=1e-4),
        _PLAIN_RMSPROP,
        _ONE_BY_ONE,
    ),
    "repeat-copy-large": Preset(
        "Copy 2 to 14 vectors, 1 to 8 times in a row, in 16 slots (Csordas and Schmidhuber 2019).",
        Copy(width=8, min_length=2, max_length=14, min_copies=1, max_copies=8, end_marker=True),
        _dnc(32, 16, 16, 1),
    ),
    "recall": Preset(
        "Name the item that followed another one in a list (Graves et al. 2014, NTM).",
        Recall(),
        _dnc(128, 64, 32, 1),
    ),
    "key-value": Preset(
        "Name the value of each key, of pairs shown before (Csordas and Schmidhuber 2019).",
        KeyValue(),
        _dnc(32, 16, 32, 1),
    ),
    "key-value-two-way": Preset(
        "The same, and the key of each value too (Csordas and Schmidhuber 2019).",
        KeyValue(two_way=True),
        _dnc(32, 16, 32, 1),
    ),
    "sort": Preset(
        "Name the vectors of highest priority, the highest first (Graves et al. 2014, NTM).",
        PrioritySort(),
        _dnc(100, 128, 20, 1),
    ),
    "reuse": Preset(
        "Copy 5 vectors, 10 times in a row, in 10 slots that must be freed (Graves et al. 2016).",
        Copy(width=8, min_length=5, max_length=5, min_copies=10, max_copies=10),
        _dnc(64, 10, 12, 1, "feedforward"),
    ),
    "links": Preset(
        "Copy up to 100 vectors by temporal links, with a feed-forward controller (Graves et al. 2016).",
        Copy(width=6, max_length=100),
        _dnc(64, 128, 12, 1, "feedforward"),
    ),
    "traversal": _graphs(
        "Follow a walk through a random graph, up to lesson 14 (Graves et al. 2016).",
        Traversal(few_labels=0.5),
        _dnc(256, 256, 64, 2, "feedforward"),
        0.1,
        grow_from=7,
    ),
    "shortest-path": _graphs(
        "Name a shortest path in a random graph, up to lesson 9 (Graves et al. 2016).",
        ShortestPath(few_labels=0.5),
        _dnc(256, 160, 64, 4, "feedforward"),
        0.2,
    ),
    "inference": _graphs(
        "Follow relations that are never explained in a random graph, up to lesson 11 (Graves et al. 2016).",
        Inference(few_labels=0.5),
        _dnc(512, 128, 64, 4, "feedforward"),
        0.1,
        batch=16,
        learning_rate=5e-4,
    ),
}
"""The presets by name."""
