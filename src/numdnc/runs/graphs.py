"""Runs of graph tasks: runs of sequences that also answer questions about graphs of the user's own."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from numdnc.errors import UserError, check_seed
from numdnc.inspection.trace import About, Trace
from numdnc.models import locate, model_name
from numdnc.runs.results import Evaluation, GraphAnswer
from numdnc.runs.sequences import SequenceRun, generator_class
from numdnc.schema import Size, read_json
from numdnc.tables import MAX_CSV_BYTES
from numdnc.tasks import Batch
from numdnc.tasks.graphs import GraphTask
from numdnc.tasks.graphs.asking import Posed, answer, draw_on_graph, pose
from numdnc.tasks.sequence_task import SequenceTask
from numdnc.tasks.sequences import resolved_settings
from numdnc.training.run import Run

_ASK_STATES = 3
"""Held at once: before a step and after it, and where the answer began."""


@dataclass(frozen=True, kw_only=True)
class ShownGraph:
    """A graph and how it is shown; graph.json beside a trained model's weights says which one that model comes with."""

    graph: str
    """A CSV file, in the same folder."""
    two_way: bool = False
    """Whether each edge is taken in both directions."""
    nodes: Size | None = None
    """How many nodes are shown, None for all."""
    relations: str | None = None
    """A CSV file of relations, in the same folder."""


class GraphRun(SequenceRun):
    """A run of a graph task. Graphs of the user's own are CSV files, an edge a line."""

    own_graph: ShownGraph | None = None
    """What `ask` asks about if no graph is named, with paths of its files."""

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
        question is about a part of the graph with this many nodes. model:NAME as `graph` is the graph that this model
        comes with, shown as it shows it.
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
        named = self._named(graph, two_way, nodes, None)
        about = {"graph": str(graph), "two_way": named.two_way, "nodes": named.nodes}
        settings = {**resolved_settings(task.generator), **about}
        on_graph = draw_on_graph(
            cast(GraphTask, task.generator), Path(named.graph), two_way=named.two_way, nodes=named.nodes
        )
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

        Without `graph` it is the one that a trained model comes with. With `nodes` the model is shown only this many
        nodes, around those of the answer. `relations` is a CSV file of relation,path. `seed` is that of the numbering
        of names and the order of edges.
        """
        check_seed(seed)
        self._check_memory(_ASK_STATES, 1)
        posed = self._pose(question, graph, two_way, nodes, relations, seed)
        found = answer(posed, self.forward)
        return GraphAnswer(
            **found._asdict(),
            iteration=self.checkpoint.iteration,
            warnings=(*self._edge_warnings(found.edges), *self._path_warnings(posed)),
        )

    def trace(
        self,
        *,
        user_input: str | None = None,
        number: int | None = None,
        overrides: Mapping[str, Any] | None = None,
        graph: str | Path | None = None,
        two_way: bool = False,
        nodes: int | None = None,
    ) -> Trace:
        """Record one of the sequences that are scored, or one of the user's own; `overrides` as in `evaluate`.

        `user_input` is a question, with graph, two_way and nodes as in `ask`, or else as of every run of sequences.
        """
        question = user_input is not None and "->" in user_input
        if not question and (graph is not None or two_way or nodes is not None):
            raise UserError(
                "--graph, --two-way and --nodes must be given with a question as --input, got none. "
                "Ask one, or leave them out."
            )
        if user_input is None or not question:
            return super().trace(user_input=user_input, number=number, overrides=overrides)

        def make() -> tuple[Batch, About]:
            posed = self._pose(user_input, graph, two_way, nodes, None, 0)
            return posed.batch, self._about(self.task, f"the question {user_input}")

        return self._trace(make)

    def _pose(
        self,
        question: str,
        graph: str | Path | None,
        two_way: bool,
        nodes: int | None,
        relations: str | Path | None,
        seed: int,
    ) -> Posed:
        """A question about the graph of a file, or of the model's own, as a sequence."""
        named = self._named(graph, two_way, nodes, relations)
        self.task.move_to(self.checkpoint.position)  # the lesson says which relations the model may know
        return pose(
            cast(GraphTask, self.task.current),
            self.forward,
            question,
            Path(named.graph),
            two_way=named.two_way,
            nodes=named.nodes,
            relations=None if named.relations is None else Path(named.relations),
            seed=seed,
        )

    def _named(
        self, graph: str | Path | None, two_way: bool, nodes: int | None, relations: str | Path | None
    ) -> ShownGraph:
        """The graph that is meant: that of a file, of model:NAME or, unnamed, of this model."""
        own = self.own_graph
        if graph is not None:
            if model_name(Path(graph)) is None:
                return ShownGraph(
                    graph=str(graph),
                    two_way=two_way,
                    nodes=nodes,
                    relations=None if relations is None else str(relations),
                )
            own = read_own_graph(locate(Path(graph)))
            if own is None:
                raise UserError(
                    f"--graph must name a model that comes with a graph, got {graph}. Name another."
                )
        if own is None:
            raise UserError(
                "--graph must be given, the graph to ask about, got none. Name a CSV file, or a model that comes with "
                "one: --graph model:traversal."
            )
        return dataclasses.replace(
            own,
            two_way=two_way or own.two_way,
            nodes=own.nodes if nodes is None else nodes,
            relations=own.relations if relations is None else str(relations),
        )

    def _edge_warnings(self, edges: int) -> tuple[str, ...]:
        if not self.spec.has_memory or self.spec.memory_size >= edges:
            return ()
        return (
            f"the graph has {edges} edges, more than the {self.spec.memory_size} slots of the memory: "
            "show a part of it with --nodes, or give more with --memory-size",
        )

    def _path_warnings(self, posed: Posed) -> tuple[str, ...]:
        low, high = cast(GraphTask, self.task.current).sizes.path
        edges = len(posed.asked.path) or len(posed.asked.steps) or len(posed.asked.nodes) - 1
        if low <= edges <= high:
            return ()
        learned = f"{low} to {high}" if low < high else low
        return (
            f"the question is about a path of {edges} edge{'s' * (edges > 1)}, the run's lesson about {learned}: "
            "the model may not have learned it",
        )

    def _about(self, task: SequenceTask, sequence: str) -> About:
        digits = cast(GraphTask, task.generator).digits
        return dataclasses.replace(super()._about(task, sequence), digits=digits)


def read_own_graph(folder: Path) -> ShownGraph | None:
    """What graph.json of a trained model says, with paths of its files; None if there is none."""
    file = folder / "graph.json"
    if not file.exists():
        return None
    stored = read_json(file, ShownGraph, MAX_CSV_BYTES, "say what graph the model comes with")
    relations = None if stored.relations is None else str(folder / Path(stored.relations).name)
    return dataclasses.replace(stored, graph=str(folder / Path(stored.graph).name), relations=relations)
