// One step of a DNC's memory: free, allocate, write, link, read (reference/access.py, writing.py, reading.py, heads.py).
// Steps return the values that a trace records, by their names there. A part of a single write head has no axis V.
// `edited(name, part)` is the part as edits change it (edits.js), by itself without any.

const splitHeads = (spec, part) => (spec.write_heads === 1 ? [part] : Array.from(part));
const joinHeads = (spec, heads) => (spec.write_heads === 1 ? heads[0] : heads);

/** Free, allocate, mix with the content weightings, write. */
function writeByUsage(spec, parts, before) {
  const heads = (name) => splitHeads(spec, parts[name]);
  const retention = retain(before.read_weights, parts.free_gates);
  const usage = updateUsage(before.usage, splitHeads(spec, before.write_weights), retention);
  const gates = heads("allocation_gate").map((gate, v) => gate * heads("write_gate")[v]);
  const allocations = allocateInTurn(usage, gates);
  const masks = spec.masking ? heads("write_mask") : null;
  const content = lookUp(spec, before.memory, heads("write_key"), heads("write_strength"), masks);
  const weights = allocations.map((allocation, v) =>
    cut(writeWeights(allocation, content[v], heads("allocation_gate")[v], heads("write_gate")[v]), spec.sparsity),
  );
  const kept = spec.deallocation ? deallocate(before.memory, retention) : before.memory;
  const memory = write(kept, weights, heads("erase"), heads("write_vector"));
  return {
    retention,
    usage,
    allocation: joinHeads(spec, allocations),
    write_content: joinHeads(spec, content),
    write_weights: joinHeads(spec, weights),
    memory,
  };
}

/** Write to the least recently used slot, which is wiped first, or to the slots read last. */
function writeByRecency(spec, parts, before) {
  const oldest = leastRecent(before.age);
  const mixed = recencyWeights(oldest, before.read_weights, parts.allocation_gate, parts.write_gate);
  const weights = cut(mixed, spec.sparsity);
  const memory = writeOver(before.memory, oldest, weights, parts.write_vector);
  return { allocation: oldest, write_weights: weights, memory };
}

/** Update the links, follow them in both directions, and mix with the content weightings. */
function locateReads(spec, parts, before, written, content, edited) {
  if (!spec.links) return { read_weights: content };
  const K = spec.sparsity;
  const precedence = splitHeads(spec, before.precedence);
  const weights = splitHeads(spec, written);
  let links = splitHeads(spec, before.link).map((link, v) => updateLink(link, precedence[v], weights[v]));
  if (K !== null) links = links.map((link) => capLinks(link, K));
  links = splitHeads(spec, edited("link", joinHeads(spec, links)));
  const [forward, backward] = followLinks(spec, parts, links, before.read_weights);
  const mixed = content.map((found, i) => {
    const of = (directions) => directions.map((direction) => direction[i]);
    return cut(readWeights(parts.read_modes[i], of(backward), found, of(forward)), K);
  });
  return {
    read_weights: mixed,
    link: joinHeads(spec, links),
    ...(K === null ? {} : listLinks(links[0], K)),
    precedence: joinHeads(
      spec,
      precedence.map((p, v) => cut(updatePrecedence(p, weights[v]), K)),
    ),
    forward: joinHeads(spec, forward),
    backward: joinHeads(spec, backward),
  };
}

/** The state after the step, and the weightings on the way. */
function access(spec, parts, before, edited) {
  const writing = (spec.recency ? writeByRecency : writeByUsage)(spec, parts, before);
  writing.memory = edited("memory", writing.memory);
  const content = lookUp(spec, writing.memory, parts.read_keys, parts.read_strengths, parts.read_masks);
  const reading = locateReads(spec, parts, before, writing.write_weights, content, edited);
  const after = { ...writing, read_content: content, ...reading };
  after.reads = edited("reads", read(after.memory, after.read_weights));
  if (spec.recency) after.age = updateAge(before.age, after.write_weights, after.read_weights);
  return after;
}
