"""Ways through a trace in the inspector: keys, buttons, the pointer, fingers."""

import pytest

from browser.inspector import DIGITS, Show, corner_of, place, readout, some_read
from helpers.traces import bits_trace
from numdnc.inspection.trace import Trace


def test_keys_step_through_time(show: Show, trace: Trace) -> None:
    page = show(trace)
    page.press("Home")
    assert page.run("numdnc.step") == 0
    page.press("ArrowRight", times=5)
    page.press("ArrowLeft")
    assert page.run("numdnc.step") == 4
    assert page.run("document.getElementById('clock').textContent") == "step 4 of 11"
    page.press("End")
    assert page.run("numdnc.step") == 11
    page.press("ArrowRight")
    assert page.run("numdnc.step") == 11
    page.press("Home")
    assert page.run("numdnc.step") == 0
    page.press(" ")
    page.wait("numdnc.step >= 2")
    page.press(" ")
    stopped = page.run("numdnc.step")
    page.run("new Promise((done) => setTimeout(done, 600))")
    assert page.run("numdnc.step") == stopped
    page.press(" ")
    page.wait("numdnc.step === 11 && document.getElementById('play').textContent.includes('Play')")


def test_zoom_keeps_the_step_in_view(show: Show) -> None:
    page = show(bits_trace(steps=60))
    page.run("numdnc.goTo(30)")
    before = page.run("numdnc.placeOf('usage', 0, 31)[0] - numdnc.placeOf('usage', 0, 30)[0]")
    page.press("+", times=3)
    after = page.run("numdnc.placeOf('usage', 0, 31)[0] - numdnc.placeOf('usage', 0, 30)[0]")
    assert after == pytest.approx(before * 1.5**3)
    page.press("Home")
    assert page.run("numdnc.placeOf('usage', 0, 0)[0]") > 0
    page.press("0")
    assert page.run("numdnc.placeOf('usage', 0, 31)[0] - numdnc.placeOf('usage', 0, 30)[0]") == before


def test_dragging_scrubs(show: Show, trace: Trace) -> None:
    page = show(trace)
    x, y = place(page, "usage", 2, 1)
    page.point(x, y, kind="mousePressed")
    assert page.run("numdnc.step") == 1
    to, y = page.run("numdnc.placeOf('usage', 2, 7)")
    page.point(to, y, held=True)
    assert page.run("numdnc.step") == 7
    page.point(to, y, kind="mouseReleased")
    page.point(x, y)
    assert page.run("numdnc.step") == 7


def test_a_click_on_a_read_goes_to_its_write_and_back(show: Show, trace: Trace) -> None:
    step, head, slot, write = some_read(trace)
    page = show(trace)
    x, y = place(page, f"read_weights {head}", slot, step)
    page.point(x, y)
    assert f"go to the write, step {write}" in readout(page)
    page.click(x, y)
    assert page.run("numdnc.step") == write
    page.press("Backspace")
    assert page.run("numdnc.step") == step


def test_the_jump_by_keys_and_by_buttons(show: Show, trace: Trace) -> None:
    step, head, _, write = some_read(trace)
    page = show(trace)
    page.run(f"numdnc.goTo({step})")
    page.press("Tab")
    for _ in range(60):
        label = page.run("document.activeElement.getAttribute('aria-label') ?? ''")
        if label.startswith(f"read weights {head}:"):
            break
        page.press("Tab")
    page.press("ArrowDown")
    assert f"slot 1 · step {step} " in readout(page)
    page.press("Enter")
    assert page.run("numdnc.step") == write
    page.press("Backspace")
    page.run(
        f"document.querySelector('#happens [aria-label=\"go to step {write}, which wrote it\"]').focus()"
    )
    page.press("Enter")
    assert page.run("numdnc.step") == write


def test_the_keyboard_reaches_everything(show: Show, trace: Trace) -> None:
    page = show(trace)
    # Asked again each time: what happens at a step is written anew whenever it is drawn.
    everything = (
        "[...document.querySelectorAll('button, input, canvas[tabindex]')].filter((one) =>"
        " one.offsetParent !== null && !one.disabled)"
    )
    count = page.run(f"{everything}.length")
    reached: set[int] = set()
    for _ in range(count + 2):
        page.press("Tab")
        reached.add(page.run(f"{everything}.indexOf(document.activeElement)"))
    assert reached >= set(range(count))
    names = page.run(f"{everything}.map((one) => one.getAttribute('aria-label') || one.textContent)")
    assert all(name.strip() for name in names)


def test_fingers_choose_scrub_and_jump(show: Show, trace: Trace) -> None:
    step, head, slot, write = some_read(trace)
    page = show(trace, touch=True)
    assert "Tap a cell" in readout(page)
    page.tap(*place(page, "usage", 4, 9))
    assert page.run("numdnc.step") == 9
    assert float(readout(page).split("= ")[1]) == pytest.approx(trace.arrays["usage"][9, 4], rel=DIGITS)
    x, y = place(page, "usage", 2, 1)
    page.tap(x, y, to=page.run("numdnc.placeOf('usage', 2, 7)[0]"))
    assert page.run("numdnc.step") == 7
    read = place(page, f"read_weights {head}", slot, step)
    page.tap(*read)
    assert page.run("numdnc.step") == step
    assert f"tap again: go to the write, step {write}" in readout(page)
    page.tap(*read)
    assert page.run("numdnc.step") == write
    page.run("numdnc.goTo(8)")
    left, top = corner_of(page, "memory")
    page.tap(left + 44 + 26 * (2.5 + 2 + 0.5), top + 16 + 14 * 3.5)
    assert "number 2 · slot 3 · step 8" in readout(page)
