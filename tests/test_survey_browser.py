"""A participant in a real browser: mouse, keyboard alone, reload, back, phone, and what analyze reads afterwards."""

import contextlib
import json
import os
import shutil

import pytest

pytest.importorskip("flask", reason="needs requirements-survey.txt")
pytest.importorskip("selenium", reason="needs selenium (requirements-dev.txt)")

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from survey_helpers import Server, make_study, survey

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Debian's packages chromium and chromium-driver (apt-get install)"
)
QUESTIONS = 5
# Where screenshots are kept to be looked at; by default with the other leftovers of the test.
SCREENSHOTS = os.environ.get("SURVEY_SCREENSHOTS")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory):
    folder = SCREENSHOTS or str(tmp_path_factory.mktemp("screenshots"))
    os.makedirs(folder, exist_ok=True)
    return folder


@pytest.fixture
def study(tmp_path):
    directory = tmp_path / "study"
    return make_study(directory, QUESTIONS, side=64), str(directory)


def screen(driver, width, height, ratio, mobile):
    metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": mobile}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def boxes(driver):
    return driver.find_elements(By.NAME, "poor")


def state(driver):
    """{name of picture: marked} of the page as it is."""
    return {box.get_attribute("value"): box.is_selected() for box in boxes(driver)}


def heading(driver):
    return driver.find_element(By.CSS_SELECTOR, ".progress label").text


@contextlib.contextmanager
def next_page(driver):
    """Waits until what is done inside has replaced the page."""
    # A mark on the old window, not staleness of an element: chromedriver may answer a question about an element of a
    # page that is just going away with an "unknown error".
    driver.execute_script("window.is_old_page = true")
    yield
    arrived = "return !window.is_old_page && document.readyState === 'complete'"
    wait = WebDriverWait(driver, 60, ignored_exceptions=[WebDriverException])
    wait.until(lambda driver: driver.execute_script(arrived))


def begin_with_mouse(driver, url):
    driver.get(url)
    driver.find_element(By.NAME, "consent").click()
    with next_page(driver):
        driver.find_element(By.CSS_SELECTOR, "button.main").click()
    return driver.current_url.split("/")[-2]


def go(driver, where):
    with next_page(driver):
        driver.find_element(By.CSS_SELECTOR, f"button[value={where}]").click()


def take_with_mouse(driver, url, screenshots):
    """Takes the whole study; returns {name: marked} of everything that was clicked in the end."""
    clicked = {}
    driver.get(url)
    driver.save_screenshot(os.path.join(screenshots, "desktop-welcome.png"))
    token = begin_with_mouse(driver, url)
    for number in range(1, QUESTIONS + 1):
        assert heading(driver) == f"Question {number} of {QUESTIONS}"
        assert not any(state(driver).values())
        labels = driver.find_elements(By.CSS_SELECTOR, ".pictures label")
        wanted = [(number >> i) & 1 for i in range(5)]  # another pattern on every page
        for i, label in enumerate(labels):
            if wanted[i]:
                label.find_element(By.TAG_NAME, "img" if i % 2 else "input").click()
        if number == 3:
            driver.save_screenshot(os.path.join(screenshots, "desktop-question.png"))
            # Reload in the middle: the same page, and going on from what it shows gives what it shows.
            before = list(state(driver))
            driver.refresh()
            assert heading(driver) == f"Question 3 of {QUESTIONS}" and list(state(driver)) == before
            for box, want in zip(boxes(driver), wanted, strict=True):  # some browsers keep unsent marks, some do not
                if box.is_selected() != bool(want):
                    box.click()
        marks = state(driver)
        assert list(marks.values()) == [bool(want) for want in wanted]
        clicked.update(marks)
        go(driver, "next")
        if number == 4:
            # Back over two questions: answers are shown as given; one is changed, the rest stay.
            boxes(driver)[4].click()  # on question 5, not answered yet
            draft = state(driver)
            go(driver, "back")
            go(driver, "back")
            assert heading(driver) == f"Question 3 of {QUESTIONS}"
            assert state(driver) == {name: clicked[name] for name in state(driver)}
            boxes(driver)[0].click()
            boxes(driver)[3].click()
            clicked.update(state(driver))
            go(driver, "next")
            go(driver, "next")
            assert state(driver) == draft  # nothing that was marked is lost by going back
            boxes(driver)[4].click()
    assert driver.current_url.endswith(f"/t/{token}/thanks") and "Thank you" in driver.title
    driver.save_screenshot(os.path.join(screenshots, "desktop-thanks.png"))
    return clicked


