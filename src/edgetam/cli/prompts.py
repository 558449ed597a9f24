"""Prompts from the command line and from files.

Options are read in order: ``--object`` and ``--frame`` apply to the prompts after them, ``--label`` to the
point before it. A prompt file says the same in JSON::

    {"prompts": [
        {"frame": 0, "object": 1, "points": [[320, 180], [300, 90]], "labels": [1, 0]},
        {"frame": 0, "object": 2, "box": [10, 20, 110, 90]},
        {"frame": 30, "object": 1, "mask": "ball.png"}
    ]}

``frame`` is 0 and ``object`` 1 where left out, ``labels`` are all 1, and masks lie beside the file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile, tee
from pathlib import Path
from typing import Any, NamedTuple

from edgetam.errors import MediaError, PromptError
from edgetam.hints import did_you_mean
from edgetam.io import read_mask
from edgetam.structs import Prompt
from edgetam.tracking.prompts import LARGEST, Clicks, read_prompt

__all__ = ["Placed", "check_ids", "checked", "merged", "ordered_options", "read_options", "read_prompt_file"]

PROMPT_OPTIONS = ("--point", "--label", "--box", "--mask", "--object", "--frame")
_KEYS = {"frame", "object", "points", "labels", "box", "mask"}
_DEFAULT_OBJECT = 1
_DIGITS = 1000


class Placed(NamedTuple):
    """One prompt for one object on one frame; ``origin`` says where it was given."""

    frame: int
    object_id: int
    prompt: Prompt
    origin: str


def ordered_options(args: Sequence[str], takes_value: Mapping[str, bool]) -> list[tuple[str, str]]:
    """Pick the prompt options out of a command line, in the order they were typed.

    Args:
        args: the words after the command.
        takes_value: for every option of the command, whether a value follows it.
    """
    found: list[tuple[str, str]] = []
    words = iter(args)
    for word in words:
        if word == "--":
            break
        if word.startswith("--"):
            name, joined, value = word.partition("=")
            if takes_value.get(name) and not joined:
                value = next(words, "")
                words, ahead = tee(words)
                _check_comma(name, value, ahead)
            if name in PROMPT_OPTIONS:
                found.append((name, value))
        elif word.startswith("-") and _ends_waiting(word, takes_value):
            next(words, "")
    return found


def _check_comma(name: str, value: str, ahead: Iterable[str]) -> None:
    """Complain about ``--point 320 180``, which would be a point of one number and a stray word.

    Raises:
        PromptError: write it with a comma.
    """
    if name in ("--point", "--box") and _is_number(value):
        numbers = [value, *takewhile(_is_number, ahead)]
        if len(numbers) > 1:
            raise PromptError(
                f"{name} is '{' '.join(numbers)}'; write it with commas and no spaces: "
                f"{name} {','.join(numbers)}"
            )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _ends_waiting(word: str, takes_value: Mapping[str, bool]) -> bool:
    """Whether a cluster of short options such as ``-qo`` takes the next word as its value."""
    first = next((i for i, letter in enumerate(word[1:], 1) if takes_value.get(f"-{letter}")), None)
    return first == len(word) - 1


def read_options(options: Iterable[tuple[str, str]], *, frame: int = 0) -> list[Placed]:
    """Turn ordered options into prompts, one per point, box or mask.

    Args:
        options: names and values, from `ordered_options`.
        frame: that prompts are on before any ``--frame``.

    Raises:
        PromptError: a value cannot be read, or an option stands where it means nothing.
        MediaError: a mask cannot be read.
    """
    found: list[Placed] = []
    object_id: int | None = None
    pending = ""  # an --object or --frame without a prompt after it
    labelled = True
    for name, value in options:
        origin = f"{name} {value}"
        if name == "--frame":
            frame, pending = whole(name, value), origin
        elif name == "--object":
            object_id, pending = whole(name, value), origin
        elif name == "--label":
            if labelled:
                raise PromptError(
                    f"{origin} has no point of its own; put it after the --point it belongs to."
                )
            points = found[-1].prompt.points
            found[-1] = found[-1]._replace(prompt=Prompt(points=points, labels=[_label(value)]))
            labelled = True
        else:
            for identity, prompt in _prompts(name, value, object_id):
                found.append(Placed(frame, identity, prompt, origin))
            pending, labelled = "", name != "--point"
    if pending:
        raise PromptError(
            f"{pending} has no point, box or mask after it; put it before the prompts it applies to."
        )
    return found


def _prompts(name: str, value: str, object_id: int | None) -> list[tuple[int, Prompt]]:
    """Prompts that one option stands for, by object id."""
    if name == "--mask":
        return [(identity, Prompt(mask=mask)) for identity, mask in _masks(Path(value), object_id)]
    chosen = _DEFAULT_OBJECT if object_id is None else object_id
    if name == "--point":
        return [
            (chosen, Prompt(points=[_numbers(name, value, 2, "x,y in pixels, such as 320,180")], labels=[1]))
        ]
    return [(chosen, Prompt(box=_numbers(name, value, 4, "x0,y0,x1,y1 in pixels, such as 10,20,110,90")))]


def _masks(path: Path, object_id: int | None) -> list[tuple[int, Any]]:
    """Masks in a picture by object id; with a chosen object, its mask or the only one there is."""
    masks = read_mask(path)
    if not masks:
        raise PromptError(f"The mask '{path}' has no pixel set; mark the object in it.")
    if object_id is None:
        return list(masks.items())
    if object_id in masks:
        return [(object_id, masks[object_id])]
    if len(masks) > 1:
        known = ", ".join(map(str, masks))
        raise PromptError(
            f"The mask '{path}' has objects {known} but no object {object_id}; give one of them."
        )
    return [(object_id, next(iter(masks.values())))]


def whole(name: str, value: str) -> int:
    """The whole number that an option was given.

    Raises:
        PromptError: it is none.
    """
    # more digits are no number of anything, and Python reads no more than 4300
    if not value.strip().isdecimal() or len(value.strip()) > _DIGITS:
        raise PromptError(f"{name} is '{value}'; expected a whole number of at least 0.")
    return int(value)


def _label(value: str) -> int:
    if value.strip() not in ("0", "1"):
        raise PromptError(f"--label is '{value}'; expected 1 for the object or 0 for anything else.")
    return int(value)


def _numbers(name: str, value: str, count: int, expected: str) -> list[float]:
    try:
        numbers = [float(part) for part in value.replace(" ", ",").split(",") if part]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise PromptError(f"{name} is '{value}'; expected {expected}.")
    return numbers


def read_prompt_file(path: Path) -> list[Placed]:
    """Read a JSON file of prompts.

    Raises:
        MediaError: the file, or a mask it names, is missing or damaged.
        PromptError: it has another shape than described above.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows begin it with a mark
    except OSError as error:
        raise MediaError(f"Cannot read the prompts '{path}' ({error.strerror}); check the path.") from error
    except (ValueError, RecursionError) as error:
        raise PromptError(f"The prompts '{path}' are not JSON ({error}); check the file.") from error
    entries = content.get("prompts") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise PromptError(
            f'The prompts \'{path}\' hold no list; expected {{"prompts": [{{"frame": 0, ...}}]}}.'
        )
    return [item for number, entry in enumerate(entries, 1) for item in _entry(entry, number, path)]


