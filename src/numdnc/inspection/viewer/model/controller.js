// The controller: layers with skip connections (reference/controller.py, lstm.py, rnn.py, feedforward.py, bidirectional.py).

/** i, f, g, o = [x ; reads ; h ; below] W + b;  c = f c + i g,  h = o tanh(c), where c passes layer norm if there is one. */
function lstmLayer(params, x, reads, below, state) {
  const z = affine(params, x, reads, state.hidden, below);
  const H = state.hidden.length;
  const [i, f, g, o] = [0, 1, 2, 3].map((gate) => z.subarray(gate * H, (gate + 1) * H));
  const cell = state.cell.map((before, n) => sigmoid(f[n]) * before + sigmoid(i[n]) * Math.tanh(g[n]));
  const outputCell = params.cell_gain ? layerNorm(cell, params.cell_gain, params.cell_bias) : cell;
  const hidden = outputCell.map((value, n) => sigmoid(o[n]) * Math.tanh(value));
  return [hidden, { hidden, cell }];
}

/** h = tanh([x ; reads ; h ; below] W + b). */
function rnnLayer(params, x, reads, below, state) {
  const hidden = affine(params, x, reads, state.hidden, below).map(Math.tanh);
  return [hidden, { hidden }];
}

/** h = tanh([x ; reads ; below] W + b). */
function feedforwardLayer(params, x, reads, below) {
  return [affine(params, x, reads, below).map(Math.tanh), {}];
}

const LAYERS = { lstm: lstmLayer, rnn: rnnLayer, feedforward: feedforwardLayer };

/** h_all = [h^1 ; .. ; h^L] and the state of each layer; every layer sees input, reads and the layer below. */
function controllerStep(spec, params, x, reads, state) {
  let below = zeros(0);
  const hiddens = [];
  const after = [];
  params.forEach((layer, l) => {
    const [hidden, layerState] = LAYERS[spec.controller](layer, x, reads, below, state[l]);
    below = hidden;
    hiddens.push(hidden);
    after.push(layerState);
  });
  return [concatenate(hiddens), after];
}

/** Hidden values of a second LSTM that reads the inputs from the last step to the first. */
function reverseHidden(spec, params, inputs) {
  const hidden = [];
  let state = spec.hidden_sizes.map((size) => ({ hidden: zeros(size), cell: zeros(size) }));
  for (let t = inputs.length - 1; t >= 0; t--)
    [hidden[t], state] = controllerStep(spec, params, inputs[t], zeros(0), state);
  return hidden;
}

function concatenate(vectors) {
  const all = zeros(vectors.reduce((total, vector) => total + vector.length, 0));
  let start = 0;
  for (const vector of vectors) {
    all.set(vector, start);
    start += vector.length;
  }
  return all;
}