def take_with_keyboard(driver, url):
    """The same with keys alone: Tab, Space, Enter, Shift-Tab; nothing is clicked, focused or submitted by script."""
    clicked = {}
    driver.get(url)

    def press(*keys):
        for key in keys:
            ActionChains(driver).send_keys(key).perform()

    def enter():
        with next_page(driver):
            press(Keys.ENTER)

    def focused():
        return driver.switch_to.active_element

    press(Keys.TAB)
    assert focused().get_attribute("name") == "consent"
    press(Keys.SPACE, Keys.TAB)
    assert focused().text == "Start"
    enter()
    for number in range(1, QUESTIONS + 1):
        assert heading(driver) == f"Question {number} of {QUESTIONS}"
        names = [box.get_attribute("value") for box in boxes(driver)]
        for i, name in enumerate(names):
            press(Keys.TAB)
            assert focused().get_attribute("value") == name  # Tab follows the order on the screen
            if (number + i) % 3 == 0:
                press(Keys.SPACE)
        assert [name for name, marked in state(driver).items() if marked] == [
            name for i, name in enumerate(names) if (number + i) % 3 == 0
        ]
        if number == 2:
            press(Keys.SPACE)  # think again about the last picture, and go on with Enter from within the list
            clicked.update(state(driver))
            enter()
            continue
        clicked.update(state(driver))
        press(Keys.TAB)
        assert focused().get_attribute("value") == "next"
        if number == 4:
            press(Keys.TAB)
            assert focused().get_attribute("value") == "back"
            enter()
            assert heading(driver) == f"Question 3 of {QUESTIONS}"
            press(Keys.TAB, Keys.SPACE)
            clicked.update(state(driver))
            enter()
            assert heading(driver) == f"Question 4 of {QUESTIONS}"
            assert state(driver) == {name: clicked[name] for name in state(driver)}
            press(*[Keys.TAB] * 6)
        enter()
    assert "Thank you" in driver.title
    return clicked


def test_what_analyze_reads_is_what_was_clicked(driver, study, screenshots):
    study, directory = study
    screen(driver, 1280, 900, 1, False)
    with Server(directory) as server:
        people = [take_with_mouse(driver, server.url, screenshots), take_with_keyboard(driver, server.url)]
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert survey("analyze", f"--study={directory}").returncode == 0
    with open(os.path.join(directory, "analysis", "analysis.json"), encoding="utf-8") as file:
        analysis = json.load(file)
    assert analysis["answers"] == 2 * QUESTIONS and analysis["participants"]["complete"] == 2
    read = {p["name"]: p["share"] for question in analysis["questions"] for p in question["pictures"]}
    assert set(read) == set(people[0]) == set(people[1]) == study.picture_names
    for name, share in read.items():
        assert share == sum(not clicked[name] for clicked in people) / 2
    assert 0 < sum(people[0].values()) < len(read) and people[0] != people[1]  # the test's own answers are not trivial


