// The page: heading, panels, legend, description of the current step; and the start of the script.

/** An element with a class and either text or children; text is never markup. */
function make(tag, kind, content = []) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (typeof content === "string") made.textContent = content;
  else made.append(...content);
  return made;
}

const byId = (id) => document.getElementById(id);
const inText = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
const MODELS = { rnn: "RNN", lstm: "LSTM", dnc: "DNC", ntm: "NTM" };

function showHeading() {
  const { spec, settings } = about;
  byId("title").textContent = `${about.task} · ${MODELS[about.kind]}`;
  document.title = `${about.task} · ${MODELS[about.kind]} · numdnc`;
  const facts = [
    `iteration ${about.iteration}`,
    ...(hasMemory()
      ? [
          `${about.memories ? "2 memories of " : ""}${spec.memory_size.toLocaleString("en")} slots of ${spec.word_size}`,
          `${spec.read_heads} read head${spec.read_heads === 1 ? "" : "s"}`,
          ...(about.kind === "ntm" || writers() > 1 ? [`${writers()} write head${writers() === 1 ? "" : "s"}`] : []),
        ]
      : []),
    `${spec.hidden_sizes.join(" + ")} hidden units${spec.bidirectional ? " in both directions" : ""}`,
    `engine ${about.engine}`,
    `${run.steps} steps`,
    errorsInWords(),
  ];
  byId("facts").textContent = facts.join(" · ");
  byId("facts").title = [
    about.sequence,
    ...Object.entries(settings).map(([name, value]) => `${name} ${inText(value)}`),
  ].join("\n");
  const notes = [
    ...(about.note === "" ? [] : [`Left out to keep this page small: ${about.note}.`]),
    ...(about.why_not === "" ? [] : [`This page is a recording and does not compute the model: ${about.why_not}.`]),
  ];
  byId("note").textContent = notes.join(" ");
  byId("note").hidden = notes.length === 0;
}

function errorsInWords() {
  const errors = panels.find((panel) => panel.name === "errors");
  let [wrong, all] = [0, 0];
  for (let step = 0; step < run.steps; step++) {
    for (let row = 0; row < errors.rows && errors.counts(step); row++) {
      all += 1;
      wrong += errors.value(row, step);
    }
  }
  return all === 0 ? "no targets" : `${wrong} of ${all} ${run.graph ? "labels" : about.unit} wrong`;
}

function showPanels() {
  for (const panel of panels) {
    const button = make("button", "fold", panel.title);
    const heading = make("h3", "", [
      button,
      make("small", "equation", panel.equation),
      make("small", "scale-note", panel.note),
    ]);
    if (panel.head !== undefined) button.style.setProperty("--mark", `var(--head-${panel.head})`);
    heading.title = panel.meaning;
    panel.canvas = make("canvas");
    panel.canvas.tabIndex = 0;
    panel.canvas.setAttribute("role", "application");
    panel.canvas.setAttribute("aria-roledescription", "heat map");
    panel.canvas.setAttribute("aria-label", `${panel.title}: ${panel.meaning} Arrow keys choose row and step.`);
    const fold = () => {
      button.setAttribute("aria-expanded", String(panel.open));
      panel.canvas.hidden = !panel.open;
    };
    button.type = "button";
    button.addEventListener("click", () => {
      panel.open = !panel.open;
      fold();
      ask("all");
    });
    fold();
    listenToPanel(panel);
    byId("panels").append(make("section", "panel", [heading, panel.canvas]));
  }
}

function showLegend() {
  const shown = new Set(panels.map((panel) => panel.meaning));
  if (hasMemory()) shown.add(WORDS.memory[2]);
  if (hasLinks()) shown.add(WORDS.link[2]);
  const list = make("dl");
  for (const [title, equation, meaning] of Object.values(WORDS)) {
    if (!shown.has(meaning)) continue;
    list.append(make("div", "", [make("dt", "", [title, make("code", "", equation)]), make("dd", "", meaning)]));
  }
  const scales = make("div", "scales", [
    scale("least (0)", "most (1)", false),
    scale("negative", "positive", true),
    make("span", "wrong", "× wrong"),
    make("span", "lost", "■ not a number"),
    ...(computing.model ? [make("span", "edit", "□ changed by an edit; below it, as before; dashed: a link that is gone")] : []),
  ]);
  const ways = make("dl");
  for (const [who, what] of Object.entries(WAYS)) {
    ways.append(make("div", "", [make("dt", "", who), make("dd", "", what)]));
  }
  byId("legend").replaceChildren(scales, ways, list);
}

