// One step of an NTM's memory: write, then read (reference/ntm.py, reference/addressing.py).

/** shift(w, s)[n] = sum_j s[j] w[(n - j) mod N], j from -S//2 to S//2. */
function shift(weights, shifts) {
  const N = weights.length;
  const half = Math.floor(shifts.length / 2);
  return weights.map((_, n) =>
    shifts.reduce((total, s, j) => total + s * weights[(((n - (j - half)) % N) + N) % N], 0),
  );
}

/** w^c = C(M, k, beta),  w^g = g w^c + (1 - g) w_{t-1},  w = sharpen(shift(w^g, s), gamma); content and weights. */
function address(memory, before, parts, kind) {
  const of = (name) => parts[`${kind}_${name}`];
  const content = before.map((_, i) => contentWeights(memory, of("keys")[i], of("strengths")[i]));
  const weights = before.map((last, i) => {
    const g = of("interpolation")[i];
    const mixed = last.map((w, n) => g * content[i][n] + (1 - g) * w);
    return sharpen(shift(mixed, of("shifts")[i]), of("sharpening")[i]);
  });
  return [content, weights];
}

/** Write where the write heads attend in the memory before, read where the read heads attend in the memory written. */
function accessNtm(spec, parts, before, edited) {
  const [writeContent, written] = address(before.memory, before.write_weights, parts, "write");
  const memory = edited("memory", write(before.memory, written, parts.erase, parts.write_vectors));
  const [readContent, readAt] = address(memory, before.read_weights, parts, "read");
  return {
    write_content: writeContent,
    write_weights: written,
    memory,
    read_content: readContent,
    read_weights: readAt,
    reads: edited("reads", read(memory, readAt)),
  };
}
