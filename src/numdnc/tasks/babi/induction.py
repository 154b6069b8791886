"""Augment training stories of task 16, "basic induction", in which irrelevant facts repeat kinds and colours.

    Lily is a frog. Bernhard is a frog. Bernhard is green. .. Julius is green. .. What color is Lily?  green

The answer is the colour of the last-named other animal of the same kind; here Julius, a swan, has that colour too.
Published models learn to guess from such repetitions and stay near 53 % wrong, unless these are removed in training.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from numdnc.tasks.babi.stories import Line, Story

INDUCTION_TASK = 16
"""Number of the task."""
_FACTS = 9
"""Facts of the stories that are augmented, as by Franke et al. 2018."""


def augment_induction(stories: Sequence[Story], rng: np.random.Generator) -> list[Story]:
    """Replace each kind and colour of an irrelevant fact that the story has already by one that it has not.

    Relevant are all facts that name the kind of the animal asked about, and the colour that is the answer (Franke,
    Niehues and Waibel 2018). `rng` draws among the kinds and colours of all `stories` that are left. Questions and
    answers stay, and so do stories of another form.
    """
    facts = [line for story in stories for line in story.lines]
    values = {form: {_value(fact) for fact in facts if _form(fact) == form} for form in ("kind", "colour")}
    return [_augmented(story, values, rng) for story in stories]


def _augmented(story: Story, values: Mapping[str, set[str]], rng: np.random.Generator) -> Story:
    *facts, question = story.lines
    kinds = {fact.words[0]: _value(fact) for fact in facts if _form(fact) == "kind"}
    colours = {fact.words[0]: fact for fact in facts if _form(fact) == "colour"}
    asked = next((word for word in question.words if word in kinds), None)
    peers = [name for name in kinds if name != asked and kinds[name] == kinds.get(asked or "")]
    answer = colours.get(peers[-1]) if peers else None
    if len(facts) != _FACTS or len(kinds) + len(colours) != _FACTS:
        return story
    if asked is None or answer is None or question.answers != (_value(answer),):
        return story
    used = {kinds[asked], _value(answer)}
    lines = []
    for fact in facts:
        value = _value(fact)
        if fact is not answer and value != kinds[asked] and value in used:
            free = sorted(values[_form(fact)] - used) or [value]
            value = free[int(rng.integers(len(free)))]
            fact = Line((*fact.words[:-2], value, fact.words[-1]))
        used.add(value)
        lines.append(fact)
    return Story(story.task, (*lines, question))


def _form(line: Line) -> str:
    """What a line states: "kind" if it is "NAME is a KIND .", "colour" if it is "NAME is COLOUR .", else ""."""
    if line.answers or line.words[1:2] != ("is",):
        return ""
    return {4: "colour", 5: "kind"}.get(len(line.words), "")


def _value(fact: Line) -> str:
    """The colour or kind that a fact states."""
    return fact.words[-2]
