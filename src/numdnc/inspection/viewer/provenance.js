// Provenance of reads: which step wrote what a head reads (inspection/provenance.py).

/**
 * The slot that each head reads most at each step, and the step that wrote it.
 *
 *     left[s][n] at step t = w_s[n] prod_{s<k<=t} (1 - w_k[n] e_k) psi_k[n],   e_k the mean erase gate of step k
 */
function provenanceOf(kind, spec, steps) {
  const perHead = (part) => (kind === "ntm" || writers() > 1 ? Array.from(part) : [part]);
  const mean = (vector) => vector.reduce((total, value) => total + value, 0) / vector.length;
  const left = [];
  const found = { slots: [], writes: [] };
  for (const step of steps) {
    const weights = perHead(step.write_weights);
    const erased = spec.recency ? null : perHead(step.erase).map(mean);
    const kept = weights[0].map((_, n) => {
      if (spec.recency) return 1 - step.allocation[n];
      const remains = weights.reduce((share, w, v) => share * (1 - w[n] * erased[v]), 1);
      return spec.deallocation ? remains * step.retention[n] : remains;
    });
    for (const share of left) for (let n = 0; n < share.length; n++) share[n] *= kept[n];
    left.push(weights[0].map((_, n) => Math.max(...weights.map((w) => w[n]))));
    const slots = step.read_weights.map(slotReadMost);
    found.slots.push(slots);
    found.writes.push(slots.map((slot) => (slot === NOTHING ? NOTHING : latestWrite(left.map((share) => share[slot])))));
  }
  return found;
}

function slotReadMost(weights) {
  const most = weights.reduce((a, b) => Math.max(a, b), 0);
  return most < about.least ? NOTHING : weights.indexOf(most);
}

/** The latest step of which at least half of the largest share is left. */
function latestWrite(shares) {
  const most = Math.max(...shares);
  return most < about.least ? NOTHING : shares.findLastIndex((share) => share >= most / 2);
}
