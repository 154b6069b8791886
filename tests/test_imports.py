"""Who imports what, where import-linter does not see it: at run time, and outside what it was told to forbid."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import numdnc

PACKAGE = Path(numdnc.__file__).parent
REFERENCE = sorted((PACKAGE / "reference").rglob("*.py"))
FAST_ENGINES = sorted(set((PACKAGE / "engines").rglob("*.py")) - {PACKAGE / "engines" / "reference.py"})
REFERENCE_MAY_IMPORT = {"numpy", "collections", "math", "typing"}
REFERENCE_MAY_IMPORT |= {f"numdnc.{name}" for name in ("parts", "spec", "tree", "params", "reference")}

SPY = """
import sys, numpy

class Spy:
    asked = set()

    def find_spec(self, name, path=None, target=None):
        self.asked.add(name.partition(".")[0])

sys.meta_path.insert(0, Spy())
{statements}
own = {{"numpy", "numdnc", "org"}}  # the standard library looks for Jython by "org"
print(*sorted(Spy.asked - set(sys.stdlib_module_names) - own))
"""
"""Prints the packages that these statements try to import, whether installed or not; NumPy is there already."""


def run_python(code: str) -> list[str]:
    """The words that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("module", ["numdnc", "numdnc.reference", "numdnc.engines.reference"])
def test_needs_nothing_but_numpy(module: str) -> None:
    assert run_python(SPY.format(statements=f"import {module}")) == []


def test_the_reference_is_had_without_a_compiler() -> None:
    assert run_python(SPY.format(statements="import numdnc.engines as e\ne.get_engine('reference')")) == []
    assert "numba" in run_python(SPY.format(statements="import numdnc.engines as e\ne.get_engine('cpu')"))


def test_only_the_modules_and_the_engine_torch_ask_for_torch() -> None:
    assert "torch" not in run_python(SPY.format(statements="import numdnc.cli"))
    run = "import numdnc as n\nspec = n.RNNSpec(input_size=1, output_size=1)\n"
    run += "import numdnc.engines as e\ne.select_engine('auto', spec, 'float32')"
    assert "torch" not in run_python(SPY.format(statements=run))


def test_only_numdnc_jax_asks_for_jax() -> None:
    """And says what to install where there is none."""
    assert "jax" not in run_python(SPY.format(statements="import numdnc.cli.commands, numdnc.nn"))
    absent = "import sys\nsys.modules['jax'] = None\n"
    absent += "try:\n    import numdnc.jax\nexcept Exception as error:\n    print(error)"
    assert "package jax, got none" in " ".join(run_python(absent))


def test_the_spy_sees_what_is_not_installed() -> None:
    statements = "try:\n    import abacus\nexcept ImportError:\n    pass\nimport pytest"
    assert {"abacus", "pytest"} <= set(run_python(SPY.format(statements=statements)))


@pytest.mark.thorough
def test_fast_engines_run_without_the_reference() -> None:
    names = [name for name in numdnc.engines.ENGINE_NAMES if name not in ("auto", "reference", "gpu")]
    code = f"""
import sys, numdnc, numdnc.engines.check
spec = numdnc.DNCSpec(input_size=2, output_size=3, hidden_sizes=(4,), memory_size=5, word_size=6)
params, state = numdnc.init_params(spec, 0), numdnc.zero_state(spec, 1)
import numpy as np
for name in {names}:
    engine = numdnc.engines.get_engine(name)
    if engine.supports(spec, "float32") is None:
        x = np.zeros((2, 1, 2), np.float32)
        outputs, state, tape = engine.forward(spec, params, x, state, keep_tape=True)
        engine.backward(spec, params, tape, outputs, state)
print(*(name for name in sys.modules if name.startswith("numdnc.reference")))
"""
    assert run_python(code) == []


def imported(source: str, package: str = "") -> set[str]:
    """Dotted names that a module of this package imports: `from a import b` gives a.b."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def is_within(name: str, allowed: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in allowed)


def imports_of(path: Path) -> set[str]:
    package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    return imported(path.read_text(encoding="utf-8"), package)


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_the_reference_knows_numpy_specs_and_trees(path: Path) -> None:
    assert {name for name in imports_of(path) if not is_within(name, REFERENCE_MAY_IMPORT)} == set()


@pytest.mark.parametrize("path", FAST_ENGINES, ids=lambda path: path.stem)
def test_no_fast_engine_imports_the_reference(path: Path) -> None:
    forbidden = {"numdnc.reference", "numdnc.engines.reference"}
    assert {name for name in imports_of(path) if is_within(name, forbidden)} == set()


def test_imports_are_found_in_every_form() -> None:
    source = "import a.b\nfrom c import d\ndef f():\n    from .e import g\n    from .. import h\n    from . import i"
    assert imported(source, "p.q") == {"a.b", "c.d", "p.q.e.g", "p.h", "p.q.i"}
    assert is_within("numpy.typing.NDArray", {"numpy"})
    assert not is_within("numpylike", {"numpy"})
