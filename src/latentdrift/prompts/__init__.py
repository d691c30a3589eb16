"""Attributes <-> text: the sentence for an image, an assignment such as `age=85`, the two sentences
of an edit.

    prompt_style.py        prompt of a table's row in the style of an adapter. START READING HERE
    phrases.py             one attribute in words: AGES, findings, absent findings
    templates.py           TEMPLATES, and the sentences made of them
    composition.py         several prompts with weights in one
    departures.py          departures of a prompt from those of training
    edit_prompts.py        source and target of an edit, the instruction for a pair of visits
    attribute_parsing.py   `age=85`, `+10`, `age=60:90:5` -> typed values

A missing attribute is never invented: it leaves the sentence. An empty cell of `findings` says
nothing; that nothing was found is a word of its own ("No Finding").
"""

from latentdrift.prompts.attribute_parsing import (
    AttributeChange,
    Years,
    parse_assignment,
    parse_emphasis,
    parse_finding,
    parse_series,
    parse_wanted,
    parse_years,
)
from latentdrift.prompts.departures import (
    OF_THE_PICTURE,
    PromptTraining,
    constant_attributes,
    departures,
    of_text,
    spelled,
)
from latentdrift.prompts.edit_prompts import (
    GAPS,
    INSTRUCTIONS,
    NUMBER_INSTRUCTIONS,
    VOLUMES_INSTRUCTION,
    instruction,
    pair,
    sentence_sets,
    single_changes,
    states,
)
from latentdrift.prompts.phrases import (
    AGES,
    NO_FINDING,
    SEX_WORDS,
    absent,
    attributes_of,
    is_missing,
    named,
    negated,
    phrase,
    slug,
    split_findings,
)
from latentdrift.prompts.prompt_numbers import VolumeChange
from latentdrift.prompts.prompt_style import Manner
from latentdrift.prompts.templates import TEMPLATES, sentence, sentences

__all__ = [
    "AGES",
    "GAPS",
    "INSTRUCTIONS",
    "NO_FINDING",
    "NUMBER_INSTRUCTIONS",
    "OF_THE_PICTURE",
    "SEX_WORDS",
    "TEMPLATES",
    "VOLUMES_INSTRUCTION",
    "AttributeChange",
    "Manner",
    "PromptTraining",
    "VolumeChange",
    "Years",
    "absent",
    "attributes_of",
    "constant_attributes",
    "departures",
    "instruction",
    "is_missing",
    "named",
    "negated",
    "of_text",
    "pair",
    "parse_assignment",
    "parse_emphasis",
    "parse_finding",
    "parse_series",
    "parse_wanted",
    "parse_years",
    "phrase",
    "sentence",
    "sentence_sets",
    "sentences",
    "single_changes",
    "slug",
    "spelled",
    "split_findings",
    "states",
]
