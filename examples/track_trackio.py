"""Follow a training with trackio: `numdnc train copy --track examples/track_trackio.py:follow`, then `trackio show`."""

from contextlib import contextmanager

import trackio


@contextmanager
def follow(run):
    """Log the figures of each report; a resumed run goes on under its name."""
    trackio.init(project="numdnc", name=run.name, config=run.settings, resume="allow")
    try:
        yield lambda figures, iteration: trackio.log(figures, step=iteration)
    finally:
        trackio.finish()
