// The panels of the timeline that show a memory: where heads write and read, and how they come there.

function addMemory(add) {
  const { read_heads: R } = about.spec;
  const heads = [...Array(R).keys()];
  const perSlot = (name, open, words = name, more = {}) => {
    if (!run.arrays.has(name)) return;
    const value = (row, step) => at(name, step, slots.shown[row]);
    add(name, words, slotCount(), slotLabel, value, { slots: true, open, ...weightScale(name), ...more });
  };
  const perHead = (name, open) => addPerHead(add, name, open, name);
  const perWriter = (name, open, words = name, more = {}) =>
    writers() > 1 ? addPerHead(add, name, open, words) : perSlot(name, open, words, more);
  perWriter("write_weights", true, "write_weights", { writer: 0 });
  addArcs(add);
  perHead("read_weights", true);
  perSlot("usage", true);
  perSlot("age", true);
  perWriter("allocation", true, about.spec.recency ? "oldest" : "allocation");
  const free = run.arrays.has("free_gates") ? heads : [];
  const gates = [
    ...free.map((head) => [`free ${head}`, (step) => at("free_gates", step, head)]),
    ...eachWriter("allocation", "allocation_gate"),
    ...eachWriter("write", "write_gate"),
  ];
  add(
    "gates",
    "gates",
    gates.length,
    (row) => gates[row][0],
    (row, step) => gates[row][1](step),
  );
  if (run.arrays.has("read_modes")) {
    const modes = [...ofEach("backward"), "content", ...ofEach("forward")];
    const [mode, reader] = [(row) => row % modes.length, (row) => Math.floor(row / modes.length)];
    const label = (row) => `${reader(row)} ${modes[mode(row)]}`;
    const value = (row, step) => at("read_modes", step, reader(row), mode(row));
    add("read_modes", "read_modes", modes.length * R, label, value);
  }
  perWriter("precedence", false);
  perSlot("retention", false);
  perWriter("write_content", false);
  perHead("read_content", false);
  for (const name of ["forward", "backward"]) writers() > 1 ? addPerLink(add, name) : perHead(name, false);
  const strengths = [
    ...heads.map((head) => [`read ${head}`, (step) => at("read_strengths", step, head)]),
    ...(run.arrays.has("write_strength") ? eachWriter("write", "write_strength") : []),
  ];
  addAbove(
    add,
    "strengths",
    "read_strengths",
    strengths.length,
    (row) => strengths[row][0],
    (row, step) => strengths[row][1](step),
  );
  if (run.arrays.has("forward_sharpness")) {
    const ways = ["forward", "backward"].flatMap((way) =>
      ofEach(way).flatMap((link, writer) =>
        heads.map((head) => [
          writers() > 1 ? `${head} ${link}` : `${link} ${head}`,
          (step) => at(`${way}_sharpness`, step, ...ofWriter(writer), head),
        ]),
      ),
    );
    addAbove(
      add,
      "sharpness",
      "sharpness",
      ways.length,
      (row) => ways[row][0],
      (row, step) => ways[row][1](step),
    );
  }
  for (const name of ["write_key", "write_mask", "erase", "write_vector"]) {
    for (let writer = 0; writer < writers(); writer++)
      addVector(add, name, (row) => `number ${row}`, writers() > 1 ? { writer } : {});
  }
  for (const name of ["read_keys", "read_masks", "reads"]) {
    for (const head of heads) addVector(add, name, (row) => `number ${row}`, { head });
  }
}

/** A label and a value at each step for every write head; without a number if there is one. */
const eachWriter = (label, name) =>
  ofEach(label).map((numbered, writer) => [numbered, (step) => at(name, step, ...ofWriter(writer))]);

/** A name, or one with a number for each of several write heads. */
const ofEach = (name) => (writers() > 1 ? [...Array(writers()).keys()].map((writer) => `${name} ${writer}`) : [name]);

