"""Reports in a real browser: Debian's chromium, driven by Playwright."""

from pathlib import Path

import pytest

from roadseg.reporting import Content, write_page
from tests.reporting.samples import SPACE, example, score

CHROMIUM = Path("/usr/bin/chromium")
COLOR = """([selector, x, y]) => [...document.querySelector(selector).getContext("2d").getImageData(x, y, 1, 1).data]"""
ROAD, CAR, SKY = (item.color for item in SPACE.classes)
GRAY = (128, 128, 128)


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the dev group)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, tmp_path):
    """A report of two images, opened; nothing may be requested, and no script may fail."""
    file = tmp_path / "report.html"
    content = Content(title="mine", source=file, score=score())
    write_page(file, content, [example(), example("city/5", (64, 64))], SPACE)
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    opened = context.new_page()
    requests, errors = [], []
    opened.on("request", lambda request: requests.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.goto(file.as_uri())
    opened.locator("#worst").scroll_into_view_if_needed()
    opened.locator("#example0[data-ready=true]").wait_for()
    opened.locator("#example1[data-ready=true]").wait_for()
    yield opened
    context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]


def color(page, layer, x, y, number=0):
    return page.evaluate(COLOR, [f"#example{number} .{layer}", x, y])[:3]


def blended(over, under=GRAY, share=0.6):
    return pytest.approx([u + share * (o - u) for o, u in zip(over, under, strict=True)], abs=3)


def test_layers_show_truth_and_prediction_in_the_colors_of_the_classes(page):
    assert color(page, "under", 10, 20) == blended(ROAD)
    assert color(page, "under", 70, 20) == blended(CAR)
    assert color(page, "under", 70, 38) == pytest.approx(GRAY, abs=3)  # without truth: the picture
    assert color(page, "over", 10, 4) == blended(SKY)
    assert color(page, "over", 70, 20) == blended(ROAD)
    assert color(page, "over", 40, 60, number=1) == blended(ROAD)
    assert page.locator("#example0 .tag.left").inner_text() == "truth"


def test_the_slider_moves_the_border_by_mouse_and_by_key(page):
    compare = page.locator("#example0 .compare")
    compare.scroll_into_view_if_needed()
    box = compare.bounding_box()
    clip = "() => document.querySelector('#example0 .over').style.clipPath"

    def cut():
        return float(page.evaluate(clip).removesuffix("%)").rpartition(" ")[2])

    assert cut() == 50
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, y, steps=5)
    page.mouse.up()
    assert cut() == pytest.approx(20, abs=4)
    handle = page.locator("#example0 .handle").bounding_box()
    assert handle["x"] + handle["width"] / 2 == pytest.approx(box["x"] + box["width"] * cut() / 100, abs=2)
    before = cut()
    page.locator("#example0 .slider").focus()
    page.keyboard.press("End")
    assert cut() == 100 != before
    assert page.evaluate("() => document.querySelector('#example1 .over').style.clipPath").endswith("50%)")


def test_the_class_filter_shows_chosen_classes_only(page):
    page.locator("#filter summary").click()
    page.get_by_label("car").uncheck()
    assert page.locator("#shown").inner_text() == "2 of 3"
    assert color(page, "under", 70, 20) == pytest.approx(GRAY, abs=3)
    assert color(page, "under", 10, 20) == blended(ROAD)
    page.locator("#none").click()
    assert color(page, "under", 10, 20) == pytest.approx(GRAY, abs=3)
    assert color(page, "over", 10, 4) == pytest.approx(GRAY, abs=3)
    page.locator("#all").click()
    assert page.locator("#shown").inner_text() == "all"
    assert color(page, "under", 70, 20) == blended(CAR)


def test_differences_are_marked_and_follow_the_filter(page):
    page.locator("#right").select_option("errors")
    wrong, right, unknown = (color(page, "over", *at) for at in ((70, 20), (10, 20), (10, 38)))
    assert wrong[0] > 180 > wrong[1]
    assert max(right) - min(right) <= 2
    assert unknown[0] < right[0]
    page.locator("#filter summary").click()
    page.get_by_label("car").uncheck()
    page.get_by_label("road").uncheck()
    assert color(page, "over", 70, 20) == right  # a car taken for road: neither is chosen
    assert color(page, "over", 10, 4)[0] > 180  # a road taken for sky: sky is


def test_opacity_and_layers_can_be_chosen(page):
    page.locator("#opacity").fill("100")
    assert color(page, "under", 10, 20) == pytest.approx(ROAD, abs=3)
    page.locator("#left").select_option("image")
    assert color(page, "under", 10, 20) == pytest.approx(GRAY, abs=3)


def test_pointing_at_a_pixel_names_its_classes(page):
    slider = page.locator("#example0 .slider")
    box = slider.bounding_box()
    slider.hover(position={"x": box["width"] * 0.9, "y": box["height"] * 0.1})
    assert page.locator("#example0 .readout").inner_text() == "truth: car · prediction: sky"


def test_tables_sort_by_their_columns(page):
    def order():
        return page.locator("table.sortable tbody th").all_inner_texts()

    assert order() == ["road", "car", "sky"]
    page.get_by_role("button", name="IoU, %", exact=True).click()
    assert order() == ["road", "car", "sky"]
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("IoU")
    page.get_by_role("button", name="IoU, %", exact=True).click()
    assert order() == ["sky", "car", "road"]


def test_cells_of_the_confusion_matrix_tell_their_value(page):
    page.locator("#confusion .cell.wrong").first.hover()
    assert page.locator("#tip").inner_text() == "road: 5.00 % taken for car (35 pixels)"


def test_the_pictures_are_there_without_scripts(browser, tmp_path):
    file = tmp_path / "report.html"
    write_page(file, Content(title="mine", source=file, score=score()), [example()], SPACE)
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(file.as_uri())
    assert opened.locator("#example0 img").is_visible()
    assert not opened.locator("#controls").is_visible()
    assert opened.locator("#confusion svg").is_visible()
    context.close()
