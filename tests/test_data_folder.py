"""Which photos a folder source finds, and what it calls them."""

import io
import os
import tarfile

import pytest
from PIL import Image

from data.folder import FolderSource
from data.sources import InputError, Unusable


def photo_bytes(value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 50, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path, members: dict[str, bytes], mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def read(source, key):
    """The red value of a photo's first pixel."""
    return int(source.jobs([key])[0].picture(8)[0, 0, 0])


def test_searches_trees_and_tars_to_the_bottom(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/one.PNG").write_bytes(photo_bytes(1))
    (tmp_path / "two.jpeg").write_bytes(photo_bytes(2))  # the suffix is wrong, the content is what counts
    write_tar(tmp_path / "a/more.tar", {"./in/three.png": photo_bytes(3), "four.bmp": photo_bytes(4)})
    for ignored in ("notes.txt", ".hidden.png", "._two.jpeg"):
        (tmp_path / ignored).write_bytes(b"?")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/thumb.png").write_bytes(photo_bytes(9))
    source = FolderSource([str(tmp_path)])
    expected = {"a/b/one.PNG": 1, "two.jpeg": 2, "a/more.tar/in/three.png": 3, "a/more.tar/four.bmp": 4}
    assert {key: read(source, key) for key in list(source.keys())} == expected
    assert source.lost() == []


def test_keys_do_not_depend_on_how_the_input_is_named(tmp_path):
    for name in ("x-0.tar", "x-1.tar"):
        write_tar(tmp_path / name, {f"{name}-{i}.png": photo_bytes(i) for i in range(20)})
    whole = list(FolderSource([str(tmp_path)]).keys())
    assert list(FolderSource([str(tmp_path / "x-*.tar")]).keys()) == whole
    assert list(FolderSource([str(tmp_path / "x-1.tar"), str(tmp_path / "x-0.tar")]).keys()) == whole
    assert list(FolderSource([f"{tmp_path}/", str(tmp_path / "x-0.tar")]).keys()) == whole
    one = list(FolderSource([str(tmp_path / "x-0.tar")]).keys())
    assert one == [key for key in whole if key.startswith("x-0")]


def test_classes_are_mixed(tmp_path):
    """A tree sorted by class must not give shards of one class each."""
    for room in ("bed", "kitchen"):
        (tmp_path / room).mkdir()
        for i in range(100):
            (tmp_path / room / f"{i}.png").write_bytes(b"")
    keys = list(FolderSource([str(tmp_path)]).keys())
    first_half = sum(key.startswith("bed") for key in keys[:100])
    assert 25 < first_half < 75


def test_two_photos_with_one_key_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.png").write_bytes(photo_bytes())
    with pytest.raises(InputError, match=r"a/same\.png and .*b/same\.png"):
        FolderSource([str(tmp_path / "a"), str(tmp_path / "b")])
    assert set(FolderSource([str(tmp_path)]).keys()) == {"a/same.png", "b/same.png"}


def test_a_name_twice_in_a_tar_counts_once_and_the_last_wins(tmp_path):
    write_tar(tmp_path / "x.tar", {"p.png": photo_bytes(1)})
    write_tar(tmp_path / "x.tar", {"p.png": photo_bytes(2)}, mode="a")
    source = FolderSource([str(tmp_path / "x.tar")])
    assert list(source.keys()) == ["x.tar/p.png"] and read(source, "x.tar/p.png") == 2


def test_a_truncated_tar_costs_what_is_missing_and_says_so(tmp_path):
    write_tar(tmp_path / "x.tar", {f"{i}.png": photo_bytes(i) for i in range(10)})
    data = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(data[: 5 * 1024 + 100])  # a header and a block for each photo; in the sixth header
    source = FolderSource([str(tmp_path)])
    assert {read(source, key) for key in list(source.keys())} == {0, 1, 2, 3, 4}
    (lost,) = source.lost()
    assert lost["key"] == "x.tar" and "after photo 5" in lost["reason"]


@pytest.mark.parametrize("make", ["missing", "empty", "text", "not-a-tar", "compressed"])
def test_useless_input_is_one_line_that_names_it(tmp_path, make):
    path = tmp_path / {"not-a-tar": "x.tar", "compressed": "x.tar"}.get(make, make)
    if make == "empty":
        path.mkdir()
    elif make == "text":
        path.mkdir()
        (path / "readme.txt").write_text("no photos")
    elif make == "not-a-tar":
        path.write_bytes(b"this is not a tar file" * 100)
    elif make == "compressed":
        write_tar(path, {"a.png": photo_bytes()}, mode="w:gz")
    with pytest.raises(InputError) as caught:
        FolderSource([str(path)])
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_pipe_is_left_out_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "z.png")
    source = FolderSource([str(tmp_path)])
    with pytest.raises(Unusable, match="not a file"):
        source.jobs(["z.png"])[0].picture(8)


def test_file_names_that_are_not_utf8_or_one_line(tmp_path):
    import os

    for name in (b"caf\xe9.png", b"two\nlines.png", "größe.png".encode()):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(photo_bytes(7))
    source = FolderSource([str(tmp_path)])
    keys = set(source.keys())
    assert keys == {"caf\\xe9.png", "two\\nlines.png", "größe.png"}
    assert {read(source, key) for key in keys} == {7}


def test_the_fingerprint_notices_a_changed_photo(tmp_path):
    (tmp_path / "a.png").write_bytes(photo_bytes(1))
    before = FolderSource([str(tmp_path)]).fingerprint()
    assert FolderSource([str(tmp_path)]).fingerprint() == before
    (tmp_path / "a.png").write_bytes(photo_bytes(1) + b"!")
    assert FolderSource([str(tmp_path)]).fingerprint() != before
