// Draw the timeline: heat maps, symbols, errors and arcs, one canvas for each panel.

const GUTTER = 104;
const WIDEST_CELL = 56;
const NARROWEST_CELL = 2;
const view = { first: 0, shown: 1, width: 0 };

/** Width of the steps in pixels, without one pixel of border. */
const room = () => Math.max(1, view.width - GUTTER - 1);
const cellWidth = () => Math.min(WIDEST_CELL, room() / view.shown);
const xOfStep = (step) => GUTTER + (step - view.first) * cellWidth();
const stepAtX = (x) => Math.floor((x - GUTTER) / cellWidth() + view.first);
const plotWidth = () => Math.min(room(), cellWidth() * Math.min(view.shown, run.steps));

/** Height of a row in pixels: readable for few rows, compact for many. */
function rowHeight(panel) {
  if (panel.kind === "glyph") return glyphHeight(panel);
  if (panel.kind === "arcs") return 72 / panel.rows;
  if (panel.kind === "errors") return panel.rows > 4 ? 6 : 13;
  if (panel.rows <= 12) return panel.rows > 6 ? 11 : 13;
  return Math.max(2, Math.min(9, Math.floor(256 / panel.rows)));
}

/** Prepare a canvas of this size in CSS pixels, sharp on every screen, for drawing. */
function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  return context;
}

/** What is kept of a panel for the run that is drawn: its values by row and step, and later its image. */
function keptOf(panel) {
  if (panel.ofRuns.has(run)) return panel.ofRuns.get(run);
  const values = new Float64Array(panel.rows * run.steps);
  for (let row = 0, k = 0; row < panel.rows; row++)
    for (let step = 0; step < run.steps; step++) values[k++] = panel.counts(step) ? panel.value(row, step) : 0;
  const kept = { values, image: null, theme: "" };
  panel.ofRuns.set(run, kept);
  return kept;
}

/** All steps of a panel, one pixel a cell; made once for a run and a theme. */
function imageOf(panel) {
  const kept = keptOf(panel);
  if (kept.theme === theme.name) return kept.image;
  const canvas = document.createElement("canvas");
  canvas.width = run.steps;
  canvas.height = panel.rows;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(run.steps, panel.rows);
  for (let row = 0, k = 0; row < panel.rows; row++) {
    const limits = panel.limits(row);
    for (let step = 0; step < run.steps; step++, k += 4) {
      if (!panel.counts(step)) continue;
      const [red, green, blue] = shadeOf(kept.values[k / 4], limits, panel.signed);
      pixels.data[k] = red;
      pixels.data[k + 1] = green;
      pixels.data[k + 2] = blue;
      pixels.data[k + 3] = 255;
    }
  }
  context.putImageData(pixels, 0, 0);
  Object.assign(kept, { image: canvas, theme: theme.name });
  return canvas;
}

/** Give a panel the size that it needs; it is drawn when it is in the window. */
function resizePanel(panel) {
  panel.isStale = true;
  if (!panel.open) return;
  const height = rowHeight(panel) * panel.rows;
  panel.height = changedCells(panel) ? 2 * height + BETWEEN : height;
  panel.canvas.style.width = `${view.width}px`;
  panel.canvas.style.height = `${panel.height}px`;
}

/** Draw a panel; below it once more as in the run that it is compared with, if that is different. */
function drawPanel(panel) {
  panel.isStale = false;
  const height = rowHeight(panel) * panel.rows;
  const changed = changedCells(panel);
  const context = prepare(panel.canvas, view.width, panel.height);
  drawCells(context, panel, height);
  if (!changed) return;
  drawChanged(context, panel, changed);
  context.translate(0, height + BETWEEN);
  inRun(comparedRun(), () => drawCells(context, panel, height));
  context.textAlign = "left";
  context.fillStyle = theme.edited;
  context.fillText(runs.withOther ? "other" : "before", 0, height / 2);
}

const BETWEEN = 3;

/** Outline the cells that changed. */
function drawChanged(context, panel, changed) {
  const [wide, high, T] = [cellWidth(), rowHeight(panel), run.steps];
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, plotWidth(), high * panel.rows);
  context.clip();
  const isChanged = (row, step) => row >= 0 && row < panel.rows && step >= 0 && step < T && changed[row * T + step] === 1;
  outline(context, panel.rows, stepsInView(), isChanged, (row, step) => [xOfStep(step), row * high], wide, high);
  context.restore();
}

/** Draw the border of the cells for which `isMarked(row, column)` holds; cells have a size, and corners by row and column. */
function outline(context, rows, [from, to], isMarked, cornerOf, wide, high) {
  context.fillStyle = theme.edited;
  for (let row = 0; row < rows; row++) {
    for (let column = from; column < to; column++) {
      if (!isMarked(row, column)) continue;
      const [x, y] = cornerOf(row, column);
      if (!isMarked(row - 1, column)) context.fillRect(x, y, wide, 1);
      if (!isMarked(row + 1, column)) context.fillRect(x, y + high - 1, wide, 1);
      if (!isMarked(row, column - 1)) context.fillRect(x, y, 1, high);
      if (!isMarked(row, column + 1)) context.fillRect(x + wide - 1, y, 1, high);
    }
  }
}

