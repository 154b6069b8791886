// What a launch is given. engines/gpu/plan.py reads these declarations: sizes by their names, arrays by the shapes in
// their comments. An axis is a size below.
#pragma once

#include "grid.cuh"

constexpr int MOST_LAYERS = 8;

struct Sizes {
    int T;        // steps
    int B;        // sequences; each of the first B blocks has one
    int L;        // layers of the controller
    int H;        // hidden units of all layers
    int G;        // pre-activations of all layers
    int N;        // slots
    int W;        // word
    int R;        // read heads
    int I;        // interface vector
    int F;        // slots with links: N, or 0
    int P;        // from row to row of a memory in a block: W or W + 1, odd, so that 32 rows are in 32 banks
    int Q;        // rows of the link in shared memory
    int D;        // numbers of a record
    int S;        // states that are kept: T + 1, or the last one
    int C;        // link matrices that are kept
    int K;        // steps from one of them to the next
    int U;        // numbers of a block outside shared memory
    int M;        // gates of each hidden unit: 4 of an LSTM, or 1
    int recurrent;    // whether layers see their own hidden values
    int deallocation; // whether freed slots are wiped
};

// Of each layer: units, the first of them in h_all, the first pre-activation, rows and first number of the weights
// without those of the input, units of the layer below.
struct Layers {
    int units[MOST_LAYERS];
    int unit[MOST_LAYERS];
    int gate[MOST_LAYERS];
    int rows[MOST_LAYERS];
    int weights[MOST_LAYERS];
    int below[MOST_LAYERS];
};

// The first column of each part of the interface vector.
struct Parts {
    int read_keys;
    int read_strengths;
    int write_key;
    int write_strength;
    int erase;
    int write_vector;
    int free_gates;
    int allocation_gate;
    int write_gate;
    int read_modes;
};

// One sequence after a step, and how it came about; the tape has one of each state.
struct Record {
    real *usage;            // (N)
    real *precedence;       // (F)
    real *write_weights;    // (N)
    real *read_weights;     // (R, N)
    real *inverse_norms;    // (N) 1 / sqrt(|M[n]|^2 + eps)
    real *xi;               // (I) the activated interface vector
    real *write_similarity; // (N)
    real *write_content;    // (N) c^w
    real *rank;             // (N) place of each slot in phi, a whole number
    real *before;           // (N) product of the usages of all slots before it in phi
    real *read_similarity;  // (R, N)
    real *read_content;     // (R, N) c^r
    real *forward;          // (R, F)
    real *backward;         // (R, F)
};

// A block's own arrays in `forward`, in shared memory where they fit.
struct Shared {
    real *partial; // (SCRATCH)
    real *record;  // (D)
    real *memory;  // (N, P)
    real *links;   // (Q, N)
};

// .. and in `backward`.
struct SharedBackward {
    real *partial;         // (SCRATCH)
    real *xi;              // (I)
    real *d_xi;            // (I) by the activated vector
    real *d_reads;         // (R, W)
    real *read_before;     // (R, N)
    real *write_weights;   // (N)
    real *d_read_weights;  // (R, N)
    real *d_content;       // (R, N)
    real *d_forward;       // (R, F)
    real *d_backward;      // (R, F)
    real *d_usage;         // (N)
    real *d_precedence;    // (F)
    real *d_write_weights; // (N)
    real *retention;       // (N) psi
    real *d_retention;     // (N) where freed slots are wiped
    real *d_allocation;    // (N)
    real *ranked_usage;    // (N)
    real *ranked;          // (N)
    real *norms;           // (R)
    real *shrink;          // (R)
    real *d_memory;        // (N, P)
    real *memory;          // (N, P)
    real *links;           // (Q, N) of the gradient
};

constexpr int MOST_FIELDS = 24;

// Where the fields of these structs are: in a record; in shared memory, or where that is below 0 in `outside`.
struct Places {
    int record[MOST_FIELDS];
    int shared[MOST_FIELDS];
    int outside[MOST_FIELDS];
};

struct Arrays {
    real *weights;           // (weights) of all layers, without the rows of the input
    real *interface_weights; // (H, I)
    real *interface_bias;    // (I)
    int *activation;         // (I) of each column of xi, see interface.cuh
    real *gates;             // (T, B, G) the part of the input, then the activated gates
    real *hidden;            // (T + 1, B, H) the first is before the first step, in all arrays of T + 1
    real *cell;              // (T + 1, B, H)
    real *reads;             // (T + 1, B, R, W)
    real *xi;                // (T, B, I) before its activations
    real *records;           // (S, B, D)
    real *memory;            // (S, B, N, W)
    real *link;              // (B, F, F)
    real *kept_links;        // (C, B, F, F) every K-th, before the step
    real *outside;           // (B, U)
    unsigned *arrived;       // (1) at the barrier of all blocks
};

struct GradientArrays {
    real *hidden_out;    // (T, B, H) through the outputs, and in the next
    real *reads_out;     // (T, B, R, W)
    real *gates;         // (T, B, G) by the pre-activations
    real *xi;            // (T, B, I) by the interface vector before its activations
    real *hidden;        // (B, H) of the state: first of the last, then of the first, and in all that follow
    real *cell;          // (B, H)
    real *reads;         // (B, R, W)
    real *memory;        // (B, N, W)
    real *usage;         // (B, N)
    real *precedence;    // (B, F)
    real *write_weights; // (B, N)
    real *read_weights;  // (B, R, N)
    real *link;          // (B, F, F)
    real *segment;       // (K, B, F, F) links before each step of a segment
};

struct Problem {
    Sizes size;
    Layers layer;
    Parts part;
    Places place;
    Arrays array;
    GradientArrays gradient;
};

// A struct of pointers whose k-th field is at base + at[k], or at outside + elsewhere[k] where at[k] is below 0.
template <class Fields>
DEVICE Fields placed(real *base, const int *at, real *outside = nullptr, const int *elsewhere = nullptr) {
    constexpr int COUNT = sizeof(Fields) / sizeof(real *);
    union {
        Fields fields;
        real *pointer[COUNT];
    } found;
    for (int k = 0; k < COUNT; k++) found.pointer[k] = at[k] < 0 ? outside + elsewhere[k] : base + at[k];
    return found.fields;
}

// The state number t of this block's sequence, of an array (S, B, count).
DEVICE real *state_of(const Problem &p, real *array, int t, int count) {
    return array + ((long long)(p.size.S > 1 ? t : 0) * p.size.B + blockIdx.x) * count;
}

DEVICE Record record_of(const Problem &p, int t) {
    return placed<Record>(state_of(p, p.array.records, t, p.size.D), p.place.record);
}

// Row b of step t of an array (.., B, count).
DEVICE real *row_of(const Problem &p, real *array, int t, int b, int count) {
    return array + ((long long)t * p.size.B + b) * count;
}
