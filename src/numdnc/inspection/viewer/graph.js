// For a graph task: the graph as shown so far, the walk so far, and the edges that the heads read.

const graph = { canvas: document.getElementById("graph"), width: 1, height: 1, edges: [], size: 9 };
const GRAPH_MARGIN = 22;
const MOST_LABELLED = 26;

/** Edges as [step, source, destination, bend]; edges between the same two nodes get different bends. */
function buildGraph() {
  const { edges, input, nodes } = run.graph;
  graph.edges = [];
  const place = new Map(nodes.map((node, number) => [node, number]));
  const between = new Map();
  for (const step of edges) {
    const [source, , destination] = input[step];
    if (!place.has(source) || !place.has(destination)) continue; // an edit may name nodes that the graph does not have
    const key = [source, destination].sort((a, b) => a - b).join(" ");
    between.set(key, [...(between.get(key) ?? []), step]);
    graph.edges.push({ step, from: place.get(source), to: place.get(destination), key });
  }
  for (const edge of graph.edges) {
    const same = between.get(edge.key);
    const away = same.indexOf(edge.step) - (same.length - 1) / 2;
    // The bend is relative to the direction from the smaller label to the larger, so that opposite edges do not coincide.
    edge.bend = (nodes[edge.from] < nodes[edge.to] ? 1 : -1) * away;
  }
  graph.place = place;
}

/** The steps up to this one at which an edge was due: the walk so far. */
function walkSoFar() {
  const steps = [];
  for (let step = run.graph.question; step <= now.step; step++) if (at("mask", step) === 1) steps.push(step);
  return steps;
}

function drawGraph() {
  graph.width = graph.canvas.parentElement.clientWidth;
  graph.height = Math.min(graph.width, graph.place.size > 12 ? 372 : 300);
  const context = prepare(graph.canvas, graph.width, graph.height);
  const many = graph.place.size > MOST_LABELLED;
  if (many) context.font = "9px system-ui, sans-serif";
  graph.size = Math.max(9, 4 + (many ? 2.4 : 3.2) * run.graph.digits);
  const { input, question, target, output } = run.graph;
  const shown = graph.edges.filter((edge) => edge.step <= now.step);
  const labelled = graph.edges.length <= MOST_LABELLED;
  const asked = now.step >= question;
  const lines = shown.map((edge) => [edge, { colour: theme.faint, alpha: asked ? 0.45 : 0.75, width: 1, labelled }]);
  for (const step of walkSoFar()) {
    const strong = step === now.step;
    const walked = edgeOf(target[step]);
    if (walked) lines.push([walked, { colour: theme.cursor, alpha: strong ? 1 : 0.6, width: strong ? 4 : 3, labelled: labelled || strong }]);
    const said = edgeOf(output[step]) ?? straightEdge(output[step]);
    if (said && said !== walked)
      lines.push([said, { colour: theme.wrong, alpha: strong ? 1 : 0.4, width: 2, labelled, dashed: true }]);
  }
  const current = !asked && shown.find((edge) => edge.step === now.step);
  if (current) lines.push([current, { colour: theme.cursor, alpha: 1, width: 3, labelled: true }]);
  lines.forEach(([edge, look]) => drawEdge(context, edge, look));
  if (hasMemory()) edgesRead().forEach(({ edge, head }) => markEdge(context, edge, head));
  const seen = new Set(shown.flatMap((edge) => [edge.from, edge.to]));
  const walked = new Set(lines.filter(([, look]) => look.width > 1).flatMap(([edge]) => [edge.from, edge.to]));
  for (const number of seen) drawNode(context, number, asked ? input[question] : [], walked.has(number));
  for (const [edge, look] of lines) if (look.labelled && edge.step !== undefined) labelEdge(context, edge, look);
  byId("graph-note").textContent = `${shown.length} of ${graph.edges.length} edges shown`;
}

/** The edge of the graph with these labels, if there is one; ... */
const edgeOf = (triple) =>
  graph.edges.find(({ step }) => run.graph.input[step].every((label, part) => label === triple[part]));

/** ... or an edge between two of its nodes that the graph does not have. */
function straightEdge([source, , destination]) {
  const [from, to] = [graph.place.get(source), graph.place.get(destination)];
  return from === undefined || to === undefined || from === to ? undefined : { from, to, bend: 1.6 };
}

