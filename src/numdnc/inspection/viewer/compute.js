// Compute the sequence again with the model's parameters, which a page carries if they are small enough.

const computing = { model: null };

async function unpackModel() {
  if (about.model === null) return;
  const values = Float64Array.from(new Float32Array((await inflated("params")).buffer));
  const { params, ...described } = about.model;
  computing.model = { ...described, params: model.paramTree(params, values) };
}

/** The inputs of the trace: a vector, or the number of a symbol, for each step. */
function recordedInputs() {
  const { shape, values } = arrays.get("inputs");
  const [T, X] = shape;
  return Array.from({ length: T }, (_, t) => (X === undefined ? values[t] : values.subarray(t * X, (t + 1) * X)));
}

function computeArray(name) {
  const steps = model.forward(computing.model, recordedInputs());
  return steps.flatMap((step) => flat(step[name]));
}

const flat = (part) => (typeof part === "number" ? [part] : Array.from(part).flatMap(flat));
