// The curves of the training that made the model: losses, scores and health by iteration.

const CURVE_EDGE = { left: 64, right: 12, top: 10, bottom: 22 };
const TOGETHER = ["train", "held_out"];

function buildCurves() {
  byId("training-button").hidden = !about.curves;
  if (!about.curves) return;
  const names = Object.keys(about.curves.curves);
  const losses = TOGETHER.filter((name) => names.includes(name));
  const choices = [losses, ...names.filter((name) => !losses.includes(name)).map((name) => [name])];
  for (const choice of choices) if (choice.length) byId("curve").append(make("option", "", choice.join(" and ")));
  const chosen = () => choices.filter((choice) => choice.length)[byId("curve").selectedIndex];
  byId("curve").addEventListener("change", () => drawCurves(chosen()));
  byId("training-button").addEventListener("click", () => drawCurves(chosen()));
  new ResizeObserver(() => drawCurves(chosen())).observe(byId("training"));
  byId("curves").addEventListener("pointermove", (event) => say(curveInWords(chosen(), event.offsetX)));
}

/** Places of iterations and values on the canvas; values on a logarithmic scale if they are positive and far apart. */
function curveScale(names, width, height) {
  const { iterations, curves } = about.curves;
  const values = names.flatMap((name) => curves[name]).filter((value) => value !== null);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const isLog = low > 0 && high > 20 * low;
  if (!isLog) [low, high] = [Math.min(0, low), high > low ? high : low + 1];
  const [shape, inverse] = isLog ? [Math.log, Math.exp] : [(value) => value, (value) => value];
  const { left, right, top, bottom } = CURVE_EDGE;
  const last = iterations.at(-1);
  return {
    x: (iteration) => left + (iteration / last) * (width - left - right),
    y: (value) => top + ((shape(high) - shape(value)) / (shape(high) - shape(low))) * (height - top - bottom),
    ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => inverse(shape(low) + share * (shape(high) - shape(low)))),
  };
}

function drawCurves(names) {
  const width = byId("training").clientWidth - 34;
  if (byId("training").hidden || width <= 0) return;
  const height = 200;
  const context = prepare(byId("curves"), width, height);
  const { iterations, curves } = about.curves;
  const { x, y, ticks } = curveScale(names, width, height);
  context.fillStyle = theme.faint;
  context.strokeStyle = theme.line;
  for (const tick of ticks) {
    context.textAlign = "right";
    context.fillText(String(Number(tick.toPrecision(2))), CURVE_EDGE.left - 6, y(tick));
    context.beginPath();
    context.moveTo(CURVE_EDGE.left, y(tick));
    context.lineTo(width - CURVE_EDGE.right, y(tick));
    context.stroke();
  }
  context.fillText(`iteration ${iterations.at(-1)}`, width - CURVE_EDGE.right, height - 8);
  context.strokeStyle = context.fillStyle = theme.cursor;
  context.fillRect(x(Math.min(about.iteration, iterations.at(-1))) - 0.5, CURVE_EDGE.top, 1, height - CURVE_EDGE.top - CURVE_EDGE.bottom);
  names.forEach((name, k) => {
    context.strokeStyle = context.fillStyle = k === 0 ? theme.ink : headColour(0);
    context.lineWidth = 1.5;
    context.beginPath();
    let before = null;
    curves[name].forEach((value, i) => {
      if (value !== null) context[before === null ? "moveTo" : "lineTo"](x(iterations[i]), y(value));
      before = value;
    });
    context.stroke();
    context.textAlign = "left";
    context.fillText(name, CURVE_EDGE.left + 8 + 90 * k, height - 8);
  });
}

/** The values of the report nearest to a place on the canvas. */
function curveInWords(names, place) {
  const { iterations, curves } = about.curves;
  const { x } = curveScale(names, byId("curves").clientWidth, 200);
  const away = iterations.map((iteration) => Math.abs(x(iteration) - place));
  const nearest = away.indexOf(Math.min(...away));
  const values = names.map((name) => `${name} ${curves[name][nearest] ?? "not a number"}`);
  return `iteration ${iterations[nearest]}: ${values.join(", ")}`;
}
