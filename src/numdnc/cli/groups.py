"""Commands and groups of commands: find the one to call, and print the lists of `numdnc --help`."""

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
"""The option that sets the defaults of all others, so it is looked for before they are parsed; a name may follow."""


class Command(NamedTuple):
    """A command: its function and a line about it."""

    function: Callable[..., Any]
    """Its parameters are the options."""
    summary: str
    """A line for the list of commands."""
    published: Mapping[str, Callable[..., Any]]
    """The same function with published settings as defaults, by the name after `--published`; the first without one."""


class Group(NamedTuple):
    """Commands that begin with the same word."""

    summary: str
    titled: Mapping[str, Mapping[str, "Command | Group"]]
    """Title in the list -> name -> command."""
    other: "Other | None" = None
    """How a name with a colon is made into a command."""


class Other(NamedTuple):
    """Commands that are made on request, from a name that the user typed."""

    name: str
    summary: str
    make: Callable[[str], Command]


def command(function: Callable[..., Any], **published: Callable[..., Any]) -> Command:
    """The command of a function; the first paragraph of its docstring is the summary."""
    return Command(function, first_paragraph(function), published)


def first_paragraph(documented: Any) -> str:
    """The first paragraph of a docstring, as one line."""
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")


def about(function: Callable[..., Any]) -> str:
    """The docstring of a function up to its arguments."""
    return (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]


def find(group: Group, words: Sequence[str], name: str = "") -> tuple[str, Command, Sequence[str]]:
    """Find a command: its full name, the command, and the remaining words, which are its options.

    Prints the list of a group and exits for --help, or if there are too few words.
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
            hint = f"Options come after the {what}. "
        raise UserError(
            f"the {what} after `{program}` must be one that it has, got {word}. {hint}See `{program} --help`."
        )
    name = f"{name} {word}".strip()
    if isinstance(found, Group):
        return find(found, rest, name)
    options = rest[: rest.index("--")] if "--" in rest else rest
    if PUBLISHED in options:
        found = found._replace(function=_take_published(found, name, rest))
    return name, found, rest


def _take_published(found: Command, name: str, rest: list[str]) -> Callable[..., Any]:
    """Take --published, and the name after it if there is one, out of the words; return the function it means."""
    if not found.published:
        raise UserError(
            f"{PUBLISHED} must be given with a task that has published settings, got {name}. Leave it out."
        )
    at = rest.index(PUBLISHED)
    del rest[at]
    if rest[at : at + 1] and not rest[at].startswith("-"):
        chosen = rest.pop(at)
        if chosen not in found.published:
            known = ", ".join(found.published)
            raise UserError(f"{PUBLISHED} of {name} must be one of {known}, or alone, got {chosen}.")
        return found.published[chosen]
    return next(iter(found.published.values()))


def _listed(group: Group, name: str) -> str:
    """The list of a group: each command with its summary."""
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
        lines.append(f"{program} --version        prints the version")
    return "\n".join(lines)
