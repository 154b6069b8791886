"""The equations once more, for one row of a batch, slot by slot; shares no line with the package.

What the package computes for whole batches must agree with this.
"""

from math import exp, log, sqrt

import numpy as np

from numdnc.params import DNCState, LSTMState, NTMState, RNNState


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def oneplus(z):
    return 1 + log(1 + exp(z))


def softmax(scores):
    powers = [exp(score) for score in scores]
    return np.array(powers) / sum(powers)


def rising(usage):
    """Slots by rising usage, ties by index."""
    return sorted(range(len(usage)), key=lambda n: (usage[n], n))


def allocation(usage, order):
    """Weights over free slots (N,), given the order in which they are offered."""
    weights, all_before_used = np.zeros(len(usage)), 1.0
    for n in order:
        weights[n] = (1 - usage[n]) * all_before_used
        all_before_used *= usage[n]
    return weights


def largest(values, count):
    """The slots of the largest values, ties by index; all of them where the count is None."""
    return sorted(range(len(values)), key=lambda n: (-values[n], n))[:count]


def cut(weights, count):
    kept = np.zeros(len(weights))
    for n in largest(weights, count):
        kept[n] = weights[n]
    return kept


def content(memory, key, strength, mask=None, count=None):
    """Weights over slots (N,) by likeness to the key, in the columns that the mask (W,) shows, if there is one."""
    if mask is not None:
        memory, key = [slot * mask for slot in memory], key * mask

    def norm(vector):
        return sqrt(sum(number**2 for number in vector) + 1e-6)

    alike = [slot @ key / (norm(slot) * norm(key)) for slot in memory]
    weights, found = np.zeros(len(memory)), largest(alike, count)
    weights[found] = softmax([strength * alike[n] for n in found])
    return weights


def sharpen(weights, sharpness):
    raised = [max(weight, 0) + 1e-6 for weight in weights]
    powers = [(weight / max(raised)) ** sharpness for weight in raised]
    return np.array(powers) / sum(powers)


def layer_norm(numbers, gain, bias):
    mean = sum(numbers) / len(numbers)
    variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
    return [g * (z - mean) / sqrt(variance + 1e-6) + b for z, g, b in zip(numbers, gain, bias, strict=True)]


def link(before, precedence, write_weights):
    after = np.zeros_like(before)
    N = len(precedence)
    for i in range(N):
        for j in range(N):
            if i != j:
                kept = (1 - write_weights[i] - write_weights[j]) * before[i, j]
                after[i, j] = kept + write_weights[i] * precedence[j]
    return after


def link_matrix(slots, values):
    N, K = slots.shape
    links = np.zeros((N, N))
    for i in range(N):
        for k in range(K):
            if values[i, k] != 0:
                links[i, int(slots[i, k])] = values[i, k]
    return links


def link_lists(links, count):
    slots, values = np.zeros((2, len(links), count))
    for i, row in enumerate(links):
        linked = [j for j in range(len(row)) if row[j] != 0]
        slots[i, : len(linked)] = linked
        values[i, : len(linked)] = row[linked]
    return slots, values


def controller_step(spec, layers, x, reads, states):
    """h_all and the states after."""
    hiddens, after, below = [], [], []
    for params, state in zip(layers, states, strict=True):
        own = state.hidden if state else []
        z = np.concatenate([x, reads, own, below]) @ params.weights
        normal = spec.normalisation and spec.controller == "lstm"
        z = np.array(layer_norm(z, params.gain, params.bias)) if normal else z + params.bias
        if spec.controller == "lstm":
            i, f, g, o = z.reshape(4, -1)
            cell = sigmoid(f) * state.cell + sigmoid(i) * np.tanh(g)
            seen = layer_norm(cell, params.cell_gain, params.cell_bias) if normal else cell
            below = sigmoid(o) * np.tanh(seen)
            after.append(LSTMState(below, cell))
        else:
            below = np.tanh(z)
            after.append(RNNState(below) if spec.controller == "rnn" else ())
        hiddens.append(below)
    return np.concatenate(hiddens), tuple(after)


def reverse_hidden(spec, layers, inputs):
    """Hidden values (T, H) of the second direction, for one row without its padding."""
    states = [LSTMState(np.zeros(size), np.zeros(size)) for size in spec.hidden_sizes]
    found = []
    for x in inputs[::-1]:
        h_all, states = controller_step(spec, layers, x, [], states)
        found.insert(0, h_all)
    return found


def dnc_step(spec, params, x, before, bypass_mask=1, reverse=()):
    """Outputs (Y,) and the state after, for one row; bypass_mask (hidden_total,) where there is one."""
    h_all, controller = controller_step(spec, params.controller, x, before.reads.ravel(), before.controller)
    h_all = np.concatenate([h_all, reverse])
    xi = h_all @ params.interface.weights
    if spec.normalisation:
        xi = layer_norm(xi, params.interface.gain, params.interface.bias)
    else:
        xi = list(xi + params.interface.bias)
    if spec.second_memory == "none":
        after = access(spec, xi, before._replace(controller=controller))
    else:
        after = access_twice(spec, xi, before._replace(controller=controller))
    to_output = np.concatenate([h_all * bypass_mask, after.reads.ravel()])
    outputs = to_output @ params.output.weights + params.output.bias
    return outputs if spec.instruction_slots is None else follow(spec, params.instructions, outputs), after


