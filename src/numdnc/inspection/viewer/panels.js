// The panels of the timeline. A panel has rows over steps; value(row, step) is what is drawn, shown and tested.

const NOTHING = -1;

function buildPanels() {
  const panels = [];
  const add = (name, words, rows, label, value, more = {}) => {
    const [title, equation, meaning] = WORDS[words];
    const number = more.head ?? (writers() > 1 ? more.number : undefined);
    const head = number === undefined ? "" : ` ${number}`;
    panels.push({
      name,
      title: title + head,
      equation,
      meaning,
      rows,
      label,
      value,
      note: "",
      kind: "heat",
      signed: false,
      limits: () => [0, 1],
      counts: () => true,
      faded: () => false,
      isWrong: () => false,
      open: true,
      ofRuns: new WeakMap(),
      describe: (row, step) => inDigits(value(row, step)),
      ...more,
    });
  };
  addTask(add);
  if (hasMemory()) (about.kind === "ntm" ? addNTM : addMemory)(add);
  addController(add);
  return panels;
}

function addTask(add) {
  const counts = (step) => at("mask", step) === 1;
  const faded = (step) => !counts(step);
  const classes = about.output_channels.length;
  const probability = (row, step) => at("probabilities", step, row);
  if (run.graph) addTriples(add, counts, faded);
  else {
    addSide(add, "input", "inputs", about.input_channels, () => true);
    if (about.groups > 1) add("target", "target", about.groups, groupName, target, { ...classGlyphs(target), counts });
    else addSide(add, "target", "targets", about.output_channels, counts);
  }
  const names = (row) => (characters === null ? about.output_channels[row] : glyph(row));
  if (about.unit === "bits") {
    add("output", "output", classes, names, probability, { faded });
    const wrong = (row, step) =>
      Number(counts(step) && at("outputs", step, row) > 0 !== at("targets", step, row) > 0.5);
    add("errors", "errors", classes, names, wrong, { counts, kind: "errors" });
    return;
  }
  if (!run.graph) addClasses(add, counts, faded);
  add("probabilities", "probabilities", classes, names, probability, { faded, open: !run.graph && classes <= 16 });
}

/** Panels for the outputs of a task with one or several classes a step. */
function addClasses(add, counts, faded) {
  const groups = about.groups;
  const which = (group) => (groups === 1 ? "likeliest" : groupName(group));
  const isWrong = (group, step) => counts(step) && most(group, step) !== target(group, step);
  add("output", "likeliest", groups, which, most, { ...classGlyphs(most), faded, isWrong });
  const title = (group) => (groups === 1 ? "" : groupName(group));
  add("errors", "errors", groups, title, (group, step) => Number(isWrong(group, step)), { counts, kind: "errors" });
  addSurprise(add, groups, title, bits, counts);
}

/** Rows of losses in bits, coloured up to the largest one that counts. */
function addSurprise(add, rows, title, value, counts) {
  let worst = 1;
  for (let step = 0; step < run.steps; step++)
    for (let row = 0; row < rows && counts(step); row++) worst = Math.max(worst, value(row, step));
  const note = `colours from 0 to ${inDigits(worst)}`;
  add("surprise", "surprise", rows, title, value, { counts, note, limits: () => [0, worst] });
}

/** The likeliest class of one of the groups of a step, ... */
function most(group, step) {
  const each = about.output_channels.length / about.groups;
  let best = 0;
  for (let k = 1; k < each; k++) {
    if (at("outputs", step, group * each + k) > at("outputs", step, group * each + best)) best = k;
  }
  return best;
}

/** ... and the loss of that group in bits. */
function bits(group, step) {
  const each = about.output_channels.length / about.groups;
  return -Math.log2(Math.max(at("probabilities", step, group * each + target(group, step)), 1e-30));
}

/** For a graph task: labels of source, edge and destination in place of their one-hot digits. */
function addTriples(add, counts, faded) {
  const { digits } = run.graph;
  const part = (row) => PARTS[row];
  const labels = (name) => {
    const value = (row, step) => run.graph[name][step][row];
    const shown = (row, step) => labelText(value(row, step));
    const describe = (row, step) => (value(row, step) === NOTHING ? "not given" : shown(row, step));
    return [PARTS.length, part, value, { kind: "glyph", glyph: shown, describe }];
  };
  const addLabels = (name, words, more) => {
    const [rows, label, value, kind] = labels(name);
    add(name, words, rows, label, value, { ...kind, ...more });
  };
  addLabels("input", "input", {});
  const first = about.input_channels.length - FLAGS.length;
  add("flags", "flags", FLAGS.length, (row) => FLAGS[row], (row, step) => at("inputs", step, first + row));
  addLabels("target", "target", { counts });
  const isWrong = (row, step) => counts(step) && run.graph.output[step][row] !== run.graph.target[step][row];
  addLabels("output", "likeliest", { faded, isWrong });
  add("errors", "errors", 3, part, (row, step) => Number(isWrong(row, step)), { counts, kind: "errors" });
  const sum = (row, step) => {
    let total = 0;
    for (let digit = 0; digit < digits; digit++) total += bits(row * digits + digit, step);
    return total;
  };
  addSurprise(add, 3, part, sum, counts);
}

