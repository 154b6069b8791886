// A question of the reader's own about the graph of the trace, typed as for `numdnc ask`, with labels for names.

/** The graph as the trace shows it, one edge a step. */
const edgesShown = () => recorded.graph.edges.map((step) => recorded.graph.input[step]);

/** Digits of the labels of a triple, most significant first. */
const digitsOf = (triple, digits) =>
  triple.flatMap((label) => Array.from(String(label).padStart(digits, "0"), Number));

/** The input of a step: a triple of labels, and the flags of question and answer. */
const stepInput = (triple, flags) => Float64Array.from([...hotLabels(triple, recorded.graph.digits), ...flags]);

/**
 * The graph, a question, planning steps as many as in the trace, and the answer (tasks/graphs/task.py).
 * With `feedBack` each step of the answer is shown as input at the next one.
 */
function questionSequence(asked, answers, feedBack = false) {
  const { question, digits } = recorded.graph;
  const [inputs, targets, mask] = Object.values(recordedSequence()).map((steps) => steps.slice(0, question));
  const nothing = [NOTHING, NOTHING, NOTHING];
  const add = (triple, flags, answer = null) => {
    inputs.push(stepInput(triple, flags));
    targets.push(digitsOf(answer ?? END, digits));
    mask.push(Number(answer !== null));
  };
  asked.forEach((triple, k) => add(triple, [Number(k === 0), 0]));
  for (let k = 0; k < planningSteps(); k++) add(nothing, [0, 0]);
  answers.forEach((answer, k) => add(feedBack && k > 0 ? answers[k - 1] : nothing, [0, 1], answer));
  return { inputs, targets, mask };
}

/** The triples that the trace asks, ... */
function askedInTrace() {
  const { input, question } = recorded.graph;
  const rest = input.slice(question);
  const length = rest.findIndex((triple) => triple.every((label) => label === NOTHING));
  return length < 0 ? rest : rest.slice(0, length);
}

/** ... and the number of empty steps between them and the answer. */
function planningSteps() {
  const { mask } = recordedSequence();
  return mask.findIndex((counts, t) => counts === 1 && t >= recorded.graph.question) - recorded.graph.question - askedInTrace().length;
}

/** The number of a label, from text; NOTHING if it is none. */
const labelOf = (text) => (/^\d+$/.test(text) && Number(text) < 10 ** recorded.graph.digits ? Number(text) : NOTHING);

/** Split "A -edge-> B" into nodes and the edges between (tasks/graphs/questions.py); an edge may be empty. */
function partsOf(text) {
  const steps = text.split("->").map((step) => step.trim());
  const last = steps.pop();
  const parts = steps.map((step) => step.match(/^(\S+?)\s*(?:-\s*(\S+))?$/) ?? ["", step, ""]);
  return { nodes: [...parts.map(([, node]) => node), last], edges: parts.map(([, , edge]) => edge ?? "") };
}

/** Whether these are parts of "A -edge-> ? -edge-> ?". */
const isAlongEdges = ({ nodes, edges }) =>
  edges.length > 0 && edges.every((edge) => edge !== "") && nodes.slice(1).every((node) => node === "?");

const hasNode = (label) => recorded.graph.nodes.includes(label);
const edgesInWords = (edges) => edges.map(([, edge, node]) => `–${labelText(edge)}→ ${labelText(node)}`).join(", ");

/** The path from a node along edges with these labels, or a text that says why there is none. */
function pathAlong(node, labels) {
  if (!hasNode(labelOf(node))) return `the graph has no node ${node}`;
  const path = [];
  for (const label of labels) {
    const at = path.at(-1)?.[2] ?? labelOf(node);
    const leaving = edgesFrom(edgesShown(), at);
    const next = leaving.find(([, edge]) => edge === label);
    if (!next) return `${labelText(label)} leads nowhere from ${labelText(at)}; from there lead: ${edgesInWords(leaving) || "nothing"}`;
    path.push(next);
  }
  return path;
}

/** A walk: its answer is every node of it (tasks/graphs/traversal.py). Buttons also choose it, edge by edge. */
const walks = {
  isWalk: true,
  hint: () => "A walk through the graph: choose a node, then edges, or type it. The model is asked where it leads.",
  typed: () => walkInWords(askedInTrace()[0][0], askedInTrace()),
  parsed: (text) => {
    const path = pathTyped(text);
    if (typeof path === "string") return path;
    return questionSequence(path.map(([source, edge], k) => [k === 0 ? source : NOTHING, edge, NOTHING]), path);
  },
};

