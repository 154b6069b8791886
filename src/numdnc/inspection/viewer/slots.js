// Choose the memory slots that are shown: all, or those that this trace uses.

const slots = { used: [], shown: [], rows: [] };
const STAINED = 0.05;

/** The slots that are written to, read from or not empty at any step. */
function usedSlots() {
  const [N, W] = [slotCount(), about.spec.word_size];
  const most = run.arrays.has("memory") ? largest("memory") : 0;
  const above = (name, first, count, across, least) => {
    const { values } = run.arrays.get(name);
    for (let start = first; start < values.length; start += across) {
      for (let k = 0; k < count; k++) if (Math.abs(values[start + k]) >= least) return true;
    }
    return false;
  };
  const isUsed = (slot) =>
    above("write_weights", slot, 1, N, about.least) ||
    above("read_weights", slot, 1, N, about.least) ||
    (most > 0 && above("memory", slot * W, W, N * W, STAINED * most));
  return [...Array(N).keys()].filter(isUsed);
}

/** Whether a slot is written to or read from at any step. */
function isAccessed(slot) {
  for (let step = 0; step < run.steps; step++) {
    if (mostWritten(step, slot) >= about.least) return true;
    for (let head = 0; head < about.spec.read_heads; head++)
      if (at("read_weights", step, head, slot) >= about.least) return true;
  }
  return false;
}

/** Find the slots that are used, and show only these if they are few. */
function findSlots() {
  slots.used = usedSlots();
  showSlots(slots.used.length > 0 && slots.used.length < slotCount() / 2);
}

/** Show the used slots, or all. */
function showSlots(onlyUsed) {
  const N = slotCount();
  slots.shown = onlyUsed ? slots.used : [...Array(N).keys()];
  slots.rows = Array(N).fill(NOTHING);
  slots.shown.forEach((slot, row) => (slots.rows[slot] = row));
  for (const panel of panels.filter((one) => one.slots)) {
    panel.rows = slots.shown.length;
    panel.ofRuns = new WeakMap();
  }
  for (const cell of [now.cell, now.hover]) if (cell?.panel.slots) cell.row = within(cell.row, cell.panel.rows);
  memory.cell = links.cell = null;
}

const someSlotsHidden = () => slots.shown.length < slotCount();
