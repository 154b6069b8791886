// What pointer, keys and fingers do; and what every quantity is: title, equation, meaning. docs/equations.md says the same at length.

const WAYS = {
  Mouse:
    "Point at a cell for its value; click or drag to go to a step; click on what a head reads most to go to the step that wrote it. Shift and wheel move the view, Ctrl and wheel zoom.",
  Keys: "Space plays, ← and → step, Home and End go to the ends; Tab and ↑ ↓ choose a row, Enter on what a head reads goes to the step that wrote it, Backspace comes back; + − 0 zoom.",
  Touch:
    "Tap a cell for its value and its step; drag along a panel or the axis to move through time, up and down to scroll; tap what a head reads most, then again, to go to the step that wrote it. The buttons −, + and All zoom; on a narrow screen Timeline and Step show one or the other.",
};

const WORDS = {
  input: ["input", "x", "What goes into the model at each step."],
  flags: ["flags", "x", "Where the question begins, and where an answer is wanted."],
  target: ["target", "z", "What should come out; a dot where the loss does not count."],
  output: [
    "output",
    "sigmoid(y)",
    "The probability that the model gives to each bit; pale where the loss does not count.",
  ],
  likeliest: [
    "output",
    "argmax y",
    "The class, character or label that the model holds likeliest; pale where the loss does not count.",
  ],
  probabilities: ["probabilities", "softmax(y)", "The probability that the model gives to each class or character."],
  errors: ["errors", "output ≠ target", "A cross where what is more likely than not is not what should come out."],
  surprise: [
    "surprise",
    "−log₂ p(target)",
    "Bits of loss: 0 where the target was certain, 1 where it was an even bet.",
  ],
  write_weights: ["write weights", "w = gʷ (gᵃ a + (1 − gᵃ) c)", "How much of this step's write goes to each slot."],
  arcs: [
    "write → read",
    "latest s with left[s] ≥ ½ max left",
    "From each read back to the write it shows: among the writes that have most left in the slot read most, the newest; left[s] = wₛ Π (1 − wₖ ēₖ) over the steps k since (ē: mean erase gate), times ψₖ with deallocation.",
  ],
  read_weights: [
    "read weights",
    "w = π₁ b + π₂ c + π₃ f",
    "How much of each slot the head reads, after this step's write.",
  ],
  usage: [
    "usage",
    "u = (u′ + w′ − u′ w′) ψ",
    "How much each slot is in use: kept from the step before (′), plus what that step wrote, less what is freed.",
  ],
  allocation: [
    "allocation",
    "a[φⱼ] = (1 − u[φⱼ]) Π u[φᵢ], i < j",
    "Where there is room: the free slots, the least used first.",
  ],
  gates: [
    "gates",
    "sigmoid",
    "Free gates: what each head read at the step before is free now. Allocation: write where there is room (1) or by content (0). Write: whether to write at all.",
  ],
  read_modes: [
    "read modes",
    "π = softmax",
    "How each head finds its slots: written before those it read last, by content, or written after.",
  ],
  retention: ["retention", "ψ = Π (1 − fᵣ wᵣ′)", "What the free gates leave in use of each slot."],
  precedence: ["precedence", "p = (1 − Σ w) p′ + w", "Which slot was written last."],
  write_content: ["write look-up", "c = softmax(β cos(M′, k))", "Slots that are like the write key, before the write."],
  read_content: ["read look-up", "c = softmax(β cos(M, k))", "Slots that are like the read key, after the write."],
  forward: ["forward", "f = L w′", "Slots written right after those that the head read at the step before."],
  backward: ["backward", "b = Lᵀ w′", "Slots written right before those that the head read at the step before."],
  read_strengths: ["strengths", "β = 1 + log(1 + eˣ)", "How sharply keys are compared with slots, from 1 up."],
  sharpness: [
    "sharpness",
    "s = 1 + log(1 + eˣ)",
    "The power that forward and backward weightings are raised to, from 1 up.",
  ],
  write_key: ["write key", "k", "The word that the write looks for."],
  write_mask: ["write mask", "sigmoid", "Which numbers of the word the write key is compared in."],
  read_keys: ["read key", "kᵣ", "The word that the head looks for."],
  read_masks: ["read mask", "sigmoid", "Which numbers of the word the read key is compared in."],
  erase: ["erase gates", "e", "How much of each number is erased where the step writes."],
  write_vector: ["write vector", "v", "The word that is added where the step writes."],
  reads: ["read vector", "r = Σ w[n] M[n]", "The word that the head has read."],
  hidden: ["controller", "h", "Hidden values of the controller's layers, lowest first."],
  cell: ["cells", "c", "Cells of the LSTM layers, lowest first."],
  memory: [
    "memory",
    "M = M′ (1 − w eᵀ) + w vᵀ",
    "All slots with their words after this step's write. Frames show the numbers that changed most since the step before; beside the words stand usage u, write weights w and each head's read weights.",
  ],
  link: [
    "links",
    "L[i,j] = (1 − wᵢ − wⱼ) L′[i,j] + wᵢ pⱼ′",
    "Slot i was written right after slot j: an arrow from j to i, or row i and column j. New or stronger since the step before: orange.",
  ],
};
