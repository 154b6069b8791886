// Time: the current step, the steps in view, and playing.

const now = { step: 0, cell: null, hover: null, jumps: [], timer: null };
const FEWEST_IN_VIEW = 4;
const SECONDS_OF_PLAY = 12;
const timeline = document.getElementById("timeline");
const overlay = document.getElementById("overlay");
let panels = [];

const asked = new Set();

/** Schedule a redraw: "all" if the view, the size or the colours changed, "cursor" if only the step did, "overlay" else. */
function ask(what) {
  if (asked.size === 0) requestAnimationFrame(draw);
  asked.add(what);
}

/** Pixels beyond the window in which panels are drawn too, so that they are there when it is scrolled. */
const BEYOND = 200;

/** Draw what was asked for. A panel outside the window takes its size, and is drawn when it comes into it. */
function draw() {
  const [all, moved] = [asked.has("all"), asked.has("all") || asked.has("cursor")];
  asked.clear();
  if (all) panels.forEach(resizePanel);
  else if (moved) panels.filter((panel) => panel.kind === "arcs").forEach(resizePanel);
  if (moved) {
    drawAxis();
    drawSide();
  }
  const waiting = panels.filter((panel) => panel.open && panel.isStale);
  const places = waiting.map(({ canvas }) => canvas.getBoundingClientRect());
  const isNear = ({ top, bottom }) => bottom > -BEYOND && top < window.innerHeight + BEYOND;
  waiting.filter((_, k) => isNear(places[k])).forEach(drawPanel);
  drawOverlay();
}

/** Move the cursor, and scroll if the step would be out of view. */
function goTo(step) {
  now.step = Math.max(0, Math.min(run.steps - 1, Math.round(step)));
  if (now.cell) now.cell.step = now.step;
  const before = view.first;
  if (now.step < view.first) look(now.step, view.shown);
  if (now.step + 1 > view.first + view.shown) look(now.step + 1 - view.shown, view.shown);
  ask(view.first === before ? "cursor" : "all");
  showStep();
}

/** Go from a read to the step that wrote what it reads. */
function jumpToWrite(head, step) {
  const write = run.provenance.writes[step][head];
  if (write === NOTHING) return;
  now.jumps.push(step);
  goTo(write);
}

function jumpTo(step) {
  now.jumps.push(now.step);
  goTo(step);
}

function jumpBack() {
  if (now.jumps.length) goTo(now.jumps.pop());
}

const mostShown = () => Math.max(Math.min(run.steps, room() / NARROWEST_CELL), room() / WIDEST_CELL);

function look(first, shown) {
  view.shown = Math.min(mostShown(), Math.max(FEWEST_IN_VIEW, shown));
  view.first = Math.max(0, Math.min(run.steps - view.shown, first));
}

/** Zoom; `step` keeps its place. */
function zoom(factor, step = now.step + 0.5) {
  const share = (step - view.first) / view.shown;
  const shown = Math.min(mostShown(), Math.max(FEWEST_IN_VIEW, view.shown / factor));
  look(step - share * shown, shown);
  ask("all");
}

/** A step worth seeing first: among those that count, the middle one at which a head reads an earlier write. */
function openingStep() {
  const all = [...Array(run.steps).keys()];
  const counting = all.filter((step) => at("mask", step) === 1);
  const asked = counting.length ? counting : all;
  const writes = hasMemory() ? run.provenance.writes : [];
  const reading = asked.filter((step) => writes[step]?.some((write) => write !== NOTHING && write < step));
  const chosen = reading.length ? reading : asked;
  return chosen[Math.floor(chosen.length / 2)];
}

/** Show as many steps as are readable, around the current one. */
function showReadable() {
  const shown = Math.min(run.steps, mostReadable());
  look(now.step + 0.5 - shown / 2, shown);
  ask("all");
}

function showAll() {
  look(0, Infinity);
  ask("all");
}

function play(on) {
  clearInterval(now.timer);
  now.timer = null;
  if (on) {
    if (now.step === run.steps - 1) goTo(0);
    const pace = Math.min(20, Math.max(3, run.steps / SECONDS_OF_PLAY));
    now.timer = setInterval(() => (now.step === run.steps - 1 ? play(false) : goTo(now.step + 1)), 1000 / pace);
  }
  const button = document.getElementById("play");
  button.replaceChildren(on ? "⏸" : "▶", make("span", "word", on ? " Pause" : " Play"));
  button.setAttribute("aria-label", on ? "pause" : "play");
}
