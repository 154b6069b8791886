"""The inspector on screens large and small, dense, bright and dark."""

import numpy as np
import pytest

from browser.inspector import DIGITS, Show, fold_out, pixels, place, readout
from helpers.traces import bits_trace, class_trace, named
from numdnc.inspection.trace import Trace


def test_canvases_are_sharp_and_the_pointer_right_on_dense_screens(show: Show, trace: Trace) -> None:
    page = show(trace, scale=2)
    dense = (
        "[...document.querySelectorAll('.panel canvas:not([hidden])')]"
        ".filter((one) => one.getBoundingClientRect().top < window.innerHeight)"
        ".map((one) => one.width / one.clientWidth)"
    )
    assert len(page.run(dense)) > 5
    np.testing.assert_allclose(page.run(dense), 2)
    page.point(*place(page, "usage", 4, 9))
    assert float(readout(page).split("= ")[1]) == pytest.approx(trace.arrays["usage"][9, 4], rel=DIGITS)


def test_panels_and_overlay_are_drawn_where_the_window_is(show: Show, trace: Trace) -> None:
    page = show(trace, height=400)
    fold_out(page)
    page.run("numdnc.goTo(5)")
    page.settle()
    canvas = ".panel:last-child canvas"
    assert page.run(f"document.querySelector('{canvas}').getBoundingClientRect().top") > 1000
    here, after = place(page, "cell", 0, 5), page.run("numdnc.placeOf('cell', 0, 6)")
    assert page.run("document.getElementById('overlay').clientHeight") <= 400
    border = -round((after[0] - here[0]) / 2) - 1
    assert pixels(page, "#overlay", [("cell", 0, 5)], border)[0][3] > 0
    assert pixels(page, canvas, [("cell", 0, 5)])[0][3] == 255


def test_panels_outside_a_narrowed_window_are_as_narrow(show: Show, trace: Trace) -> None:
    page = show(trace, width=900, height=400)
    place(page, "hidden", 0, 5)
    page.run("window.scrollTo(0, 0)")
    page._call("Emulation.setDeviceMetricsOverride", width=600, height=400, deviceScaleFactor=1, mobile=False)
    page.wait("window.innerWidth === 600")
    page.settle()
    page.settle()
    assert page.run("document.documentElement.scrollWidth") <= 600


def test_dark_and_light(show: Show, trace: Trace) -> None:
    page = show(trace, dark=True)
    background = "getComputedStyle(document.body).backgroundColor"
    by_system = page.run(background)
    page.run("document.getElementById('theme-button').click()")
    page.settle()
    light = page.run(background)
    assert by_system == "rgb(14, 17, 21)"
    assert light == "rgb(246, 247, 248)"
    page = show(trace, dark=False)
    assert page.run(background) == light
    page.run("document.getElementById('theme-button').click()")
    assert page.run(background) == by_system


def test_words_stand_upright_and_do_not_collide(show: Show) -> None:
    names = tuple(f"a-long-word-{number}" for number in range(3))
    page = show(named(class_trace(symbols=True), input_channels=names), width=500)
    (_, top), (_, below) = (page.run(f"numdnc.placeOf('{name}', 0, 5)") for name in ("input", "target"))
    assert below - top > 60
    between = page.run("numdnc.placeOf('input', 0, 6)[0] - numdnc.placeOf('input', 0, 5)[0]")
    assert between >= 12


LONG = "supercalifragilistic" * 250


def test_long_names_take_no_time_to_fit(show: Show) -> None:
    """Few measurements of each: not one for every letter that is too many."""
    trace = bits_trace()
    names = tuple(f"{number} {LONG}" for number in range(3))
    page = show(named(trace, input_channels=names, task=LONG, sequence=LONG, settings={LONG: LONG}))
    page.run(
        "(() => { const measure = CanvasRenderingContext2D.prototype.measureText; window.measured = 0;"
        " CanvasRenderingContext2D.prototype.measureText = function (text) {"
        " window.measured += 1; return measure.call(this, text); }; })()"
    )
    page.run("document.querySelector('.fold').click()")
    page.run("document.querySelector('.fold').click()")
    page.settle()
    assert 0 < page.run("window.measured") < 200
    assert (
        page.run(
            "Math.max(...[...document.querySelectorAll('h1, p, title')].map((one) => one.textContent.length))"
        )
        < 500
    )
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", [360, 420, 800])
def test_on_a_narrow_screen_nothing_is_lost_and_the_memory_is_a_tap_away(
    show: Show, trace: Trace, width: int
) -> None:
    page = show(trace, width=width, height=800)
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")
    ends = page.run(
        "[...document.querySelectorAll('#bar button, #bar input, #bar output')]"
        ".map((one) => one.getBoundingClientRect()).map(({ left, right }) => [left, right])"
    )
    assert all(0 <= left < right <= width for left, right in ends)
    memory = "document.getElementById('memory')"
    assert page.run(f"{memory}.offsetParent === null")
    page.run("document.getElementById('show-step').click()")
    page.settle()
    assert page.run(f"{memory}.getBoundingClientRect().top") < 700
    assert page.run(f"{memory}.clientWidth > 200 && {memory}.getBoundingClientRect().right <= {width}")
    assert page.run("document.getElementById('panels').offsetParent === null")
    page.press("ArrowRight")
    page.run("document.getElementById('show-timeline').click()")
    page.settle()
    assert page.run("document.getElementById('panels').offsetParent !== null")
