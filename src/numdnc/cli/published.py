"""`train NAME --published`: tasks with the settings of the paper or program they come from.

Values that a source does not give, mostly the number of steps, are ours.
"""

from dataclasses import replace
from typing import Any

from numdnc.cli.options import ModelOptions
from numdnc.cli.presets import PRESETS, Preset, dnc, rmsprop
from numdnc.tasks.babi import BabiSettings
from numdnc.tasks.graphs import Inference, ShortestPath, Traversal
from numdnc.tasks.sequence_task import SequenceSettings
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings


def _published(
    name: str,
    model: ModelOptions,
    settings: SequenceSettings = SequenceSettings(),
    optimizer: OptimizerSettings = rmsprop(1e-4),
    **changed: Any,
) -> Preset:
    """The preset `name` with other settings; `changed` are other fields of the preset."""
    return PRESETS[name]._replace(
        expect="Published settings: far slower than those without --published.",
        model=model,
        settings=settings,
        optimizer=optimizer,
        **{"training": TrainingSettings(steps=100_000, report_every=200), **changed},
    )


def _graves(
    name: str, task: Any, layers: int, memory_size: int, batch: int, rate: float, fails: float
) -> Preset:
    """A graph task of Graves et al. 2016, learned from the first lesson on."""
    return _published(
        name,
        dnc(256, memory_size, 50, 5, layers=layers),
        SequenceSettings(batch=batch, evaluated=128, grow="lesson", pass_at=fails),
        rmsprop(rate),
        generator=task,
        training=TrainingSettings(steps=1_000_000, report_every=100),
    )


def _bhpfelix(name: str, solved_at: float) -> Preset:
    """A task of bhpfelix/DNC-NumPy: one sequence an update, RMSProp without momentum."""
    return _published(
        name,
        dnc(32, 64, 8, 2),
        SequenceSettings(batch=1, evaluated=64, solved_at=solved_at),
        rmsprop(1e-3, momentum=0, clip_norm=5),
        training=TrainingSettings(steps=100_000, report_every=1000),
    )


def _siliconsloth(name: str) -> Preset:
    """Arithmetic of SiliconSloth/ADNC: no links, two write heads, a digit more a level; the optimizer is ours."""
    return _published(
        name,
        replace(dnc(128, 64, 32, 4), links=False, normalisation=True, write_heads=2),
        SequenceSettings(batch=32, grow="length", grow_from=3, pass_at=0.05, easier=0),
        generator=type(PRESETS[name].generator)(),
    )


PUBLISHED = {
    "copy": _published("copy", dnc(100, 128, 20, 1)),
    "copy-four": _bhpfelix("copy-four", solved_at=1e-5),
    "repeat-copy": _published(
        "repeat-copy", dnc(64, 16, 16, 4), optimizer=rmsprop(1e-4, momentum=0, clip_norm=50)
    ),
    "repeat-copy-raw": _bhpfelix("repeat-copy-raw", solved_at=1e-4),
    "repeat-copy-large": _published("repeat-copy-large", dnc(32, 16, 16, 1)),
    "recall": _published("recall", dnc(128, 64, 32, 1)),
    "key-value": _published("key-value", dnc(32, 16, 32, 1)),
    "key-value-two-way": _published("key-value-two-way", dnc(32, 16, 32, 1)),
    "sort": _published("sort", dnc(100, 128, 20, 1)),
    "reuse": _published("reuse", dnc(64, 10, 12, 1, "feedforward")),
    "links": _published("links", dnc(64, 128, 12, 1, "feedforward")),
    **{name: _siliconsloth(name) for name in ("addition", "subtraction", "multiplication", "successor")},
    "traversal": _graves("traversal", Traversal(), layers=3, memory_size=256, batch=2, rate=1e-5, fails=0.1),
    "shortest-path": _graves(
        "shortest-path",
        ShortestPath(lessons="paper", valid_edges=True),
        layers=2,
        memory_size=128,
        batch=1,
        rate=3e-6,
        fails=0.2,
    ),
    "inference": _graves(
        "inference",
        Inference(lessons="paper", queries=3),
        layers=3,
        memory_size=128,
        batch=32,
        rate=1e-5,
        fails=0.1,
    ),
}
"""The published settings by the name of the preset."""

_GRAVES_BABI = {
    "model": dnc(256, 256, 64, 4),
    "babi": BabiSettings(batch=1),
    "training": TrainingSettings(steps=500_000, report_every=2000),
    "optimizer": rmsprop(1e-4),
}


def _franke_babi(model: ModelOptions) -> dict[str, Any]:
    """Settings of Franke, Niehues and Waibel 2018 and their code: 50 epochs, of 1,741 updates with this validation."""
    return {
        "model": replace(model, links=False, normalisation=True, bypass_dropout=0.1),
        "babi": BabiSettings(batch=32, longest=499, drop_duplicates=True, loss="binary_cross_entropy"),
        "training": TrainingSettings(steps=50 * 1741, report_every=1741, early_stop=10),
        "optimizer": OptimizerSettings(
            optimizer="rmsprop", learning_rate=3e-5, schedule="constant", clip_norm=0, clip_value=10
        ),
    }


BABI = {
    "graves": _GRAVES_BABI,
    "adnc": _franke_babi(dnc(256, 192, 64, 4)),
    "biadnc": _franke_babi(replace(dnc(172, 128, 64, 4), bidirectional=True)),
}
"""Those of bAbI (Graves et al. 2016; Franke et al. 2018) by name, each by the parameter of `train_babi`."""
