"""All commands, and how they end."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from threadpoolctl import threadpool_limits

from numdnc import console
from numdnc.cli import ended_by_ctrl_c
from numdnc.cli.ask import ask
from numdnc.cli.bench import measure_speed
from numdnc.cli.corpora import fetch_data, list_data
from numdnc.cli.diagnose import diagnose_run
from numdnc.cli.evaluate import evaluate
from numdnc.cli.export import export_model
from numdnc.cli.gradcheck import check_gradients
from numdnc.cli.groups import Group, command, find
from numdnc.cli.info import show_info
from numdnc.cli.parse import parse
from numdnc.cli.paths import REGISTRY
from numdnc.cli.resume import resume
from numdnc.cli.sweep import run_sweep
from numdnc.cli.text import sample_text
from numdnc.cli.trace import trace_run
from numdnc.cli.train import TRAIN
from numdnc.cli.training import Training
from numdnc.cli.view import view_trace
from numdnc.errors import UserError
from numdnc.training import processes

NUMDNC = Group(
    "The Differentiable Neural Computer: train it, use it, look inside it.",
    {
        "train and use a model": {
            "train": TRAIN,
            "resume": command(resume),
            "sweep": command(run_sweep),
            "eval": command(evaluate),
            "ask": command(ask),
            "sample": command(sample_text),
            "export": command(export_model),
        },
        "look inside a model": {
            "view": command(view_trace),
            "trace": command(trace_run),
            "diagnose": command(diagnose_run),
            "info": command(show_info),
        },
        "data, checks, speed": {
            "data": Group(
                "List or fetch the texts that are known by name.",
                {"": {"list": command(list_data), "fetch": command(fetch_data)}},
            ),
            "gradcheck": command(check_gradients),
            "bench": command(measure_speed),
        },
    },
)
"""All commands."""


def run() -> None:
    """Run a command; errors that the user can mend become one line and exit code 2."""
    console.prepare_output()
    try:
        try:
            _run(sys.argv[1:])
        except SystemExit:
            console.end_output()
            raise
        console.end_output()
    except UserError as error:
        _fail(str(error))
    except MemoryError as error:
        _fail(f"the model must fit into memory, got: {error}. Lower its sizes.")
    except KeyboardInterrupt as interrupt:
        if _reports_errors():
            console.warn("; ".join(["\nstopped at once", *map(str, interrupt.args)]))
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output (such as `head`) has had enough: say nothing more to it, not at exit either.
        console.drop_output()
        _reports_errors()
        sys.exit(0)
    except OSError as error:
        console.drop_output()
        _fail(f"files and output must be usable, got: {error}. Check the disk and where the output goes.")


def _run(words: Sequence[str]) -> None:
    # At usual sizes a second BLAS thread gains nothing (benchmarks/blas_threads.py), and where the cores are
    # shared it can cost a factor of ten. Who sets the number is obeyed.
    chosen = any(name in os.environ for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
    silent = processes.place()[0] > 0 and not _of_a_sweep()
    limited = threadpool_limits(limits=None if chosen else 1, user_api="blas")
    with console.silent(silent), limited:
        if words[:1] in (["train"], ["resume"]):
            with ended_by_ctrl_c():  # torch waits for the others without listening
                processes.join()
        with REGISTRY:
            name, called, options = find(NUMDNC, words)
            call = parse(called.function, name, options)
            made = call()
        if isinstance(made, Training):
            made.start()


def _fail(text: str) -> NoReturn:
    if _reports_errors():
        console.fail(text)
    sys.exit(2)


def _reports_errors() -> bool:
    """Of processes that train together one says why they end, the first that knows."""
    return _of_a_sweep() or processes.speaks()


def _of_a_sweep() -> bool:
    """Those that share a sweep have runs of their own, and each speaks of them."""
    return sys.argv[1:2] == ["sweep"]
