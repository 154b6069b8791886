// The memory at the cursor's step: all slots with their words, beside them what is done to them.

const CHANGED = 0.1;
const MEMORY_LABELS = 44;
const memory = { canvas: document.getElementById("memory"), columns: [], cell: null, wide: 1, high: 1, top: 16 };

/** Columns from left to right: usage, write weight, the word's numbers, read weights; `x` in cells, gaps between. */
function buildMemory() {
  const { word_size: W, read_heads: R } = about.spec;
  memory.largest = largest("memory") || 1;
  const limits = [-memory.largest, memory.largest];
  const add = (title, name, x, value, more = {}) =>
    memory.columns.push({ title, name, x, value, limits: [0, 1], signed: false, ...more });
  add("u", "usage", 0, (slot) => at("usage", now.step, slot));
  add("w", "write weight", 1, (slot) => at("write_weights", now.step, slot));
  for (let k = 0; k < W; k++) {
    const value = (slot) => at("memory", keptIndex(now.step), slot, k);
    add(String(k), `number ${k}`, 2.5 + k, value, { limits, signed: true, number: k });
  }
  for (let head = 0; head < R; head++) {
    const value = (slot) => at("read_weights", now.step, head, slot);
    add(`r${head}`, `read weight of head ${head}`, 3 + W + head, value, { head });
  }
  memory.across = 3 + W + R;
}

/** How much a number has changed since the memory was kept before; a learned start is not known. */
function change(slot, number) {
  const kept = keptIndex(now.step);
  if (kept === 0) return about.spec.learned_state ? 0 : at("memory", 0, slot, number);
  return at("memory", kept, slot, number) - at("memory", kept - 1, slot, number);
}

const hasChanged = (slot, number) => Math.abs(change(slot, number)) >= CHANGED * memory.largest;

function drawMemory() {
  const N = about.spec.memory_size;
  const width = memory.canvas.parentElement.clientWidth;
  memory.wide = Math.min(26, (width - MEMORY_LABELS - 1) / memory.across);
  memory.high = Math.max(2, Math.min(14, Math.floor(420 / N)));
  const context = prepare(memory.canvas, width, memory.top + N * memory.high + 1);
  context.textAlign = "center";
  for (const column of memory.columns) {
    const x = MEMORY_LABELS + column.x * memory.wide;
    context.fillStyle = column.head === undefined ? theme.faint : headColour(column.head);
    const readable = column.number === undefined || memory.wide >= 15 || column.number % 8 === 0;
    const title = memory.wide < 15 && column.head !== undefined ? String(column.head) : column.title;
    if (readable) context.fillText(title, x + memory.wide / 2, 7);
    for (let slot = 0; slot < N; slot++) {
      context.fillStyle = colourOf(column.value(slot), column.limits, column.signed);
      context.fillRect(x, memory.top + slot * memory.high, memory.wide + 0.3, memory.high + 0.3);
    }
  }
  drawFrames(context, N);
  drawSlotLabels(context, N);
  drawChanges(context, N);
  if (memory.cell) {
    const { slot, column } = memory.cell;
    context.strokeStyle = theme.ink;
    context.lineWidth = 2;
    const x = MEMORY_LABELS + memory.columns[column].x * memory.wide;
    context.strokeRect(x, memory.top + slot * memory.high, memory.wide, memory.high);
  }
}

/** Around each of the three groups of columns. */
function drawFrames(context, N) {
  const { word_size: W, read_heads: R } = about.spec;
  context.strokeStyle = theme.line;
  for (const [x, count] of [
    [0, 2],
    [2.5, W],
    [3 + W, R],
  ]) {
    context.strokeRect(MEMORY_LABELS + x * memory.wide, memory.top, count * memory.wide, N * memory.high);
  }
}

function drawSlotLabels(context, N) {
  const every = memory.high >= 10 ? 1 : nextRound(Math.ceil(14 / memory.high));
  context.textAlign = "right";
  for (let slot = 0; slot < N; slot += every) {
    context.fillStyle = theme.faint;
    context.fillText(String(slot), MEMORY_LABELS - 14, memory.top + (slot + 0.5) * memory.high);
  }
}

/** A frame around every number that changed much, an arrow at its slot. */
function drawChanges(context, N) {
  context.strokeStyle = context.fillStyle = theme.cursor;
  context.lineWidth = 1.5;
  for (let slot = 0; slot < N; slot++) {
    const y = memory.top + slot * memory.high;
    let any = false;
    for (const column of memory.columns) {
      if (column.number === undefined || !hasChanged(slot, column.number)) continue;
      any = true;
      if (memory.high < 5) continue;
      const x = MEMORY_LABELS + column.x * memory.wide;
      context.strokeRect(x + 1, y + 1, memory.wide - 2, memory.high - 2);
    }
    if (!any) continue;
    context.beginPath();
    context.moveTo(MEMORY_LABELS - 10, y + memory.high / 2 - 4);
    context.lineTo(MEMORY_LABELS - 4, y + memory.high / 2);
    context.lineTo(MEMORY_LABELS - 10, y + memory.high / 2 + 4);
    context.fill();
  }
}

function memoryCellAt(x, y) {
  const slot = Math.floor((y - memory.top) / memory.high);
  const place = (x - MEMORY_LABELS) / memory.wide;
  const column = memory.columns.findIndex((one) => place >= one.x && place < one.x + 1);
  return slot < 0 || slot >= about.spec.memory_size || column < 0 ? null : { slot, column };
}

function memoryInWords({ slot, column }) {
  const { name, value, number } = memory.columns[column];
  const what = number === undefined ? name : `memory, ${name}`;
  const step = number === undefined ? now.step : keptStep(now.step);
  const since = number === undefined ? "" : ` (changed by ${inDigits(change(slot, number))})`;
  return `${what} · slot ${slot} · step ${step} = ${inDigits(value(slot))}${since}`;
}
