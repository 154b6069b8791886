// "What if": controls that set an input, a gate, a slot, a link or a head's read at the current step.

const whatIf = { controls: [] };

/** The steps that an edit made now is for. */
const span = () => ({ first: now.step, last: byId("until").value === "end" ? Infinity : now.step });

const edit = (name, index, value, words) => addEdits({ name, index, value, words, ...span() });

function buildWhatIf() {
  byId("what-if").hidden = computing.model === null;
  if (computing.model === null) return;
  byId("what-if").addEventListener("toggle", () => isPlain() && setTimeout(recompute));
  byId("precision").textContent =
    `Computed by this page in float64, with the parameters in ${computing.model.precision}. ` +
    (hasMemory() ? "While this is open, the page shows its own run, which may use other slots, equally free, for the same." : "");
  addInputControls();
  if (hasMemory()) {
    addGates();
    addReads();
    addPlaces();
  }
}

/** A row of the form; `show` writes the values of the current step into it. */
function addControl(label, elements, show) {
  byId("what-if-controls").append(make("div", "control", [make("span", "name", label), make("span", "values", elements)]));
  whatIf.controls.push(show);
}

function drawWhatIf() {
  whatIf.controls.forEach((show) => show());
}

const isEdited = (name, index) =>
  runs.edits.some(
    (one) =>
      one.name === name &&
      one.first <= now.step &&
      now.step <= one.last &&
      (one.index.length === 0 || String(one.index) === String(index)),
  );

function field(kind, label, changed) {
  const made = make(kind === "select" ? "select" : "input");
  if (kind !== "select") made.type = kind;
  made.setAttribute("aria-label", label);
  made.addEventListener(kind === "range" ? "input" : "change", () => changed(made));
  return made;
}

function option(value, text) {
  const made = make("option", "", text);
  made.value = value;
  return made;
}

function addInputControls() {
  if (run.graph) return addLabelControls();
  const names = about.input_channels;
  if (run.arrays.get("inputs").shape.length === 1) {
    const chosen = field("select", "input symbol", ({ value }) =>
      edit("inputs", [], Number(value), `input ${glyph(Number(value), names)}`),
    );
    names.forEach((_, number) => chosen.append(option(number, glyph(number, names))));
    return addControl("input", [chosen], () => (chosen.value = at("inputs", now.step)));
  }
  const isBit = isOfBits();
  const numbers = names.map((name, k) => {
    if (!isBit) return field("number", name, ({ value }) => edit("inputs", [k], Number(value), `${name} = ${Number(value)}`));
    const bit = make("button", "bit");
    bit.type = "button";
    bit.addEventListener("click", () => {
      const value = 1 - at("inputs", now.step, k);
      edit("inputs", [k], value, `${name} = ${value}`);
    });
    return bit;
  });
  addControl("input", numbers, () =>
    numbers.forEach((element, k) => {
      const value = at("inputs", now.step, k);
      element[isBit ? "textContent" : "value"] = isBit ? String(value) : inDigits(value);
      element.setAttribute("aria-pressed", String(isBit && value === 1));
      element.title = names[k];
      element.setAttribute("aria-label", `${names[k]} = ${inDigits(value)}`);
    }),
  );
}

const isOfBits = () => recorded.arrays.get("inputs").values.every((value) => value === 0 || value === 1);

/** The three labels of a graph task; an empty field is an absent label. */
function addLabelControls() {
  const { digits } = run.graph;
  const labels = PARTS.map((part, place) =>
    field("text", `${part} label`, ({ value }) => {
      const isLabel = /^\d+$/.test(value.trim()) && Number(value) < 10 ** digits;
      if (!isLabel && value.trim() !== "") return say(`${part} must be a number of ${digits} digits, or empty`);
      const triple = run.graph.input[now.step].with(place, isLabel ? Number(value) : NOTHING);
      const flags = FLAGS.map((_, k) => at("inputs", now.step, about.input_channels.length - FLAGS.length + k));
      edit("inputs", [], [...hotLabels(triple, digits), ...flags], `input ${tripleText(triple)}`);
    }),
  );
  addControl("input", labels, () =>
    labels.forEach((element, place) => {
      const label = run.graph.input[now.step][place];
      element.value = label === NOTHING ? "" : labelText(label);
    }),
  );
}

