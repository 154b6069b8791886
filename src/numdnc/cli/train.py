"""`train`: everything that a model can be trained on, by name."""

from numdnc.cli.babi import train_babi
from numdnc.cli.episodes import custom_task_command, preset_command
from numdnc.cli.groups import Group, Other, command
from numdnc.cli.presets import PRESETS
from numdnc.cli.published import BABI
from numdnc.cli.signatures import with_defaults
from numdnc.cli.text import train_text

GRAPHS = ("traversal", "shortest-path", "inference")


TRAIN = Group(
    "Train a model from scratch.",
    {
        "text and stories": {
            "text": command(train_text),
            "babi": command(train_babi, with_defaults(train_babi, **BABI)),
        },
        "sequences of bits": {name: preset_command(name) for name in PRESETS if name not in GRAPHS},
        "graphs": {name: preset_command(name) for name in GRAPHS},
    },
    Other(
        "FILE.py:CLASS",
        "A task that you wrote: a class of this file, or of a module as MODULE:CLASS (docs/tasks.md).",
        lambda source: command(custom_task_command(source)),
    ),
)
