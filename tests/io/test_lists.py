"""Lists of videos."""

from __future__ import annotations

import pytest

from edgetam.io.lists import listed_videos


@pytest.mark.parametrize(
    "text",
    [
        "bear\ndog\n",
        "\ufeffbear\r\ndog\r\n\r\nbear",
        "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png 1\n"
        "/JPEGImages/480p/bear/00001.jpg /Annotations/480p/bear/00001.png 1\n"
        "/JPEGImages/480p/dog/00000.jpg /Annotations/480p/dog/00000.png 1\n",
        "JPEGImages/1080p/bear/00000.jpg\nJPEGImages/1080p/dog/00000.jpg\n",
    ],
)
def test_names_come_once_and_in_their_order(text: str) -> None:
    assert listed_videos(text) == ["bear", "dog"]


def test_a_dot_in_a_name_makes_no_file_of_it() -> None:
    assert listed_videos("clip.01\nclip.02\n") == ["clip.01", "clip.02"]


def test_an_empty_list_has_no_names() -> None:
    assert listed_videos("\n \n") == []
