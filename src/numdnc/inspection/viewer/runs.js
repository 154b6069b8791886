// Which run is drawn: the recorded one, or one that the page computes, and beside it the one that it is compared with.

const runs = {
  /** A sequence of the reader's own, or null for the recorded one. */
  own: null,
  edits: [],
  /** The computed run of the sequence without edits; null until it is needed. */
  unedited: null,
  edited: null,
  /** What is drawn beside the run: none, the same without edits, or the other checkpoint's. */
  before: null,
  /** "both", "edited" or "unedited". */
  view: "both",
  withOther: false,
};

const sequence = () => runs.own ?? recordedSequence();

/** Whether neither edits nor a sequence of the reader's own nor another checkpoint are asked for. */
const isPlain = () => runs.own === null && runs.edits.length === 0 && !runs.withOther;

/**
 * Compute again what edits, sequence and checkpoint ask for, and draw it. While a reader may choose what to edit, that is
 * the page's own run: where slots are equally free, it may use others than the recording.
 */
function recompute() {
  const { edits, own } = runs;
  if (!isPlain() || byId("what-if").open) {
    runs.unedited ??= computedRun(computing.model, sequence());
    runs.edited = edits.length === 0 ? runs.unedited : computedRun(computing.model, sequence(), edits, statesBefore(edits));
  } else runs.edited = recorded;
  if (runs.withOther) runs.before = computedRun(computing.other, sequence(), edits);
  else runs.before = edits.length === 0 ? null : runs.unedited;
  drawRuns();
}

/** The states of the unedited run before the first edit; a second direction has read a changed input before that. */
function statesBefore(edits) {
  const reversed = computing.model.spec.bidirectional && edits.some(({ name }) => name === "inputs");
  return reversed ? [] : runs.unedited.states.slice(0, Math.min(...edits.map(({ first }) => first)));
}

/** Set values, each in place of an earlier edit of the same value at the same step. */
function addEdits(...edits) {
  const kept = runs.edits.filter((other) => !edits.some((edit) => isSamePlace(other, edit)));
  runs.edits = [...kept, ...edits];
  recompute();
}

const isSamePlace = (one, other) =>
  one.name === other.name && one.first === other.first && String(one.index) === String(other.index);

function removeEdit(edit) {
  runs.edits = runs.edits.filter((other) => other !== edit);
  recompute();
}

function removeEdits() {
  runs.edits = [];
  recompute();
}

/** Take a sequence of the reader's own, or null to return to the recorded one. */
function useSequence(own) {
  Object.assign(runs, { own, edits: [], unedited: null });
  recompute();
  rebuildPanels();
}

/** The run that is compared with the one drawn; null if one alone is drawn. */
const comparedRun = () => (runs.view === "both" ? runs.before : null);

function drawRuns() {
  const wasRecorded = run === recorded;
  run = runs.view === "unedited" && runs.before ? runs.before : runs.edited;
  for (const panel of panels) panel.changed = undefined;
  if (hasMemory() && someSlotsHidden()) showSlotsOfRuns(wasRecorded);
  if (run.graph) buildGraph();
  showRuns();
  goTo(now.step);
  ask("all");
}

/** Show the slots that the runs drawn use; from edit to edit none is hidden again. */
function showSlotsOfRuns(wasRecorded) {
  const isRecorded = run === recorded;
  const known = new Set(wasRecorded === isRecorded ? slots.used : isRecorded ? usedSlots() : []);
  const isUsed = (slot) => known.has(slot) || [run, comparedRun() ?? run].some((each) => inRun(each, () => isAccessed(slot)));
  const used = [...Array(slotCount()).keys()].filter(isUsed);
  if (String(used) === String(slots.used)) return;
  slots.used = used;
  showSlots(true);
  showSlotChoice();
}

