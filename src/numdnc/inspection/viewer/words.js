// The legend: how to use mouse, keys and touch, and each quantity's title, equation and meaning (docs/equations/ has more).

const WAYS = {
  Mouse:
    "Point at a cell for its value; click or drag to go to a step; click the slot that a head reads most to go to the step that wrote it. Shift and wheel scroll in time, Ctrl and wheel zoom.",
  Keys: "Space plays, ← and → step, Home and End go to the first and last step; Tab and ↑ ↓ choose a row, Enter on the slot that a head reads most goes to the step that wrote it, Backspace goes back; + − 0 zoom.",
  Touch:
    "Tap a cell for its value and its step; drag along a panel or the axis to move in time, up and down to scroll; tap the slot that a head reads most twice to go to the step that wrote it. The buttons −, + and All zoom; on a narrow screen the buttons Timeline and Step switch between the two.",
};

const WORDS = {
  input: ["input", "x", "The input of the model at each step."],
  flags: ["flags", "x", "Where the question begins, and where an answer is due."],
  target: ["target", "z", "The right output; a dot where the loss does not count."],
  output: [
    "output",
    "sigmoid(y)",
    "The probability that the model gives to each bit; pale where the loss does not count.",
  ],
  likeliest: [
    "output",
    "argmax y",
    "The likeliest class, character or label according to the model; pale where the loss does not count.",
  ],
  probabilities: ["probabilities", "softmax(y)", "The probability that the model gives to each class or character."],
  errors: ["errors", "output ≠ target", "A cross where the likeliest value is not the target."],
  surprise: [
    "surprise",
    "−log₂ p(target)",
    "Loss in bits: 0 if the target had probability 1, 1 if it had probability ½.",
  ],
  write_weights: ["write weights", "w = gʷ (gᵃ a + (1 − gᵃ) c)", "How much of this step's write goes to each slot."],
  arcs: [
    "write → read",
    "latest s with left[s] ≥ ½ max left",
    "From a write to the read that shows it. A read shows the latest write s of which at least half of the largest share is left in the slot read most; left[s] = wₛ Π (1 − wₖ ēₖ) over the steps k since (ē: mean erase gate), times ψₖ with deallocation; with recency the factor is 0 where step k wipes the slot, else 1.",
  ],
  read_weights: [
    "read weights",
    "w = π₁ b + π₂ c + π₃ f",
    "How much of each slot the head reads, after this step's write.",
  ],
  ntm_write_weights: [
    "write weights",
    "w = sharpen(shift(g c + (1 − g) w′, s), γ)",
    "Where the head writes: from its look-up (c) and where it was before (w′), shifted, and sharpened by the power γ.",
  ],
  ntm_read_weights: [
    "read weights",
    "w = sharpen(shift(g c + (1 − g) w′, s), γ)",
    "Where the head reads after this step's write: from its look-up (c) and where it was before (w′), shifted, and sharpened.",
  ],
  interpolation: [
    "interpolation gates",
    "g = sigmoid",
    "Whether each head begins at the slots like its key (1) or where it was at the step before (0).",
  ],
  shifts: ["shifts", "s = softmax", "By how many slots each head moves; the last slot is followed by the first."],
  sharpening: ["sharpening", "γ = 1 + log(1 + eˣ)", "The power that each shifted weighting is raised to, from 1 up."],
  head_strengths: ["strengths", "β = log(1 + eˣ)", "How sharply each head compares its key with the slots, from 0 up."],
  usage: [
    "usage",
    "u = (u′ + w′ − u′ w′) ψ",
    "How much each slot is in use: its usage at the step before (′), plus what that step wrote, minus what is freed.",
  ],
  age: ["age", "a = 0 where w + Σ wᵣ > 0.005, else a′ + 1", "Steps since each slot was last written or read."],
  oldest: ["least recently used", "1 at the largest a′", "The slot that is wiped, and that the allocation gate writes to."],
  allocation: [
    "allocation",
    "a[φⱼ] = (1 − u[φⱼ]) Π u[φᵢ], i < j",
    "Weights on the free slots, largest on the least used.",
  ],
  gates: [
    "gates",
    "sigmoid",
    "Free gates: whether the slots that each head read at the step before are freed. Allocation gate: write to free slots (1) or by content (0). Write gate: whether to write at all.",
  ],
  read_modes: [
    "read modes",
    "π = softmax",
    "How each head chooses its slots: those written before the ones it read last, by content, or those written after.",
  ],
  retention: ["retention", "ψ = Π (1 − fᵣ wᵣ′)", "The share of each slot's usage that the free gates leave."],
  precedence: ["precedence", "p = (1 − Σ w) p′ + w", "How much each slot was the last one written."],
  write_content: ["write look-up", "c = softmax(β cos(M′, k))", "Similarity of each slot to the write key, before the write."],
  read_content: ["read look-up", "c = softmax(β cos(M, k))", "Similarity of each slot to the read key, after the write."],
  forward: ["forward", "f = L w′", "Slots written right after those that the head read at the step before."],
  backward: ["backward", "b = Lᵀ w′", "Slots written right before those that the head read at the step before."],
  read_strengths: ["strengths", "β = 1 + log(1 + eˣ)", "How sharply keys are compared with slots, from 1 up."],
  sharpness: [
    "sharpness",
    "s = 1 + log(1 + eˣ)",
    "The power that forward and backward weightings are raised to, from 1 up.",
  ],
  write_key: ["write key", "k", "The word that the write looks up."],
  write_keys: ["write key", "k", "The word that the write head looks up."],
  write_vectors: ["write vector", "a", "The word that the write head adds to the slots written to."],
  write_mask: ["write mask", "sigmoid", "Which numbers of the words are compared with the write key."],
  read_keys: ["read key", "kᵣ", "The word that the head looks up."],
  read_masks: ["read mask", "sigmoid", "Which numbers of the words are compared with the read key."],
  erase: ["erase gates", "e", "How much of each number is erased in the slots written to."],
  write_vector: ["write vector", "v", "The word that is added to the slots written to."],
  reads: ["read vector", "r = Σ w[n] M[n]", "The word that the head has read."],
  hidden: ["controller", "h", "Hidden values of the controller's layers, lowest first; with two directions then those of the second."],
  cell: ["cells", "c", "Cells of the LSTM layers, lowest first."],
  memory: [
    "memory",
    "M = M′ (1 − w eᵀ) + w vᵀ",
    "All slots with their words after this step's write. Frames mark the numbers that changed most since the step before; beside the words are usage u (or age a; an NTM has neither), write weights w and each head's read weights.",
  ],
  link: [
    "links",
    "L[i,j] = (1 − wᵢ − wⱼ) L′[i,j] + wᵢ pⱼ′",
    "Slot i was written right after slot j: an arrow from j to i, or row i and column j. With several write heads, the strongest of their links. New or stronger since the step before: orange.",
  ],
};