def test_an_interrupted_participant_goes_on_by_the_same_link(driver, study):
    _, directory = study
    screen(driver, 1280, 900, 1, False)
    with Server(directory) as server:
        token = begin_with_mouse(driver, server.url)
        boxes(driver)[1].click()
        go(driver, "next")
        go(driver, "next")
        driver.get("about:blank")
        driver.delete_all_cookies()
        driver.get(f"{server.url}/t/{token}")
        assert heading(driver) == f"Question 3 of {QUESTIONS}"
        driver.get(f"{server.url}/t/{token}/5")  # further questions cannot be looked at ahead
        assert heading(driver) == f"Question 3 of {QUESTIONS}"
        driver.get(f"{server.url}/t/{token}/1")
        assert list(state(driver).values()) == [False, True, False, False, False]


def test_consent_is_asked_for(driver, study):
    _, directory = study
    with Server(directory) as server:
        driver.get(server.url)
        with next_page(driver):
            driver.find_element(By.CSS_SELECTOR, "button.main").click()
        assert "tick the box" in driver.find_element(By.CSS_SELECTOR, "[role=alert]").text
        assert not boxes(driver)


def overflow(driver):
    return driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")


@pytest.mark.parametrize(
    "width, height, ratio, mobile, side, columns",
    [(375, 812, 2, True, 160, 2), (320, 640, 2, True, 160, 1), (1280, 900, 1, False, 256, 3)],
    ids=["phone", "small phone", "desktop"],
)
def test_pictures_are_large_equal_and_fit_the_screen(
    driver, study, screenshots, width, height, ratio, mobile, side, columns
):
    _, directory = study
    screen(driver, width, height, ratio, mobile)
    with Server(directory) as server:
        driver.get(server.url)
        assert overflow(driver) <= 0
        driver.save_screenshot(os.path.join(screenshots, f"{width}-welcome.png"))
        begin_with_mouse(driver, server.url)
        boxes(driver)[1].click()
        images = driver.find_elements(By.CSS_SELECTOR, ".pictures img")
        assert {(image.size["width"], image.size["height"]) for image in images} == {(side, side)}
        assert (side * ratio) % 64 == 0  # each pixel of the picture is a whole square of the screen's
        assert {image.value_of_css_property("image-rendering") for image in images} == {"pixelated"}
        natural = "return [...document.images].map(image => image.naturalWidth)"
        assert driver.execute_script(natural) == [64] * 5  # all were loaded
        assert len({image.location["x"] for image in images[:columns]}) == columns
        assert overflow(driver) <= 0
        targets = driver.find_elements(By.CSS_SELECTOR, "button, .pictures label")
        assert all(target.size["height"] >= 44 for target in targets)  # a finger's width
        driver.save_screenshot(os.path.join(screenshots, f"{width}-question.png"))
        loaded = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert len(loaded) >= 6 and all(name.startswith(server.url + "/") for name in loaded)
        assert driver.get_cookies() == []
        assert driver.execute_script("return document.scripts.length") == 0


def test_a_screen_reader_hears_names_and_states(driver, study):
    _, directory = study
    screen(driver, 1280, 900, 1, False)
    with Server(directory) as server:
        begin_with_mouse(driver, server.url)
        boxes(driver)[1].click()
        nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]

    def of_role(role):
        return [node for node in nodes if node.get("role", {}).get("value") == role and not node["ignored"]]

    def name(node):
        return node["name"]["value"]

    def properties(node):
        return {entry["name"]: entry["value"].get("value") for entry in node["properties"]}

    checkboxes = of_role("checkbox")
    assert [name(node) for node in checkboxes] == [f"Picture {i}" for i in range(1, 6)]
    assert [properties(node)["checked"] for node in checkboxes] == ["false", "true", "false", "false", "false"]
    (group,) = of_role("group")
    assert name(group) == "Mark those of poor reality" and "None, one or several" in group["description"]["value"]
    (progress,) = [node for node in nodes if node.get("role", {}).get("value", "").lower().startswith("progress")]
    assert name(progress) == f"Question 1 of {QUESTIONS}"
    assert [name(node) for node in of_role("button")] == ["Next"]