def follow(spec, params, told):
    """Outputs (Y,), one after the other."""
    W, Y = spec.word_size, spec.output_size
    outputs = np.zeros(Y)
    for i in range(Y):
        key, strength = told[W + i * W : W + (i + 1) * W], oneplus(told[W + Y * W + i])
        weights = content(params.rows, key, strength)
        read = sum(weight * row for weight, row in zip(weights, params.rows, strict=True))
        outputs[i] = read @ told[:W] + params.bias[i]
    return outputs


def access_twice(spec, xi, before):
    """The state after a step of two memories. Their parts of xi take turns, part by part."""
    W, R, V = spec.word_size, spec.read_heads, spec.write_heads
    own = spec.second_memory == "own"
    widths = [R * W, R, V * W, V, V * W, V * W, R, V, V]
    widths += [(2 * V + 1) * R] * spec.links + [V * W, R * W] * spec.masking + [V * R] * 2 * spec.sharpness
    taken, columns = 0, ([], [])
    for place, width in enumerate(widths):
        shared = place == 5 and not own
        for e in range(1 if shared else 2):
            columns[e].extend(xi[taken : taken + width])
            taken += width
    assert taken == len(xi)
    befores = [
        DNCState(before.controller, *(part[e] if isinstance(part, np.ndarray) else () for part in before[1:]))
        for e in range(2)
    ]
    first = access(spec, columns[0], befores[0])
    if not own:
        at = sum(widths[:5])
        columns[1][at:at] = [np.prod([first.reads[i, w] for i in range(R)]) for w in range(W)]
    second = access(spec, columns[1], befores[1])
    parts = zip(first[1:], second[1:], strict=True)
    return DNCState(
        before.controller, *(np.array(both) if isinstance(both[0], np.ndarray) else () for both in parts)
    )


def access(spec, xi, before):
    """The state after a step of one memory; xi is a list, used up."""
    N, W, R, V, K = spec.memory_size, spec.word_size, spec.read_heads, spec.write_heads, spec.sparsity

    def take(count):
        taken = np.array(xi[:count])
        del xi[:count]
        return taken

    def each(part):
        """The parts of the write heads; a single head has no axis."""
        return [part] if V == 1 else list(part)

    read_keys, read_strengths = take(R * W).reshape(R, W), [oneplus(z) for z in take(R)]
    if not spec.recency:
        write_keys, write_strengths = take(V * W).reshape(V, W), [oneplus(z) for z in take(V)]
        erases = sigmoid(take(V * W)).reshape(V, W)
    vectors = take(V * W).reshape(V, W)
    free = sigmoid(take(0 if spec.recency else R))
    allocation_gates, write_gates = sigmoid(take(V)), sigmoid(take(V))
    ways = 2 * V + 1
    modes = [softmax(some) for some in take(ways * R).reshape(R, ways)] if spec.links else []
    write_masks, read_masks = [None] * V, [None] * R
    if spec.masking:
        masks = sigmoid(take((V * (not spec.recency) + R) * W)).reshape(-1, W)
        masks = [mask * (1 - spec.mask_floor) + spec.mask_floor for mask in masks]
        write_masks, read_masks = masks[:V], masks[-R:]
    if spec.sharpness:
        forward_sharpness, backward_sharpness = (
            [[oneplus(z) for z in take(R)] for _ in range(V)] for _ in range(2)
        )
    assert not xi

    usage, memory = np.zeros(N), np.zeros((N, W))
    if spec.recency:
        oldest = largest(before.age, 1)[0]
        write_weights = np.zeros(N)
        for n in range(N):
            read_last = sum(before.read_weights[head, n] for head in range(R)) / R
            mixed = allocation_gates[0] * (n == oldest) + (1 - allocation_gates[0]) * read_last
            write_weights[n] = write_gates[0] * mixed
        writes = [cut(write_weights, K)]
        for n in range(N):
            memory[n] = before.memory[n] * (n != oldest) + writes[0][n] * vectors[0]
    else:
        kept_whole = np.ones(N)
        for n in range(N):
            unused = 1 - before.usage[n]
            for was in each(before.write_weights):
                unused *= 1 - was[n]
            for head in range(R):
                kept_whole[n] *= 1 - free[head] * before.read_weights[head, n]
            usage[n] = (1 - unused) * kept_whole[n]
        writes, pretended = [], usage.copy()
        for v in range(V):
            free_slots = allocation(pretended, rising(pretended))
            alike = content(before.memory, write_keys[v], write_strengths[v], write_masks[v], K)
            mixed = allocation_gates[v] * free_slots + (1 - allocation_gates[v]) * alike
            writes.append(cut(write_gates[v] * mixed, K))
            for n in range(N):
                pretended[n] += (1 - pretended[n]) * write_gates[v] * allocation_gates[v] * free_slots[n]
        for n in range(N):
            for w in range(W):
                kept = before.memory[n, w] * (kept_whole[n] if spec.deallocation else 1)
                for v in range(V):
                    kept *= 1 - writes[v][n] * erases[v][w]
                memory[n, w] = kept + sum(writes[v][n] * vectors[v][w] for v in range(V))
    if spec.links:
        old = before.link if K is None else link_matrix(before.link_slots, before.link_values)
        links = [link(*parts) for parts in zip(each(old), each(before.precedence), writes, strict=True)]
        for matrix in links if K is not None else ():
            for rows in (matrix, matrix.T):
                for n in range(N):
                    rows[n] = cut(rows[n], K)
        precedences = [
            cut((1 - sum(write)) * was + write, K)
            for write, was in zip(writes, each(before.precedence), strict=True)
        ]
    read_weights, reads = np.zeros((R, N)), np.zeros((R, W))
    for head in range(R):
        read_weights[head] = content(memory, read_keys[head], read_strengths[head], read_masks[head], K)
        if spec.links:
            was = before.read_weights[head]
            following = [[sum(row[m] * was[m] for m in range(N)) for row in matrix] for matrix in links]
            preceding = [[sum(row[m] * was[m] for m in range(N)) for row in matrix.T] for matrix in links]
            if spec.sharpness:
                following = [sharpen(following[v], forward_sharpness[v][head]) for v in range(V)]
                preceding = [sharpen(preceding[v], backward_sharpness[v][head]) for v in range(V)]
            read_weights[head] = cut(modes[head] @ [*preceding, read_weights[head], *following], K)
        reads[head] = sum(read_weights[head, n] * memory[n] for n in range(N))

    def joined(heads):
        return heads[0] if V == 1 else np.array(heads)

    parts = {"memory": memory, "write_weights": joined(writes), "read_weights": read_weights, "reads": reads}
    if spec.recency:
        touched = writes[0] + sum(read_weights[head] for head in range(R))
        parts["age"] = np.array([0 if touched[n] > 0.005 else before.age[n] + 1 for n in range(N)])
    else:
        parts["usage"] = usage
    if spec.links:
        parts["precedence"] = joined(precedences)
        if K is None:
            parts["link"] = joined(links)
        else:
            parts["link_slots"], parts["link_values"] = link_lists(links[0], K)
    return DNCState(before.controller, **{**dict.fromkeys(DNCState._fields[1:], ()), **parts})


