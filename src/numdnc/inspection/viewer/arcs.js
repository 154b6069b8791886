// Arcs from each write to the reads that show it.

let longestArc = 1;

/** Join every read with its write; emphasise those that begin or end at the current step. */
function drawArcs(context, height) {
  const { writes } = run.provenance;
  context.fillStyle = theme.sequential[0];
  context.fillRect(GUTTER, 0, plotWidth(), height);
  longestArc = Math.max(
    1,
    ...writes.flatMap((row, step) => row.map((write) => (write === NOTHING ? 1 : step - write))),
  );
  for (const chosen of [false, true]) {
    for (let step = 0; step < run.steps; step++) {
      writes[step].forEach((write, head) => {
        if (write === NOTHING || (write === now.step || step === now.step) !== chosen) return;
        const weight = at("read_weights", step, head, run.provenance.slots[step][head]);
        drawArc(context, write, step, height, headColour(head), chosen, chosen ? 1 : 0.12 + 0.4 * weight);
      });
    }
  }
}

function drawArc(context, write, read, height, colour, strong, alpha) {
  const [left, right, floor] = [xOfStep(write + 0.5), xOfStep(read + 0.5), height - 6];
  const top = floor - (height - 18) * Math.sqrt((read - write) / longestArc);
  context.globalAlpha = alpha;
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = strong ? 2 : 1;
  context.beginPath();
  context.moveTo(left, floor);
  const bend = floor + ((top - floor) * 4) / 3;
  context.bezierCurveTo(left, bend, right, bend, right, floor);
  context.stroke();
  context.beginPath();
  context.arc(left, floor, strong ? 3 : 1.5, 0, 2 * Math.PI);
  context.fill();
  context.beginPath();
  context.moveTo(right, floor + 3);
  context.lineTo(right - 3, floor - 3);
  context.lineTo(right + 3, floor - 3);
  context.fill();
  context.globalAlpha = context.lineWidth = 1;
}
