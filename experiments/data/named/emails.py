"""Mails of the SpamAssassin public corpus, and their words as features.

Each file name of the authors ends in the MD5 of the mail. One mail (`_EDITED`) has another: its
addresses were made anonymous after it had got its name. So the checksums here, of a copy in which
all other names are right, leave its content out.

Source: SpamAssassin public corpus, 2002 to 2005, https://spamassassin.apache.org/old/publiccorpus/
"""

import collections
import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.data.named.download import fetch, own_places
from experiments.data.named.mail import Text, parse_mail
from experiments.data.named.tar import read_tar
from experiments.data.scaling import Standardization


class Folder(NamedTuple):
    """A folder of the corpus: the authors' archive, its number of mails and their SHA-256."""

    archive: str
    num_mails: int
    sha256: str


class Mail(NamedTuple):
    """A mail and the folder of `FOLDERS` that it lies in."""

    folder: str
    text: Text


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
_PLACE, _CORPUS = "spamassassin", "corpus.tar.xz"
_EDITED = "00230.244a63cd74c81123ef26129453e32c95"
# Twice what the corpus holds.
_LIMITS = {"max_bytes": 80 << 20, "max_member_bytes": 1 << 20, "max_members": 15_000}
_FILE = re.compile(r"([0-9]{5}\.[0-9a-f]{32})(\.txt)?")
# So many mails must hold a word: it is no feature otherwise.
MIN_DOCUMENTS = 15
_WORD = re.compile(r"[^\W\d_]{2,}|[$!]")
_HTML, _CAPITALS = "<html>", "<capitals>"


def fetch_mails(data_dir: Path | None = None) -> list[Mail]:
    """Read the corpus from the user's folders or the cache; download it into the cache otherwise.

    One archive `corpus.tar.xz` with the folders `FOLDERS`, or the five archives of the authors.

    Args:
        data_dir: where to look first for the folder `spamassassin`; then below the folder that the
            environment variable JAXNET_DATA names, then in the user's cache.

    Returns:
        All mails, by folder and number.

    Raises:
        ValueError: an archive that is corrupt or holds other mails; a download that fails.
    """
    for place in own_places(data_dir):
        path = place / _PLACE / _CORPUS
        if path.is_file():
            return read_corpus(path)
    mails = []
    for folder, (archive, _, _) in FOLDERS.items():
        mails += fetch(
            _PLACE,
            archive,
            URL + archive,
            read=lambda path, folder=folder: read_archive(path, folder),
            max_bytes=20 << 20,
            data_dir=data_dir,
        )
    return mails


def read_corpus(path: Path) -> list[Mail]:
    """Read one archive of all folders, `easy-ham-1/00001.MD5.txt` and so on.

    Raises:
        ValueError: an archive that `read_tar` refuses, or other mails than the corpus holds.
    """
    folders: dict[str, dict[str, bytes]] = {folder: {} for folder in FOLDERS}
    for name, content in read_tar(path, **_LIMITS).items():
        folder, _, file = name.rpartition("/")
        if folder not in folders:
            raise ValueError(
                f"{path}: member {name!r} is in none of the folders {', '.join(FOLDERS)}; pack "
                "them anew, or leave this file out and the authors' archives are downloaded"
            )
        folders[folder][file] = content
    return [mail for folder in FOLDERS for mail in _parsed(path, folder, folders[folder])]


def read_archive(path: Path, folder: str) -> list[Mail]:
    """Read an archive of the authors, which holds one folder.

    Args:
        path: the archive.
        folder: a key of `FOLDERS`.

    Raises:
        ValueError: an archive that `read_tar` refuses, or other mails than the folder holds.
    """
    members = read_tar(path, **_LIMITS)
    return _parsed(path, folder, {name.rpartition("/")[2]: members[name] for name in members})


def _parsed(path: Path, folder: str, files: dict[str, bytes]) -> list[Mail]:
    """The mails of a folder, once they are known to be those of the authors."""
    # Beside the mails the authors left a list of the commands that packed them.
    files = {name: content for name, content in files.items() if name != "cmds"}
    names = {name: match[1] for name in files if (match := _FILE.fullmatch(name))}
    _, num_mails, sha256 = FOLDERS[folder]
    if len(names) != len(files) or len(files) != num_mails:
        raise ValueError(
            f"{path}: folder {folder} holds {len(files)} files, {len(names)} of them mails, "
            f"expected {num_mails} mails; fetch the archive again, from its authors"
        )
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(names[name].encode())
        if names[name] != _EDITED:
            digest.update(files[name])
    if digest.hexdigest() != sha256:
        raise ValueError(
            f"{path}: the mails of folder {folder} have SHA-256 {digest.hexdigest()}, expected "
            f"{sha256}; fetch the archive again, from its authors"
        )
    return [Mail(folder, parse_mail(files[name])) for name in sorted(files)]


