"""How many shortest paths can be found by looking up sets of nodes, each set held as one vector.

    python benchmarks/search_limit.py

A search back from the end as a DNC can do it, with perfect codes: at every step one head reads all edges that lead to
a set of nodes, by the cosine of their destinations with the sum of the codes of these nodes, and the mean of what it
reads has the next set as its sources. The answer takes at every node the edge whose destination is most like the set at
the right distance. Codes: the digits of a label, or a random direction for each label, which has no digits to confuse.
"""

import numpy as np

from numdnc.reference.content import content_weights
from numdnc.tasks.graphs import ShortestPath
from numdnc.tasks.graphs.encoding import one_hot

GRAPHS = 500
STRENGTH = np.full((1, 1), 10.0)


def search(edges, codes, end, steps):
    """What is read of the nodes at distance 0 .. steps - 1 of the end: each (C,), the codes of sources, weighted."""
    sources, destinations = codes[edges[:, 0]], codes[edges[:, 2]]
    sets = [codes[end]]
    for _ in range(steps - 1):
        (((weights,),), _) = content_weights(destinations[None], sets[-1][None, None], STRENGTH)
        sets.append(weights @ sources)
    return sets


def is_found(graph, question, codes):
    """The length of the path between two nodes, and whether the search leads along a shortest one."""
    ((start, _, end),) = question.asked
    far = graph.distances_to(end)
    sets, at = search(np.array(graph.triples), codes, end, far[start]), start
    for left in range(far[start] - 1, -1, -1):
        edges = graph.edges_from(at)
        at = edges[int(np.argmax([codes[edge.destination] @ sets[left] for edge in edges]))].destination
        if far.get(at) != left:
            return far[start], False
    return far[start], True


def main():
    rng = np.random.default_rng(0)
    codings = {"digits": one_hot(np.arange(1000)[:, None], 3)}
    codings |= {f"{size} numbers": rng.standard_normal((1000, size)) for size in (64, 128, 256)}
    for lesson in range(1, 10):
        task = ShortestPath(lesson=lesson)
        drawn = [task.graph_and_questions(np.random.default_rng(seed)) for seed in range(GRAPHS)]
        for name, codes in codings.items():
            results = np.array([is_found(graph, questions[0], codes) for graph, questions in drawn])
            paths = ", ".join(
                f"{edges} edges {results[results[:, 0] == edges, 1].mean():.1%}"
                for edges in np.unique(results[:, 0])
            )
            print(f"lesson {lesson}, {name}: {results[:, 1].mean():.1%} right ({paths})", flush=True)


if __name__ == "__main__":
    main()
