// A model step by step (reference/dnc.py, recurrent.py, interface.py, sequence.py) from its initial state (init.py).
// `model` is {kind, spec, interface, start, params}: see `described_model` in parameters.py.

const MEMORIES = { dnc: access, ntm: accessNtm };
const ACTIVATIONS = {
  identity: (vector) => vector,
  sigmoid: (vector) => vector.map(sigmoid),
  softplus: (vector) => vector.map(softplus),
  oneplus: (vector) => vector.map(oneplus),
  softmax,
};

const sizeOf = (shape) => shape.reduce((product, length) => product * length, 1);

/** A flat array in a shape: a number, a vector, or nested arrays. */
function shaped(values, [length, ...inner]) {
  if (length === undefined) return values[0];
  if (inner.length === 0) return values;
  const size = values.length / length;
  return Array.from({ length }, (_, i) => shaped(values.subarray(i * size, (i + 1) * size), inner));
}

/** Apply a function to the vectors along the last axis. */
const alongLast = (act, part) => (Array.isArray(part) ? part.map((inner) => alongLast(act, inner)) : act(part));

/** Split xi and activate its parts. */
function parseInterface(model, xi, edited) {
  const parts = {};
  let first = 0;
  for (const [name, shape, activation] of model.interface) {
    const size = sizeOf(shape);
    const columns = shaped(xi.subarray(first, first + size), shape.length > 0 ? shape : [1]);
    const activated = alongLast(ACTIVATIONS[activation], columns);
    parts[name] = edited(name, shape.length > 0 ? activated : activated[0]);
    first += size;
  }
  return parts;
}

/** The parameters as a tree: `controller.0.weights` is params.controller[0].weights. `shapes` lists names and shapes. */
function paramTree(shapes, values) {
  const tree = {};
  let start = 0;
  for (const [name, shape] of shapes) {
    const array = shaped(values.subarray(start, (start += sizeOf(shape))), shape);
    const path = name.split(".");
    let place = tree;
    path.slice(0, -1).forEach((key, i) => (place = place[key] ??= /^\d+$/.test(path[i + 1]) ? [] : {}));
    place[path.at(-1)] = array;
  }
  return tree;
}

/** The state before the first step: zeros, the start of an NTM's heads and memory, and what was learned. */
function initialState(model) {
  const { spec, start, params } = model;
  const recurrent = { lstm: ["hidden", "cell"], rnn: ["hidden"], feedforward: [] }[spec.controller];
  const controller = spec.hidden_sizes.map((size) => Object.fromEntries(recurrent.map((name) => [name, zeros(size)])));
  const parts = Object.fromEntries(
    start.map(([name, shape, values]) => [name, shaped(values ? Float64Array.from(values) : zeros(sizeOf(shape)), shape)]),
  );
  const { controller: layers, ...learned } = params.initial ?? {};
  return { ...parts, ...learned, controller: layers ?? controller };
}

/** Outputs, hidden values and all that a trace records of a step, and the controller's state; `reverse` as in dnc_step. */
function step(model, x, before, reverse, edited) {
  const { kind, spec, params } = model;
  const hasMemory = kind in MEMORIES;
  const [hidden, controller] = controllerStep(
    spec,
    params.controller,
    x,
    hasMemory ? concatenate(before.reads) : zeros(0),
    before.controller,
  );
  const hiddenAll = reverse ? concatenate([hidden, reverse]) : hidden;
  const found = { controller, hidden: hiddenAll };
  if (spec.controller === "lstm") found.cell = concatenate(controller.map((layer) => layer.cell));
  if (!hasMemory) return { ...found, outputs: affine(params.output, hiddenAll) };
  const parts = parseInterface(model, affine(params.interface, hiddenAll), edited);
  const after = MEMORIES[kind](spec, parts, before, edited);
  return { ...found, ...parts, ...after, outputs: affine(params.output, hiddenAll, concatenate(after.reads)) };
}

/**
 * All steps of a sequence: inputs are vectors, or symbols as numbers.
 * `known` are steps that came out before and are the same again, from the first on.
 */
function forward(model, inputs, edits = [], known = []) {
  const { spec, params } = model;
  const edited = inputs.map((_, t) => editsAt(edits, t));
  const xs = inputs.map((input, t) => {
    const x = edited[t]("inputs", input);
    return typeof x === "number" ? { symbol: x, of: spec.input_size } : x;
  });
  const reverse = spec.bidirectional ? reverseHidden(spec, params.reverse_controller, xs) : [];
  const steps = known.slice();
  let before = known.at(-1) ?? initialState(model);
  for (let t = known.length; t < xs.length; t++) steps.push((before = step(model, xs[t], before, reverse[t], edited[t])));
  return steps;
}
