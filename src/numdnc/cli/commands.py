"""All commands, and how they end."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from threadpoolctl import threadpool_limits
from tyro.extras import SubcommandApp

from numdnc import console
from numdnc.cli.ask import ask
from numdnc.cli.babi import train_babi
from numdnc.cli.bench import measure_speed
from numdnc.cli.corpora import fetch_data, list_data
from numdnc.cli.diagnose import diagnose_run
from numdnc.cli.episodes import own_command, preset_command
from numdnc.cli.evaluate import evaluate
from numdnc.cli.export import export_model
from numdnc.cli.gradients import check_gradients
from numdnc.cli.info import show_info
from numdnc.cli.paths import REGISTRY
from numdnc.cli.presets import PRESETS
from numdnc.cli.resume import resume
from numdnc.cli.sweep import run_sweep
from numdnc.cli.text import sample_text, train_text
from numdnc.cli.trace import trace_run
from numdnc.cli.view import view_trace
from numdnc.errors import UserError
from numdnc.training import processes

DESCRIPTION = "The Differentiable Neural Computer: train it, check its gradients, sample from it."


def _commands(words: Sequence[str]) -> SubcommandApp:
    """All commands; `train MODULE:CLASS` only where that is what `words` ask for."""
    app, train, corpora = SubcommandApp(), SubcommandApp(), SubcommandApp()
    app.command(train, name="train", help="Train a model from scratch; MODULE:CLASS is a task of your own.")
    train.command(name="text")(train_text)
    train.command(name="babi")(train_babi)
    for name in PRESETS:
        train.command(name=name)(preset_command(name))
    if len(words) > 1 and words[0] == "train" and ":" in words[1]:
        train.command(name=words[1])(own_command(words[1]))
    app.command(name="resume")(resume)
    app.command(name="eval")(evaluate)
    app.command(name="ask")(ask)
    app.command(name="sample")(sample_text)
    app.command(name="trace")(trace_run)
    app.command(name="view")(view_trace)
    app.command(name="diagnose")(diagnose_run)
    app.command(name="sweep")(run_sweep)
    app.command(name="export")(export_model)
    app.command(name="gradcheck")(check_gradients)
    app.command(name="info")(show_info)
    app.command(name="bench")(measure_speed)
    app.command(corpora, name="data", help="List or fetch the corpora that are known by name.")
    corpora.command(name="list")(list_data)
    corpora.command(name="fetch")(fetch_data)
    return app


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
        if _speaks():
            console.warn("; ".join(["\nstopped at once", *map(str, interrupt.args)]))
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output (such as `head`) has had enough: say nothing more to it, not at exit either.
        console.drop_output()
        _speaks()
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
    with console.silent(silent), limited, REGISTRY:
        if words[:1] in (["train"], ["resume"]):
            processes.join()
        _commands(words).cli(prog="numdnc", description=DESCRIPTION)


def _fail(text: str) -> NoReturn:
    if _speaks():
        console.fail(text)
    sys.exit(2)


def _speaks() -> bool:
    """Of processes that train together one says why they end, the first that knows."""
    return _of_a_sweep() or processes.speaks()


def _of_a_sweep() -> bool:
    """Those that share a sweep have runs of their own, and each speaks of them."""
    return sys.argv[1:2] == ["sweep"]
