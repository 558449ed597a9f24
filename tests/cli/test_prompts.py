"""Options in order, and prompt files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgetam.cli.prompts import check_ids, checked, merged, ordered_options, read_options, read_prompt_file
from edgetam.errors import EdgeTAMError, MediaError, PromptError

TAKES = {
    "--point": True,
    "--label": True,
    "--box": True,
    "--mask": True,
    "--object": True,
    "--frame": True,
    "--output": True,
    "-o": True,
    "-q": False,
    "--quiet": False,
}


def placed(*words, frame=0):
    return [
        (i.frame, i.object_id, i.prompt)
        for i in merged(read_options(ordered_options(words, TAKES), frame=frame))
    ]


def test_order_decides_what_options_apply_to():
    found = placed(
        *("clip.mp4", "--point", "1,2", "--point=3,4", "--label", "0", "--object", "7", "-qo", "out"),
        *("--box", "1,2,3,4", "--frame", "5", "--point", "8.5,9"),
    )
    assert [(f, o) for f, o, _ in found] == [(0, 1), (0, 7), (5, 7)]
    assert found[0][2].points == [[1, 2], [3, 4]]
    assert found[0][2].labels == [1, 0]
    assert found[1][2].box == [1, 2, 3, 4]
    assert found[2][2].points == [[8.5, 9]]


def test_values_of_other_options_are_not_prompts():
    assert placed("--output", "--point", "clip", "-o", "--box", "--point", "1,2")[0][2].points == [[1, 2]]
    assert len(placed("-o--point", "--point", "1,2", "--", "--point", "3,4")[0][2].points) == 1


def test_points_of_one_object_and_frame_belong_together_wherever_they_stand():
    found = placed("--point", "1,1", "--object", "2", "--point", "2,2", "--object", "1", "--box", "0,0,9,9")
    assert [(f, o) for f, o, _ in found] == [(0, 1), (0, 2)]
    assert found[0][2].points == [[1, 1]]
    assert found[0][2].box == [0, 0, 9, 9]


def test_frame_before_any_option():
    assert placed("--point", "1,1", frame=4)[0][0] == 4


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("--object"), st.integers(0, 3)),
            st.tuples(st.just("--frame"), st.integers(0, 3)),
            st.tuples(st.just("--point"), st.tuples(st.integers(0, 99), st.integers(0, 99))),
            st.tuples(st.just("--quiet"), st.none()),
            st.tuples(st.just("--output"), st.sampled_from(["x", "--point", "--frame"])),
        )
    ),
    st.booleans(),
)
def test_every_point_lands_where_the_words_before_it_say(options, joined):
    words, expected, frame, object_id = ["clip.mp4"], {}, 0, 1
    for name, value in options:
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += [name] if value is None else [f"{name}={text}"] if joined else [name, text]
        if name == "--frame":
            frame = value
        elif name == "--object":
            object_id = value
        elif name == "--point":
            expected.setdefault((frame, object_id), []).append(list(map(float, value)))
    words += ["--point", "5,5"]  # nothing dangles
    expected.setdefault((frame, object_id), []).append([5.0, 5.0])
    assert {(f, o): p.points for f, o, p in placed(*words)} == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--point", "320"], "'320'"),
        (["--point", "a,b"], "x,y"),
        (["--point", "1,2,3"], "'1,2,3'"),
        (["--box", "1,2,3"], "x0,y0,x1,y1"),
        (["--label", "1"], "after the --point"),
        (["--box", "1,2,3,4", "--label", "1"], "after the --point"),
        (["--point", "1,2", "--label", "1", "--label", "0"], "after the --point"),
        (["--point", "1,2", "--label", "2"], "expected 1"),
        (["--object", "x", "--point", "1,2"], "'x'"),
        (["--object", "-1", "--point", "1,2"], "'-1'"),
        (["--frame", "1.5", "--point", "1,2"], "'1.5'"),
        pytest.param(["--frame", "9" * 5000, "--point", "1,2"], "expected a whole number", id="long"),
        (["--point", "1,2", "--object", "2"], "--object 2 has no point"),
        (["--point", "1,2", "--frame", "3"], "--frame 3 has no point"),
        (["--box", "1,1,2,2", "--box", "3,3,4,4"], "second box"),
    ],
)
def test_words_that_make_no_sense(words, told):
    with pytest.raises(PromptError, match=told.replace("(", r"\(")):
        placed(*words)


def test_masks(tmp_path):
    labels = np.zeros((6, 8), np.uint8)
    labels[:2], labels[4:] = 3, 9
    several = Image.fromarray(labels)
    several.putpalette(list(range(256)) * 3)
    several.save(tmp_path / "several.png")
    Image.fromarray((labels == 3).astype(np.uint8) * 255).save(tmp_path / "one.png")
    Image.fromarray(labels * 0).save(tmp_path / "none.png")

    def objects(*words):
        return {o: p.mask.sum() for _, o, p in placed(*words)}

    several_png, one_png = str(tmp_path / "several.png"), str(tmp_path / "one.png")
    assert objects("--mask", several_png) == {3: 16, 9: 16}
    assert objects("--object", "9", "--mask", several_png) == {9: 16}
    assert objects("--mask", one_png) == {1: 16}
    assert objects("--object", "5", "--mask", one_png) == {5: 16}
    with pytest.raises(PromptError, match=r"several.png.*3, 9.*no object 5"):
        objects("--object", "5", "--mask", several_png)
    with pytest.raises(PromptError, match=r"none.png.*no pixel"):
        objects("--mask", str(tmp_path / "none.png"))
    with pytest.raises(MediaError, match=r"gone.png"):
        objects("--mask", str(tmp_path / "gone.png"))
    with pytest.raises(PromptError, match="second mask"):
        objects("--mask", one_png, "--mask", one_png)


def test_a_file_of_prompts(tmp_path):
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / "m.png")
    path = tmp_path / "prompts.json"
    entries = [
        {"points": [[1, 2], [3, 4]], "labels": [1, 0]},
        {"frame": 0, "object": 2, "box": [1, 2, 3, 4]},
        {"frame": 3, "object": 1, "mask": "m.png"},
    ]
    path.write_text(json.dumps({"prompts": entries}))
    first, second, third = read_prompt_file(path)
    assert (first.frame, first.object_id, first.prompt.labels) == (0, 1, [1, 0])
    assert (second.frame, second.object_id, second.prompt.box) == (0, 2, [1, 2, 3, 4])
    assert (third.frame, third.object_id, third.prompt.mask.all()) == (3, 1, True)


def test_a_file_may_leave_out_what_options_may(tmp_path):
    path = tmp_path / "prompts.json"
    entries = [{"frame": None, "object": None, "points": [5, 6]}, {"points": [[7, 8]]}]
    path.write_text(json.dumps({"prompts": entries}))
    found = checked(merged(read_prompt_file(path)), (64, 48), 8)
    assert found[0, 1].points.tolist() == [[5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        pytest.param("[" * 100_000, "not JSON", id="deep"),
        ("[]", "hold no list"),
        ('{"prompts": []}', "hold no list"),
        ('{"prompts": [3]}', "prompt 1"),
        ('{"prompts": [{"point": [1, 2]}]}', "unknown key .point. .did you mean points"),
        ('{"prompts": [{"frame": -1, "points": [[1, 2]]}]}', "frame -1"),
        ('{"prompts": [{"frame": 1.5, "points": [[1, 2]]}]}', "frame 1.5"),
        ('{"prompts": [{"object": true, "points": [[1, 2]]}]}', "object True"),
        ('{"prompts": [{"mask": "m.png", "points": [[1, 2]]}]}', "one or the other"),
        ('{"prompts": [{"mask": "m.png"}]}', "m.png"),
        ('{"prompts": [{"points": [[1, 2]], "labels": [1, 1]}, {"points": [[1, 2]]}]}', "2 labels for 1"),
        ('{"prompts": [{"points": [[1, 2]], "labels": [1, 1]}]}', "2 labels were given for 1"),
        ('{"prompts": [{"points": [[NaN, 2]]}]}', "NaN"),
        ('{"prompts": [{"points": 5}]}', "points"),
        ('{"prompts": [{"points": 5}, {"points": [[1, 2]], "labels": 3}]}', "points"),
        ('{"prompts": [{"points": "abc"}]}', "points"),
        ('{"prompts": [{"points": [1, 2, 3]}]}', "points have shape"),
        ('{"prompts": [{}]}', "empty"),
        ('{"prompts": [{"box": [5, 5, 5, 9]}]}', "no area"),
    ],
)
def test_files_that_make_no_sense(tmp_path, text, told):
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(EdgeTAMError, match=told) as caught:
        checked(merged(read_prompt_file(path)), (64, 48), 8)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MediaError, match=r"gone.json"):
        read_prompt_file(tmp_path / "gone.json")


def test_a_file_with_the_mark_of_windows(tmp_path):
    path = tmp_path / "p.json"
    path.write_bytes(b'\xef\xbb\xbf{"prompts": [{"points": [[20, 20]]}]}')
    assert read_prompt_file(path)[0].prompt.points == [[20, 20]]


@pytest.mark.parametrize("kinds", [("npz",), ("objects", "coco")])
def test_ids_that_no_file_can_hold(kinds):
    (item,) = read_options([("--object", str(2**63)), ("--point", "1,2")])
    with pytest.raises(PromptError, match=f"Object {2**63} is too large"):
        check_ids([item], kinds)
    check_ids([item._replace(object_id=2**63 - 1)], kinds)


@pytest.mark.parametrize("words", [["--point", "320", "180"], ["--box", "1", "2", "3.5", "4", "-o", "x"]])
def test_numbers_without_commas_are_told_how(words):
    takes = {"--point": True, "--box": True, "-o": True}
    with pytest.raises(
        PromptError, match=r"write it with commas and no spaces: --(point 320,180|box 1,2,3.5,4)$"
    ):
        ordered_options(["video.mp4", *words], takes)


def test_numbers_that_are_names_are_left_alone():
    takes = {"--point": True, "--frame": True}
    assert ordered_options(["7", "--point", "3,4", "--frame", "5"], takes) == [
        ("--point", "3,4"),
        ("--frame", "5"),
    ]
