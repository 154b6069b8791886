// The links at the current step: slots on a circle with arrows in the order of writing, or the link matrix.

const links = { canvas: document.getElementById("links"), matrix: false, cell: null, size: 1, edge: 26 };
const FAINTEST = 0.1;

const linkNow = (i, j) => linkAt(keptIndex(now.step), i, j);

/** Whether a link is clearly stronger than at the previous kept step. */
function isNewLink(i, j) {
  const kept = keptIndex(now.step);
  return linkNow(i, j) - (kept === 0 ? 0 : linkAt(kept - 1, i, j)) >= FAINTEST;
}

/** The stronger links between the slots shown, as [i, j, strength], among those that the trace keeps of each row. */
function strongLinks() {
  const kept = keptIndex(now.step);
  const found = [];
  for (const i of slots.shown) {
    if (run.arrays.has("link")) {
      for (const j of slots.shown) {
        const strength = linkAt(kept, i, j);
        if (strength >= FAINTEST) found.push([i, j, strength]);
      }
      continue;
    }
    const strongest = new Map();
    for (let writer = 0; writer < writers(); writer++) {
      for (let k = 0; k < run.arrays.get("link_slots").shape.at(-1); k++) {
        const strength = at("link_values", kept, ...ofWriter(writer), i, k);
        const j = at("link_slots", kept, ...ofWriter(writer), i, k);
        if (strength < FAINTEST || slots.rows[j] === NOTHING) continue;
        strongest.set(j, Math.max(strength, strongest.get(j) ?? 0));
      }
    }
    for (const [j, strength] of strongest) found.push([i, j, strength]);
  }
  return found;
}

function drawLinks() {
  const below = window.innerHeight - 92 - 16 - links.canvas.offsetTop;
  links.edge = Math.max(26, 8 + DIGIT * longestName());
  links.size = Math.min(links.canvas.parentElement.clientWidth, Math.max(260, below));
  const context = prepare(links.canvas, links.size, links.size);
  if (links.matrix) drawLinkMatrix(context);
  else drawLinkGraph(context);
}

const linkCell = () => (links.size - links.edge - 2) / slots.shown.length;
/** The upper left corner of the cell of a link from slot j to slot i. */
const linkCorner = (i, j) => [j, i].map((slot) => links.edge + slots.rows[slot] * linkCell());

function drawLinkMatrix(context) {
  const N = slots.shown.length;
  const [edge, cell] = [links.edge, linkCell()];
  context.fillStyle = theme.sequential[0];
  context.fillRect(edge, edge, N * cell, N * cell);
  const fresh = [];
  const whole = run.arrays.has("link");
  for (const i of slots.shown) {
    for (const j of whole ? slots.shown : []) {
      context.fillStyle = colourOf(linkNow(i, j), [0, 1], false);
      context.fillRect(...linkCorner(i, j), cell + 0.3, cell + 0.3);
    }
  }
  for (const [i, j, strength] of strongLinks()) {
    context.fillStyle = colourOf(strength, [0, 1], false);
    if (!whole) context.fillRect(...linkCorner(i, j), cell + 0.3, cell + 0.3);
    if (isNewLink(i, j)) fresh.push([i, j]);
  }
  context.strokeStyle = theme.cursor;
  context.lineWidth = 1.5;
  for (const [i, j] of fresh) {
    const [x, y] = linkCorner(i, j);
    context.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
  }
  drawEditedLinks(context);
  context.lineWidth = 1;
  context.strokeStyle = theme.line;
  context.strokeRect(edge, edge, N * cell, N * cell);
  context.fillStyle = theme.faint;
  const every = nextRound(Math.max(1, Math.ceil(Math.max(15, 5 + DIGIT * longestName()) / cell)));
  for (let row = 0; row < N; row += every) {
    context.textAlign = "center";
    context.fillText(slotName(slots.shown[row]), edge + (row + 0.5) * cell, 18);
    context.textAlign = "right";
    context.fillText(slotName(slots.shown[row]), edge - 5, edge + (row + 0.5) * cell);
  }
  context.textAlign = "left";
  context.fillText("j → i", 0, 6);
  if (links.cell) {
    context.strokeStyle = theme.ink;
    context.lineWidth = 2;
    context.strokeRect(...linkCorner(links.cell.i, links.cell.j), cell, cell);
  }
}

/** Pixels by which half a label is wider than one of two digits. */
const overhang = () => Math.max(0, (DIGIT / 2) * (longestName() - 2));

/** Position of a slot on the circle, the first one shown at the top, then clockwise. */
function place(slot, distance = 0, turn = 0) {
  const angle = (2 * Math.PI * slots.rows[slot]) / slots.shown.length - Math.PI / 2 + turn;
  const radius = links.size / 2 - 26 - 2 * overhang() - 3 * about.spec.read_heads + distance;
  return [links.size / 2 + radius * Math.cos(angle), links.size / 2 + radius * Math.sin(angle)];
}

const dotSize = () => Math.max(2, Math.min(9, 130 / slots.shown.length));

