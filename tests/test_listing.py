"""Which files are photos, of which class and split: what is left out is said, the rest named."""

import os
import sys

import pytest

from tutorial_utils.errors import PhotosError
from tutorial_utils.photo_folder.listing import list_photos

ODD_NAMES = ["a b.jpg", "照片 1.jpg", "🐈.JPG", "ü.jpeg", "-rf.png", "%20.webp", "'\"$HOME;.gif"]


def make(root, *paths):
    """Make empty files; a path that ends with / is a folder."""
    for path in paths:
        target = root / path
        (target if path.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            target.touch()
    return root


def summary(listing):
    return [(f.path, listing.classes[f.label], f.split) for f in listing.files]


def test_class_folders_in_the_order_of_their_names(tmp_path):
    listing = list_photos(make(tmp_path, "dog/2.jpg", "dog/1.jpg", "cat/deep/x.png", "cat/3.JPEG"))
    assert listing.classes == ["cat", "dog"]
    assert listing.splits == ()
    assert summary(listing) == [
        ("cat/3.JPEG", "cat", None),
        ("cat/deep/x.png", "cat", None),
        ("dog/1.jpg", "dog", None),
        ("dog/2.jpg", "dog", None),
    ]
    assert listing.skipped == []


@pytest.mark.parametrize(
    "names",
    [("train", "validation", "test"), ("train", "val", "test"), ("Train", "VALID", "Testing"),
     ("training", "val", None), ("train", None, "test"), ("train", None, None)],
)  # fmt: skip
def test_folders_of_splits(tmp_path, names):
    for name in filter(None, names):
        make(tmp_path, f"{name}/a/1.jpg", f"{name}/b/1.jpg")
    listing = list_photos(make(tmp_path, "notes/x/1.jpg", "readme.txt"))
    splits = dict(zip(("train", "validation", "test"), names, strict=True))
    wanted = {split: name for split, name in splits.items() if name}
    assert listing.splits == tuple(wanted)
    assert listing.classes == ["a", "b"]
    assert [(f.path, f.split) for f in listing.files] == [
        (f"{name}/{c}/1.jpg", split) for split, name in wanted.items() for c in "ab"
    ]
    assert sorted(listing.skipped) == [
        ("notes", "beside the splits, but no split"),
        ("readme.txt", "not in a class folder"),
    ]


def test_classes_may_be_called_like_splits(tmp_path):
    listing = list_photos(make(tmp_path, "train/1.jpg", "car/1.jpg", "test/1.jpg"))
    assert listing.classes == ["car", "test", "train"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "has no class folders"),
        (["1.jpg"], "without class folders"),
        (["only/1.jpg", ".hidden/1.jpg"], r"one class only \('only'\)"),
        (["train/a/1.jpg", "train/b/1.jpg", "test/b/1.jpg", "test/c/1.jpg"], "test: 'c'. Rename"),
        (["train/a/1.jpg", "train/b/1.jpg", "test/1.jpg", "test/x/"], "only in test: 'x'"),
        (["train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"], "both val and valid; keep one"),
        (["val/a/1.jpg", "val/b/1.jpg", "test/a/1.jpg"], "test and val, but no folder train"),
        (["train/a/1.jpg"], r"one class only \('a'\)"),
    ],
)
def test_wrong_folders_get_one_error_that_says_what_to_do(tmp_path, paths, message):
    with pytest.raises(PhotosError, match=message) as caught:
        list_photos(make(tmp_path / "my photos", "./", *paths))
    assert "my photos" in str(caught.value)
    assert any(word in str(caught.value) for word in ("Put the photos", "Rename", "keep one"))


def test_a_missing_folder_and_a_file(tmp_path):
    with pytest.raises(PhotosError, match=r"there is no folder .*none\. Put the photos"):
        list_photos(tmp_path / "none")
    with pytest.raises(PhotosError, match=r"zip is a file, not a folder of photos\. Put"):
        list_photos(make(tmp_path, "photos.zip") / "photos.zip")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_file_and_class_names_are_kept(tmp_path, name):
    listing = list_photos(make(tmp_path, f"{name} class/{name}", "b/1.jpg"))
    assert (f"{name} class/{name}", f"{name} class", None) in summary(listing)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    os.close(os.open(os.fsencode(tmp_path) + b"/a/\xff\xfe.jpg", os.O_CREAT))
    listing = list_photos(tmp_path)
    found = [os.fsencode(f.path) for f in listing.files]
    assert found == [b"a/1.jpg", b"a/\xff\xfe.jpg", b"b/1.jpg"]


def test_hidden_files_and_other_files_are_skipped_and_said(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg", "a/.2.jpg", "a/.cache/3.jpg", "a/x.txt", "a/y",
         "a/eps.eps", "__MACOSX/a/._1.jpg", ".DS_Store", "4.jpg")  # fmt: skip
    listing = list_photos(tmp_path)
    assert [f.path for f in listing.files] == ["a/1.jpg", "b/1.jpg"]
    assert dict(listing.skipped) == {
        ".DS_Store": "hidden",
        "__MACOSX": "hidden",
        "4.jpg": "not in a class folder",
        "a/.2.jpg": "hidden",
        "a/.cache": "hidden",
        "a/eps.eps": "not an image's name (.eps)",
        "a/x.txt": "not an image's name (.txt)",
        "a/y": "not an image's name (no ending)",
    }


def link(path, target):
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("links cannot be made here")


def test_loops_of_links_end(tmp_path):
    make(tmp_path, "a/1.jpg", "b/deep/1.jpg")
    link(tmp_path / "a" / "up", "..")
    link(tmp_path / "a" / "self.jpg", "self.jpg")
    link(tmp_path / "b" / "deep" / "a", "../../a")
    link(tmp_path / "b" / "deep" / "here", ".")
    listing = list_photos(tmp_path)
    assert [f.path for f in listing.files] == ["a/1.jpg", "b/deep/1.jpg"]
    reasons = dict(listing.skipped)
    assert reasons.pop("a/self.jpg").startswith("a broken link")
    assert reasons == dict.fromkeys(
        ["a/up", "b/deep/a", "b/deep/here"], "a link to a folder that was read already"
    )


def test_links_to_photos_elsewhere_are_followed(tmp_path):
    make(tmp_path, "store/x/1.jpg", "photos/a/1.jpg", "photos/b/1.jpg")
    link(tmp_path / "photos" / "a" / "2.jpg", "../../store/x/1.jpg")
    link(tmp_path / "photos" / "b" / "more", "../../store/x")
    link(tmp_path / "photos" / "b" / "lost.jpg", "nowhere")
    listing = list_photos(tmp_path / "photos")
    wanted = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/more/1.jpg"]
    assert [f.path for f in listing.files] == wanted
    assert listing.skipped[0][0] == "b/lost.jpg"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    assert list_photos(tmp_path).skipped == [("a/pipe.jpg", "no plain file")]


def test_a_folder_that_cannot_be_listed_is_said(tmp_path, monkeypatch):
    make(tmp_path, "a/1.jpg", "a/locked/2.jpg", "b/1.jpg")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list_photos(tmp_path).skipped == [("a/locked", "cannot be listed: Permission denied")]
