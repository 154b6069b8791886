"""Runs of graph tasks: runs of sequences that also answer questions about graphs of the user's own."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from numdnc.errors import UserError
from numdnc.inspection.trace import About
from numdnc.runs.results import Evaluation, GraphAnswer
from numdnc.runs.sequences import SequenceRun, generator_class
from numdnc.tasks.graphs import GraphTask
from numdnc.tasks.graphs.asking import ask_graph, draw_on_graph
from numdnc.tasks.sequence_task import SequenceTask
from numdnc.tasks.sequences import resolved_settings
from numdnc.training.run import Run

_ASK_STATES = 3
"""Held at once: before a step and after it, and where the answer began."""


class GraphRun(SequenceRun):
    """A run of a graph task. Graphs of the user's own are CSV files of source,edge,destination."""

    noun: ClassVar[str] = "a graph task"

    @classmethod
    def accepts(cls, run: Run, custom_task: str | None) -> bool:
        """Whether the run's task is one of graphs."""
        return issubclass(generator_class(run, custom_task), GraphTask)

    def evaluate(
        self,
        *,
        no_reads: bool = False,
        overrides: Mapping[str, Any] | None = None,
        sequences: int | None = None,
        picture: bool = False,
        graph: str | Path | None = None,
        two_way: bool = False,
        nodes: int | None = None,
    ) -> Evaluation:
        """Score as every run of sequences or, with `graph`, on questions about the graph of that file.

        Names are numbered anew for each question. `two_way` takes each edge in both directions; with `nodes` each
        question is about a part of the graph with this many nodes.
        """
        if graph is None:
            if two_way or nodes is not None:
                raise UserError(
                    "--two-way and --nodes must be given with --graph, got one alone. Name a graph, or leave it out."
                )
            return super().evaluate(
                no_reads=no_reads, overrides=overrides, sequences=sequences, picture=picture
            )
        task = self._with_settings(overrides, sequences)
        about = {"graph": str(graph), "two_way": two_way, "nodes": nodes}
        settings = {**resolved_settings(task.generator), **about}
        on_graph = draw_on_graph(cast(GraphTask, task.generator), Path(graph), two_way=two_way, nodes=nodes)
        varied = SequenceTask(task.name, on_graph, task.settings, self.checkpoint.training.seed)
        return self._evaluate(varied, settings, no_reads=no_reads, picture=picture)

    def ask(
        self,
        question: str,
        *,
        graph: str | Path | None = None,
        two_way: bool = False,
        nodes: int | None = None,
        relations: str | Path | None = None,
        seed: int = 0,
    ) -> GraphAnswer:
        """Ask about the graph of a file, in its own names: "A -line-> ?", "A -> B" or "A -relation-> ?".

        With `nodes` the model is shown only this many nodes, around those of the answer. `relations` is a CSV file of
        relation,path. `seed` is that of the numbering of names and the order of edges.
        """
        if graph is None:
            raise UserError("--graph must be given, the graph to ask about, got none. Name a CSV file.")
        if seed < 0:
            raise UserError(f"seed must be at least 0, got {seed}.")
        self._check_memory(_ASK_STATES, 1)
        self.task.move_to(self.checkpoint.position)  # the lesson says which relations the model may know
        answer = ask_graph(
            cast(GraphTask, self.task.current),
            self.forward,
            question,
            Path(graph),
            two_way=two_way,
            nodes=nodes,
            relations=None if relations is None else Path(relations),
            seed=seed,
        )
        return GraphAnswer(
            **answer._asdict(),
            iteration=self.checkpoint.iteration,
            warnings=self._edge_warnings(answer.edges),
        )

    def _edge_warnings(self, edges: int) -> tuple[str, ...]:
        if not self.spec.has_memory or self.spec.memory_size >= edges:
            return ()
        return (
            f"the graph has {edges} edges, more than the {self.spec.memory_size} slots of the memory: "
            "show a part of it with --nodes, or give more with --memory-size",
        )

    def _about(self, task: SequenceTask, sequence: str) -> About:
        digits = cast(GraphTask, task.generator).digits
        return dataclasses.replace(super()._about(task, sequence), digits=digits)
