// Two memories: the page shows one at a time, as if the model had it alone.

const ofBoth = new Map();

/** Put the arrays of one memory in place of those of both. */
function useMemory(chosen) {
  for (const name of about.memories.arrays) {
    if (!recorded.arrays.has(name)) continue;
    if (!ofBoth.has(name)) ofBoth.set(name, recorded.arrays.get(name));
    const { shape, values } = ofBoth.get(name);
    const [kept, count, ...rest] = shape;
    const size = rest.reduce((product, length) => product * length, 1);
    const own = new values.constructor(kept * size);
    for (let step = 0; step < kept; step++) {
      const first = (step * count + chosen) * size;
      own.set(values.subarray(first, first + size), step * size);
    }
    recorded.arrays.set(name, { shape: [kept, ...rest], values: own });
  }
  recorded.provenance = about.memories.provenances[chosen];
  for (const number of [0, 1]) byId(`memory-${number}`).setAttribute("aria-pressed", String(number === chosen));
}

/** Show the other memory; panels stay open or folded. */
function showOtherMemory(chosen) {
  useMemory(chosen);
  const open = new Map(panels.map((panel) => [panel.name, panel.open]));
  panels = buildPanels();
  for (const panel of panels) panel.open = open.get(panel.name);
  now.cell = now.hover = null;
  byId("panels").replaceChildren();
  showPanels();
  findSlots();
  showSlotChoice();
  buildMemory();
  ask("all");
}

/** Buttons that choose the memory. */
function showMemoryChoice() {
  byId("memories").hidden = false;
  for (const number of [0, 1]) byId(`memory-${number}`).addEventListener("click", () => showOtherMemory(number));
}
