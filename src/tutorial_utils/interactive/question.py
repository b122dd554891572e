"""A question to answer before the result is shown: every answer has its reply."""

import re
from collections.abc import Mapping
from html import escape

from tutorial_utils.interactive.base import InteractiveFigure

VERDICT = re.compile(r"(right|yes|no|wrong|not quite|almost)\b[.,:;! ]", flags=re.IGNORECASE)


def inline(text: str) -> str:
    """Escape a text and turn `code` and *emphasis* into HTML; nothing else is markup."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"(?<!\w)\*([^*\s][^*]*)\*(?!\w)", r"<em>\1</em>", text)


class Question(InteractiveFigure):
    """A question, two to six answers, and the reply that each answer gets.

    Args:
        question: what is asked; `code` and *emphasis* are marked as in Markdown.
        answers: answer -> the reply to a reader who chooses it. It names the thought behind a wrong
            answer; "Right." or "Not quite." is put before it unless it begins with such a word.
        right: index of the right answer, or None where there is none (an opinion, a guess).
    """

    script = "question.js"
    kind = "question"
    label = "Question"
    height = 0

    def __init__(self, question: str, answers: Mapping[str, str], right: int | None = None) -> None:
        if not 2 <= len(answers) <= 6 or not all(answers.values()) or not question:
            raise ValueError("give a question and 2 to 6 answers, each with its reply.")
        if right is not None and not 0 <= right < len(answers):
            raise ValueError(f"right must be None or an index from 0 to {len(answers) - 1}.")
        self.question, self.answers, self.right = question, dict(answers), right

    def reply(self, number: int) -> str:
        """Return the reply to an answer as HTML, with the verdict in words before it."""
        text = list(self.answers.values())[number]
        if self.right is None or VERDICT.match(text):
            return inline(text)
        return f"<b>{'Right.' if number == self.right else 'Not quite.'}</b> {inline(text)}"

    def fallback(self) -> str:
        """Return the question and its answers; each unfolds its reply, also without scripts."""
        marks = [
            "" if self.right is None else f' data-right="{int(number == self.right)}"'
            for number in range(len(self.answers))
        ]
        return f"<p><b>{inline(self.question)}</b></p>" + "".join(
            f"<details{marks[number]}><summary>{inline(answer)}</summary>"
            f"<p>{self.reply(number)}</p></details>"
            for number, answer in enumerate(self.answers)
        )

    def __repr__(self) -> str:
        return f"Question: {self.question}"
