"""How good the moves are that a model of mini-SHRDLU learns by trial, beside those that a search knows.

    python benchmarks/trials.py RUN LESSON

RUN has learned by trial. Of 192 episodes of a lesson, for several shares of moves that are taken by trial: how many
of the moves that are learned are on a shortest way, and how many goals are reached. Then the goals that are reached by
the likeliest moves, with the average of the parameters and with the last ones.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from numdnc.runs.kinds import load_run
from numdnc.tasks.trial_task import TrialTask
from numdnc.training.folder import RunFolder
from numdnc.training.run import forward_with

EPISODES, SEED = 192, 5


class Kept(TrialTask):
    """Keeps the episodes of its rollout, all of one lesson."""

    def _begun(self, count):
        self.game = self.environment.reset(np.random.default_rng(SEED), count)
        return self.game


def by_trial(opened, environment, share):
    """% of the moves learned that are on a shortest way, and of the goals that are reached."""
    settings = replace(opened.task.settings, optimal_share=share, batch=EPISODES)
    task = Kept("shrdlu", environment, settings, seed=SEED)
    episode = task.rollout(opened.forward, task.next_batch()).episode
    again, right = environment.begin(task.game.problems), []
    for learned, actions, allowed in zip(
        episode.record.optimal, episode.actions, episode.allowed, strict=True
    ):
        chooses = allowed.sum(axis=1) > 1
        right.extend(((learned & again.optimal).sum(axis=1) / learned.sum(axis=1))[chooses])
        again.step(actions, np.zeros(EPISODES))
    return 100 * np.mean(right), 100 * (1 - task.game.measures["goal_error"].mean())


def by_likeliest(opened, environment, run, params):
    """% of the goals that are reached."""
    game = environment.reset(np.random.default_rng(SEED), EPISODES)
    opened.task.scoring_rollout(forward_with(run.engine, run.spec, params), game)
    return 100 * (1 - game.measures["goal_error"].mean())


if __name__ == "__main__":
    place = Path(sys.argv[1])
    opened, run = load_run(place, last=True), RunFolder(place).load_last()
    environment = replace(opened.task.environment, lesson=int(sys.argv[2]), fewer=False)
    print(f"lesson {environment.lesson}, after {run.iteration:,} updates")
    print("share by trial   moves learned on a shortest way, %   goals reached, %")
    for share in (0.0, 0.5, 0.8, 1.0):
        print("{:14.1f}   {:36.1f}   {:16.1f}".format(share, *by_trial(opened, environment, share)))
    for name, params in (("averaged", run.evaluated), ("last", run.params)):
        print(f"likeliest moves, {name} parameters: {by_likeliest(opened, environment, run, params):.1f} %")