def _entry(entry: Any, number: int, path: Path) -> list[Placed]:
    origin = f"{path}, prompt {number}"
    if not isinstance(entry, dict):
        raise PromptError(
            f"{origin} is {entry!r}; expected a mapping with some of {', '.join(sorted(_KEYS))}."
        )
    unknown = [key for key in entry if key not in _KEYS]
    if unknown:
        hint = did_you_mean(unknown[0], _KEYS)
        raise PromptError(
            f"{origin} has an unknown key '{unknown[0]}'{hint}; expected some of {', '.join(sorted(_KEYS))}."
        )
    frame, object_id = 0 if entry.get("frame") is None else entry["frame"], entry.get("object")
    for key, value in (("frame", frame), ("object", object_id)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise PromptError(f"{origin} has {key} {value!r}; expected a whole number of at least 0.")
    values = {key: entry.get(key) for key in ("points", "labels", "box")}
    for key, value in values.items():
        if value is not None and not isinstance(value, list):
            raise PromptError(f"{origin} has {key} {value!r}; expected a list.")
    if values["points"] and not any(isinstance(point, list) for point in values["points"]):
        values["points"] = [values["points"]]  # one point, which is joined with others as a list of it
    if entry.get("mask") is None:
        chosen = _DEFAULT_OBJECT if object_id is None else object_id
        return [Placed(frame, chosen, Prompt(**values), origin)]
    if any(value is not None for value in values.values()):
        raise PromptError(f"{origin} has a mask together with points or a box; give one or the other.")
    masks = _masks(path.parent / str(entry["mask"]), object_id)
    return [Placed(frame, identity, Prompt(mask=mask), origin) for identity, mask in masks]


def merged(items: Iterable[Placed]) -> list[Placed]:
    """Join what was said about one object on one frame, in order of first mention.

    Raises:
        PromptError: two boxes or two masks for one object on one frame, or labels that do not match.
    """
    groups: dict[tuple[int, int], Placed] = {}
    for item in items:
        key = item.frame, item.object_id
        groups[key] = _joined(groups[key], item) if key in groups else item
    return list(groups.values())


def _joined(first: Placed, second: Placed) -> Placed:
    a, b = first.prompt, second.prompt
    where = f"for object {second.object_id} on frame {second.frame}"
    for what in ("box", "mask"):
        if getattr(a, what) is not None and getattr(b, what) is not None:
            raise PromptError(
                f"{second.origin} is a second {what} {where}; give one, or put --object in between."
            )
    labels = [*_labels(a, first.origin), *_labels(b, second.origin)]
    points = [*_points(a), *_points(b)]
    prompt = Prompt(
        points=points or None,
        labels=labels if points else None,
        box=a.box if a.box is not None else b.box,
        mask=a.mask if a.mask is not None else b.mask,
    )
    return Placed(first.frame, first.object_id, prompt, second.origin)


def _points(prompt: Prompt) -> list[Any]:
    return [] if prompt.points is None else list(prompt.points)


def _labels(prompt: Prompt, origin: str) -> list[Any]:
    points = _points(prompt)
    labels = [1] * len(points) if prompt.labels is None else list(prompt.labels)
    if len(labels) != len(points):
        raise PromptError(f"{origin}: {len(labels)} labels for {len(points)} points; give one per point.")
    return labels


def check_ids(items: Iterable[Placed], kinds: Collection[str]) -> None:
    """Find out whether the kinds of results that were asked for can hold all ids.

    Raises:
        PromptError: "png" is among them and an id is not 1 to 255, or one is too large for any.
    """
    items = list(items)
    large = [item.object_id for item in items if item.object_id > LARGEST]
    if large:
        raise PromptError(f"Object {large[0]} is too large a number; expected an id up to {LARGEST}.")
    wrong = [item.object_id for item in items if not 1 <= item.object_id <= 255]
    if "png" in kinds and wrong:
        raise PromptError(
            f"Object {wrong[0]} does not fit into a palette PNG (1 to 255); use another id, or save "
            "objects or coco instead of png."
        )


def checked(
    items: Iterable[Placed], size: tuple[int, int], frames: int | None = None
) -> dict[tuple[int, int], Clicks]:
    """Check prompts against a video of ``size`` (width, height) and ``frames``, before anything is computed.

    Returns:
        Checked prompts by frame and object id.

    Raises:
        PromptError: nothing is prompted, or something does not fit.
    """
    found: dict[tuple[int, int], Clicks] = {}
    for frame, object_id, prompt, origin in items:
        if frames is not None and frame >= frames:
            there = "there is frame 0 only" if frames == 1 else f"the video has frames 0 to {frames - 1}"
            raise PromptError(f"{origin}: frame {frame} does not exist; {there}.")
        try:
            found[frame, object_id] = read_prompt(prompt, *size)
        except PromptError as error:
            raise PromptError(f"{origin}: {error}") from error
    if not found:
        raise PromptError(
            "Nothing says what to look for; give --point x,y, --box x0,y0,x1,y1, --mask m.png or "
            "--prompts p.json ('edgetam look' finds coordinates)."
        )
    return found
