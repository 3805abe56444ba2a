"""The emails of the SpamAssassin public corpus.

Each file name of the authors ends in the MD5 of the email. One email (`_EDITED`) has another: its
addresses were made anonymous after it had got its name. So the checksums here, of a copy in which
all other names are right, leave its content out. They are of the emails, not of the archives, which
may pack the same emails in another way.

Source: SpamAssassin public corpus, 2002 to 2005, https://spamassassin.apache.org/old/publiccorpus/
"""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.data.dataset import Dataset
from experiments.data.named.download import fetch, user_folders
from experiments.data.named.email_message import EmailText, parse_email
from experiments.data.named.tar_archive import read_tar
from experiments.data.named.term_weights import term_weights


class Folder(NamedTuple):
    """A folder of the corpus: the authors' archive, its number of emails and their SHA-256."""

    archive: str
    num_emails: int
    sha256: str


class Email(NamedTuple):
    """An email and the folder of `FOLDERS` that it is in."""

    folder: str
    text: EmailText


FOLDERS = {
    "easy-ham-1": Folder(
        "20030228_easy_ham.tar.bz2",
        2500,
        "50d92779c95090594623f43e5c81df4a0d44fc390411a299e267515684d30a18",
    ),
    "easy-ham-2": Folder(
        "20030228_easy_ham_2.tar.bz2",
        1400,
        "13f383cc10b20b27995ddd9dd3608d8a3fee16178fcc7336ba60d07a3e30eb5a",
    ),
    "hard-ham-1": Folder(
        "20030228_hard_ham.tar.bz2",
        250,
        "13fc80276c46579d5b5e0e5be3e453c7b477eea7d9fd03bbf90fd827a575441e",
    ),
    "spam-1": Folder(
        "20030228_spam.tar.bz2",
        500,
        "4a550319a0b734ae5001c1c545e8af30eebf3e2ac811b9d6e76a74b1f854bfd7",
    ),
    "spam-2": Folder(
        "20050311_spam_2.tar.bz2",
        1396,
        "a2aa5c6676481991c5bf3aa595fd29b76bb42b8b2f42a0c850df9b6d5f9300dc",
    ),
}
URL = "https://spamassassin.apache.org/old/publiccorpus/"
_FOLDER, _CORPUS = "spamassassin", "corpus.tar.xz"
_EDITED = "00230.244a63cd74c81123ef26129453e32c95"
# Twice what the corpus holds.
_LIMITS = {"max_bytes": 80 << 20, "max_member_bytes": 1 << 20, "max_members": 15_000}
_FILE = re.compile(r"([0-9]{5}\.[0-9a-f]{32})(\.txt)?")
_WORD = re.compile(r"[^\W\d_]{2,}|[$!]")
_HTML, _CAPITALS = "<html>", "<capitals>"


def load_emails(data_dir: Path | None = None) -> Dataset:
    """Load the emails of the corpus, spam or ham, with the weights of their words as features.

    Of emails with the same words in the same order the first is kept: the others would be in
    training and test data at once. Of 6 046 emails they are 205, of which 144 are spam.

    Args:
        data_dir: folder that may hold `spamassassin/`.

    Returns:
        The data set; `groups` are the folders of the corpus, `titles` the subjects.

    Raises:
        ValueError: as `fetch_emails`.
    """
    from experiments.data.tables.preprocessing import Number, Preprocessing

    unique = {tuple(words_of(email.text)): email for email in reversed(fetch_emails(data_dir))}
    emails = [*reversed(unique.values())]
    x, words = term_weights([*reversed(unique)])
    folders = tuple(FOLDERS)
    groups = np.array([folders.index(email.folder) for email in emails], np.int32)
    is_spam = np.array([folder.startswith("spam") for folder in folders])
    class_names = ("ham", "spam")
    return Dataset(
        "emails",
        x,
        is_spam[groups].astype(np.int32),
        feature_names=words,
        class_names=class_names,
        # A column may have any name, "class" too.
        preprocessing=Preprocessing(tuple(map(Number, words)), None, class_names),
        titles=tuple(email.text.subject or "(no subject)" for email in emails),
        groups=groups,
        group_names=folders,
    )