/** A panel of slots for each read head and the links of each write head. */
function addPerLink(add, name) {
  if (!run.arrays.has(name)) return;
  const { read_heads: R } = about.spec;
  for (let writer = 0; writer < writers(); writer++) {
    for (let head = 0; head < R; head++) {
      const value = (row, step) => at(name, step, writer, head, slots.shown[row]);
      const title = `${WORDS[name][0]} ${head} by write head ${writer}`;
      const more = { slots: true, open: false, head, title, ...weightScale(name) };
      add(`${name} ${writer} ${head}`, name, slotCount(), slotLabel, value, more);
    }
  }
}

const slotLabel = (row) => `slot ${slotName(slots.shown[row])}`;

const OF_WRITERS = new Set(["write_weights", "write_content", "allocation", "precedence"]);

/** A panel of slots for each head that reads, or that writes. */
function addPerHead(add, name, open, words) {
  if (!run.arrays.has(name)) return;
  const shared = { slots: true, open, reads: name === "read_weights", ...weightScale(name) };
  for (let head = 0; head < run.arrays.get(name).shape[1]; head++) {
    const value = (row, step) => at(name, step, head, slots.shown[row]);
    const who = OF_WRITERS.has(name) ? { number: head } : { head };
    if (name === "write_weights") who.writer = head;
    add(`${name} ${head}`, words, slotCount(), slotLabel, value, { ...who, ...shared });
  }
}

/** The panel of arcs from writes to reads. */
function addArcs(add) {
  const write = (row, step) => run.provenance.writes[step][row];
  add(
    "arcs",
    "arcs",
    about.spec.read_heads,
    (row) => `head ${row}`,
    write,
    {
      kind: "arcs",
      describe: (row, step) => (write(row, step) === NOTHING ? "reads nothing that was written" : inWords(row, step)),
    },
  );
}

/** A panel of numbers from 0 up. */
function addAbove(add, name, words, wide, label, value) {
  const limits = [0, 1];
  for (let row = 0; row < wide; row++) {
    for (let step = 0; step < run.steps; step++) limits[1] = Math.max(limits[1], value(row, step));
  }
  add(name, words, wide, label, value, { limits: () => limits, open: false });
}

/** The memory of an NTM: where its heads write and read, and how they come there. */
function addNTM(add) {
  const { read_heads: R, shift_range: far } = about.spec;
  const heads = [
    ...[...Array(R).keys()].map((head) => ["read", head]),
    ...[...Array(writers()).keys()].map((head) => ["write", head]),
  ];
  const who = (row) => heads[row].join(" ");
  const ofHead = (part) => (row, step) => at(`${heads[row][0]}_${part}`, step, heads[row][1]);
  addPerHead(add, "write_weights", true, "ntm_write_weights");
  addArcs(add);
  addPerHead(add, "read_weights", true, "ntm_read_weights");
  add("interpolation", "interpolation", heads.length, who, ofHead("interpolation"));
  const S = 2 * far + 1;
  const offset = (row) => {
    const moved = (row % S) - far;
    return moved > 0 ? `+${moved}` : String(moved).replace("-", "−");
  };
  add(
    "shifts",
    "shifts",
    S * heads.length,
    (row) => `${who(Math.floor(row / S))} ${offset(row)}`,
    (row, step) => {
      const [kind, head] = heads[Math.floor(row / S)];
      return at(`${kind}_shifts`, step, head, row % S);
    },
  );
  addAbove(add, "sharpening", "sharpening", heads.length, who, ofHead("sharpening"));
  addAbove(add, "strengths", "head_strengths", heads.length, who, ofHead("strengths"));
  addPerHead(add, "write_content", false, "write_content");
  addPerHead(add, "read_content", false, "read_content");
  for (const name of ["write_keys", "erase", "write_vectors"]) {
    for (let writer = 0; writer < writers(); writer++) addVector(add, name, (row) => `number ${row}`, { writer });
  }
  for (const name of ["read_keys", "reads"]) {
    for (let head = 0; head < R; head++) addVector(add, name, (row) => `number ${row}`, { head });
  }
}
