// The trace: its description in JSON, and its arrays (see `pack` in export.py).

const about = JSON.parse(document.getElementById("about").textContent);

/** A run of the model, from which everything is drawn: that of the trace, or one that the page computes (compute.js). */
const recorded = {
  arrays: new Map(),
  steps: about.steps,
  every: about.every,
  provenance: about.provenance,
  graph: about.graph,
};
let run = recorded;

/** Do something as if another run were drawn. */
function inRun(other, act) {
  const drawn = run;
  run = other;
  try {
    return act();
  } finally {
    run = drawn;
  }
}

/** The bytes in an element of the page, which are deflated and in base 64. */
async function inflated(id) {
  const text = atob(document.getElementById(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpackArrays() {
  const bytes = await inflated("numbers");
  const count = bytes.length / 3;
  const numbers = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    numbers[i] = (bytes[i] << 16) | (bytes[count + i] << 8) | bytes[2 * count + i];
  }
  let start = 0;
  for (const [name, shape, isFloat] of about.arrays) {
    const size = shape.reduce((product, length) => product * length, 1);
    const part = numbers.slice(start, start + size);
    start += size;
    const values = isFloat ? new Float32Array(part.map((number) => number << 8).buffer) : part;
    recorded.arrays.set(name, { shape, values });
  }
}

/** The number of an array at these indices. A computed array also has its `parts`, one a step. */
function at(name, ...indices) {
  const array = run.arrays.get(name);
  if (array.parts) {
    let part = array.parts;
    for (const index of indices) part = part[index];
    return part;
  }
  const { shape, values } = array;
  return values[indices.reduce((offset, index, axis) => offset * shape[axis] + index, 0)];
}

/** The numbers of nested arrays in one list. */
function flat(part, numbers = []) {
  if (typeof part === "number") numbers.push(part);
  else for (let i = 0; i < part.length; i++) flat(part[i], numbers);
  return numbers;
}

/** Largest magnitude among the finite numbers of an array. */
function largest(name) {
  let most = 0;
  for (const value of run.arrays.get(name).values) {
    if (Number.isFinite(value) && Math.abs(value) > most) most = Math.abs(value);
  }
  return most;
}

/** Arrays of memory and links hold one step in `run.every`: the index that holds this step, ... */
const keptIndex = (step) => Math.floor(step / run.every);
/** ... and the step that is kept there. */
const keptStep = (step) => keptIndex(step) * run.every;

/** Link from slot j to slot i (i was written right after j) at the last kept step: the strongest of all write heads. */
function linkAt(kept, i, j) {
  let most = linkOf(0, kept, i, j);
  for (let writer = 1; writer < writers(); writer++) most = Math.max(most, linkOf(writer, kept, i, j));
  return most;
}

function linkOf(writer, kept, i, j) {
  if (run.arrays.has("link")) return at("link", kept, ...ofWriter(writer), i, j);
  const strongest = run.arrays.get("link_slots").shape.at(-1);
  for (let k = 0; k < strongest; k++) {
    if (at("link_slots", kept, ...ofWriter(writer), i, k) === j) return at("link_values", kept, ...ofWriter(writer), i, k);
  }
  return 0;
}

/** Number of slots in the arrays, ... */
const slotCount = () => about.slots?.length ?? about.spec.memory_size;
/** ... and the number of one of them in the memory: of a large sparse memory the arrays have only some slots. */
const slotName = (slot) => String(about.slots?.[slot] ?? slot);

/** How much a slot is in use, in [0, 1]: its usage, or, for a model without, how recently it was accessed. */
const inUse = (step, slot) => (run.arrays.has("usage") ? at("usage", step, slot) : 1 / (1 + at("age", step, slot)));

const hasMemory = () => run.provenance !== undefined;

/** Number of write heads, ... */
const writers = () => about.spec.write_heads ?? 1;
/** ... and the index of one, which arrays of a DNC with a single write head do not have. */
const ofWriter = (writer) => (about.kind === "ntm" || writers() > 1 ? [writer] : []);

/** With which weight a head writes to a slot at a step, ... */
const writeWeight = (step, slot, writer) => at("write_weights", step, ...ofWriter(writer), slot);

/** ... and which head writes most to it. */
function strongestWriter(step, slot) {
  let most = 0;
  for (let writer = 1; writer < writers(); writer++)
    if (writeWeight(step, slot, writer) > writeWeight(step, slot, most)) most = writer;
  return most;
}

const mostWritten = (step, slot) => writeWeight(step, slot, strongestWriter(step, slot));

const hasLinks = () => run.arrays.has("link") || run.arrays.has("link_slots");

/** A number with four digits, the page's precision; whole numbers unchanged. */
const inDigits = (value) => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4))));

const characters = about.symbols === null ? null : Array.from(about.symbols);
const SHOWN = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };

/** The text for a symbol or a class in a cell; `names` are the channels of its side. */
function glyph(number, names) {
  if (characters === null) return names[number];
  const character = characters[number];
  const code = character.codePointAt(0);
  const hidden = code < 32 || (code >= 127 && code < 160) || /\p{C}|\p{Z}/u.test(character);
  return SHOWN[character] ?? (hidden ? `U+${code.toString(16).toUpperCase().padStart(4, "0")}` : character);
}
