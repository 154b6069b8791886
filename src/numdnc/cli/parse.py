"""Parse the options of a command into a call of its function, by tyro."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import tyro

from numdnc.cli.groups import HELP, HELP_ALL
from numdnc.cli.help import hides, print_help
from numdnc.cli.signatures import CONFIG, lazy_call
from numdnc.cli.suggestions import unknown_option_error
from numdnc.errors import UserError

FORMER_NAMES = {"--start": "--init-scheme"}
"""Former names of options, which scripts and the sweep.json of old sweeps may still use."""


def parse(function: Callable[..., Any], name: str, words: Sequence[str]) -> partial[Any]:
    """Parse the words that follow the command `name` into a call of it; print the help and exit for --help."""
    options = set(words[: words.index("--")] if "--" in words else words)
    if HELP_ALL in options or not options.isdisjoint(HELP):
        print_help(function, name, everything=HELP_ALL in options)
    words = [_renamed(word) for word in words]
    call, unknown = tyro.cli(
        lazy_call(function),
        prog=f"numdnc {name}",
        args=words,
        config=CONFIG,
        return_unknown_args=True,
    )
    if unknown:
        whole_help = HELP_ALL if hides(function) else "--help"
        raise UserError(f"{unknown_option_error(function, name, unknown)} See `numdnc {name} {whole_help}`.")
    return cast(partial[Any], call)


def _renamed(word: str) -> str:
    name, *value = word.split("=", 1)
    return "=".join([FORMER_NAMES.get(name, name), *value])
