// Draw over all panels: the cursor, the cell under the pointer, and lines from the step's reads to their writes.

/** Draw the cursor in every panel, the cell under the pointer, and the step's reads with their writes. */
function drawOverlay() {
  const context = overTimeline();
  const open = panels.filter((panel) => panel.open);
  const inView = now.step >= view.first && now.step < view.first + view.shown;
  for (const panel of inView ? open : []) {
    const [x, y] = corner(panel, 0, now.step);
    context.strokeStyle = theme.cursor;
    context.lineWidth = 1.5;
    context.strokeRect(x - 0.75, y - 1, cellWidth() + 1.5, panel.height + 2);
  }
  if (hasMemory() && inView) drawReads(context);
  for (const cell of [now.cell, now.hover]) {
    if (!cell || !cell.panel.open) continue;
    context.strokeStyle = theme.ink;
    context.lineWidth = cell === now.cell ? 2 : 1;
    context.strokeRect(...corner(cell.panel, cell.row, cell.step), cellWidth(), rowHeight(cell.panel));
  }
}

/** The overlay, over what of the timeline is in the window, for drawing relative to the inner corner of the timeline. */
function overTimeline() {
  const { offsetTop, offsetHeight } = byId("panels");
  const top = timeline.getBoundingClientRect().top + timeline.clientTop;
  const [first, last] = [Math.max(0, -top), Math.min(offsetTop + offsetHeight, window.innerHeight - top)];
  const context = prepare(overlay, timeline.clientWidth, Math.max(0, last - first));
  overlay.style.top = `${first}px`;
  context.translate(0, -first);
  return context;
}

function drawReads(context) {
  const { writes } = run.provenance;
  for (const reading of panels.filter((panel) => panel.reads && panel.open)) {
    const write = writes[now.step][reading.head];
    const row = rowRead(reading.head, now.step);
    if (row === NOTHING) continue;
    const [toX, toY] = middle(reading, row, now.step);
    context.strokeStyle = context.fillStyle = headColour(reading.head);
    context.lineWidth = 2;
    disc(context, toX, toY, 5);
    context.stroke();
    if (write === NOTHING || write < view.first) continue;
    const writer = strongestWriter(write, run.provenance.slots[now.step][reading.head]);
    const written = panels.find((panel) => panel.writer === writer);
    if (!written.open) continue;
    const [fromX, fromY] = middle(written, row, write);
    disc(context, fromX, fromY, 5);
    context.stroke();
    context.globalAlpha = 0.8;
    context.beginPath();
    context.moveTo(fromX, fromY + 5);
    context.bezierCurveTo(fromX, fromY + (toY - fromY) / 2, toX - (toX - fromX) / 2, toY, toX - 6, toY);
    context.stroke();
    context.globalAlpha = 1;
  }
}

/** The row of the slot that a head reads most at a step; NOTHING if there is none or it is not shown. */
function rowRead(head, step) {
  const slot = run.provenance.slots[step][head];
  return slot === NOTHING ? NOTHING : slots.rows[slot];
}

/** A cell's upper left corner and its middle, relative to the inner corner of the timeline. */
function corner(panel, row, step) {
  return [panel.canvas.offsetLeft + xOfStep(step), panel.canvas.offsetTop + row * rowHeight(panel)];
}

const middle = (panel, row, step) => corner(panel, row + 0.5, step + 0.5);