def ntm_step(spec, params, x, before):
    """Outputs (Y,) and the state after, for one row."""
    N, W, R, V = spec.memory_size, spec.word_size, spec.read_heads, spec.write_heads
    S = 2 * spec.shift_range + 1
    h_all, controller = controller_step(spec, params.controller, x, before.reads.ravel(), before.controller)
    xi = list(h_all @ params.interface.weights + params.interface.bias)

    def take(count):
        taken = np.array(xi[:count])
        del xi[:count]
        return taken

    def take_heads(count):
        keys, strengths = take(count * W).reshape(count, W), [oneplus(z) - 1 for z in take(count)]
        gates, shifts = sigmoid(take(count)), [softmax(some) for some in take(count * S).reshape(count, S)]
        return list(zip(keys, strengths, gates, shifts, [oneplus(z) for z in take(count)], strict=True))

    reading, writing = take_heads(R), take_heads(V)
    erases, vectors = sigmoid(take(V * W)).reshape(V, W), take(V * W).reshape(V, W)
    assert not xi

    def attend(memory, was, key, strength, gate, shifts, sharpening):
        alike, moved = content(memory, key, strength), np.zeros(N)
        for n in range(N):
            for j, share in enumerate(shifts):
                moved[(n + j - spec.shift_range) % N] += share * (gate * alike[n] + (1 - gate) * was[n])
        return sharpen(moved, sharpening)

    write_weights = np.array(
        [attend(before.memory, was, *h) for was, h in zip(before.write_weights, writing, strict=True)]
    )
    memory = before.memory.copy()
    for weights, erase in zip(write_weights, erases, strict=True):
        for n in range(N):
            memory[n] *= 1 - weights[n] * erase
    for weights, vector in zip(write_weights, vectors, strict=True):
        for n in range(N):
            memory[n] += weights[n] * vector
    read_weights = np.array(
        [attend(memory, was, *h) for was, h in zip(before.read_weights, reading, strict=True)]
    )
    reads = np.array([sum(weights[n] * memory[n] for n in range(N)) for weights in read_weights])
    outputs = np.concatenate([h_all, reads.ravel()]) @ params.output.weights + params.output.bias
    return outputs, NTMState(controller, memory, write_weights, read_weights, reads)


def recurrent_step(spec, params, x, before):
    """Outputs (Y,) and the state after, for one row."""
    h_all, controller = controller_step(spec, params.controller, x, [], before.controller)
    return h_all @ params.output.weights + params.output.bias, before._replace(controller=controller)
