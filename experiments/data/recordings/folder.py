"""Which class and which group each WAV file of a folder belongs to."""

from pathlib import Path
from typing import NamedTuple

_SUFFIX = ".wav"
RULE = (
    "FOLDER/CLASS/*.wav or FOLDER/CLASS/GROUP/*.wav, or all files in FOLDER, named "
    "CLASS_*.wav or CLASS_GROUP_*.wav"
)
"""How files say what they are."""


class File(NamedTuple):
    """A file and what its place or name says about it.

    Attributes:
        path: of the file.
        name: the path below the folder, for display.
        class_name: the class.
        group: such as the speaker; "" where the files do not name one.
    """

    path: Path
    name: str
    class_name: str
    group: str


def find_wav_files(path: Path) -> list[Path]:
    """All WAV files of a folder and the folders below, or the one file.

    Hidden files and folders are left out.

    Args:
        path: of a folder or of a file.

    Returns:
        Paths, sorted by name.

    Raises:
        ValueError: there is no such file or folder, or no WAV file in it.

    >>> find_wav_files(Path("no such folder"))
    Traceback (most recent call last):
        ...
    ValueError: no such folder: no such file or folder; expected WAV files
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path}: no such file or folder; expected WAV files")
    paths = [
        file
        for file in path.rglob("*")
        if file.suffix.lower() == _SUFFIX
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not paths:
        raise ValueError(f"{path}: the folder has no file that ends in {_SUFFIX}; expected {RULE}")
    return sorted(paths, key=lambda file: file.relative_to(path).parts)


def classify_files(folder: Path) -> list[File]:
    """The class and the group of each WAV file.

    Where files lie in folders, the first folder is the class and the second, if all files have
    one, the group. Where all lie in `folder` itself, the first part of the name, up to "_", is the
    class, and the second, if all names have three parts or more, the group.

    Args:
        folder: of the user.

    Returns:
        Files, sorted by name.

    Raises:
        ValueError: not a folder, or without WAV files; files both in the folder and below, or at
            different depths; a name without "_"; fewer than two classes.
    """
    paths = find_wav_files(folder)
    if folder.is_file():
        raise ValueError(f"{folder}: a file, expected a folder of WAV files: {RULE}")
    parts = [path.relative_to(folder).parts for path in paths]
    depths = {len(names): path for names, path in zip(parts, paths, strict=True)}
    if len(depths) > 1 or max(depths) > 3:
        found = ", ".join(str(path.relative_to(folder)) for _, path in sorted(depths.items()))
        raise ValueError(
            f"{folder}: WAV files lie at different depths, or too deep: {found}; expected {RULE}"
        )
    if max(depths) == 1:
        parts = [_parts_of_name(folder, path.stem) for path in paths]
        has_groups = all(len(names) > 2 for names in parts)
    else:
        has_groups = max(depths) == 3
    files = [
        File(path, path.relative_to(folder).as_posix(), names[0], names[1] if has_groups else "")
        for path, names in zip(paths, parts, strict=True)
    ]
    classes = sorted({file.class_name for file in files})
    if len(classes) < 2:
        raise ValueError(
            f"{folder}: all {len(files)} recordings are of the class {classes[0]!r}, expected at "
            f"least two classes: {RULE}"
        )
    return files


def _parts_of_name(folder: Path, stem: str) -> tuple[str, ...]:
    parts = tuple(stem.split("_"))
    if len(parts) < 2 or not parts[0]:
        raise ValueError(
            f"{folder}: the name {stem + _SUFFIX!r} does not begin with a class and '_'; "
            f"expected {RULE}"
        )
    return parts
