// Writing to the memory and reading from it (reference/memory.py), and temporal links (reference/linkage.py).

/** w^w = g^w (g^a a + (1 - g^a) c^w). */
const writeWeights = (allocation, content, allocationGate, writeGate) =>
  allocation.map((a, n) => writeGate * (allocationGate * a + (1 - allocationGate) * content[n]));

/** M = M * psi, slot by slot. */
const deallocate = (memory, retention) => memory.map((word, n) => word.map((value) => value * retention[n]));

/** All heads erase, then all add: M = M prod_v (1 - w_v e_v^T) + sum_v w_v v_v^T. */
function write(memory, weights, erase, vectors) {
  const after = zeroMatrix(memory.length, memory[0].length);
  after.forEach((word, n) => word.set(memory[n]));
  weights.forEach((w, v) => {
    after.forEach((word, n) => {
      for (let i = 0; i < word.length; i++) word[i] *= 1 - w[n] * erase[v][i];
    });
  });
  weights.forEach((w, v) => after.forEach((word, n) => addRow(word, w[n], vectors[v])));
  return after;
}

/** sum_n w[n] M[n], for each of the weightings; M has rows of any length. */
function read(memory, weights) {
  return weights.map((w) => {
    const found = zeros(memory[0].length);
    addRows(found, w, memory);
    return found;
  });
}

/** w^r = sum_v pi[backward v] bwd_v + pi[content] c^r + sum_v pi[forward v] fwd_v, of one head. */
const readWeights = (modes, backward, content, forward) => read([...backward, content, ...forward], [modes])[0];

/** L[i, j] = (1 - w^w[i] - w^w[j]) L[i, j] + w^w[i] p[j], L[i, i] = 0, p of the step before. */
function updateLink(link, precedence, w) {
  const after = zeroMatrix(w.length, w.length);
  after.forEach((row, i) => {
    const before = link[i];
    for (let j = 0; j < row.length; j++) row[j] = (1 - w[i] - w[j]) * before[j] + w[i] * precedence[j];
    row[i] = 0;
  });
  return after;
}

/** p = (1 - sum w^w) p + w^w. */
function updatePrecedence(precedence, w) {
  const keep = 1 - sum(w);
  return precedence.map((p, n) => keep * p + w[n]);
}

/** fwd = L w^r, bwd = L^T w^r, of each head. */
const directionalWeights = (link, readBefore) => [
  readBefore.map((w) => ofRows(link, (row) => dot(row, w))),
  read(link, readBefore),
];

/** S(d, s) = softmax(s log(d + eps)), where a rounding error below 0 counts as 0. */
const sharpen = (weights, sharpness) =>
  softmax(weights.map((weight) => sharpness * Math.log(Math.max(weight, 0) + EPSILON)));

/** Forward and backward weightings (V, R, N) along the links of each write head. */
function followLinks(spec, parts, links, readBefore) {
  const forward = [];
  const backward = [];
  links.forEach((link, v) => {
    const [ahead, back] = directionalWeights(link, readBefore);
    const sharp = (directions, name) =>
      spec.sharpness ? directions.map((d, i) => sharpen(d, splitHeads(spec, parts[name])[v][i])) : directions;
    forward.push(sharp(ahead, "forward_sharpness"));
    backward.push(sharp(back, "backward_sharpness"));
  });
  return [forward, backward];
}