def words_of(text: Text) -> list[str]:
    """The words of subject and body in lower case, in their order.

    A word has at least two letters; "$" and "!" are words too. `<capitals>` stands beside each word
    of at least three letters that is written in capitals, and `<html>` for a mail with HTML.
    Numbers are left out: many are parts of dates, which tell when a class was collected.

    >>> words_of(Text("FREE", "Take $5, a gift", has_html=True))
    ['free', '<capitals>', 'take', '$', 'gift', '<html>']
    """
    words = []
    for word in _WORD.findall(f"{text.subject}\n{text.body}"):
        words.append(word.lower())
        if len(word) > 2 and word.isupper():
            words.append(_CAPITALS)
    return [*words, _HTML] if text.has_html else words


def term_weights(
    documents: Sequence[Sequence[str]], *, min_documents: int = MIN_DOCUMENTS
) -> tuple[np.ndarray, tuple[str, ...]]:
    """How often each document holds each word, damped and independent of its length.

    `x_dw = (1 + log n_dw) / |d|` where document d holds word w `n_dw > 0` times, else 0. The length
    `|d|` is the Euclidean norm of `1 + log n` over all words of the document, frequent or not. So a
    row is a function of its own document; only which words are columns depends on the others.

    Args:
        documents: the words of each document.
        min_documents: so many documents must hold a word for it to have a column.

    Returns:
        `x`, float32 `(n, words)`, and the words in alphabetical order.

    Raises:
        ValueError: no word is in so many documents.

    >>> x, words = term_weights([["a", "b", "a"], ["a"]], min_documents=2)
    >>> words, x.round(2).tolist()
    (('a',), [[0.8600000143051147], [1.0]])

    Source: Salton and Buckley (1988), "Term-Weighting Approaches in Automatic Text Retrieval". They
    take the norm after the inverse document frequency, which would make it depend on the fit.
    """
    counts = [collections.Counter(document) for document in documents]
    in_documents = collections.Counter(word for count in counts for word in count)
    words = sorted(word for word, number in in_documents.items() if number >= min_documents)
    if not words:
        raise ValueError(
            f"no word is in {min_documents} of {len(documents)} documents; give more documents"
        )
    columns = {word: column for column, word in enumerate(words)}
    x = np.zeros((len(documents), len(words)), np.float32)
    for row, count in zip(x, counts, strict=True):
        weights = {word: 1 + math.log(number) for word, number in count.items()}
        length = math.hypot(*weights.values())
        for word, weight in weights.items():
            if word in columns:
                row[columns[word]] = weight / length
    return x, tuple(words)


def fit_idf(x: np.ndarray, *, min_documents: int = MIN_DOCUMENTS) -> Standardization:
    """The inverse document frequency of training rows, as a scale of the features.

    `x_w idf_w` with `idf_w = 1 + log((1 + n) / (1 + n_w))` for a word that is in `n_w` of n rows,
    as scikit-learn smooths it, and 0 where `n_w < min_documents`. Where that is the `min_documents`
    of `term_weights` too, the words with a weight are exactly those of a vocabulary that was fitted
    on these rows alone: the columns that the other documents contributed are 0.

    Args:
        x: term weights of the training rows `(n, words)`.
        min_documents: so many rows must hold a word.

    Returns:
        Mean 0 and scale `1 / idf`, infinite for words that are left out.

    >>> fit_idf(np.array([[1.0, 0.0], [0.5, 0.5]]), min_documents=2).scale.tolist()
    [1.0, inf]

    Source: Sparck Jones (1972), "A Statistical Interpretation of Term Specificity and Its
    Application in Retrieval".
    """
    in_rows = np.count_nonzero(x, axis=0)
    idf = 1 + np.log((1 + len(x)) / (1 + in_rows))
    scale = np.where(in_rows >= min_documents, 1 / idf, np.inf)
    return Standardization(np.zeros(x.shape[1], np.float32), scale.astype(np.float32))
