"""The controller: layers of one kind, with the paper's skip connections; one step of all rows of a team.

`tape.layer_inputs` holds what the layers see beside the model's input: [reads ; own hidden ; hidden below]. Members
of a team share a layer's product by its rows of weights, and add up what each found.
"""

from numdnc.engines.cpu.kernels.activations import (
    apply_sigmoid,
    apply_tanh,
    layer_norm,
    layer_norm_backward,
)
from numdnc.engines.cpu.kernels.arrays import add, as_matrix, clear, clear_rows, copy, multiply, padded
from numdnc.engines.cpu.kernels.compiling import inlined, kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed
from numdnc.engines.cpu.kernels.teams import chunk_start, wait_for_team
from numdnc.engines.cpu.kernels.types import FEEDFORWARD, LSTM


@inlined
def layer_layout(controller, layer):
    """H, first hidden unit, C, first gate, K, first layer input, first weight, first input product of a layer."""
    row = controller.layers[layer]
    return row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]


@inlined
def partial_product(products, x, weights, work):
    """Compute this thread's part of x W into its own products; x (rows of the team, K)."""
    K, C = weights.shape
    first, last = chunk_start(K, work.rank, work.team_size), chunk_start(K, work.rank + 1, work.team_size)
    found = as_matrix(products[work.thread], 0, work.last_row - work.first_row, C)
    clear_rows(found)
    add_product(found, x[:, first:last], weights[first:last])


@inlined
def sum_partial_products(row, products, b, width, work):
    """row (C,) = the sum of the threads' parts for row b; rows of products are `width` apart, at least C."""
    first = (b - work.first_row) * width
    copy(row, products[work.leader, first : first + width])
    for member in range(1, work.team_size):
        add(row, products[work.leader + member, first : first + width])


@kernel
def controller_step(sizes, controller, tape, reads, products, work, t):
    """hidden[t + 1] from hidden[t], reads[t] and the inputs; reads (T + 1, B, R W)."""
    now, before, after = t % sizes.kept_steps, t % sizes.kept_states, (t + 1) % sizes.kept_states
    for layer in range(len(controller.layers)):
        H, unit, C, gate, K, part, weight, table = layer_layout(controller, layer)
        for b in range(work.own_first_row, work.own_last_row):
            _gather_layer_inputs(sizes, tape, reads, t, now, b, H, unit, part, K)
        wait_for_team(work)
        weights = as_matrix(controller.weights, weight, K, padded(C, controller.bias))
        partial_product(
            products, tape.layer_inputs[now, work.first_row : work.last_row, part : part + K], weights, work
        )
        wait_for_team(work)
        for b in range(work.own_first_row, work.own_last_row):
            z = tape.gates[now, b, gate : gate + C]
            sum_partial_products(z, products, b, padded(C, z), work)
            row = table + controller.input_rows[t, b] * C
            add(z, controller.input_products[row : row + C])
            if sizes.normalised_layers:
                tape.deviation[now, b, layer] = layer_norm(
                    z,
                    tape.standard[now, b, gate : gate + C],
                    controller.gain[gate : gate + C],
                    controller.bias[gate : gate + C],
                )
            else:
                add(z, controller.bias[gate : gate + C])
            hidden = tape.hidden[t + 1, b, unit : unit + H]
            if sizes.kind == LSTM:
                _lstm_units(sizes, controller, tape, hidden, z, now, before, after, b, layer, H, unit)
            else:
                copy(hidden, z)
                apply_tanh(hidden)
    wait_for_team(work)


@inlined
def _gather_layer_inputs(sizes, tape, reads, t, now, b, H, unit, part, K):
    parts = tape.layer_inputs[now, b, part : part + K]
    end = sizes.reads
    copy(parts[:end], reads[t, b])
    if sizes.kind != FEEDFORWARD:
        copy(parts[end : end + H], tape.hidden[t, b, unit : unit + H])
        end += H
    copy(parts[end:], tape.hidden[t + 1, b, unit - (K - end) : unit])


@inlined
def _lstm_units(sizes, controller, tape, hidden, z, now, before, after, b, layer, H, unit):
    """c = f c + i g,  h = o tanh(c); z holds the pre-activations of i, f, g, o and then the gates."""
    apply_sigmoid(z[: 2 * H])
    apply_tanh(z[2 * H : 3 * H])
    apply_sigmoid(z[3 * H :])
    cell, tanh_cell = tape.cell[after, b, unit : unit + H], tape.tanh_cell[now, b, unit : unit + H]
    cell_before = tape.cell[before, b, unit : unit + H]
    _update_cell(cell, tanh_cell, z[:H], z[H : 2 * H], z[2 * H : 3 * H], cell_before)
    if sizes.normalised_layers:
        tape.cell_deviation[now, b, layer] = layer_norm(
            tanh_cell,
            tape.cell_standard[now, b, unit : unit + H],
            controller.cell_gain[unit : unit + H],
            controller.cell_bias[unit : unit + H],
        )
    apply_tanh(tanh_cell)
    multiply(hidden, z[3 * H :], tanh_cell)


@kernel
def _update_cell(cell, shown, i, f, g, before):
    for h in range(len(cell)):
        cell[h] = f[h] * before[h] + i[h] * g[h]
        shown[h] = cell[h]


