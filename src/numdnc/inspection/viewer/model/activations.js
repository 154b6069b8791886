// Activations, the affine map and layer norm (reference/activations.py, reference/normalisation.py).
// A vector is an array of numbers; a matrix is an array of its rows. There is no batch axis.

const EPSILON = 1e-6;
const zeros = (length) => new Float64Array(length);

/** A matrix of zeros. Its rows share one buffer: a buffer for each would cost more time than what is computed. */
function zeroMatrix(rows, columns) {
  const numbers = zeros(rows * columns);
  return Array.from({ length: rows }, (_, i) => numbers.subarray(i * columns, (i + 1) * columns));
}

// Loops, as those of typed arrays' own map and reduce take several times as long.

function sum(vector) {
  let total = 0;
  for (let i = 0; i < vector.length; i++) total += vector[i];
  return total;
}

function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}

/** A number for each row of a matrix, or of a vector. */
function ofRows(matrix, value) {
  const numbers = zeros(matrix.length);
  for (let n = 0; n < matrix.length; n++) numbers[n] = value(matrix[n], n);
  return numbers;
}

/** 1 / (1 + e^-z) = e^min(z, 0) / (1 + e^-|z|). */
const sigmoid = (z) => Math.exp(Math.min(z, 0)) / (1 + Math.exp(-Math.abs(z)));

/** log(1 + e^z). */
const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/** 1 + log(1 + e^z). */
const oneplus = (z) => 1 + softplus(z);

/** e^z / sum e^z; the maximum is subtracted first. */
function softmax(z) {
  let most = -Infinity;
  for (let i = 0; i < z.length; i++) most = Math.max(most, z[i]);
  const shares = ofRows(z, (value) => Math.exp(value - most));
  const total = sum(shares);
  for (let i = 0; i < z.length; i++) shares[i] /= total;
  return shares;
}

/** gain (z - mean) / sqrt(var + eps) + bias. */
function layerNorm(z, gain, bias) {
  const mean = sum(z) / z.length;
  const centred = z.map((value) => value - mean);
  const deviation = Math.sqrt(dot(centred, centred) / z.length + EPSILON);
  return centred.map((value, i) => (gain[i] * value) / deviation + bias[i]);
}

/** z = [parts concatenated] W + b, with a gain layer_norm([parts] W, gain, b). A symbol {symbol, of} is a one-hot part. */
function affine(params, ...parts) {
  const { weights, bias, gain } = params;
  const z = gain ? zeros(bias.length) : Float64Array.from(bias);
  let row = 0;
  for (const part of parts) {
    if (part.symbol !== undefined) addRow(z, 1, weights[row + part.symbol]);
    else addRows(z, part, weights, row);
    row += part.of ?? part.length;
  }
  return gain ? layerNorm(z, gain, bias) : z;
}

function addRow(z, factor, row) {
  for (let i = 0; i < z.length; i++) z[i] += factor * row[i];
}

/** z += sum_n factors[n] rows[first + n]; four at once, as reading and writing z takes longer than what is added. */
function addRows(z, factors, rows, first = 0) {
  let n = 0;
  for (; n + 4 <= factors.length; n += 4) {
    const [a, b, c, d] = [factors[n], factors[n + 1], factors[n + 2], factors[n + 3]];
    const [p, q, r, s] = [rows[first + n], rows[first + n + 1], rows[first + n + 2], rows[first + n + 3]];
    for (let i = 0; i < z.length; i++) z[i] += a * p[i] + b * q[i] + c * r[i] + d * s[i];
  }
  for (; n < factors.length; n++) addRow(z, factors[n], rows[first + n]);
}
