"""Follow a training with Weights & Biases: `numdnc train copy --track examples/track_wandb.py:follow`.

Offline: no account is needed, and `wandb sync` uploads what the folder wandb holds, if you wish.
"""

from contextlib import contextmanager

import wandb


@contextmanager
def follow(run):
    """Log the figures of each report; `resume` makes a further run of the same group."""
    with wandb.init(project="numdnc", group=run.name, config=run.settings, mode="offline") as logged:
        yield lambda figures, iteration: logged.log(figures, step=iteration)
