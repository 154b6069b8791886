"""Errors where the package of an extra is missing: the install command works in a clone and for a wheel."""

import os
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from unittest import mock

import pytest

from helpers.marks import thorough_but
from numdnc.errors import missing_package

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "gymnasium": ">=1.0",
    "jax": ">=0.6",
    "matplotlib": ">=3.8",
    "rdkit": ">=2024.3",
    "tensorboard": ">=2.17",
    "torch": ">=2.7",
}


def command(package: str) -> list[str]:
    return shlex.split(str(missing_package("this", package)).split("`")[1])


@pytest.mark.parametrize("package", thorough_but(["torch"], PACKAGES))
def test_the_command_installs_what_is_wanted(package: str) -> None:
    """pip itself reads it; --dry-run installs nothing."""
    words = command(package)
    assert words[1:4] == ["-m", "pip", "install"]
    assert words[4].startswith(package)
    assert PACKAGES[package] in words[4]
    ran = subprocess.run(
        [*words, "--dry-run", "--no-index", "--no-deps"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert f"Requirement already satisfied: {package}" in ran.stdout


def test_the_python_is_the_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert command("torch")[0] == str(tmp_path / ".venv/bin/python")
    monkeypatch.chdir(tmp_path)
    assert command("torch")[0] == os.path.join(".venv", "bin", "python")  # noqa: PTH118 - as it is typed


def test_a_source_tree_that_is_not_installed_still_names_the_package() -> None:
    with mock.patch.object(metadata, "requires", side_effect=metadata.PackageNotFoundError("numdnc")):
        assert command("torch")[-1] == "torch"


def test_nothing_is_said_to_be_on_an_index_that_is_not() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.py")]
    assert [path.name for path in texts if "numdnc[" in path.read_text(encoding="utf-8")] == []
