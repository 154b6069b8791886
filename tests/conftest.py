"""Settings of every test.

Hypothesis has no clock: on a busy machine any example may take long. What commands remember between calls
(runs/user_state.py) stays within a test. Everything computes on one thread, unless a test says otherwise: models are
small, and the workers of pytest-xdist share the processors.
"""

import gc
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for variable in ("NUMDNC_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many workers as this process may use processors; for `pytest -n auto`."""
    from numdnc.machine import count_processors

    return count_processors()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the engine `cpu`, each worker for another dtype, before they would all compile the same."""
    worker = getattr(session.config, "workerinput", None)
    if worker is not None and worker["workercount"] > 1:
        from helpers.contract import DTYPES, Case

        number = int(worker["workerid"].removeprefix("gw"))
        for model in ("dnc-2-layers", "lstm", "dnc-sparse", "ntm-2-layers"):
            case = Case("cpu", model, DTYPES[number % 2])
            case.run(case.problem())


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """What is imported stays, so the garbage collector need not look through it after each of thousands of tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def state_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Path]]:
    """A new folder for each test; the first one serves fixtures of more than one test."""
    folder = tmp_path_factory.mktemp("state")
    folders = (folder / str(number) for number in count())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(next(folders)))
        yield folders


@pytest.fixture(autouse=True)
def state_folder(state_folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A test finds nothing that another one left."""
    monkeypatch.setenv("XDG_STATE_HOME", str(next(state_folders)))


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are as wide as in a file; pytest-xdist sets these to 80 and 24."""
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
