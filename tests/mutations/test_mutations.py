"""The tests tested: mistakes like those of public DNCs, each planted in a module of the package, turn tests red."""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import numdnc

HERE = Path(__file__).parent
TESTS = HERE.parent
PACKAGE = Path(numdnc.__file__).parent


class Kind(NamedTuple):
    """How some of the test files are run."""

    imports: tuple[str, ...]
    environment: dict[str, str]
    arguments: tuple[str, ...] = ()


KINDS = {
    "uncompiled": Kind(("numba",), {"NUMBA_DISABLE_JIT": "1"}),
    "engines/test_": Kind(("torch",), {}, ("-k", "torch")),
    "gpu": Kind(("torch",), {}),
    "numpy": Kind(("numpy",), {}),
}
"""By a part of the file's name; all others are the last kind."""


class Mutation(NamedTuple):
    name: str
    source: str  # the file of the package that it changes
    tests: str  # the file that must see it, or one test of it where the file takes long
    edits: tuple[tuple[str, str], ...]  # old and new text

    def changed(self) -> str:
        """The text of the file with the mistake in it."""
        text = (PACKAGE / self.source).read_text(encoding="utf-8")
        for old, new in self.edits:
            assert text.count(old) == 1, (
                f"{self.source} must hold this once; follow it in the file of mutations:\n{old}"
            )
            text = text.replace(old, new)
        return text


def read_mutations(text: str) -> Iterator[Mutation]:
    """The mutations of a file such as reference.txt."""
    headings = re.split(r"^== (.+): (\S+), (\S+)\n", text, flags=re.MULTILINE)[1:]
    for name, source, tests, body in zip(*(headings[i::4] for i in range(4)), strict=True):
        hunks = re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", body, flags=re.MULTILINE)
        assert "".join(old + new for old, new in hunks) == body.strip() + "\n", f"{name}: texts to replace"
        yield Mutation(name, source, tests, tuple((unmarked(old), unmarked(new)) for old, new in hunks))


def unmarked(lines: str) -> str:
    return "\n".join(line[1:] for line in lines.splitlines())


MUTATIONS = [
    mutation
    for file in sorted(HERE.glob("*.txt"))
    for mutation in read_mutations(file.read_text(encoding="utf-8"))
]
for_each_mutation = pytest.mark.parametrize(
    "mutation", MUTATIONS, ids=lambda mutation: mutation.name.replace(" ", "-")
)


@for_each_mutation
def test_mutation_can_be_planted(mutation: Mutation) -> None:
    if mutation.source.endswith(".py"):
        assert ast.dump(ast.parse(mutation.changed())) != syntax_of(mutation.source)
    assert (TESTS / mutation.tests.split("::")[0]).exists()


@cache
def syntax_of(source: str) -> str:
    return ast.dump(ast.parse((PACKAGE / source).read_text(encoding="utf-8")))


Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a test file, with a mutation or without: exit code and output, until the first failure.

    `thorough`: only the tests with this marker, instead of those without it.
    """
    servers: dict[str, subprocess.Popen[str]] = {}

    def run(tests: str, mutation: Mutation | None, *, thorough: bool = False) -> tuple[int, str]:
        kind = kind_of(tests)
        chosen = ("-m", "thorough") if thorough else ()
        order: dict[str, object] = {
            "module": None,
            "arguments": [str(TESTS / tests), *KINDS[kind].arguments, *chosen],
        }
        if mutation is not None:
            path = PACKAGE / mutation.source
            if path.suffix != ".py":
                return run_kernels(order, mutation)
            name = ".".join(["numdnc", *path.relative_to(PACKAGE).with_suffix("").parts])
            order |= {"module": name.removesuffix(".__init__"), "path": str(path), "text": mutation.changed()}
        return answer(kind, order)

    def run_kernels(order: dict[str, object], mutation: Mutation) -> tuple[int, str]:
        path = PACKAGE / mutation.source
        with tempfile.TemporaryDirectory() as folder:
            for kernel in path.parent.glob("*.cu*"):
                text = mutation.changed() if kernel == path else kernel.read_text(encoding="utf-8")
                Path(folder, kernel.name).write_text(text, encoding="utf-8")
            return answer("gpu", {**order, "environment": {"NUMDNC_TEST_KERNELS": folder}})

    def answer(kind: str, order: dict[str, object]) -> tuple[int, str]:
        if kind not in servers:
            servers[kind] = start(KINDS[kind])
        server = servers[kind]
        assert server.stdin
        assert server.stdout
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        code, output = json.loads(server.stdout.readline())
        return code, output

    yield run
    for server in servers.values():
        server.communicate()


def start(kind: Kind) -> "subprocess.Popen[str]":
    """A process that runs tests, with what they import and is not ours."""
    environment = {
        "PYTHONPATH": str(PACKAGE.parent),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "PYTHONDONTWRITEBYTECODE": "",  # each fork imports all modules anew
        "COLUMNS": "200",
    }
    return subprocess.Popen(
        [sys.executable, "-P", HERE / "server.py", "hypothesis", *kind.imports],
        cwd=TESTS.parent,
        env=os.environ | environment | kind.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kind_of(tests: str) -> str:
    return next((kind for kind in KINDS if kind in tests), "numpy")


ONE_OF_EACH_KIND = {kind_of(mutation.tests): mutation.tests for mutation in MUTATIONS}
"""The tests of all kinds but "uncompiled" are tests of `make test`, too."""
UNCOMPILED = {mutation.tests for mutation in MUTATIONS if kind_of(mutation.tests) == "uncompiled"}


@pytest.mark.thorough
@pytest.mark.parametrize("tests", sorted({*ONE_OF_EACH_KIND.values(), *UNCOMPILED}))
def test_without_a_mutation_they_pass(run: Run, tests: str) -> None:
    code, output = run(tests, None)
    assert code == 0, output


@pytest.mark.thorough
@for_each_mutation
def test_mutation_is_caught(run: Run, mutation: Mutation) -> None:
    code, output = run(mutation.tests, mutation)
    if code == 0:
        code, output = run(mutation.tests, mutation, thorough=True)
    assert code == 1, f"no test noticed, or none could run:\n{output}"
    assert re.search(r"^E +(AssertionError|assert )", output, re.MULTILINE), output