function drawCells(context, panel, height) {
  drawLabels(context, panel, height);
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, plotWidth(), height);
  context.clip();
  context.fillStyle = theme.blank;
  context.fillRect(GUTTER, 0, plotWidth(), height);
  if (panel.kind === "heat") {
    context.imageSmoothingEnabled = false;
    context.drawImage(imageOf(panel), xOfStep(0), 0, run.steps * cellWidth(), height);
  } else if (panel.kind === "arcs") drawArcs(context, height);
  else drawMarks(context, panel);
  if (panel.kind !== "arcs") drawUncounted(context, panel, height);
  drawGrid(context, panel, height);
  context.restore();
  context.strokeStyle = theme.line;
  context.strokeRect(GUTTER - 0.5, 0.5, plotWidth() + 1, height - 1);
}

function drawLabels(context, panel, height) {
  const each = height / panel.rows;
  const every = Math.ceil(11 / each) > 1 ? nextRound(Math.ceil(15 / each)) : 1;
  if (each < 12) context.font = "10px system-ui, sans-serif";
  context.textAlign = "right";
  for (let row = 0; row < panel.rows; row += every) {
    context.fillStyle = panel.kind === "arcs" ? headColour(row) : theme.faint;
    const y = Math.min(height - 5, Math.max(6, (row + 0.5) * each));
    context.fillText(fitted(context, panel.label(row), GUTTER - 10), GUTTER - 6, y);
  }
}

/** The smallest power of 2 that is at least this. */
const nextRound = (number) => 2 ** Math.ceil(Math.log2(number));

const stepsInView = () => {
  const from = Math.max(0, Math.floor(view.first));
  return [from, Math.min(run.steps, Math.ceil(view.first + view.shown))];
};

/** A dot where the loss does not count, or a veil over the output there. */
function drawUncounted(context, panel, height) {
  const [from, to] = stepsInView();
  for (let step = from; step < to; step++) {
    if (panel.faded(step)) {
      context.fillStyle = theme.blank;
      context.globalAlpha = 0.65;
      context.fillRect(xOfStep(step), 0, cellWidth(), height);
      context.globalAlpha = 1;
    }
    if (panel.counts(step)) continue;
    context.fillStyle = theme.blank;
    context.fillRect(xOfStep(step), 0, cellWidth() + 0.5, height);
    if (cellWidth() < 5) continue;
    context.fillStyle = theme.faint;
    context.globalAlpha = 0.5;
    context.fillRect(xOfStep(step + 0.5) - 1, height / 2 - 1, 2, 2);
    context.globalAlpha = 1;
  }
}

/** Fine lines between cells that are large enough. */
function drawGrid(context, panel, height) {
  const [from, to] = stepsInView();
  context.fillStyle = theme.line;
  context.globalAlpha = 0.5;
  if (cellWidth() >= 10)
    for (let step = from + 1; step < to; step++) context.fillRect(xOfStep(step) - 0.5, 0, 1, height);
  const each = height / panel.rows;
  if (each >= 8 && panel.kind !== "arcs") {
    for (let row = 1; row < panel.rows; row++) context.fillRect(GUTTER, row * each - 0.5, plotWidth(), 1);
  }
  context.globalAlpha = 1;
}

/** The axis of steps, above all panels. */
function drawAxis() {
  const height = 22;
  const context = prepare(document.getElementById("axis"), view.width, height);
  const apart =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((steps) => steps * cellWidth() >= 34) ?? 10000;
  const [from, to] = stepsInView();
  context.textAlign = "center";
  context.fillStyle = theme.faint;
  for (let step = from; step < to; step++) {
    if (step % apart !== 0) continue;
    const x = xOfStep(step + 0.5);
    const covered = Math.abs(x - xOfStep(now.step + 0.5)) < 26 && now.step >= from && now.step < to;
    if (x > GUTTER + 4 && x < view.width - 8 && !covered) context.fillText(String(step), x, 9);
    context.fillRect(x - 0.5, 17, 1, 5);
  }
  context.textAlign = "right";
  context.fillText("step", GUTTER - 12, 9);
  if (now.step < from || now.step >= to) return;
  const wide = Math.max(18, context.measureText(String(now.step)).width + 10);
  const x = Math.min(view.width - wide / 2, xOfStep(now.step + 0.5));
  context.fillStyle = theme.cursor;
  context.beginPath();
  context.roundRect(x - wide / 2, 1, wide, 16, 4);
  context.fill();
  context.fillStyle = theme.sequential[0];
  context.textAlign = "center";
  context.fillText(String(now.step), x, 9);
}
