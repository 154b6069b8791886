// Compute runs with the model's parameters, which a page carries if they are small enough.

/** The model of the trace, and the one that it is compared with, if there is one. */
const computing = { model: null, other: null };

async function unpackModels() {
  if (about.model === null) return;
  const { params, ...described } = about.model;
  const values = numbersOf(await inflated("params"), described.precision);
  const size = values.length / (about.other === null ? 1 : 2);
  const unpacked = (start) => ({ ...described, params: model.paramTree(params, values.subarray(start, start + size)) });
  computing.model = unpacked(0);
  if (about.other !== null) computing.other = unpacked(size);
}

function numbersOf(bytes, precision) {
  if (precision === "float32") return Float64Array.from(new Float32Array(bytes.buffer));
  return Float64Array.from(new Uint16Array(bytes.buffer), fromHalf);
}

/** The number that 16 bits stand for: sign, 5 bits of exponent, 10 bits of fraction. */
function fromHalf(bits) {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** What the trace gives to the model: for each step inputs (a vector, or the number of a symbol), targets and mask. */
function recordedSequence() {
  const steps = (name) => Array.from({ length: recorded.steps }, (_, t) => partAt(recorded.arrays.get(name), t));
  return {
    inputs: about.inputs?.map((x) => Float64Array.from(x)) ?? steps("inputs"),
    targets: steps("targets"),
    mask: steps("mask"),
  };
}

function partAt({ shape, values }, t) {
  const [, size] = shape;
  return size === undefined ? values[t] : values.subarray(t * size, (t + 1) * size);
}

/** The run of a model on a sequence with edits; `known` are states that come out unchanged, from the first step on. */
function computedRun(described, sequence, edits = [], known = []) {
  const states = model.forward(described, sequence.inputs, edits, known);
  const inputs = sequence.inputs.map((x, t) => model.editsAt(edits, t)("inputs", x));
  const arrays = new Map();
  const add = (name, parts) => arrays.set(name, computedArray(parts));
  for (const [name, parts] of Object.entries({ ...sequence, inputs })) add(name, parts);
  for (const name of recorded.arrays.keys()) if (name in states[0]) add(name, states.map((state) => state[name]));
  if (hasLinks() && !arrays.has("link_slots")) add("link", states.map((state) => state.link));
  add("probabilities", states.map((state) => probabilitiesOf(state.outputs)));
  return {
    arrays,
    states,
    steps: states.length,
    every: 1,
    provenance: recorded.provenance && provenanceOf(described.kind, described.spec, states),
    graph: recorded.graph && graphOf(inputs, sequence.targets, states),
  };
}

const computedArray = (parts) => ({
  parts,
  shape: shapeOf(parts),
  get values() {
    return (this.flattened ??= Float64Array.from(flat(parts)));
  },
});

const shapeOf = (part) => (typeof part === "number" ? [] : [part.length, ...shapeOf(part[0])]);

function probabilitiesOf(outputs) {
  if (about.unit === "bits") return outputs.map(model.sigmoid);
  const each = outputs.length / about.groups;
  const groups = Array.from({ length: about.groups }, (_, g) => outputs.subarray(g * each, (g + 1) * each));
  return Float64Array.from(groups.flatMap((group) => Array.from(model.softmax(group))));
}

/** The labels of a graph task: nodes and their places are those of the trace. */
function graphOf(inputs, targets, states) {
  const question = inputs.findIndex((x) => x.at(-2) > 0);
  const input = inputs.map((x) => labelsOf(x.subarray(0, -FLAGS.length)));
  const first = question < 0 ? inputs.length : question;
  const isEdge = (labels, t) => t < first && inputs[t].at(-1) === 0 && !labels.includes(NOTHING);
  return {
    ...recorded.graph,
    input,
    target: targets.map((digits) => labelsOfDigits(Array.from(digits))),
    output: states.map(({ outputs }) => labelsOf(outputs, true)),
    edges: [...input.keys()].filter((t) => isEdge(input[t], t)),
    question: first,
  };
}

/** Three labels from digits, each one-hot over ten channels; an absent label is zeros. */
function labelsOf(channels, likeliest = false) {
  const digits = Array.from({ length: channels.length / 10 }, (_, d) => {
    const ten = channels.subarray(10 * d, 10 * d + 10);
    const most = ten.reduce((a, b) => Math.max(a, b));
    return most > 0 || likeliest ? ten.indexOf(most) : NOTHING;
  });
  return labelsOfDigits(digits);
}

function labelsOfDigits(digits) {
  const size = digits.length / 3;
  return [0, 1, 2].map((part) => {
    const own = digits.slice(part * size, (part + 1) * size);
    return own.includes(NOTHING) ? NOTHING : own.reduce((label, digit) => 10 * label + digit, 0);
  });
}

/** The other way round: the one-hot digits of three labels. */
function hotLabels(labels, size) {
  const channels = new Float64Array(30 * size);
  labels.forEach((label, part) => {
    if (label === NOTHING) return;
    const digits = String(label).padStart(size, "0");
    for (let d = 0; d < size; d++) channels[10 * (part * size + d) + Number(digits[d])] = 1;
  });
  return channels;
}