const PARTS = ["source", "edge", "destination"];
const FLAGS = ["question", "answer"];
const labelText = (label) => (label === NOTHING ? "·" : String(label).padStart(run.graph.digits, "0"));

/** A triple of labels, as in "417 –023→ 105". */
function tripleText([source, edge, destination]) {
  const known = (label) => (label === NOTHING ? "?" : labelText(label));
  return `${known(source)} –${known(edge)}→ ${known(destination)}`;
}

/** The target class of one of the groups of a step. */
const target = (group, step) => (about.groups === 1 ? at("targets", step) : at("targets", step, group));

/** The common prefix of a group's channels, such as "source 1" for "source 1 = 0", "source 1 = 1", .. */
function groupName(group) {
  const each = about.output_channels.length / about.groups;
  const names = about.output_channels.slice(group * each, (group + 1) * each);
  let length = 0;
  while (length < names[0].length && names.every((name) => name[length] === names[0][length])) length += 1;
  return names[0].slice(0, length).replace(/[\s=:]+$/, "") || `answer ${group}`;
}

/** Classes as cells: by name if there is one a step, by number within their group if there are several. */
function classGlyphs(value) {
  if (about.groups === 1) return glyphs(about.output_channels, value);
  const each = about.output_channels.length / about.groups;
  return {
    kind: "glyph",
    glyph: (group, step) => String(value(group, step)),
    describe: (group, step) => about.output_channels[group * each + value(group, step)],
  };
}

function glyphs(names, value) {
  return {
    kind: "glyph",
    glyph: (row, step) => glyph(value(row, step), names),
    describe: (row, step) => `${glyph(value(row, step), names)} (number ${value(row, step)})`,
  };
}

/** Input or target: symbols, or a vector whose channels may each go beyond 0 to 1. */
function addSide(add, name, array, channels, counts) {
  if (run.arrays.get(array).shape.length === 1) {
    const value = (row, step) => at(array, step);
    add(name, name, 1, () => (characters === null ? "class" : "character"), value, {
      ...glyphs(channels, value),
      counts,
    });
    return;
  }
  const limits = channels.map((_, row) => {
    let [low, high] = [0, 1];
    for (let step = 0; step < run.steps; step++) {
      low = Math.min(low, at(array, step, row));
      high = Math.max(high, at(array, step, row));
    }
    return [low, high];
  });
  const label = (row) => {
    const [low, high] = limits[row];
    return low === 0 && high === 1 ? channels[row] : `${channels[row]} (${inDigits(low)} to ${inDigits(high)})`;
  };
  add(name, name, channels.length, label, (row, step) => at(array, step, row), {
    limits: (row) => limits[row],
    counts,
  });
}

const FAINT = 0.25;

/** Limits 0 and 1, or the largest value if that is too faint to see or above 1; the heading then says so. */
function weightScale(name) {
  const most = largest(name);
  if (most === 0 || (most >= FAINT && most <= 1.001)) return {};
  return { limits: () => [0, most], note: `colours from 0 to ${inDigits(most)}` };
}

const GATE_LIKE = new Set(["erase", "write_mask", "read_masks"]);

/** Panel of a vector for each step, or for one head at each step. */
function addVector(add, name, label, { head, writer, open = false }) {
  if (!run.arrays.has(name)) return;
  const { shape } = run.arrays.get(name);
  const most = largest(name) || 1;
  const one = head ?? writer;
  const value = one === undefined ? (row, step) => at(name, step, row) : (row, step) => at(name, step, one, row);
  const scale = GATE_LIKE.has(name) ? {} : { signed: true, limits: () => [-most, most] };
  add(one === undefined ? name : `${name} ${one}`, name, shape.at(-1), label, value, { ...scale, head, number: writer, open });
}

function addController(add) {
  const open = !hasMemory();
  addVector(add, "hidden", (row) => `unit ${row}`, { open });
  addVector(add, "cell", (row) => `cell ${row}`, { open });
}

/** A read and its write, in words. */
function inWords(head, step) {
  const { writes } = run.provenance;
  const slot = run.provenance.slots[step][head];
  if (slot === NOTHING) return "reads no slot in particular";
  const read = `reads slot ${slotName(slot)} (${inDigits(at("read_weights", step, head, slot))})`;
  const write = writes[step][head];
  if (write === NOTHING) return `${read}, which was not written`;
  return `${read}, written at step ${write} (${inDigits(mostWritten(write, slot))})`;
}
