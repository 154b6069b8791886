"""The tests tested: mistakes like those of public DNCs, each planted in a copy of the package, must turn tests red."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import numdnc
from helpers.patience import PATIENCE

HERE = Path(__file__).parent
TESTS = HERE.parent
PACKAGE = Path(numdnc.__file__).parent
RUN = "import sys, numdnc, pytest; print(numdnc.__file__, flush=True); sys.exit(pytest.main(sys.argv[1:]))"


class Mutation(NamedTuple):
    name: str
    source: str  # the file it changes
    tests: str  # the file that must see it
    edits: tuple[tuple[str, str], ...]  # old and new text


def read_mutations(text):
    """The mutations of a file such as reference.txt."""
    headings = re.split(r"^== (.+): (\S+), (\S+)\n", text, flags=re.MULTILINE)[1:]
    for name, source, tests, body in zip(*(headings[i::4] for i in range(4)), strict=True):
        hunks = re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", body, flags=re.MULTILINE)
        assert "".join(old + new for old, new in hunks) == body.strip() + "\n", f"{name}: texts to replace"
        yield Mutation(name, source, tests, tuple((unmarked(old), unmarked(new)) for old, new in hunks))


def unmarked(lines):
    return "\n".join(line[1:] for line in lines.splitlines())


MUTATIONS, OF_TRAINING = (
    tuple(read_mutations((HERE / name).read_text(encoding="utf-8")))
    for name in ("reference.txt", "training.txt")
)
EVERY = [*MUTATIONS, *(pytest.param(mutation, marks=pytest.mark.thorough) for mutation in OF_TRAINING)]


@pytest.fixture
def package(tmp_path):
    """A copy of the package that a test may spoil."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "numdnc", ignore=shutil.ignore_patterns("__pycache__")))


def run_tests(package, *files):
    """Exit code and output of test files run on a copy of the package, until the first failure."""
    environment = {
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "OPENBLAS_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    options = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUN, *options, *(str(TESTS / file) for file in files)],
        cwd=TESTS.parent,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    imported, _, output = done.stdout.partition("\n")
    assert Path(imported).parent == package, f"another numdnc was tested:\n{done.stdout}{done.stderr}"
    return done.returncode, output


def test_copy_as_it_is_passes(package):
    code, output = run_tests(package, *sorted({mutation.tests for mutation in MUTATIONS}))
    assert code == 0, output


@pytest.mark.parametrize("mutation", EVERY, ids=lambda mutation: mutation.name.replace(" ", "-"))
def test_mutation_is_caught(mutation, package):
    path = package / mutation.source
    source = path.read_text(encoding="utf-8")
    for old, new in mutation.edits:
        assert source.count(old) == 1, (
            f"{mutation.source} must hold this once; follow it in the file of mutations:\n{old}"
        )
        source = source.replace(old, new)
    path.write_text(source, encoding="utf-8")
    code, output = run_tests(package, mutation.tests)
    assert code == 1, f"no test noticed, or none could run:\n{output}"
    assert re.search(r"^FAILED .* - (AssertionError|assert )", output, re.MULTILINE), output
