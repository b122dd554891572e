"""Questions: by mouse, keys and finger, without scripts, on paper, and what they store."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from tutorial_utils.interactive import Question
from tutorial_utils.plotting import (
    FAMILY_COLORS,
    FAMILY_MARKERS,
    FAMILY_NAMES,
    METHOD_COLORS,
    family_of,
)
from tutorial_utils.results import load_results

ANSWERS = {
    "about one in eight": "That is what guessing among `8` classes gives.",
    "about six in ten": "Yes: an outline is what tells a cone from a *cylinder*.",
    "nearly all <b>": "The features were learned for other classes.",
}


def make():
    return Question("Freeze all but the head. How many are right?", ANSWERS, right=1)


def test_what_is_stored_is_small_plain_and_the_same():
    html = make()._repr_html_()
    assert len(html) < 5_000
    assert html == make()._repr_html_()
    assert "nearly all &lt;b&gt;" in html
    assert "<code>8</code>" in html
    assert "<em>cylinder</em>" in html
    assert "<b>Not quite.</b> That is" in html
    assert "<p>Yes: an outline" in html
    open_question = Question("Which?", {"a": "No data says.", "b": "Nobody knows."})
    assert "Not quite" not in open_question._repr_html_().split("<script")[0]
    assert "data-right=" not in open_question._repr_html_().split("<script")[0]


@pytest.mark.parametrize(
    ("answers", "right"), [({"a": "b"}, 0), ({"a": "b", "c": ""}, 0), ({"a": "b", "c": "d"}, 2)]
)
def test_bad_arguments_give_one_clear_error(answers, right):
    with pytest.raises(ValueError, match=r"give a question and|right must be"):
        Question("Why?", answers, right)


def test_answers_by_mouse_keys_and_finger_and_on_paper(show):
    page = show(make(), width=375, has_touch=True)
    reply, buttons = page.get_by_role("status"), page.get_by_role("button")
    assert reply.inner_text() == ""
    assert buttons.count() == 3
    buttons.nth(0).click()
    assert reply.inner_text() == "Not quite. That is what guessing among 8 classes gives."
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert reply.inner_text() == "Yes: an outline is what tells a cone from a cylinder."
    buttons.nth(2).tap()
    assert reply.inner_text().startswith("Not quite. The features")
    pressed = buttons.evaluate_all("b => b.map(e => e.getAttribute('aria-pressed'))")
    assert pressed == ["false", "false", "true"]
    assert buttons.all_inner_texts() == [a + m for a, m in zip(ANSWERS, "✗✓✗", strict=True)]
    for theme in ("#fff;color:#222", "#14181d;color:#eee"):
        page.evaluate(f"document.body.style = 'background:{theme}'")
        found = Axe().run(page, ".book-question").response["violations"]
        assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.emulate_media(media="print")
    assert not reply.is_visible()
    key = page.locator(".key")
    assert key.is_visible()
    assert key.inner_text().startswith("Answer: about six in ten. Yes: an")


def test_without_scripts_every_answer_unfolds_its_reply(show):
    page = show(make(), java_script_enabled=False)
    assert page.get_by_text("Freeze all but").is_visible()
    page.locator("summary").nth(1).click()
    assert page.get_by_text("Yes: an outline").is_visible()
    assert not page.get_by_text("That is what").is_visible()


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (v / 12.92 if v <= 0.04 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_colours_of_methods_and_families_stand_out_in_both_themes():
    for colour in (*METHOD_COLORS.values(), *FAMILY_COLORS.values()):
        light = luminance(colour)
        assert 1.05 / (light + 0.05) > 3
        assert (light + 0.05) / (luminance("#14181d") + 0.05) > 3
    assert len(set(METHOD_COLORS.values())) == 5
    assert FAMILY_COLORS.keys() == FAMILY_NAMES.keys() == FAMILY_MARKERS.keys()
    names = [row["name"] for row in load_results("checkpoints")["checkpoints"]]
    assert {family_of(name) for name in names} == FAMILY_COLORS.keys()
    assert re.match("Mobile", family_of("shufflenet_v2_x1_0"))
    with pytest.raises(ValueError, match="belongs to none"):
        family_of("lenet")
