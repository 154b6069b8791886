// Weightings cut to their K largest entries (reference/sparse.py) and content addressing (reference/content.py).

/** The places of the `count` largest values, largest first, ties by index. */
const largestPlaces = (values, count) =>
  Array.from(values.keys())
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, count);

/** Keep the `count` largest weights, the others 0; null keeps all. */
function cut(weights, count) {
  if (count === null) return weights;
  const kept = zeros(weights.length);
  for (const n of largestPlaces(weights, count)) kept[n] = weights[n];
  return kept;
}

const transpose = (matrix) => Array.from(matrix, (_, j) => Float64Array.from(matrix, (row) => row[j]));

/** Keep the `count` largest links of each row, and of these the `count` largest of each column; link (N, N). */
function capLinks(link, count) {
  const rows = link.map((row) => cut(row, count));
  return transpose(transpose(rows).map((column) => cut(column, count)));
}

/** The links of each row as slots and weights, each (N, K): slots rise, zeros fill up the rest. */
function listLinks(link, count) {
  const linked = link.map((row) => Array.from(row.keys()).filter((j) => row[j] !== 0));
  const lists = (value) =>
    linked.map((slots, i) => Float64Array.from({ length: count }, (_, k) => (k < slots.length ? value(i, slots[k]) : 0)));
  return { link_slots: lists((_, j) => j), link_values: lists((i, j) => link[i][j]) };
}

/**
 * softmax_n(beta D(k, M[n])), D(a, b) = a.b / (sqrt(|a|^2 + eps) sqrt(|b|^2 + eps)).
 * With `sparsity` the softmax is over the slots of the K largest similarities alone.
 */
function contentWeights(memory, key, strength, sparsity = null) {
  const norm = (vector) => Math.sqrt(dot(vector, vector) + EPSILON);
  const keyNorm = norm(key);
  const similarity = ofRows(memory, (word) => dot(key, word) / (keyNorm * norm(word)));
  const scores = similarity.map((value) => strength * value);
  if (sparsity === null) return softmax(scores);
  const kept = zeros(scores.length).fill(-Infinity);
  for (const n of largestPlaces(similarity, sparsity)) kept[n] = scores[n];
  return softmax(kept);
}

/** The same by the columns that a mask lets through: D(k m, M[n] m), m <- floor + (1 - floor) m. */
function maskedContentWeights(memory, key, strength, mask, floor, sparsity = null) {
  const raised = mask.map((value) => floor + (1 - floor) * value);
  const seen = (vector) => vector.map((value, i) => value * raised[i]);
  return contentWeights(memory.map(seen), seen(key), strength, sparsity);
}

/** The weighting of each key by content, with masks if the model has them. */
function lookUp(spec, memory, keys, strengths, masks) {
  return Array.from(keys, (key, i) =>
    spec.masking
      ? maskedContentWeights(memory, key, strengths[i], masks[i], spec.mask_floor, spec.sparsity)
      : contentWeights(memory, key, strengths[i], spec.sparsity),
  );
}
