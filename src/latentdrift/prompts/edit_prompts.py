"""Changes in words: source and target prompt of an edit, and the instruction from one visit to the
next."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from latentdrift.attributes.specification import (
    AttributeValue,
    AttributeValues,
    Spec,
    as_number,
    words_of,
)
from latentdrift.errors import OptionError, unknown
from latentdrift.prompts.phrases import (
    NO_FINDING,
    absent,
    age,
    conditions,
    image,
    is_missing,
    join,
    sex,
    split_findings,
)
from latentdrift.prompts.prompt_numbers import VolumeChange
from latentdrift.prompts.templates import fill, sentence, sentences

# Years between two visits in a word (Latent Drifting, "binned").
GAPS: dict[str, Callable[[float], bool]] = {
    "slightly": lambda years: years < 5,
    "moderately": lambda years: 5 <= years <= 10,
    "significantly": lambda years: years > 10,
}

# Numerical and word are the paper's wording, "Age this CN 70 years old female brain MRI into a 77
# brain MRI with MCI"; where it
# puts the word for the gap is not known, and the place here is ours.
INSTRUCTIONS: dict[str, str] = {
    "numerical": "Age this {source} into a {target}[ with {what}]",
    "word": "Age this {source} into a {target}[ with {what}]",
    "binned": "Age this {source}[ {gap}] into a {image}[ with {what}]",
    "years": "Age this {source} by {elapsed} years into a {image}[ with {what}]",
    "volumes": "Age this {source} by {elapsed} years[ ({volumes})] into a {image}[ with {what}]",
}
VOLUMES_INSTRUCTION = "volumes"
"""Row of INSTRUCTIONS that also says how the volumes of a brain change."""
NUMBER_INSTRUCTIONS = ("years", VOLUMES_INSTRUCTION)
"""Rows of INSTRUCTIONS whose numbers the network reads as numbers (`prompt_numbers`)."""


def pair(
    describe: str,
    attributes: AttributeValues,
    changes: AttributeValues,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    spec: Spec | None = None,
    style: str = "simple",
    index: int = 0,
    patient_info: bool = True,
    age_encoding: str = "numerical",
    negate_findings: bool = False,
) -> tuple[str, str]:
    """Source and target sentence of an edit, in one wording.

    Args:
        describe: Noun of the images.
        attributes: Known attributes of the source image; without any, the target states only the
            change.
        changes: Attributes of the counterfactual, as `parse_assignment` returns them.
        add: Findings that the counterfactual has and the source has not.
        remove: Findings that the source has and the counterfactual has not. If none is left, the
            vocabulary's word for "no finding" is stated, if it has one.
        spec: Attributes of the cohort; None: none.
        style: Row of TEMPLATES.
        index: Number of the wording.
        patient_info: As in `sentence`; an edit needs it, except for a change of the view.
        age_encoding: Row of AGES.
        negate_findings: Whether to state "no effusion" for a removed finding in the target, and for
            an added one in the source. The source's findings must be known.

    Raises:
        OptionError: Nothing would change, a finding to add is there already, or one to remove is
            known to be absent.
    """
    source, target = states(
        attributes, changes, add=add, remove=remove, spec=spec, negate_findings=negate_findings
    )
    before, after = (
        sentence(
            describe,
            state,
            style=style,
            index=index,
            patient_info=patient_info,
            age_encoding=age_encoding,
        )
        for state in (source, target)
    )
    if before == after:
        raise OptionError(
            f"the edit changes nothing: both prompts read '{before}'; set, add or remove something "
            "that differs"
        )
    return before, after


def states(
    attributes: AttributeValues,
    changes: AttributeValues,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    spec: Spec | None = None,
    negate_findings: bool = False,
) -> tuple[dict[str, AttributeValue], dict[str, AttributeValue]]:
    """Attributes before and after an edit; arguments and errors are those of `pair`."""
    source = dict(attributes)
    target = {**attributes, **changes}
    if add or remove:
        cells = _edit_findings(
            target.get("findings", ""), tuple(add), tuple(remove), spec or {}, negate_findings
        )
        source["findings"], target["findings"] = cells
    return source, target


def _edit_findings(
    cell: AttributeValue, add: tuple[str, ...], remove: tuple[str, ...], spec: Spec, negate: bool
) -> tuple[str, str]:
    """The findings before and after, as cells. A source whose findings are unknown is taken to have
    what is removed."""
    known = split_findings(cell)
    present = [finding for finding in known if finding.lower() not in NO_FINDING]
    lower = [finding.lower() for finding in present]
    for finding in (*add, *remove):
        if finding.lower() in NO_FINDING:
            raise OptionError(
                f"'{finding}' says that there is no finding, so it can be neither added nor "
                "removed; write `remove` with the findings that are to go, or "
                f"`set={ {'findings': finding} }`"
            )
    for finding in add:
        if finding.lower() in lower:
            raise OptionError(
                f"cannot add '{finding}': the image has it already; its findings: "
                f"{', '.join(present)}"
            )
    for finding in remove:
        if known and finding.lower() not in lower:
            raise OptionError(
                f"cannot remove '{finding}': the image does not have it; its findings: "
                f"{', '.join(known)}"
            )
    gone = [finding.lower() for finding in remove]
    after = [finding for finding in present if finding.lower() not in gone] + list(add)
    if negate:
        denied = [finding for finding in add if finding in absent(cell, spec)]
        return (
            "|".join([*(known or remove), *(f"no {finding}" for finding in denied)]),
            "|".join([*after, *(f"no {finding}" for finding in remove)]),
        )
    healthy = [word for word in words_of(spec, "findings") if word.lower() in NO_FINDING]
    return "|".join(known or remove), "|".join(after or healthy[:1])


def single_changes(
    describe: str,
    attributes: AttributeValues,
    changes: AttributeValues,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    spec: Spec | None = None,
    negate_findings: bool = False,
    style: str = "simple",
    index: int = 0,
    patient_info: bool = True,
    age_encoding: str = "numerical",
) -> list[str]:
    """Sentences with one change each, for editors that apply changes one by one.

    Args:
        describe, attributes, changes, add, remove, spec, negate_findings: As of `pair`.
        style, index, patient_info, age_encoding: As of `pair`.

    Raises:
        OptionError: As `pair`.
    """
    source, _ = states(
        attributes, changes, add=add, remove=remove, spec=spec, negate_findings=negate_findings
    )
    single = [{**source, name: value} for name, value in changes.items()]
    for side, findings in (("add", add), ("remove", remove)):
        for finding in findings:
            stated = [
                entry for entry in split_findings(source["findings"]) if entry != f"no {finding}"
            ]
            _, target = states(
                {**source, "findings": "|".join(stated)},
                {},
                add=(finding,) if side == "add" else (),
                remove=(finding,) if side == "remove" else (),
                spec=spec,
                negate_findings=negate_findings,
            )
            single.append(target)
    before, *afters = (
        sentence(
            describe,
            state,
            style=style,
            index=index,
            patient_info=patient_info,
            age_encoding=age_encoding,
        )
        for state in (source, *single)
    )
    return [after for after in afters if after != before]


def sentence_sets(
    describe: str,
    attributes: AttributeValues,
    changes: AttributeValues,
    *,
    n: int,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    spec: Spec | None = None,
    negate_findings: bool = False,
    style: str = "diverse",
    patient_info: bool = True,
    age_encoding: str = "numerical",
) -> tuple[list[str], list[str]]:
    """Wordings of an image before and after an edit, for editors that use the difference of their
    means.

    Args:
        describe, attributes, changes, add, remove, spec, negate_findings: As of `pair`.
        n: Number of wordings.
        style, patient_info, age_encoding: As of `sentences`.

    Returns:
        n sentences before, and n after the edit.

    Raises:
        OptionError: As `pair` and `sentences`.
    """
    both = states(
        attributes, changes, add=add, remove=remove, spec=spec, negate_findings=negate_findings
    )
    befores, afters = (
        sentences(describe, state, n, style, patient_info=patient_info, age_encoding=age_encoding)
        for state in both
    )
    return befores, afters


def instruction(
    describe: str,
    source: AttributeValues,
    target: AttributeValues,
    encoding: str = "numerical",
    elapsed: float | None = None,
    volumes: VolumeChange | None = None,
) -> str:
    """Instruction from one visit to a later one: "Age this CN 70 years old female brain MRI into a
    77 brain MRI with MCI".

    Missing attributes leave the sentence. A condition of the source stands in front where it is an
    abbreviation (CN), as in the paper, and behind where it is words ("... brain MRI with no
    dementia into ...").

    Args:
        describe: Noun of the images.
        source: Attributes of the earlier visit.
        target: Attributes of the later one.
        encoding: A row of INSTRUCTIONS: the later age as a number or in words, the years between
            the visits as a row of GAPS, or those years as a number.
        elapsed: Years between the visits, for NUMBER_INSTRUCTIONS; None: the difference of the
            ages.
        volumes: Change of the volumes, for the row `volumes`; None: it is not known.

    Raises:
        OptionError: The target is younger and the wording ages only, the years are not known, or
            nothing is known of it that the instruction could say.
    """
    if encoding not in INSTRUCTIONS:
        raise unknown("encoding of an instruction", encoding, INSTRUCTIONS)
    if encoding in NUMBER_INSTRUCTIONS:
        return _instruction_in_numbers(describe, source, target, encoding, elapsed, volumes)
    earlier, later = (
        {name: value for name, value in of.items() if not is_missing(value)}
        for of in (source, target)
    )
    numbers = "word" if encoding == "word" else "numerical"
    years = (
        " ".join(age(as_number(later["age"]), numbers)).removesuffix(" year")
        if "age" in later
        else ""
    )
    slots = {
        "source": _source(describe, earlier, numbers),
        "gap": _gap(as_number(earlier["age"]), as_number(later["age"]))
        if "age" in earlier and "age" in later
        else "",
        "image": image(describe, later),
        "target": f"{years} {image(describe, later)}".strip(),
        "what": join(conditions(later)),
    }
    if not (slots["what"] or (slots["gap"] if encoding == "binned" else years)):
        raise OptionError(
            f"an instruction has nothing to say of the later {describe}: neither age nor condition "
            "are known; leave the pair out"
        )
    return fill(INSTRUCTIONS[encoding], **slots)


def _instruction_in_numbers(
    describe: str,
    source: AttributeValues,
    target: AttributeValues,
    encoding: str,
    elapsed: float | None,
    volumes: VolumeChange | None,
) -> str:
    """Instruction of NUMBER_INSTRUCTIONS: "Age this CN 70 years old female brain MRI by 2.5 years
    into a brain MRI with MCI"; 0 years where nothing but a condition changes.

    Raises:
        OptionError: The years are not known.
    """
    earlier, later = (
        {name: value for name, value in of.items() if not is_missing(value)}
        for of in (source, target)
    )
    if elapsed is None and not ("age" in earlier and "age" in later):
        raise OptionError(
            f"this model ages a {describe} by years, and its age is not known; give it with "
            "`given={'age': 70}`"
        )
    years = as_number(later["age"]) - as_number(earlier["age"]) if elapsed is None else elapsed
    return fill(
        INSTRUCTIONS[encoding],
        source=_source(describe, earlier, "numerical"),
        elapsed=f"{round(years, 2) + 0.0:g}",
        volumes=volumes.words if volumes else "",
        image=image(describe, later),
        what=join(conditions(later)),
    )


def _source(describe: str, known: AttributeValues, numbers: str) -> str:
    """The earlier picture: "CN 70 years old female brain MRI", "70 years old male chest X-ray with
    effusion"."""
    stated = conditions(known)
    short = [word for word in stated if word.isupper() and " " not in word]
    number, unit = age(as_number(known["age"]), numbers) if "age" in known else ("", "")
    plural = "" if number in ("1", "one") else "s"
    old = f"{number} {unit}{plural} old" if number else ""
    words = [*short, old, sex(known.get("sex", "")), image(describe, known)]
    long = join([word for word in stated if word not in short])
    return " ".join(filter(None, [*words, long and f"with {long}"]))


def _gap(earlier: float, later: float) -> str:
    """The row of GAPS for the years between two visits.

    Raises:
        OptionError: The later age is the lower one.
    """
    if later < earlier:
        raise OptionError(
            f"an instruction ages, and {later:g} is younger than {earlier:g} years; give the "
            "earlier visit first"
        )
    return next(word for word, holds in GAPS.items() if holds(later - earlier))
