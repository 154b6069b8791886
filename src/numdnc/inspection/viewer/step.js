// Describe the current step in words, with buttons that go from a read to its write and back.

function drawSide() {
  byId("side-title").textContent = `Step ${now.step}`;
  const happens = byId("happens");
  if (byId("side").offsetParent === null) return;
  const focused = [...happens.querySelectorAll("button")].indexOf(document.activeElement);
  happens.replaceChildren(...outcome(), ...(hasMemory() ? [writeNow(), ...readsNow()] : []));
  if (focused >= 0) (happens.querySelectorAll("button")[focused] ?? byId("play")).focus();
  drawWhatIf();
  if (run.graph) drawGraph();
  if (about.boards) drawBoard();
  if (!hasMemory()) return;
  const old = keptStep(now.step) === now.step ? "" : `as of step ${keptStep(now.step)}`;
  byId("memory-note").textContent = old;
  byId("links-note").textContent = old;
  drawMemory();
  if (hasLinks()) drawLinks();
}

/** For symbols and classes: the input, the target and the three likeliest outputs. */
function outcome() {
  if (run.graph) return outcomeOfTriples();
  if (about.unit === "bits") return [];
  if (about.groups > 1) return [outcomeOfGroups()];
  const classes = about.output_channels.length;
  const order = [...Array(classes).keys()].sort(
    (a, b) => at("probabilities", now.step, b) - at("probabilities", now.step, a),
  );
  const likeliest = order
    .slice(0, 3)
    .map((k) => `${glyph(k, about.output_channels)} ${at("probabilities", now.step, k).toFixed(2)}`);
  const counts = at("mask", now.step) === 1;
  const target = counts ? glyph(at("targets", now.step), about.output_channels) : "not asked";
  const input =
    run.arrays.get("inputs").shape.length === 1 ? [`in ${glyph(at("inputs", now.step), about.input_channels)} → `] : [];
  return [make("p", "event", [...input, `target ${target}; output ${likeliest.join(", ")}`])];
}

/** For a graph task: what was shown or asked, the target and the model's output. */
function outcomeOfTriples() {
  const { input, target, output, edges, question } = run.graph;
  const given = input[now.step].some((label) => label !== NOTHING);
  const what = edges.includes(now.step) ? "shown" : now.step < question || at("mask", now.step) === 1 ? "in" : "asked";
  const triple = (labels, kind = "") => make("span", `whole ${kind}`, tripleText(labels));
  const lines = given ? [make("p", "event", [make("b", "", what), triple(input[now.step])])] : [];
  if (at("mask", now.step) === 1) {
    const isRight = target[now.step].every((label, part) => label === output[now.step][part]);
    const said = triple(output[now.step], isRight ? "" : "wrong");
    lines.push(make("p", "event", [make("b", "", "wanted"), triple(target[now.step])]));
    lines.push(make("p", "event", [make("b", "", "output"), said, isRight ? " ✓" : " ✗"]));
  } else if (!given) lines.push(make("p", "event", "no input, and no answer is due"));
  return lines;
}

/** The input of a step in brackets: a character, a word or an edge; empty for other inputs. */
function inputInWords(step) {
  if (about.boards?.constraints.includes(step)) return make("span", "whole", ` (${about.boards.said[step]})`);
  if (run.graph?.edges.includes(step)) return make("span", "whole", ` (${tripleText(run.graph.input[step])})`);
  if (run.arrays.get("inputs").shape.length > 1) return "";
  return ` (${glyph(at("inputs", step), about.input_channels)})`;
}

/** For several classes a step: target and likeliest class, by number. */
function outcomeOfGroups() {
  const each = about.output_channels.length / about.groups;
  const groups = [...Array(about.groups).keys()];
  const most = (group) => {
    const values = [...Array(each).keys()].map((k) => at("outputs", now.step, group * each + k));
    return values.indexOf(Math.max(...values));
  };
  const due = at("mask", now.step) === 1 ? groups.map((group) => at("targets", now.step, group)).join(" ") : "not asked";
  return make("p", "event", [`target ${due}; output ${groups.map(most).join(" ")}`]);
}

/** The slot written most, and the later reads of this write. */
function writeNow() {
  let slot = 0;
  for (let n = 1; n < slotCount(); n++) if (mostWritten(now.step, n) > mostWritten(now.step, slot)) slot = n;
  const weight = mostWritten(now.step, slot);
  const badge = make("b", "", "write");
  if (weight < about.least) return make("p", "event", [badge, "nothing to speak of"]);
  const reads = [];
  run.provenance.writes.forEach((writes, step) =>
    writes.forEach((write, head) => write === now.step && reads.push([step, head])),
  );
  const buttons = reads
    .slice(0, 6)
    .map(([step, head]) => stepButton(`${step}`, `go to step ${step}, where head ${head} reads it`, step, head));
  const more = reads.length > 6 ? [` and ${reads.length - 6} more`] : [];
  const later = reads.length ? [", read at ", ...buttons, ...more] : ", never read most";
  return make("p", "event", [badge, `slot ${slotName(slot)} (${inDigits(weight)})`, ...later]);
}

/** What each head reads, and a button to the step that wrote it. */
function readsNow() {
  const { slots, writes } = run.provenance;
  return slots[now.step].map((slot, head) => {
    const badge = make("b", "", `head ${head}`);
    badge.style.color = headColour(head);
    if (slot === NOTHING) return make("p", "event", [badge, "no slot in particular"]);
    const read = `slot ${slotName(slot)} (${inDigits(at("read_weights", now.step, head, slot))})`;
    const write = writes[now.step][head];
    const origin =
      write === NOTHING
        ? [", never written"]
        : [", written at ", stepButton(`${write}`, `go to step ${write}, which wrote it`, write, head), inputInWords(write)];
    return make("p", "event", [badge, read, ...origin]);
  });
}

function stepButton(text, title, step, head) {
  const button = make("button", "step", text);
  button.type = "button";
  button.title = title;
  button.setAttribute("aria-label", title);
  button.style.borderColor = headColour(head);
  button.addEventListener("click", () => jumpTo(step));
  return button;
}
