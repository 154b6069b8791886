// Marks in the cells of the timeline: characters, words and labels, and crosses for errors.

const WORD_FONT = "11px system-ui, sans-serif";
const NARROWEST_WORD = 12;
const TALLEST_WORD = 96;
const measuring = document.createElement("canvas").getContext("2d");

/** Width of the longest word in a panel in pixels; 0 if each is a single character, visible or not. */
function longestGlyph(panel) {
  if (characters !== null) return 0;
  if (panel.longest !== undefined) return panel.longest;
  const texts = new Set();
  for (let step = 0; step < run.steps; step++) {
    for (let row = 0; row < panel.rows && panel.counts(step); row++) texts.add(panel.glyph(row, step));
  }
  measuring.font = WORD_FONT;
  const longer = [...texts].filter((text) => Array.from(text).length > 1);
  panel.longest = Math.max(0, ...longer.map((text) => measuring.measureText(text).width));
  return panel.longest;
}

/** Words that do not fit side by side are turned upright, in rows that are high enough. */
const isUpright = (panel) => longestGlyph(panel) + 6 > cellWidth() && cellWidth() >= NARROWEST_WORD - 0.01;

function glyphHeight(panel) {
  const longest = longestGlyph(panel);
  return longest > 0 && isUpright(panel) ? Math.min(TALLEST_WORD, Math.max(20, longest + 8)) : 20;
}

/** How many steps may be in view so that all characters or words are readable. */
function mostReadable() {
  const open = panels.filter((panel) => panel.kind === "glyph" && panel.open);
  const narrowest = Math.max(0, ...open.map((panel) => (longestGlyph(panel) > 0 ? NARROWEST_WORD : 6)));
  return narrowest === 0 ? Infinity : room() / narrowest;
}

/** A text, cut to the available width. */
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  const letters = Array.from(text);
  let [fits, over] = [1, letters.length];
  while (over - fits > 1) {
    const middle = (fits + over) >> 1;
    const isFitting = context.measureText(`${letters.slice(0, middle).join("")}…`).width <= width;
    [fits, over] = isFitting ? [middle, over] : [fits, middle];
  }
  return `${letters.slice(0, fits).join("")}…`;
}

/** Draw symbols, or crosses for errors. */
function drawMarks(context, panel) {
  const [wide, high] = [cellWidth(), rowHeight(panel)];
  const [from, to] = stepsInView();
  context.fillStyle = theme.sequential[0];
  context.fillRect(xOfStep(from), 0, (to - from) * wide, high * panel.rows);
  const upright = panel.kind === "glyph" && isUpright(panel);
  for (let step = from; step < to; step++) {
    const x = xOfStep(step);
    for (let row = 0; row < panel.rows && panel.counts(step); row++) {
      if (panel.kind === "glyph") {
        context.fillStyle = panel.isWrong(row, step) ? theme.wrong : theme.ink;
        drawGlyph(context, panel.glyph(row, step), x + wide / 2, row * high, wide, high, upright);
      } else if (panel.value(row, step) === 1) drawCross(context, x, row * high, wide, high);
    }
  }
}

function drawGlyph(context, text, middle, top, wide, high, upright) {
  const centre = top + high / 2;
  context.textAlign = "center";
  const isWord = Array.from(text).length > 1;
  if (!isWord) {
    context.font = `${Math.min(13, Math.floor(wide / 0.6))}px ui-monospace, monospace`;
    if (wide >= 5 && context.measureText(text).width <= wide + 2) return context.fillText(text, middle, centre);
  } else if (upright) {
    context.font = WORD_FONT;
    context.save();
    context.translate(middle, top + high - 4);
    context.rotate(-Math.PI / 2);
    context.textAlign = "left";
    context.fillText(fitted(context, text, high - 6), 0, 0);
    return context.restore();
  } else if (wide >= NARROWEST_WORD) {
    context.font = WORD_FONT;
    return context.fillText(fitted(context, text, wide - 2), middle, centre);
  }
  return context.fillRect(middle - 0.5, centre - 1, 1, 2);
}

function drawCross(context, x, y, width, height) {
  context.fillStyle = theme.wrong;
  context.fillRect(x, y, width, height);
  const reach = Math.min(width, height) / 2 - 3;
  if (reach < 2) return;
  const [middle, centre] = [x + width / 2, y + height / 2];
  context.strokeStyle = theme.sequential[0];
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(middle - reach, centre - reach);
  context.lineTo(middle + reach, centre + reach);
  context.moveTo(middle + reach, centre - reach);
  context.lineTo(middle - reach, centre + reach);
  context.stroke();
  context.lineWidth = 1;
}
