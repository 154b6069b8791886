"""Training: loss and gradient, optimizers, the loop, runs on disk, several processes, sweeps. It prints nothing."""

from numdnc.training.checkpoint import load_run
from numdnc.training.distributed import connect
from numdnc.training.events import Finished, Report, Tick
from numdnc.training.folder import RunFolder
from numdnc.training.gradient import LossAndGradient, loss_and_gradient
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, new_run
from numdnc.training.workers import Workers

__all__ = [
    "Finished",
    "LossAndGradient",
    "OptimizerSettings",
    "Report",
    "Run",
    "RunFolder",
    "Tick",
    "TrainingSettings",
    "Workers",
    "connect",
    "load_run",
    "loss_and_gradient",
    "new_run",
    "train",
]