const walkInWords = (start, path) => labelText(start) + path.map(([, edge]) => ` -${labelText(edge)}-> ?`).join("");

/** The edges of a walk, or a text that says what is wrong with it. */
function pathTyped(text) {
  const { nodes, edges } = partsOf(text);
  if (!isAlongEdges({ nodes, edges })) return `a walk must be written like ${walks.typed()}`;
  return pathAlong(nodes[0], edges.map(labelOf));
}

/** Buttons that continue the walk that is typed. */
function showWalk(text) {
  const [path, start] = [pathTyped(text), labelOf(partsOf(text).nodes[0])];
  const walked = typeof path === "string" ? [] : path;
  const press = (label, typed) => {
    const made = make("button", "step", label);
    made.type = "button";
    made.addEventListener("click", () => {
      byId("own-text").value = typed;
      if (typed.includes("->")) tryInput(() => walks.parsed(typed));
      showWalk(typed);
    });
    return made;
  };
  if (!hasNode(start)) {
    const nodes = [...recorded.graph.nodes].sort((a, b) => a - b);
    return byId("own-walk").replaceChildren("Begin at ", ...nodes.map((node) => press(labelText(node), labelText(node))));
  }
  const choices = edgesFrom(edgesShown(), walked.at(-1)?.[2] ?? start).map((edge) =>
    press(edgesInWords([edge]), walkInWords(start, [...walked, edge])),
  );
  const so = `${labelText(start)}${walked.map((edge) => ` ${edgesInWords([edge])}`).join("")}, then `;
  return byId("own-walk").replaceChildren(so, ...choices, press("Begin again", ""));
}

/** A shortest path between two nodes, of the model's own choices (tasks/graphs/shortest_path.py). */
const shortestPaths = {
  hint: () => "Two nodes of the graph. The model is asked for a shortest path between them, and goes where it says.",
  typed: () => `${labelText(askedInTrace()[0][0])} -> ${labelText(askedInTrace()[0][2])}`,
  parsed: (text) => {
    const { nodes, edges } = partsOf(text);
    if (edges.length !== 1 || edges[0] !== "") return `a question must be written like ${shortestPaths.typed()}`;
    const [start, end] = nodes.map(labelOf);
    const strange = nodes.find((node) => !hasNode(labelOf(node)));
    if (strange !== undefined) return `the graph has no node ${strange}`;
    if (start === end) return "a path must join two different nodes";
    const shown = edgesShown();
    if (!distancesTo(shown, end).has(start)) return `no path leads from ${labelText(start)} to ${labelText(end)}`;
    const answers = [...shortestPath(shown, start, end), END];
    const sequence = questionSequence([[start, NOTHING, end]], answers, true);
    const first = sequence.inputs.length - answers.length;
    return rollOut(computing.model, sequence, shown, { start, end, first, validEdges: about.settings.valid_edges === true });
  },
};

/** Where a relation leads, which stands for several edges (tasks/graphs/inference.py). */
const inferences = {
  hint: () =>
    `A node and a relation, from 10 to ${Math.max(...Object.keys(recorded.graph.meanings))}, or the edges that one stands for, as in 1/2. ` +
    "The model is asked where it leads.",
  typed: () => `${labelText(askedInTrace()[0][0])} -${labelText(askedInTrace()[0][1])}-> ?`,
  parsed: (text) => {
    const { nodes, edges } = partsOf(text);
    if (!isAlongEdges({ nodes, edges }) || edges.length !== 1) return `a question must be written like ${inferences.typed()}`;
    const relation = relationOf(edges[0]);
    if (relation === NOTHING) return `no relation that the model may know stands for ${edges[0]}`;
    const path = pathAlong(nodes[0], recorded.graph.meanings[relation]);
    if (typeof path === "string") return path;
    const [start, end] = [path[0][0], path.at(-1)[2]];
    return questionSequence([[start, relation, NOTHING]], [[start, relation, end]]);
  },
};

/** The relation with a label, or that stands for edges with / between them. */
function relationOf(text) {
  const { meanings } = recorded.graph;
  const label = text.includes("/")
    ? Object.keys(meanings).find((each) => String(meanings[each]) === String(text.split("/").map(labelOf)))
    : labelOf(text);
  return label in meanings ? Number(label) : NOTHING;
}

/** How the trace's task is asked about its graph; null if the page does not know, or the trace has no question. */
function graphQuestion() {
  if (planningSteps() < 0 || (about.task === "inference" && recorded.graph.meanings === null)) return null;
  return { traversal: walks, "shortest-path": shortestPaths, inference: inferences }[about.task] ?? null;
}