/** A strip of a colour map between two labels. */
function scale(low, high, signed) {
  const canvas = make("canvas");
  const context = prepare(canvas, 120, 12);
  for (let x = 0; x < 120; x++) {
    context.fillStyle = colourOf(x, [0, 119], signed);
    context.fillRect(x, 0, 1, 12);
  }
  return make("span", "scale", [low, canvas, high]);
}

function switchTheme(name) {
  useTheme(name);
  byId("theme-button").textContent = name === "dark" ? "Light" : "Dark";
  theme.heads.forEach((colour, head) => document.documentElement.style.setProperty(`--head-${head}`, colour));
  showLegend();
  ask("all");
}

/** Let arrow keys and the pointer choose a cell of the memory or the links, and describe it. */
function listenToSide({ canvas }, cellOf, moved, words, part) {
  const tell = (cell) => {
    part.cell = cell;
    if (cell) say(words(cell));
    ask("cursor");
  };
  for (const kind of ["pointerdown", "pointermove"])
    canvas.addEventListener(kind, (event) => tell(cellOf(event.offsetX, event.offsetY)));
  canvas.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && tell(null));
  canvas.addEventListener("keydown", (event) => {
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[
      event.key
    ] ?? [0, 0];
    if (down === 0 && right === 0) return;
    event.preventDefault();
    tell(moved(part.cell, down, right));
  });
}

const within = (number, count) => Math.max(0, Math.min(count - 1, number));

function showMemory() {
  showSlotChoice();
  for (const name of ["used", "all"]) {
    byId(`slots-${name}`).addEventListener("click", () => {
      showSlots(name === "used");
      showSlotChoice();
      ask("all");
    });
  }
  byId("memory-part").hidden = false;
  buildMemory();
  listenToSide(
    memory,
    memoryCellAt,
    (cell, down, right) =>
      cell === null
        ? { row: 0, column: 0 }
        : {
            row: within(cell.row + down, slots.shown.length),
            column: within(cell.column + right, memory.columns.length),
          },
    memoryInWords,
    memory,
  );
  if (!hasLinks()) return;
  byId("links-part").hidden = false;
  listenToSide(
    links,
    linkCellAt,
    (cell, down, right) => {
      const { shown, rows } = slots;
      const count = shown.length;
      if (cell === null) return { i: shown[0], j: links.matrix ? shown[0] : null };
      if (!links.matrix) return { i: shown[(rows[cell.i] + down + right + count) % count], j: null };
      return { i: shown[within(rows[cell.i] + down, count)], j: shown[within(rows[cell.j] + right, count)] };
    },
    linkInWords,
    links,
  );
  for (const name of ["graph", "matrix"]) {
    byId(`links-${name}`).addEventListener("click", () => {
      links.matrix = name === "matrix";
      links.cell = null;
      for (const other of ["graph", "matrix"])
        byId(`links-${other}`).setAttribute("aria-pressed", String(other === name));
      ask("cursor");
    });
  }
}

/** Say on the buttons how many slots they show, here and in the timeline; no buttons if all are used. */
function showSlotChoice() {
  const [used, all] = [slots.used.length, slotCount()];
  byId("slots-choice").hidden = used === 0 || used === all;
  byId("slots-used").textContent = `Used ${used}`;
  byId("slots-all").textContent = `${about.slots ? "Kept" : "All"} ${all}`;
  byId("slots-used").setAttribute("aria-pressed", String(someSlotsHidden()));
  byId("slots-all").setAttribute("aria-pressed", String(!someSlotsHidden()));
}

