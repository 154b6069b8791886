"""The help of a command: the options that most people change, or with --help-all every option."""

import dataclasses
import inspect
import io
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

import tyro
from tyro.conf import FlagCreatePairsOff, Suppress, arg
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructTypeInfo

from numdnc import console
from numdnc.cli.groups import HELP_ALL, about, first_paragraph
from numdnc.cli.signatures import CONFIG, lazy_call
from numdnc.cli.suggestions import TRAIN_OPTIONS, option_flags
from numdnc.tasks.graphs.task import GraphTask

COMMON = {
    *("model", "hidden", "memory_size", "word_size", "read_heads", "lesson", "only", "subset", "sigma"),
    *("encoding", "targets_as", "as_json"),
    *("steps", "learning_rate", "batch", "window", "seed", "minutes", "out", "engine"),
}
"""Options of `train` that the short help shows, besides those of a single task."""
RARE = {field.name for kind in (*TRAIN_OPTIONS, GraphTask) for field in dataclasses.fields(kind)} - COMMON
"""Options that it leaves out."""
_ORDER = (
    "training",
    "optimizer",
    "text",
    "babi",
    "stream",
    "molecules",
    "reinvent",
    "arrays",
    "sequences",
    "reinforcement",
    "session",
)
_SUPPRESS: Any = Suppress


def hides(function: Callable[..., Any]) -> bool:
    """Whether a command has options that its short help leaves out."""
    return not RARE.isdisjoint(option_flags(function))


def print_help(function: Callable[..., Any], name: str, *, everything: bool) -> NoReturn:
    """Print the help of the command `name` and exit."""
    text = about(function)
    if hides(function) and not everything:
        text += f"\n\nThese are the options that most people change; `numdnc {name} {HELP_ALL}` shows all."
    usage, groups = _groups(function, name, everything=everything)
    if "session options" in groups and not everything:
        groups = _in_short(groups)
    options = "\n\n".join(f"{title}\n{lines}" for title, lines in groups.items())
    usage, dashes, rest = usage.partition(" [-- ")
    print(f"{usage} [OPTIONS]{dashes}{rest}\n\n{console.wrapped(text)}\n\n{options}")
    sys.exit(0)


def _in_short(groups: dict[str, str]) -> dict[str, str]:
    """The options of `train` in a few groups."""
    general, *data = groups["options"].split("\n")
    titles = [f"{name} options" for name in _ORDER]
    training = [groups[title] for title in titles if title in groups]
    shown = {"data options": "\n".join(data)} if data else {}
    shown |= {title: groups[title] for title in ("task options", "model options") if title in groups}
    return shown | {"training options": "\n".join([*training, general])}


def _groups(function: Callable[..., Any], name: str, *, everything: bool) -> tuple[str, dict[str, str]]:
    """The usage line without options, and the text of each group of options by its title, as tyro prints them."""

    def shown(name: str, hint: Any) -> Any:
        """The annotated type of an option, changed for the help."""
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(kind):
            text = inspect.getdoc(kind) or ""
            descriptions[f"{name} options"] = text if everything else first_paragraph(kind) * (name == "task")
            return Annotated[hint, arg(help="")]
        if name in RARE and not everything:
            hint = Annotated[hint, _SUPPRESS]
        return Annotated[hint, arg(help_behavior_hint=_default)]

    def fields(info: StructTypeInfo) -> StructConstructorSpec | None:
        """The fields of a dataclass as tyro sees them, changed for the help."""
        if under_way or not dataclasses.is_dataclass(info.type):
            return None
        under_way.append(info)
        found = ConstructorRegistry.get_struct_spec(info)
        under_way.clear()
        assert isinstance(found, StructConstructorSpec)
        changed = [
            dataclasses.replace(
                field, type=shown(field.name, field.type), helptext=_in_a_line(field.helptext)
            )
            for field in found.fields
        ]
        return StructConstructorSpec(found.instantiate, tuple(changed))

    descriptions: dict[str, str] = {}
    under_way: list[StructTypeInfo] = []
    registry = ConstructorRegistry()
    registry.struct_rule(fields)
    hints = get_type_hints(function, include_extras=True)
    out = io.StringIO()  # has no encoding, so tyro draws no boxes
    with suppress(SystemExit), redirect_stdout(out):
        tyro.cli(
            lazy_call(function, {name: shown(name, hint) for name, hint in hints.items()}),
            prog=f"numdnc {name}",
            description="",
            args=["--help"],
            config=(*CONFIG, FlagCreatePairsOff),
            registry=registry,
        )
    usage, _, printed = out.getvalue().partition("\n\n")
    usage = re.sub(r" \[(--?[a-zA-Z].*?|[A-Z -]*OPTIONS)\]", "", usage)
    lines = [line.strip() and line.rstrip()[1:] for line in printed.splitlines()]
    groups = {}
    for group in re.split(r"\n\n(?=\S)", "\n".join(lines).strip()):
        title, options = re.split(r"\n-{9,}\n", group)
        options = re.sub(r"\n+", "\n", options).strip("\n")
        description = descriptions.get(title)
        groups[title] = f"{console.wrapped(description)}\n\n{options}" if description else options
    return usage, groups


def _in_a_line(text: str | Callable[[], str | None] | None) -> str:
    text = text() if callable(text) else text
    return " ".join((text or "").split())


def _default(value: str) -> str:
    """The default after the explanation of an option; none where the explanation itself says what omitting it means."""
    return "" if value in ("None", "False", "True", "inf", "", "''") else f"(default: {value})"
