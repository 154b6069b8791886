// The memory at the current step: slots with their words, and beside them usage, write and read weights.

const CHANGED = 0.1;
const DIGIT = 7;
const memory = {
  canvas: document.getElementById("memory"),
  columns: [],
  cell: null,
  wide: 1,
  high: 1,
  top: 16,
  labels: 44,
};

/** Number of digits of the largest slot number. */
const longestName = () => slotName(slotCount() - 1).length;

/** Columns from left to right: usage or age, write weights, the word's numbers, read weights; `x` in cells, gaps between. */
function buildMemory() {
  const { word_size: W, read_heads: R } = about.spec;
  memory.columns = [];
  memory.largest = largest("memory") || 1;
  memory.labels = Math.max(44, 20 + DIGIT * longestName());
  const limits = [-memory.largest, memory.largest];
  const add = (title, name, x, value, more = {}) =>
    memory.columns.push({ title, name, x, value, limits: [0, 1], signed: false, ...more });
  if (run.arrays.has("usage")) add("u", "usage", 0, (slot) => at("usage", now.step, slot));
  else if (run.arrays.has("age")) add("a", "age", 0, (slot) => at("age", now.step, slot), { limits: [0, run.steps] });
  for (let writer = 0; writer < writers(); writer++) {
    const [title, name] = writers() > 1 ? [`w${writer}`, `write weight of head ${writer}`] : ["w", "write weight"];
    add(title, name, memory.columns.length, (slot) => writeWeight(now.step, slot, writer));
  }
  memory.left = memory.columns.length;
  for (let k = 0; k < W; k++) {
    const value = (slot) => at("memory", keptIndex(now.step), slot, k);
    add(String(k), `number ${k}`, memory.left + 0.5 + k, value, { limits, signed: true, number: k });
  }
  for (let head = 0; head < R; head++) {
    const value = (slot) => at("read_weights", now.step, head, slot);
    add(`r${head}`, `read weight of head ${head}`, memory.left + 1 + W + head, value, { head });
  }
  memory.across = memory.left + 1 + W + R;
}

/** How much a number has changed since the previous kept step; unknown at first with a learned initial state. */
function change(slot, number) {
  const kept = keptIndex(now.step);
  if (kept === 0) return about.spec.learned_state ? 0 : at("memory", 0, slot, number);
  return at("memory", kept, slot, number) - at("memory", kept - 1, slot, number);
}

const hasChanged = (slot, number) => Math.abs(change(slot, number)) >= CHANGED * memory.largest;

function drawMemory() {
  const count = slots.shown.length;
  const width = memory.canvas.parentElement.clientWidth;
  memory.wide = Math.min(26, (width - memory.labels - 1) / memory.across);
  memory.high = Math.max(2, Math.min(14, Math.floor(420 / count)));
  const context = prepare(memory.canvas, width, memory.top + count * memory.high + 1);
  context.textAlign = "center";
  for (const column of memory.columns) {
    const x = memory.labels + column.x * memory.wide;
    context.fillStyle = column.head === undefined ? theme.faint : headColour(column.head);
    const title = columnTitle(column);
    if (title !== "") context.fillText(title, x + memory.wide / 2, 7);
    slots.shown.forEach((slot, row) => {
      context.fillStyle = colourOf(column.value(slot), column.limits, column.signed);
      context.fillRect(x, memory.top + row * memory.high, memory.wide + 0.3, memory.high + 0.3);
    });
  }
  drawFrames(context, count);
  drawSlotLabels(context, count);
  drawChanges(context);
  drawEdited(context);
  if (memory.cell) {
    const { row, column } = memory.cell;
    context.strokeStyle = theme.ink;
    context.lineWidth = 2;
    context.strokeRect(...memoryCorner(row, column), memory.wide, memory.high);
  }
}

/** The upper left corner of a cell. */
const memoryCorner = (row, column) => [memory.labels + memory.columns[column].x * memory.wide, memory.top + row * memory.high];