/** A slider for each gate. */
function addGates() {
  const gates =
    about.kind === "ntm"
      ? ["read", "write"].flatMap((kind) => eachHead(`${kind}_interpolation`, `${kind} interpolation gate`))
      : [
          ...eachOf("write_gate", "write gate", writers()),
          ...eachOf("allocation_gate", "allocation gate", writers()),
          ...eachHead("free_gates", "free gate"),
        ];
  for (const { name, index, words } of gates) {
    const shown = make("output");
    const slider = field("range", words, ({ value }) => edit(name, index, Number(value), `${words} = ${value}`));
    Object.assign(slider, { min: 0, max: 1, step: 0.01 });
    addControl(words, [slider, shown], () => {
      const value = at(name, now.step, ...index);
      slider.value = value;
      shown.textContent = value.toFixed(2);
      shown.className = isEdited(name, index) ? "edited" : "";
    });
  }
}

/** Gates of an array with an axis of heads, ... */
function eachHead(name, words) {
  if (!run.arrays.has(name)) return [];
  const count = run.arrays.get(name).shape[1];
  return Array.from({ length: count }, (_, head) => ({ name, index: [head], words: `${words} ${head}` }));
}

/** ... and of one that has this axis only if there are several heads. */
const eachOf = (name, words, count) => (count > 1 ? eachHead(name, words) : run.arrays.has(name) ? [{ name, index: [], words }] : []);

/** How each head finds its slots, and whether it reads at all. */
function addReads() {
  const modes = ["backward", ...(writers() > 1 ? [] : ["content", "forward"])];
  for (let head = 0; head < about.spec.read_heads; head++) {
    const reads = field("checkbox", `head ${head} reads`, ({ checked }) =>
      checked ? takeBack("reads", [head]) : edit("reads", [head], 0, `head ${head} reads nothing`),
    );
    const elements = [make("label", "", [reads, "reads"])];
    const mode = field("select", `mode of head ${head}`, ({ value }) =>
      value === "" ? takeBack("read_modes", [head]) : edit("read_modes", [head], modesOf(value), `head ${head} reads ${value}`),
    );
    if (run.arrays.has("read_modes") && modes.length === 3) {
      mode.append(option("", "its own mode"), ...modes.map((name) => option(name, `only ${name}`)));
      elements.push(mode);
    }
    addControl(`head ${head}`, elements, () => {
      reads.checked = !isEdited("reads", [head]);
      if (!isEdited("read_modes", [head])) mode.value = "";
      else mode.value = modes[[0, 1, 2].find((k) => at("read_modes", now.step, head, k) === 1)];
    });
  }
}

const modesOf = (name) => ["backward", "content", "forward"].map((mode) => Number(mode === name));

/** Remove the edits of a value that hold at the current step. */
function takeBack(name, index) {
  const held = (one) => one.name === name && String(one.index) === String(index) && one.first <= now.step && now.step <= one.last;
  runs.edits = runs.edits.filter((one) => !held(one));
  recompute();
}

/** A slot to wipe and a link to cut; the memory and the links fill in what is chosen there. */
function addPlaces() {
  const number = (label) => {
    const made = field("number", label, () => {});
    return Object.assign(made, { min: 0, max: slotCount() - 1, value: 0 });
  };
  const press = (text, act) => {
    const made = make("button", "", text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  };
  const placeOf = (element) => within(Math.round(Number(element.value)) || 0, slotCount());
  const slot = number("slot to wipe");
  const wipe = () => edit("memory", [placeOf(slot)], 0, `slot ${placeOf(slot)} wiped`);
  addControl("slot", [slot, press("Wipe", wipe)], () => {});
  whenChosen(memory, ({ row }) => (slot.value = slots.shown[row]));
  if (!hasLinks()) return;
  const [from, to] = [number("link from slot"), number("link to slot")];
  const cut = () => {
    const [j, i] = [placeOf(from), placeOf(to)];
    const heads = writers() > 1 ? [...Array(writers()).keys()].map((v) => [v, i, j]) : [[i, j]];
    addEdits(...heads.map((index) => ({ name: "link", index, value: 0, words: `link ${j} → ${i} cut`, ...span() })));
  };
  addControl("link", [from, "→", to, press("Cut", cut)], () => {});
  whenChosen(links, ({ i, j }) => ([from.value, to.value] = [j ?? strongestOf(i) ?? from.value, i]));
}

/** Do something with the cell of a canvas that is clicked or reached by keys. */
function whenChosen(part, act) {
  for (const kind of ["click", "keyup"]) part.canvas.addEventListener(kind, () => part.cell && act(part.cell));
}

/** The slot of the strongest link that leads to a slot. */
const strongestOf = (i) => strongLinks().filter(([to]) => to === i).sort((a, b) => b[2] - a[2])[0]?.[1];