/** Build the panels again for a sequence of another length, with the scales that fit it. */
function rebuildPanels() {
  const built = new Map(buildPanels().map((panel) => [panel.name, panel]));
  for (const panel of panels) {
    const { open, ...fresh } = built.get(panel.name);
    Object.assign(panel, fresh, { longest: undefined });
    panel.canvas.parentElement.querySelector(".scale-note").textContent = panel.note;
  }
  if (hasMemory()) {
    buildMemory();
    findSlots();
    showSlotChoice();
  }
  byId("slider").max = run.steps - 1;
  goTo(run.steps - 1);
  showReadable();
}

/** The rows and steps of a panel that the compared run shows otherwise, as 0 or 1 by row and step; null if none. */
function changedCells(panel) {
  if (!comparedRun()) return null;
  if (panel.changed !== undefined) return panel.changed;
  const changed = new Uint8Array(panel.rows * run.steps);
  const { values } = keptOf(panel);
  const before = inRun(comparedRun(), () => keptOf(panel).values);
  for (let row = 0, k = 0; row < panel.rows; row++) {
    const [low, high] = panel.limits(row);
    const least = panel.kind === "heat" ? CLEARLY * (high - low) : 0;
    for (let step = 0; step < run.steps; step++, k++) changed[k] = Number(Math.abs(values[k] - before[k]) > least);
  }
  panel.changed = changed.includes(1) ? changed : null;
  return panel.changed;
}

/** Part of a panel's scale from which on a change is marked. */
const CLEARLY = 0.02;

/** Say above the panels what is drawn. */
function showRuns() {
  byId("runs").hidden = isPlain();
  if (byId("runs").hidden) return;
  byId("edits").replaceChildren(...runs.edits.map(editChip));
  byId("runs-note").textContent = runsInWords();
  byId("reset").hidden = runs.edits.length === 0;
  byId("views").hidden = runs.before === null;
  for (const name of ["both", "edited", "unedited"])
    byId(`view-${name}`).setAttribute("aria-pressed", String(name === runs.view));
  byId("view-edited").textContent = runs.withOther ? "This model" : "Edited";
  byId("view-unedited").textContent = runs.withOther ? about.other : "Unedited";
}

/** What is drawn, and from which step on the output differs. */
function runsInWords() {
  const isChanged = runs.edits.some(({ name }) => name === "inputs");
  const targets = isChanged ? ", with the targets as they were" : "";
  const what = `${runs.own ? "your sequence, " : ""}computed by this page${targets}`;
  if (!runs.before) return what;
  const outputs = (of) => of.states.map((state) => Array.from(state.outputs));
  const [after, before] = [outputs(runs.edited), outputs(runs.before)];
  const differs = after.findIndex((y, t) => y.some((value, k) => Math.abs(value - before[t][k]) > 1e-3));
  const errors = inRun(runs.before, errorsInWords);
  const now = inRun(runs.edited, errorsInWords);
  const since = differs < 0 ? "the outputs are the same" : `outputs differ from step ${differs} on`;
  return `${what}: ${since}${now === errors ? "" : `; ${now}, ${beforeInWords()} ${errors}`}`;
}

function editChip(edit) {
  const remove = make("button", "step", "×");
  remove.type = "button";
  remove.setAttribute("aria-label", `remove: ${editInWords(edit)}`);
  remove.addEventListener("click", () => removeEdit(edit));
  return make("span", "edit", [editInWords(edit), " ", remove]);
}

function editInWords({ words, first, last }) {
  return `${last === first ? `step ${first}` : `from step ${first}`}: ${words}`;
}

function listenToRuns() {
  byId("reset").addEventListener("click", removeEdits);
  for (const name of ["both", "edited", "unedited"]) {
    byId(`view-${name}`).addEventListener("click", () => {
      runs.view = name;
      drawRuns();
    });
  }
  if (computing.other === null) return;
  byId("other").hidden = false;
  byId("other").textContent = `Compare with ${about.other}`;
  byId("other").addEventListener("click", () => {
    runs.withOther = !runs.withOther;
    byId("other").setAttribute("aria-pressed", String(runs.withOther));
    recompute();
  });
}
