// Rollout of shortest paths: the model's choices become inputs, and targets follow from where they lead (rollout.py).
// Edges are triples of labels in the order in which the graph shows them.

const END = [0, 0, 0];
const edgesFrom = (edges, node) => edges.filter(([source]) => source === node);
const isSameTriple = (one, other) => one.every((label, part) => label === other[part]);

/** Node -> number of edges of a shortest path from it, for all nodes from which `end` can be reached. */
function distancesTo(edges, end) {
  const distances = new Map([[end, 0]]);
  for (const [node, steps] of distances) {
    for (const [source, , destination] of edges)
      if (destination === node && !distances.has(source)) distances.set(source, steps + 1);
  }
  return distances;
}

/** The edges of a node that begin a shortest path; `distances` are those of `distancesTo` its end. */
const shortestEdges = (edges, at, distances) =>
  edgesFrom(edges, at).filter(([, , next]) => distances.has(next) && distances.get(next) === distances.get(at) - 1);

/** A shortest path, of the first such edges. */
function shortestPath(edges, start, end) {
  const distances = distancesTo(edges, end);
  const path = [];
  for (let at = start; at !== end; at = path.at(-1)[2]) path.push(shortestEdges(edges, at, distances)[0]);
  return path;
}

/** The one of some triples whose digits have the largest outputs together. */
function likeliestOf(triples, outputs, digits) {
  const scores = triples.map((triple) => digitsOf(triple, digits).reduce((total, d, k) => total + outputs[10 * k + d], 0));
  return triples[scores.indexOf(Math.max(...scores))];
}

/**
 * The sequence with the model's choices as inputs from step `first` on, where the answer begins at node `start`.
 * Choices depend on outputs, and outputs on earlier choices, so all is computed again until no choice changes.
 */
function rollOut(described, sequence, edges, { start, end, first, validEdges }) {
  const { digits } = recorded.graph;
  const distances = distancesTo(edges, end);
  const [inputs, targets] = [sequence.inputs.slice(), sequence.targets.slice()];
  let known = [];
  for (let round = first; round <= inputs.length; round++) {
    const states = model.forward(described, inputs, [], known);
    let changed = inputs.length;
    let at = start;
    for (let t = first; t < inputs.length; t++) {
      const { outputs } = states[t];
      const best = shortestEdges(edges, at, distances);
      const target = best.length > 0 ? likeliestOf(best, outputs, digits) : END;
      const choices = best.length > 0 ? edgesFrom(edges, at) : [END];
      const choice = validEdges ? likeliestOf(choices, outputs, digits) : labelsOf(outputs, true);
      targets[t] = digitsOf(target, digits);
      if (edgesFrom(edges, at).some((edge) => isSameTriple(edge, choice))) at = choice[2];
      if (t + 1 === inputs.length || isSameTriple(labelsOf(inputs[t + 1].subarray(0, -FLAGS.length)), choice)) continue;
      inputs[t + 1] = stepInput(choice, [0, 1]);
      changed = Math.min(changed, t + 1);
    }
    if (changed === inputs.length) break;
    known = described.spec.bidirectional ? [] : states.slice(0, changed);
  }
  return { ...sequence, inputs, targets };
}
