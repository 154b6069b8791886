// Which slots are in use, and which free one to write next (reference/allocation.py, reference/recency.py).

const ACCESSED = 0.005;

/** psi[n] = prod_i (1 - f^i w^r_i[n]), w^r of the step before. */
const retain = (readWeights, freeGates) =>
  readWeights[0].map((_, n) => readWeights.reduce((kept, weights, i) => kept * (1 - freeGates[i] * weights[n]), 1));

/** u <- u + w^w - u w^w, head by head, u and w^w of the step before;  u_t = u psi. */
function updateUsage(usage, writeWeights, retention) {
  const filled = writeWeights.reduce((before, w) => before.map((u, n) => u + w[n] - u * w[n]), usage);
  return filled.map((u, n) => u * retention[n]);
}

/** a[phi[j]] = (1 - u[phi[j]]) prod_{i<j} u[phi[i]], phi = slots by rising usage, ties by index. */
function allocate(usage) {
  const order = Array.from(usage.keys()).sort((a, b) => usage[a] - usage[b] || a - b);
  const allocation = zeros(usage.length);
  let before = 1;
  for (const n of order) {
    allocation[n] = (1 - usage[n]) * before;
    before *= usage[n];
  }
  return allocation;
}

/** a_v = allocate(u_v),  u_{v+1} = u_v + (1 - u_v) g_v a_v: each head as if the heads before it had written. */
function allocateInTurn(usage, gates) {
  return gates.map((gate) => {
    const allocation = allocate(usage);
    usage = usage.map((u, n) => u + (1 - u) * gate * allocation[n]);
    return allocation;
  });
}

/** 1 at the slot of the largest age, 0 elsewhere, ties by index. */
function leastRecent(age) {
  const oldest = zeros(age.length);
  oldest[age.indexOf(age.reduce((a, b) => Math.max(a, b)))] = 1;
  return oldest;
}

/** w^w = g^w (g^a I^U + (1 - g^a) mean_i w^r_i), w^r of the step before. */
const recencyWeights = (oldest, readWeights, allocationGate, writeGate) =>
  oldest.map((isOldest, n) => {
    const mean = sum(readWeights.map((weights) => weights[n])) / readWeights.length;
    return writeGate * (allocationGate * isOldest + (1 - allocationGate) * mean);
  });

/** M = (1 - I^U) M + w^w v^T. */
const writeOver = (memory, oldest, weights, vector) =>
  memory.map((word, n) => word.map((value, i) => value * (1 - oldest[n]) + weights[n] * vector[i]));

/** Steps since each slot was last accessed: 0 where w^w + sum_i w^r_i > 0.005, else one more. */
const updateAge = (age, writeWeights, readWeights) =>
  age.map((steps, n) => (writeWeights[n] + sum(readWeights.map((w) => w[n])) > ACCESSED ? 0 : steps + 1));