def fetch_emails(data_dir: Path | None = None) -> list[Email]:
    """Read the corpus from the user's folders or the cache; download it into the cache otherwise.

    It is either one archive `corpus.tar.xz` with the folders `FOLDERS`, or the five archives of the
    authors.

    Args:
        data_dir: where to look first for the folder `spamassassin`; then below the folder that the
            environment variable JAXNET_DATA names, then in the user's cache.

    Returns:
        All emails, by folder and number.

    Raises:
        ValueError: an archive is corrupt or holds other emails, or a download fails.
    """
    for folder in user_folders(data_dir):
        path = folder / _FOLDER / _CORPUS
        if path.is_file():
            return read_corpus(path)
    emails = []
    for folder, (archive, _, _) in FOLDERS.items():
        emails += fetch(
            _FOLDER,
            archive,
            URL + archive,
            sha256=None,
            read=lambda path, folder=folder: read_archive(path, folder),
            max_bytes=20 << 20,
            data_dir=data_dir,
        )
    return emails


def read_corpus(path: Path) -> list[Email]:
    """Read one archive of all folders, `easy-ham-1/00001.MD5.txt` and so on.

    Args:
        path: the archive.

    Returns:
        All emails, by folder and number.

    Raises:
        ValueError: `read_tar` rejects the archive, or it holds other emails than the corpus.
    """
    folders: dict[str, dict[str, bytes]] = {folder: {} for folder in FOLDERS}
    for name, content in read_tar(path, **_LIMITS).items():
        folder, _, file = name.rpartition("/")
        if folder not in folders:
            raise ValueError(
                f"{path}: member {name!r} is in none of the folders {', '.join(FOLDERS)}; pack "
                "them again, or remove this file, and the authors' archives are downloaded"
            )
        folders[folder][file] = content
    return [email for folder in FOLDERS for email in _parse(path, folder, folders[folder])]


def read_archive(path: Path, folder: str) -> list[Email]:
    """Read an archive of the authors, which holds one folder.

    Args:
        path: the archive.
        folder: a key of `FOLDERS`.

    Returns:
        The emails of the folder, by number.

    Raises:
        ValueError: `read_tar` rejects the archive, or it holds other emails than the folder.
    """
    members = read_tar(path, **_LIMITS)
    return _parse(path, folder, {name.rpartition("/")[2]: members[name] for name in members})


def _parse(path: Path, folder: str, files: dict[str, bytes]) -> list[Email]:
    """The emails of a folder, once they are known to be those of the authors."""
    # Beside the emails the authors left a list of the commands that packed them.
    files = {name: content for name, content in files.items() if name != "cmds"}
    names = {name: match[1] for name in files if (match := _FILE.fullmatch(name))}
    _, num_emails, sha256 = FOLDERS[folder]
    if len(names) != len(files) or len(files) != num_emails:
        raise ValueError(
            f"{path}: folder {folder} holds {len(files)} files, {len(names)} of them emails, "
            f"expected {num_emails} emails; fetch the archive again, from its authors"
        )
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(names[name].encode())
        if names[name] != _EDITED:
            digest.update(files[name])
    if digest.hexdigest() != sha256:
        raise ValueError(
            f"{path}: the emails of folder {folder} have SHA-256 {digest.hexdigest()}, expected "
            f"{sha256}; fetch the archive again, from its authors"
        )
    return [Email(folder, parse_email(files[name])) for name in sorted(files)]


def words_of(text: EmailText) -> list[str]:
    """The words of subject and body in lower case, in their order.

    A word has at least two letters; "$" and "!" are words too. `<capitals>` follows each word of at
    least three letters that is written in capitals, and `<html>` marks an email with HTML. Numbers
    are left out: many are parts of dates, which tell when a class was collected.

    Args:
        text: of an email.

    Returns:
        The words, each as often as it occurs.

    >>> words_of(EmailText("FREE", "Take $5, a gift", has_html=True))
    ['free', '<capitals>', 'take', '$', 'gift', '<html>']
    """
    words = []
    for word in _WORD.findall(f"{text.subject}\n{text.body}"):
        words.append(word.lower())
        if len(word) > 2 and word.isupper():
            words.append(_CAPITALS)
    return [*words, _HTML] if text.has_html else words
