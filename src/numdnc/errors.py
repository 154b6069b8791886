"""What can go wrong that a user can fix: the command line prints its text in one line and exits with 2."""

import os
import re
import shlex
import sys


class UserError(Exception):
    """Something given from outside cannot be used; the text says what must hold, what was given, what to do."""


def missing_package(what: str, package: str) -> UserError:
    """The error where `what` needs a package of one of the extras and it is not installed.

    The command names the package rather than numdnc, so it is the same for a clone, a wheel and any other installation.
    """
    python = os.path.relpath(sys.executable)
    if python.startswith(os.pardir):
        python = sys.executable
    command = shlex.join([python, "-m", "pip", "install", _requirement(package)])
    return UserError(f"{what} must find the package {package}, got none. Install it by `{command}`.")


def _requirement(package: str) -> str:
    """The package with the versions that pyproject.toml allows, as far as numdnc is installed and can tell."""
    from importlib import metadata  # it takes as long as all else here, and only an error needs it

    try:
        requirements = metadata.requires("numdnc") or []
    except metadata.PackageNotFoundError:
        return package
    named = (requirement.partition(";")[0].strip() for requirement in requirements)
    return next((found for found in named if re.split(r"[<>=!~ ]", found)[0] == package), package)