@kernel
def controller_step_backward(sizes, controller, tape, gradient, work, t):
    """From gradient.hidden_now, of hidden[t + 1] as used at this step, and the carried gradients to those of step t."""
    now, before = t % sizes.kept_steps, t % sizes.kept_states
    for b in range(work.own_first_row, work.own_last_row):
        clear(gradient.reads[b])
    for layer in range(len(controller.layers) - 1, -1, -1):
        H, unit, C, gate, K, _, weight, _ = layer_layout(controller, layer)
        for b in range(work.own_first_row, work.own_last_row):
            d_z = gradient.products[work.leader, (b - work.first_row) * C : (b - work.first_row + 1) * C]
            d_hidden = gradient.hidden_now[b, unit : unit + H]
            if sizes.kind != FEEDFORWARD:
                add(d_hidden, gradient.hidden[b, unit : unit + H])
            if sizes.kind == LSTM:
                _lstm_units_backward(
                    sizes, controller, tape, gradient, d_z, d_hidden, t, now, before, b, layer, H, unit, gate
                )
            else:
                _tanh_backward(d_z, d_hidden, tape.hidden[t + 1, b, unit : unit + H])
            if sizes.normalised_layers:
                copy(gradient.gates_out[t, b, gate : gate + C], d_z)
                layer_norm_backward(
                    d_z,
                    tape.standard[now, b, gate : gate + C],
                    tape.deviation[now, b, layer],
                    controller.gain[gate : gate + C],
                )
            copy(gradient.gates[t, b, gate : gate + C], d_z)
        wait_for_team(work)
        _layer_inputs_backward(controller, gradient, work, C, K, weight)
        wait_for_team(work)
        for b in range(work.own_first_row, work.own_last_row):
            d_parts = gradient.layer_inputs[
                work.leader, (b - work.first_row) * K : (b - work.first_row + 1) * K
            ]
            end = sizes.reads
            add(gradient.reads[b], d_parts[:end])
            if sizes.kind != FEEDFORWARD:
                copy(gradient.hidden[b, unit : unit + H], d_parts[end : end + H])
                end += H
            add(gradient.hidden_now[b, unit - (K - end) : unit], d_parts[end:])


@inlined
def _layer_inputs_backward(controller, gradient, work, C, K, weight):
    """Compute this thread's part of d(layer inputs) = dz W^T: some of the K columns."""
    rows = work.last_row - work.first_row
    first, last = chunk_start(K, work.rank, work.team_size), chunk_start(K, work.rank + 1, work.team_size)
    d_parts = as_matrix(gradient.layer_inputs[work.leader], 0, rows, K)[:, first:last]
    for b in range(rows):
        clear(gradient.layer_inputs[work.leader, b * K + first : b * K + last])
    weights = as_matrix(controller.weights, weight, K, padded(C, controller.bias))
    add_product_transposed(
        d_parts, as_matrix(gradient.products[work.leader], 0, rows, C), weights[first:last]
    )


@kernel
def _tanh_backward(d_z, d_hidden, hidden):
    one = constant(1, d_z)
    for h in range(len(hidden)):
        d_z[h] = d_hidden[h] * (one - hidden[h] * hidden[h])


@inlined
def _lstm_units_backward(
    sizes, controller, tape, gradient, d_z, d_hidden, t, now, before, b, layer, H, unit, gate
):
    gates = tape.gates[now, b, gate : gate + 4 * H]
    i, f, g, o = gates[:H], gates[H : 2 * H], gates[2 * H : 3 * H], gates[3 * H :]
    tanh_cell = tape.tanh_cell[now, b, unit : unit + H]
    d_shown = d_z[:H]
    _hidden_values_backward(d_shown, d_z[3 * H :], d_hidden, o, tanh_cell)
    if sizes.normalised_layers:
        copy(gradient.cell_out[t, b, unit : unit + H], d_shown)
        layer_norm_backward(
            d_shown,
            tape.cell_standard[now, b, unit : unit + H],
            tape.cell_deviation[now, b, layer],
            controller.cell_gain[unit : unit + H],
        )
    d_cell = gradient.cell[b, unit : unit + H]
    add(d_cell, d_shown)
    cell_before = tape.cell[before, b, unit : unit + H]
    _update_cell_backward(d_z[:H], d_z[H : 2 * H], d_z[2 * H : 3 * H], d_cell, i, f, g, cell_before)


@kernel
def _hidden_values_backward(d_shown, d_o, d_hidden, o, tanh_cell):
    """h = o tanh(c) backwards, to the c inside tanh and to the pre-activation of o."""
    one = constant(1, d_shown)
    for h in range(len(d_hidden)):
        d_shown[h] = d_hidden[h] * o[h] * (one - tanh_cell[h] * tanh_cell[h])
        d_o[h] = d_hidden[h] * tanh_cell[h] * o[h] * (one - o[h])


@kernel
def _update_cell_backward(d_i, d_f, d_g, d_cell, i, f, g, before):
    """c = f c + i g backwards, to the pre-activations and, in place, to the cell before."""
    one = constant(1, d_i)
    for h in range(len(d_cell)):
        d = d_cell[h]
        d_i[h] = d * g[h] * i[h] * (one - i[h])
        d_f[h] = d * before[h] * f[h] * (one - f[h])
        d_g[h] = d * i[h] * (one - g[h] * g[h])
        d_cell[h] = d * f[h]
