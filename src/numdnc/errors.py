"""Errors that a user can fix: the command line prints their text in one line and exits with 2."""

import os
import re
import shlex
import sys


class UserError(Exception):
    """Something that the user gave cannot be used; the text says what must hold, what was given and what to do."""


def check_seed(seed: int) -> None:
    """Raise UserError unless a seed is at least 0."""
    if seed < 0:
        raise UserError(f"seed must be at least 0, got {seed}.")


def path_from_here(path: str) -> str:
    """The path relative to the working folder, or as it is if that is on another drive."""
    try:
        return os.path.relpath(path)
    except ValueError:
        return path


def missing_package(what: str, package: str) -> UserError:
    """The error to raise where `what` needs a package of an extra that is not installed.

    The suggested command installs the package itself, so it works for a clone, a wheel and any other installation.
    """
    python = path_from_here(sys.executable)
    if python.startswith(os.pardir):
        python = sys.executable
    command = shlex.join([python, "-m", "pip", "install", _requirement(package)])
    return UserError(f"{what} must find the package {package}, got none. Install it by `{command}`.")


def _requirement(package: str) -> str:
    """The package with the versions that pyproject.toml allows, if numdnc's metadata is installed."""
    from importlib import metadata  # slow to import, and only needed for an error

    try:
        requirements = metadata.requires("numdnc") or []
    except metadata.PackageNotFoundError:
        return package
    named = (requirement.partition(";")[0].strip() for requirement in requirements)
    return next((found for found in named if re.split(r"[<>=!~ ]", found)[0] == package), package)
