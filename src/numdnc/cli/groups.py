"""Commands and groups of commands: which one is called, and the lists that `numdnc --help` and the like print."""

import inspect
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from numdnc import __version__, console
from numdnc.cli.suggestions import closest_word
from numdnc.errors import UserError

HELP, HELP_ALL = ("-h", "--help"), "--help-all"
PUBLISHED = "--published"
"""Settles the defaults of all other options, so it is looked for before they are read."""


class Command(NamedTuple):
    """What a name on the command line stands for."""

    function: Callable[..., Any]
    """Its parameters are the options."""
    summary: str
    """A line for the list of commands."""
    published: Callable[..., Any] | None = None
    """The same with published settings as defaults, for `--published`."""


class Group(NamedTuple):
    """Commands that begin with the same word."""

    summary: str
    titled: Mapping[str, Mapping[str, "Command | Group"]]
    """By the title they stand under in the list, and by name."""
    other: "Other | None" = None
    """What names with a colon stand for."""


class Other(NamedTuple):
    """Commands that are made when they are asked for."""

    name: str
    summary: str
    make: Callable[[str], Command]


def command(function: Callable[..., Any], published: Callable[..., Any] | None = None) -> Command:
    """The command of a function; the first paragraph of its docstring is the summary."""
    return Command(function, first_paragraph(function), published)


def first_paragraph(documented: Any) -> str:
    """What a function or a class says of itself first."""
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")


def about(function: Callable[..., Any]) -> str:
    """What a function says of itself before its arguments."""
    return (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]


def find(group: Group, words: Sequence[str], name: str = "") -> tuple[str, Command, Sequence[str]]:
    """The command that these words begin with, its whole name, and the words that are left for it.

    Prints the list of a group and exits where that is asked for, or where the words end too early.
    """
    known = {key: found for commands in group.titled.values() for key, found in commands.items()}
    if not words or words[0] in (*HELP, HELP_ALL):
        print(_listed(group, name), file=sys.stdout if words else sys.stderr)
        sys.exit(0 if words else 2)
    word, *rest = words
    if word == "--version" and not name:
        console.say(f"numdnc {__version__}")
        sys.exit(0)
    found = known.get(word)
    if found is None and group.other is not None and ":" in word:
        found = group.other.make(word)
    if found is None:
        meant, what = closest_word(word, known), "name" if name else "command"
        program = f"numdnc {name}".strip()
        hint = f"Did you mean `{program} {meant}`? " if meant else ""
        if word.startswith("-"):
            hint = f"Options stand behind the {what}. "
        raise UserError(
            f"the {what} after `{program}` must be one that it has, got {word}. {hint}See `{program} --help`."
        )
    name = f"{name} {word}".strip()
    if isinstance(found, Group):
        return find(found, rest, name)
    options = rest[: rest.index("--")] if "--" in rest else rest
    if PUBLISHED in options:
        if found.published is None:
            raise UserError(
                f"{PUBLISHED} must be given with a task that has published settings, got {name}. Leave it out."
            )
        rest.remove(PUBLISHED)
        found = found._replace(function=found.published)
    return name, found, rest


def _listed(group: Group, name: str) -> str:
    """The commands of a group, each with its summary."""
    width = min(100, shutil.get_terminal_size((80, 0)).columns)
    program = f"numdnc {name}".strip()
    left = max(len(key) for commands in group.titled.values() for key in commands) + 4
    lines = [
        f"usage: {program} {'NAME' if name else 'COMMAND'} [OPTIONS]",
        "",
        *textwrap.wrap(group.summary, width),
    ]
    shown = {
        title: {key: found.summary for key, found in commands.items()}
        for title, commands in group.titled.items()
    }
    if group.other is not None:
        shown["your own"] = {group.other.name: group.other.summary}
    for title, summaries in shown.items():
        lines += ["", *([title] if title else [])]
        for key, summary in summaries.items():
            text = textwrap.wrap(summary, max(20, width - left))
            lines += [f"  {key:<{left - 2}}{text[0]}", *(" " * left + more for more in text[1:])]
    lines += ["", f"{program} {'NAME' if name else 'COMMAND'} --help   explains one of them and its options"]
    if not name:
        lines.append(f"{program} --version        says which version this is")
    return "\n".join(lines)