/** The edges that heads read at this step, identified by the step that wrote them. */
function edgesRead() {
  const found = [];
  run.provenance.writes[now.step].forEach((write, head) => {
    const edge = graph.edges.find(({ step }) => step === write);
    if (edge) found.push({ edge, head });
  });
  return found;
}

function nodePlace(number) {
  const [x, y] = run.graph.places[number];
  return [
    GRAPH_MARGIN + x * (graph.width - 2 * GRAPH_MARGIN),
    GRAPH_MARGIN + y * (graph.height - 2 * GRAPH_MARGIN),
  ];
}

/** Start, control point and end of an edge, from rim to rim of its nodes. */
function curve({ from, to, bend }) {
  const [[x0, y0], [x1, y1]] = [nodePlace(from), nodePlace(to)];
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [alongX, alongY] = [(x1 - x0) / length, (y1 - y0) / length];
  const middle = [(x0 + x1) / 2 - alongY * bend * 30, (y0 + y1) / 2 + alongX * bend * 30];
  const rim = ([x, y]) => {
    const far = Math.hypot(middle[0] - x, middle[1] - y) || 1;
    return [x + ((middle[0] - x) / far) * graph.size, y + ((middle[1] - y) / far) * graph.size];
  };
  return [rim([x0, y0]), middle, rim([x1, y1])];
}

function drawEdge(context, edge, { colour, alpha, width, dashed = false }) {
  const [begin, middle, end] = curve(edge);
  const angle = Math.atan2(end[1] - middle[1], end[0] - middle[0]);
  const head = 5 + width;
  context.save();
  context.globalAlpha = alpha;
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = width;
  if (dashed) context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(...begin);
  context.quadraticCurveTo(...middle, end[0] - Math.cos(angle) * head, end[1] - Math.sin(angle) * head);
  context.stroke();
  context.setLineDash([]);
  context.translate(...end);
  context.rotate(angle);
  context.beginPath();
  context.moveTo(0, 0);
  context.lineTo(-head - 1, -head / 2);
  context.lineTo(-head - 1, head / 2);
  context.fill();
  context.restore();
}

const halfway = ([begin, middle, end]) => [0, 1].map((k) => begin[k] / 4 + middle[k] / 2 + end[k] / 4);

/** An edge's label on it, or beside it if the edge is short. */
function labelEdge(context, edge, { colour }) {
  const text = labelText(run.graph.input[edge.step][1]);
  const shape = curve(edge);
  const [right, down] = [0, 1].map((k) => shape[2][k] - shape[0][k]);
  const length = Math.hypot(right, down) || 1;
  const wide = context.measureText(text).width + 4;
  const aside = length < 2 * wide ? 8 + wide / 2 : 0;
  const [x, y] = [halfway(shape)[0] - (down / length) * aside, halfway(shape)[1] + (right / length) * aside];
  context.fillStyle = theme.sequential[0];
  context.fillRect(x - wide / 2, y - 7, wide, 13);
  context.fillStyle = colour;
  context.textAlign = "center";
  context.fillText(text, x, y);
}

/** A dot in a head's colour beside the middle of the edge that it reads. */
function markEdge(context, edge, head) {
  const shape = curve(edge);
  const [x, y] = halfway(shape);
  const angle = Math.atan2(shape[2][1] - shape[0][1], shape[2][0] - shape[0][0]);
  const along = 15 + 11 * head;
  context.fillStyle = headColour(head);
  disc(context, x - along * Math.cos(angle), y - along * Math.sin(angle), 4.5);
  context.fill();
}

/** A node with its label: filled if the question names it, faint if no relevant edge touches it. */
function drawNode(context, number, [start, , end], matters) {
  const [x, y] = nodePlace(number);
  const label = run.graph.nodes[number];
  const chosen = label === start || label === end;
  context.fillStyle = chosen ? theme.cursor : theme.sequential[0];
  context.strokeStyle = chosen ? theme.cursor : matters ? theme.ink : theme.faint;
  context.lineWidth = matters ? 1.5 : 1;
  disc(context, x, y, graph.size);
  context.fill();
  context.stroke();
  context.fillStyle = chosen ? theme.sequential[0] : matters ? theme.ink : theme.faint;
  context.textAlign = "center";
  context.fillText(labelText(label), x, y + 0.5);
}
