// Handle mouse, touch and keys.

/** The cell of a panel under the pointer, or null. */
function cellAt(panel, event) {
  const box = panel.canvas.getBoundingClientRect();
  const step = stepAtX(event.clientX - box.left);
  const height = rowHeight(panel) * panel.rows;
  const isBefore = event.clientY - box.top > height;
  const row = Math.floor((event.clientY - box.top - (isBefore ? height + BETWEEN : 0)) / rowHeight(panel));
  if (event.clientX - box.left < GUTTER || step < 0 || step >= run.steps || row < 0 || row >= panel.rows) return null;
  return { panel, row, step };
}

/** Whether a cell is the slot that its head reads most, with a write to go to; thin rows allow some tolerance. */
function isJump({ panel, row, step }) {
  if (panel.kind === "arcs") return run.provenance.writes[step][row] !== NOTHING;
  if (!panel.reads || run.provenance.writes[step][panel.head] === NOTHING) return false;
  const read = rowRead(panel.head, step);
  return read !== NOTHING && Math.abs(read - row) * rowHeight(panel) <= 4;
}

const headOf = ({ panel, row }) => (panel.kind === "arcs" ? row : panel.head);

const beforeInWords = () => (runs.withOther ? about.other : "before");

/** The number that the compared run has, if it is another one. */
function otherwise(value) {
  const before = comparedRun() ? inRun(comparedRun(), value) : value();
  return inDigits(before) === inDigits(value()) ? "" : ` (${beforeInWords()}: ${inDigits(before)})`;
}

function valueInWords({ panel, row, step }) {
  const where = panel.rows === 1 ? "" : ` · ${panel.label(row)}`;
  if (!panel.counts(step))
    return `${panel.title}${where} · step ${step}: does not count (${panel.describe(row, step)})`;
  const isOther = changedCells(panel)?.[row * run.steps + step] === 1;
  const before = isOther ? ` (${beforeInWords()}: ${inRun(comparedRun(), () => panel.describe(row, step))})` : "";
  return `${panel.title}${where} · step ${step} ${panel.kind === "arcs" ? "" : "= "}${panel.describe(row, step)}${before}`;
}

function showStep() {
  const slider = document.getElementById("slider");
  slider.value = now.step;
  slider.setAttribute("aria-valuetext", `step ${now.step} of ${run.steps - 1}`);
  byId("clock").replaceChildren(make("span", "word", "step "), `${now.step} of ${run.steps - 1}`);
  document.getElementById("back").disabled = now.jumps.length === 0;
  showValue();
}

/** Describe the cell under the pointer or chosen by keys. */
function showValue() {
  const cell = now.hover ?? now.cell;
  if (!cell) return;
  const jump = isJump(cell)
    ? ` — ${now.hover ? "click" : isTouched() ? "tap again" : "Enter"}: go to the write, step ${run.provenance.writes[cell.step][headOf(cell)]}`
    : "";
  say(valueInWords(cell) + jump);
}

const isTouched = () => matchMedia("(pointer: coarse)").matches;
const say = (text) => (document.getElementById("readout").textContent = text);

function listenToPanel(panel) {
  let scrubbing = false;
  let waiting = null;
  panel.canvas.addEventListener("pointerdown", (event) => {
    const cell = cellAt(panel, event);
    if (event.button !== 0 || !cell) return;
    panel.canvas.setPointerCapture(event.pointerId);
    const isTouch = event.pointerType === "touch";
    const isNew = now.cell?.panel !== panel || now.cell.row !== cell.row || now.cell.step !== cell.step;
    // A finger cannot hover: the first tap chooses a cell, a second tap on it jumps.
    waiting = isJump(cell) && !(isTouch && isNew) ? { cell, x: event.clientX } : null;
    scrubbing = !waiting;
    if (scrubbing) goTo(cell.step);
    if (isTouch) choose(panel, cell.row);
  });
  panel.canvas.addEventListener("pointermove", (event) => {
    if (waiting && Math.abs(event.clientX - waiting.x) > 3) [waiting, scrubbing] = [null, true];
    if (scrubbing) goTo(stepAtX(event.clientX - panel.canvas.getBoundingClientRect().left));
    now.hover = event.pointerType === "touch" ? null : cellAt(panel, event);
    panel.canvas.style.cursor = now.hover && isJump(now.hover) ? "pointer" : "crosshair";
    showValue();
    ask("overlay");
  });
  panel.canvas.addEventListener("pointerup", () => {
    if (waiting) jumpToWrite(headOf(waiting.cell), waiting.cell.step);
    [waiting, scrubbing] = [null, false];
  });
  panel.canvas.addEventListener("pointerleave", () => {
    now.hover = null;
    ask("overlay");
  });
  panel.canvas.addEventListener("focus", () => {
    if (now.cell?.panel !== panel && panel.canvas.matches(":focus-visible")) choose(panel, 0);
  });
}

function listenToAxis() {
  const axis = document.getElementById("axis");
  const scrub = (event) => goTo(stepAtX(event.clientX - axis.getBoundingClientRect().left));
  axis.addEventListener("pointerdown", (event) => {
    axis.setPointerCapture(event.pointerId);
    scrub(event);
  });
  axis.addEventListener("pointermove", (event) => axis.hasPointerCapture(event.pointerId) && scrub(event));
}

function choose(panel, row) {
  now.cell = { panel, row, step: now.step };
  now.hover = null;
  showValue();
  ask("overlay");
}

/** Move one row up or down, into the next open panel at the edge. */
function chooseRow(direction) {
  const open = panels.filter((panel) => panel.open);
  const row = now.cell.row + direction;
  if (row >= 0 && row < now.cell.panel.rows) return choose(now.cell.panel, row);
  const next = open[open.indexOf(now.cell.panel) + direction];
  if (!next) return undefined;
  choose(next, direction > 0 ? 0 : next.rows - 1);
  return next.canvas.focus();
}

function onWheel(event) {
  const box = timeline.getBoundingClientRect();
  if (event.ctrlKey || event.metaKey)
    zoom(Math.exp(-event.deltaY / 200), view.first + (event.clientX - box.left - GUTTER) / cellWidth());
  else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    look(view.first + (event.deltaX || event.deltaY) / cellWidth(), view.shown);
    ask("all");
  } else return;
  event.preventDefault();
}

const KEYS = {
  " ": () => play(now.timer === null),
  ArrowLeft: () => goTo(now.step - 1),
  ArrowRight: () => goTo(now.step + 1),
  Home: () => goTo(0),
  End: () => goTo(run.steps - 1),
  Backspace: () => jumpBack(),
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  0: () => showAll(),
};
const CELL_KEYS = {
  ArrowUp: () => chooseRow(-1),
  ArrowDown: () => chooseRow(1),
  Enter: () => isRead(now.cell.panel) && jumpToWrite(headOf(now.cell), now.step),
};
const isRead = (panel) => panel.reads || panel.kind === "arcs";

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target;
  const inside = on === memory.canvas || on === links.canvas;
  if (on.matches("input") && event.key !== " ") return;
  if (on.matches("button, summary") && (event.key === " " || event.key === "Enter")) return;
  const chosen = inside && event.key.startsWith("Arrow") ? null : KEYS[event.key];
  const act = chosen ?? (now.cell?.panel.canvas === on ? CELL_KEYS[event.key] : undefined);
  if (!act) return;
  event.preventDefault();
  act();
}