/** Titles above the columns, as far as there is room. */
function columnTitle({ title, number, head }) {
  // Narrow columns leave no room for the first number's title beside those to its left.
  if (number !== undefined) return memory.wide >= 15 || (number % 8 === 0 && number * memory.wide + memory.wide >= 8) ? title : "";
  if (memory.wide >= 15) return title;
  if (memory.wide >= 8) return head === undefined ? title : String(head);
  if (head !== undefined) return head === 0 ? "r" : "";
  return title === memory.columns[memory.left - 1].title ? leftTitle() : "";
}

/** One title for the columns left of the words: "uw", "aw" or "w". */
function leftTitle() {
  const first = memory.columns[0].title;
  return first.startsWith("w") ? "w" : `${first}w`;
}

/** Frames around the three groups of columns. */
function drawFrames(context, rows) {
  const { word_size: W, read_heads: R } = about.spec;
  context.strokeStyle = theme.line;
  for (const [x, count] of [
    [0, memory.left],
    [memory.left + 0.5, W],
    [memory.left + 1 + W, R],
  ]) {
    context.strokeRect(memory.labels + x * memory.wide, memory.top, count * memory.wide, rows * memory.high);
  }
}

function drawSlotLabels(context, count) {
  const every = memory.high >= 10 ? 1 : nextRound(Math.ceil(14 / memory.high));
  context.textAlign = "right";
  for (let row = 0; row < count; row += every) {
    context.fillStyle = theme.faint;
    context.fillText(slotName(slots.shown[row]), memory.labels - 14, memory.top + (row + 0.5) * memory.high);
  }
}

/** Frame every number that changed much, with an arrow at its slot. */
function drawChanges(context) {
  context.strokeStyle = context.fillStyle = theme.cursor;
  context.lineWidth = 1.5;
  for (const [row, slot] of slots.shown.entries()) {
    const y = memory.top + row * memory.high;
    let any = false;
    for (const column of memory.columns) {
      if (column.number === undefined || !hasChanged(slot, column.number)) continue;
      any = true;
      if (memory.high < 5) continue;
      const x = memory.labels + column.x * memory.wide;
      context.strokeRect(x + 1, y + 1, memory.wide - 2, memory.high - 2);
    }
    if (!any) continue;
    context.beginPath();
    context.moveTo(memory.labels - 10, y + memory.high / 2 - 4);
    context.lineTo(memory.labels - 4, y + memory.high / 2);
    context.lineTo(memory.labels - 10, y + memory.high / 2 + 4);
    context.fill();
  }
}

/** Outline, in each group of columns, what the compared run has otherwise. */
function drawEdited(context) {
  if (!comparedRun()) return;
  const { word_size: W } = about.spec;
  const valuesOf = () => memory.columns.map(({ value }) => slots.shown.map((slot) => value(slot)));
  const [values, before] = [valuesOf(), inRun(comparedRun(), valuesOf)];
  const differs = (row, column) => {
    const [low, high] = memory.columns[column].limits;
    return Math.abs(values[column][row] - before[column][row]) > CLEARLY * (high - low);
  };
  const [rows, ends] = [slots.shown.length, [0, memory.left, memory.left + W, memory.columns.length]];
  for (const [k, from] of ends.slice(0, -1).entries()) {
    const to = ends[k + 1];
    const isMarked = (row, column) => row >= 0 && row < rows && column >= from && column < to && differs(row, column);
    outline(context, rows, [from, to], isMarked, memoryCorner, memory.wide, memory.high);
  }
}

function memoryCellAt(x, y) {
  const row = Math.floor((y - memory.top) / memory.high);
  const place = (x - memory.labels) / memory.wide;
  const column = memory.columns.findIndex((one) => place >= one.x && place < one.x + 1);
  return row < 0 || row >= slots.shown.length || column < 0 ? null : { row, column };
}

function memoryInWords({ row, column }) {
  const slot = slots.shown[row];
  const { name, value, number } = memory.columns[column];
  const what = number === undefined ? name : `memory, ${name}`;
  const step = number === undefined ? now.step : keptStep(now.step);
  const since = number === undefined ? "" : ` (changed by ${inDigits(change(slot, number))})`;
  return `${what} · slot ${slotName(slot)} · step ${step} = ${inDigits(value(slot))}${since}${otherwise(() => value(slot))}`;
}