function drawLinkGraph(context) {
  for (const [i, j, strength] of strongLinks()) drawLink(context, i, j, strength);
  context.setLineDash([3, 3]);
  for (const [i, j, strength] of linksGone()) drawLink(context, i, j, strength);
  context.setLineDash([]);
  const every = nextRound(Math.max(1, Math.ceil((slots.shown.length * Math.max(2, longestName())) / 64)));
  const size = dotSize();
  for (const [row, slot] of slots.shown.entries()) {
    const [x, y] = place(slot);
    context.fillStyle = colourOf(inUse(now.step, slot), [0, 1], false);
    context.strokeStyle = theme.faint;
    context.lineWidth = 1;
    disc(context, x, y, size);
    context.fill();
    context.stroke();
    rings(context, slot, x, y, size);
    const [labelX, labelY] = place(slot, size + 9 + overhang() + 3 * about.spec.read_heads);
    context.fillStyle = theme.faint;
    context.textAlign = "center";
    if (row % every === 0) context.fillText(slotName(slot), labelX, labelY);
  }
}

function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

/** Rings around a slot: written at this step, read at this step, under the pointer. */
function rings(context, slot, x, y, size) {
  const ring = (colour, weight, out) => {
    if (weight < FAINTEST) return;
    context.globalAlpha = Math.min(1, 0.3 + weight);
    context.strokeStyle = colour;
    context.lineWidth = 2.5;
    disc(context, x, y, size + out);
    context.stroke();
    context.globalAlpha = context.lineWidth = 1;
  };
  ring(theme.ink, mostWritten(now.step, slot), 2);
  for (let head = 0; head < about.spec.read_heads; head++) {
    ring(headColour(head), at("read_weights", now.step, head, slot), 5 + 3 * head);
  }
  if (links.cell && links.cell.i === slot) ring(theme.faint, 1, -size / 2);
}

/** An arrow from slot j to slot i, bent towards the middle. */
function drawLink(context, i, j, strength) {
  const size = dotSize() + 3;
  const aside = size / links.size;
  const [[fromX, fromY], [toX, toY]] = [place(j, -size, aside), place(i, -size, -aside)];
  const middle = links.size / 2;
  const [bendX, bendY] = [((fromX + toX) / 2) * 0.45 + middle * 0.55, ((fromY + toY) / 2) * 0.45 + middle * 0.55];
  context.strokeStyle = context.fillStyle = isEditedLink(i, j) ? theme.edited : isNewLink(i, j) ? theme.cursor : theme.ink;
  context.globalAlpha = 0.15 + 0.85 * strength;
  context.lineWidth = 0.5 + 2 * strength;
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.quadraticCurveTo(bendX, bendY, toX, toY);
  context.stroke();
  const angle = Math.atan2(toY - bendY, toX - bendX);
  context.translate(toX, toY);
  context.rotate(angle);
  context.beginPath();
  context.moveTo(1, 0);
  context.lineTo(-7, -4);
  context.lineTo(-7, 4);
  context.fill();
  context.rotate(-angle);
  context.translate(-toX, -toY);
  context.globalAlpha = context.lineWidth = 1;
}

/** The cell of the matrix, or the slot (as {i, j: null}) of the graph, at a point. */
function linkCellAt(x, y) {
  if (links.matrix) {
    const [i, j] = [y, x].map((along) => slots.shown[Math.floor((along - links.edge) / linkCell())]);
    return i === undefined || j === undefined ? null : { i, j };
  }
  for (const slot of slots.shown) {
    const [slotX, slotY] = place(slot);
    if (Math.hypot(x - slotX, y - slotY) <= dotSize() + 5) return { i: slot, j: null };
  }
  return null;
}

/** What an edit changed in the matrix: outlines. */
function drawEditedLinks(context) {
  if (!comparedRun()) return;
  const { shown } = slots;
  const cornerOf = (row, column) => linkCorner(shown[row], shown[column]);
  const isMarked = (row, column) => row in shown && column in shown && isEditedLink(shown[row], shown[column]);
  outline(context, shown.length, [0, shown.length], isMarked, cornerOf, linkCell(), linkCell());
}

/** Whether the compared run has another link from slot j to slot i. */
const isEditedLink = (i, j) =>
  comparedRun() !== null && Math.abs(linkNow(i, j) - inRun(comparedRun(), () => linkNow(i, j))) > CLEARLY;

/** The strong links of the compared run that are gone. */
function linksGone() {
  if (!comparedRun()) return [];
  return inRun(comparedRun(), strongLinks).filter(([i, j]) => linkNow(i, j) < FAINTEST && isEditedLink(i, j));
}

function linkInWords({ i, j }) {
  const step = keptStep(now.step);
  if (j !== null) {
    return `link from slot ${slotName(j)} to slot ${slotName(i)} · step ${step} = ${inDigits(linkNow(i, j))}${otherwise(() => linkNow(i, j))}`;
  }
  const all = strongLinks().sort((one, other) => other[2] - one[2]);
  const named = (found, end) =>
    found
      .slice(0, 3)
      .map((link) => `${slotName(link[end])} (${inDigits(link[2])})`)
      .join(", ") || "none";
  const [after, before] = [all.filter((link) => link[0] === i), all.filter((link) => link[1] === i)];
  const order = `written right after slot ${named(after, 1)}; right before slot ${named(before, 0)}`;
  return `slot ${slotName(i)} · step ${step}: ${order}`;
}
