"""Photos in folders and in .tar files.

Keys are paths relative to the folder that was named, with forward slashes; a photo in a tar is TAR/MEMBER. So moving
the folder, adding photos to it or naming its tars one by one changes no key, and hence no photo's split.
"""

import glob
import hashlib
import os
import tarfile
from collections.abc import Iterator, Sequence

from data.pictures import SUFFIXES
from data.sources import InputError, StoredPhoto


class FolderSource:
    """Every photo under `inputs`: folders (searched to the bottom), .tar files, photos, and wildcards of these.

    Files count as photos by their suffix; hidden ones (a leading dot) do not. Raises InputError when there are none.
    """

    def __init__(self, inputs: Sequence[str]):
        self._photos: dict[str, StoredPhoto] = {}
        self._lost: list[dict[str, str]] = []
        for path in _expand(inputs):
            if os.path.isdir(path):
                self._add_tree(path)
            elif path.lower().endswith(".tar"):
                self._add_tar(path, _as_key(os.path.basename(path)))
            else:
                self._add(_as_key(os.path.basename(path)), StoredPhoto(path))
        if not self._photos:
            reason = "".join(f"; {entry['key']}: {entry['reason']}" for entry in self._lost[:1])
            expected = f"expected {' '.join(SUFFIXES)} or .tar files"
            raise InputError(f"{', '.join(inputs)}: no photos there{reason}; {expected}")
        # Trees are often sorted by class. Hash order mixes them, so that no shard holds only kitchens.
        self._keys = sorted(self._photos, key=lambda key: hashlib.sha256(key.encode()).digest())

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for key in self._keys:
            photo = self._photos[key]
            try:
                stat = os.stat(photo.path)
                state = (stat.st_size, stat.st_mtime_ns)
            except OSError as error:  # a dangling link, say; its job will give the reason
                state = error.errno
            digest.update(repr((key, photo.offset, photo.length, state)).encode())
        return digest.hexdigest()

    def keys(self) -> Iterator[str]:
        return iter(self._keys)

    def lost(self) -> list[dict[str, str]]:
        return self._lost

    def jobs(self, keys: Sequence[str]) -> list[StoredPhoto]:
        return [self._photos[key] for key in keys]

    def _add_tree(self, root: str) -> None:
        def unreadable(error: OSError) -> None:
            key = _as_key(os.path.relpath(error.filename, root))
            self._lost.append({"key": key, "reason": f"cannot be listed: {error.strerror}"})

        for folder, subfolders, files in os.walk(root, onerror=unreadable):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in files:
                path = os.path.join(folder, name)
                key = _as_key(os.path.relpath(path, root))
                if _is_photo(name):
                    self._add(key, StoredPhoto(path))
                elif name.lower().endswith(".tar") and not name.startswith("."):
                    self._add_tar(path, key)

    def _add_tar(self, path: str, key: str) -> None:
        members: dict[str, StoredPhoto] = {}  # a tar may hold a name twice: the last one counts, as when it is unpacked
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    if member.isreg() and _is_photo(member.name):
                        name = _as_key(member.name.removeprefix("./"))
                        members[f"{key}/{name}"] = StoredPhoto(path, member.offset_data, member.size)
                # tarfile takes a damaged header for the end; a whole tar ends with blocks of zeros.
                tar.fileobj.seek(tar.offset)
                if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError(f"no valid header at byte {tar.offset}")
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            if not members:
                raise InputError(f"{path}: not an uncompressed .tar file ({error})") from None
            self._lost.append({"key": key, "reason": f"damaged after photo {len(members)}, the rest is lost: {error}"})
        for member_key, photo in members.items():
            self._add(member_key, photo)

    def _add(self, key: str, photo: StoredPhoto) -> None:
        other = self._photos.setdefault(key, photo)
        if other != photo:
            raise InputError(
                f"{other.path} and {photo.path}: both would have the key {key!r}; "
                "name a folder that holds both, or convert them apart"
            )


def _as_key(name: str) -> str:
    """A file name as a key: UTF-8 on one line, whatever bytes the file system allows."""
    return os.fsencode(name.replace(os.sep, "/")).decode("utf-8", "backslashreplace").replace("\n", "\\n")


def _is_photo(name: str) -> bool:
    base = os.path.basename(name)
    return base.lower().endswith(SUFFIXES) and not base.startswith(".")


def _expand(inputs: Sequence[str]) -> list[str]:
    """Wildcards that the shell left alone are filled in; a path named twice counts once."""
    paths: list[str] = []
    for pattern in inputs:
        found = [pattern] if os.path.exists(pattern) else sorted(glob.glob(os.path.expanduser(pattern)))
        if not found:
            raise InputError(f"{pattern}: no such file or folder")
        paths += found
    return list(dict.fromkeys(os.path.normpath(path) for path in paths))