function listen() {
  const clicks = {
    first: () => goTo(0),
    previous: () => goTo(now.step - 1),
    next: () => goTo(now.step + 1),
    last: () => goTo(run.steps - 1),
    play: () => play(now.timer === null),
    back: jumpBack,
    "zoom-in": () => zoom(1.5),
    "zoom-out": () => zoom(1 / 1.5),
    "zoom-fit": showAll,
    "theme-button": () => switchTheme(theme.name === "dark" ? "light" : "dark"),
  };
  for (const name of ["legend", "own", "training"]) {
    clicks[`${name}-button`] = () => {
      byId(name).hidden = !byId(name).hidden;
      byId(`${name}-button`).setAttribute("aria-expanded", String(!byId(name).hidden));
      ask("all");
    };
  }
  for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
  for (const name of ["timeline", "step"]) byId(`show-${name}`).addEventListener("click", () => showTab(name));
  byId("slider").max = run.steps - 1;
  byId("slider").addEventListener("input", (event) => goTo(Number(event.target.value)));
  document.addEventListener("keydown", onKey);
  timeline.addEventListener("wheel", onWheel, { passive: false });
  for (const kind of ["scroll", "resize"]) window.addEventListener(kind, () => ask("overlay"), { passive: true });
  window.addEventListener("beforeprint", () => panels.filter((panel) => panel.open && panel.isStale).forEach(drawPanel));
  dark.addEventListener("change", () => switchTheme(dark.matches ? "dark" : "light"));
  listenToAxis();
  const observer = new ResizeObserver(resize);
  for (const watched of [timeline, byId("bar")]) observer.observe(watched);
  new ResizeObserver(() => ask("cursor")).observe(byId("side"));
}

/** On a narrow screen, show either the timeline or the step with its memory. */
function showTab(name) {
  document.body.dataset.tab = name;
  for (const other of ["timeline", "step"])
    byId(`show-${other}`).setAttribute("aria-pressed", String(other === name));
  resize();
  ask("all");
}

function resize() {
  document.documentElement.style.setProperty("--bar", `${byId("bar").offsetHeight}px`);
  const width = byId("panels").clientWidth;
  if (width === view.width || width === 0) return;
  const whole = view.shown >= mostShown();
  view.width = width;
  look(view.first, whole ? Infinity : view.shown);
  ask("all");
}

async function start() {
  await unpackArrays();
  await unpackModels();
  if (about.memories) {
    useMemory(0);
    showMemoryChoice();
  }
  panels = buildPanels();
  useTheme(dark.matches ? "dark" : "light");
  showHeading();
  showPanels();
  if (run.graph) {
    byId("graph-part").hidden = false;
    buildGraph();
  }
  byId("board-part").hidden = !about.boards;
  if (hasMemory()) {
    findSlots();
    showMemory();
  } else {
    byId("no-memory").hidden = false;
    byId("no-memory").textContent =
      `An ${MODELS[about.kind]} has no memory apart from its hidden units, which the timeline shows.`;
  }
  buildWhatIf();
  buildOwnInput();
  buildCurves();
  listenToRuns();
  listen();
  switchTheme(theme.name);
  if (isTouched()) {
    byId("keys").textContent = "The legend says what fingers do.";
    say("Tap a cell for its value; drag along a panel to move through time.");
  }
  showTab("timeline");
  goTo(openingStep());
  showReadable();
  draw();
  performance.mark("drawn");
  // For the browser's console and for tests: the functions that the page itself uses.
  window.numdnc = {
    get step() {
      return now.step;
    },
    goTo,
    canCompute: () => computing.model !== null,
    /** The numbers of an array of the trace, computed again by the page from the inputs: all steps in one list. */
    computed: (name) => computedRun(computing.model, recordedSequence()).states.flatMap((state) => flat(state[name])),
    /** Edits as {name, index, value, words, first, last}, and what they lead to. */
    edit: addEdits,
    reset: removeEdits,
    /** The numbers of an array of the run that is drawn, and its provenance. */
    array: (name) => Array.from(run.arrays.get(name).values),
    provenance: () => run.provenance,
    panels: () => panels.map(({ name, rows }) => ({ name, rows })),
    /** The number drawn in a row of a panel at a step. */
    valueAt: (name, row, step) => panels.find((panel) => panel.name === name).value(row, step),
    /** The upper left corner of a cell of the memory, by row and column, and of the link matrix, within its canvas. */
    memoryCorner,
    linkCorner,
    /** The middle of that cell, relative to the window's corner. */
    placeOf: (name, row, step) => {
      const [x, y] = middle(
        panels.find((panel) => panel.name === name),
        row,
        step,
      );
      const box = timeline.getBoundingClientRect();
      return [x + box.left + timeline.clientLeft, y + box.top + timeline.clientTop];
    },
  };
}

start();
