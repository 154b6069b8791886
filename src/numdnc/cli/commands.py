"""The tree of commands, how one is run, and its exit code."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

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
from numdnc.cli.models import list_models
from numdnc.cli.parse import parse
from numdnc.cli.paths import REGISTRY
from numdnc.cli.reproduce import reproduce
from numdnc.cli.resume import resume
from numdnc.cli.sample import sample_text
from numdnc.cli.sweep import run_sweep
from numdnc.cli.trace import trace_run
from numdnc.cli.train import TRAIN
from numdnc.cli.view import view_trace
from numdnc.cli.warmup import warm_up
from numdnc.errors import UserError
from numdnc.training import distributed
from numdnc.training.workers import SINGLE, Workers

NUMDNC = Group(
    "The Differentiable Neural Computer: train it, use it, look inside it.",
    {
        "train and use a model": {
            "train": TRAIN,
            "resume": command(resume),
            "sweep": command(run_sweep),
            "reproduce": command(reproduce),
            "models": command(list_models),
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
                "List or download the texts that are known by name.",
                {"": {"list": command(list_data), "fetch": command(fetch_data)}},
            ),
            "gradcheck": command(check_gradients),
            "bench": command(measure_speed),
            "warmup": command(warm_up),
        },
    },
)
"""All commands."""


def run() -> None:
    """Run a command; an error that the user can fix becomes one line and exit code 2."""
    console.prepare_output()
    words = sys.argv[1:]
    # Processes that share a sweep each train their own runs and report them.
    workers = SINGLE if words[:1] == ["sweep"] else distributed.unconnected()
    with _exit_codes(workers), _one_blas_thread():
        distributed.rank_and_world_size()  # refuses wrong values for every command
        if words[:1] in (["train"], ["resume"]):
            with ended_by_ctrl_c():  # torch waits for the other workers without handling signals
                workers = distributed.connect()
        with _exit_codes(workers), console.silent(workers.rank > 0):
            start = _call(words)
            if start is not None:
                start(workers)


def _one_blas_thread() -> threadpool_limits:
    """Use one BLAS thread unless the environment sets the number.

    At usual sizes a second one gains nothing (benchmarks/blas_threads.py); on shared cores it can cost a factor of ten.
    """
    chosen = any(name in os.environ for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
    return threadpool_limits(limits=None if chosen else 1, user_api="blas")


def _call(words: Sequence[str]) -> Any:
    """Call the command; `train` and `resume` check everything and return the function that starts training."""
    with REGISTRY:
        name, called, options = find(NUMDNC, words)
        call = parse(called.function, name, options)
        with console.results_alone(bool(call.keywords.get("as_json"))):
            return call()


@contextmanager
def _exit_codes(workers: Workers) -> Iterator[None]:
    """Turn errors into exit codes; of several workers only the first one that fails prints why."""
    try:
        try:
            yield
        except SystemExit:
            console.end_output()
            raise
        console.end_output()
    except UserError as error:
        _fail(workers, str(error))
    except MemoryError as error:
        _fail(workers, f"the model must fit into memory, got: {error}. Lower its sizes.")
    except KeyboardInterrupt as interrupt:
        if workers.first_to_report():
            console.warn("; ".join(["\nstopped at once", *map(str, interrupt.args)]))
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (such as `head`) has closed the pipe: print nothing more, not at exit either.
        console.drop_output()
        workers.first_to_report()
        sys.exit(0)
    except OSError as error:
        console.drop_output()
        _fail(
            workers,
            f"files and output must be usable, got: {error}. Check the disk and where the output goes.",
        )


def _fail(workers: Workers, text: str) -> NoReturn:
    if workers.first_to_report():
        console.fail(text)
    sys.exit(2)
