// A sequence of the reader's own: bits, a text, words, or a question about the graph shown; computed while it is typed.

function buildOwnInput() {
  const kind = computing.model === null ? null : kindOfInput();
  byId("own-button").hidden = kind === null;
  if (kind === null) return;
  const field = byId("own-text");
  const reset = () => {
    field.value = kind.typed();
    if (kind.isWalk) showWalk("");
  };
  byId("own-back").addEventListener("click", () => {
    byId("own-error").textContent = "";
    reset();
    if (runs.own !== null) useSequence(null);
  });
  field.addEventListener("input", () => {
    tryInput(() => kind.parsed(field.value));
    if (kind.isWalk) showWalk(field.value);
  });
  byId("own-hint").textContent = kind.hint();
  reset();
}

/** Compute a sequence, or say what is wrong with it. */
function tryInput(parsed) {
  const found = parsed();
  const most = computing.model.most_steps;
  const wrong = typeof found === "string" ? found : found.inputs.length > most ? `at most ${most} steps, please` : "";
  byId("own-error").textContent = wrong;
  if (wrong === "") useSequence(found);
}

function kindOfInput() {
  if (run.graph) return graphQuestion();
  if (run.arrays.get("inputs").shape.length > 1) return vectors;
  if (characters !== null) return texts;
  return words;
}

/** A sequence without targets. */
function unanswered(inputs) {
  const none = partAt(recorded.arrays.get("targets"), 0);
  const empty = typeof none === "number" ? 0 : none.map(() => 0);
  return { inputs, targets: inputs.map(() => empty), mask: inputs.map(() => 0) };
}

const vectors = {
  hint: () =>
    `A row is a step of ${about.spec.input_size} channels (${about.input_channels.join(", ")}): digits 0 and 1, or numbers with commas between.`,
  typed: () =>
    recordedSequence()
      .inputs.map((x) => (isOfBits() ? Array.from(x).join("") : Array.from(x, inDigits).join(",")))
      .join("\n"),
  parsed: (text) => {
    const rows = text.trim().split(/\s+/).filter(Boolean);
    if (rows.length === 0) return "at least one row, please";
    const inputs = rows.map((row) => Float64Array.from(row.includes(",") ? row.split(",") : row, Number));
    const bad = inputs.findIndex((x) => x.length !== about.spec.input_size || !x.every(Number.isFinite));
    return bad < 0 ? unanswered(inputs) : `row ${bad + 1} must be ${about.spec.input_size} digits or numbers`;
  },
};

/** A text, in which each character but the first is to be predicted. */
const texts = {
  hint: () => "Type a text; the model predicts each next character.",
  typed: () => recordedSequence().inputs.map((symbol) => characters[symbol]).join(""),
  parsed: (text) => {
    const typed = about.settings.unit === "bytes" ? Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)) : Array.from(text);
    const symbols = typed.map((character) => characters.indexOf(character));
    const strange = symbols.indexOf(NOTHING);
    if (symbols.length === 0) return "at least one character, please";
    if (strange >= 0) return `the model does not know the character ${typed[strange]}`;
    const next = [...symbols.slice(1), 0];
    return { inputs: symbols, targets: next, mask: symbols.map((_, t) => Number(t + 1 < symbols.length)) };
  },
};

/** A story of bAbI, whose questions are followed by pauses and the sign that asks for a word; or any other symbols. */
const words = {
  hint: () =>
    about.task === "babi"
      ? "Type a story and ask something: the answer is the output at the step “-” after each question."
      : "Symbols by name, with spaces between.",
  typed: () =>
    recordedSequence()
      .inputs.map((symbol) => about.input_channels[symbol])
      .filter((name) => about.task !== "babi" || !["_", "-"].includes(name))
      .join(" ")
      .replace(/ ([.?])/g, "$1"),
  parsed: (text) => {
    const isStory = about.task === "babi";
    const typed = isStory ? (text.toLowerCase().match(/[^\s.?,]+|[.?]/g) ?? []) : text.trim().split(/\s+/).filter(Boolean);
    const asked = isStory ? [...Array(about.settings.pause ?? 0).fill("_"), "-"] : [];
    const names = typed.flatMap((word) => (isStory && word === "?" ? [word, ...asked] : [word]));
    const symbols = names.map((name) => about.input_channels.indexOf(name));
    if (symbols.length === 0) return "at least one word, please";
    const strange = symbols.indexOf(NOTHING);
    return strange < 0 ? unanswered(symbols) : `the model does not know the word ${names[strange]}`;
  },
};
