"""Emails: odd ones are read, markings of lists are removed; the corpus as a data set."""

import base64
import os
from pathlib import Path

import numpy as np
import pytest

from experiments.data import load
from experiments.data.named import emails
from experiments.data.named.email_message import (
    html_text,
    parse_email,
    strip_notices,
    strip_tags,
)
from experiments.data.named.tar_archive import read_tar

CORPUS = Path(os.environ.get("JAXNET_DATA") or "missing", "spamassassin", "corpus.tar.xz")
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_file(), reason="JAXNET_DATA names no folder that holds spamassassin/corpus.tar.xz"
)


def message(body: bytes, *headers: bytes) -> bytes:
    return b"\n".join([b"From x@y Thu Aug 22 2002", b"Received: here", *headers, b"", body])


PLAIN = b"Content-Type: text/plain; charset="
MIXED = b'Content-Type: multipart/mixed; boundary="cut"'


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (message(b"h\xc3\xa4", PLAIN + b"no-such-charset"), "hä"),
        (message(b"h\xe4", PLAIN + b"us-ascii"), "hä"),
        (message(b"h\xe4", PLAIN + b"base64"), "hä"),
        (message(b"h\xe4", PLAIN + b'"a\0b"'), "hä"),
        (message(b"h\xa4", PLAIN + b"iso-8859-15"), "h€"),
        (message(b"h\xe4"), "hä"),
        (message(b"h=E4", b"Content-Transfer-Encoding: quoted-printable"), "hä"),
        (message(b"aGFt", b"Content-Transfer-Encoding: base64"), "ham"),
        (message(b"aGFtA", b"Content-Transfer-Encoding: base64"), "aGFtA"),
        (message(b"h", b"Content-Transfer-Encoding: no-such"), "h"),
        (message(b"", PLAIN + b"us-ascii"), ""),
        (b"", ""),
        (b"\xff\xfe\0", "ÿþ\0"),
        (message(b"whole", b"Content-Type: multipart/mixed"), "whole"),
        (message(b"whole", MIXED), "whole"),
        (message(b"--cut\n\none\n--cut\n\ntwo", MIXED), "one\ntwo"),
        (message(b"<b>F<!-- x -->R</b>&eacute;<p>e", b"Content-Type: text/html"), "FRé\ne"),
        (message(b"--cut\nContent-Type: text/html\n\n<p>no\n--cut\n\nyes\n--cut--", MIXED), "yes"),
        (message(b"--cut\nContent-Type: image/png\n\nPNG\n--cut--", MIXED), ""),
        (message(b"no", b"Content-Type: application/pdf"), ""),
        (message(b"yes", b"Content-Type: nonsense"), "yes"),
    ],
)
def test_odd_emails_are_read(content, body):
    assert parse_email(content).body == body


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"Subject: =?utf-8?q?caf=C3=A9?= =?iso-8859-1?b?6Q==?=", "caféé"),
        (b"Subject: =?no-such?q?caf=C3=A9?=", "café"),
        (b"Subject: =?utf-8?b?a?= b", "=?utf-8?b?a?= b"),
        (b"Subject: caf\xe9", "café"),
        (b"Subject: caf\xc3\xa9\n  two", "café two"),
        (b"SUBJECT: [ILUG] Re: [2] x", "Re: x"),
        (b"Sender: [ILUG]", ""),
    ],
)
def test_subjects_are_decoded(header, subject):
    text = parse_email(message(b"body", header))
    assert text.subject == subject and text.body == "body"


def test_html_never_fails():
    assert html_text("<script>a<b</script><style>c</style>d<br>e<td>f") == "d\ne\nf"
    assert html_text("a &#x110000000; <![b <!c <?d") != ""
    assert html_text("yes <![endif foo [ x]]> no").startswith("yes")
    rng = np.random.default_rng(0)
    pieces = ["<", ">", "!", "[", "]", "--", "&", "#", "x", "'", '"', "/", "a", " ", "script", "?"]
    for _ in range(300):
        text = "".join(rng.choice(pieces, 30))
        assert isinstance(html_text(text), str)
        content = message(text.encode(), b"Content-Type: text/html" + text.encode())
        assert isinstance(parse_email(content).body, str)


def test_markings_of_lists_are_removed():
    assert strip_tags("[SAtalk] Re: [Razor-users] Fwd: [a] b [c]") == "Re: Fwd: b [c]"
    footer = "_" * 47 + "\nExmh-users mailing list\nE@x.org\nhttps://x/mailman/listinfo/exmh"
    sponsor = "-" * 55 + "\nThis sf.net email is sponsored by:ThinkGeek\n"
    for text in (
        f"Hello\n\n{sponsor}{footer}",
        f"Hello\n\n-- \nIrish Linux Users' Group: ilug@linux.ie\n{footer}\n",
        f"Hello\n{footer}\n\n--DeathToSpamDeathToSpamDeathToSpam--",
        "Hello\n\nTo unsubscribe from this group, send an email to:\na@b",
        "URL: http://www.newsisfree.com/click/1/\nDate: Not supplied\n\nHello",
    ):
        body = parse_email(message(text.encode())).body
        assert body.split() == ["Hello"], body
    quoted = "\n".join(f"> {line}" for line in ["Hello", *footer.splitlines()])
    assert strip_notices(quoted) == "> Hello"
    kept = "A mailing list\n----------\nnot of this kind\n\n-- \nMy name"
    assert strip_notices(kept) == kept
    assert parse_email(message(b"write to some.one@example.com, now")).body == "write to  , now"


# --- a corpus of a few emails


def test_one_archive_and_those_of_the_authors_give_the_same_data_set(tmp_path, corpus):
    dataset = load("emails", data_dir=corpus.write(tmp_path / "one"))
    other = load("emails", data_dir=corpus.write_archives(tmp_path / "five"))
    assert other.sha256 == dataset.sha256
    assert dataset.class_names == ("ham", "spam") and dataset.is_text
    assert len(dataset.x) == len(dataset.titles) == len(dataset.groups) < 200, "duplicates are left"
    assert dataset.x.shape[1] == len(dataset.feature_names)
    assert {"kernel", "money", "!", "<capitals>"} <= set(dataset.feature_names)
    is_spam = [dataset.group_names[group].startswith("spam") for group in dataset.groups]
    assert dataset.y.tolist() == list(map(int, is_spam))
    assert np.bincount(dataset.groups).min() >= 35


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"spam-1/00099." + "0" * 32: b""},
            "holds 41 files, 41 of them emails, expected 40",
        ),
        ({"spam-1/README": b""}, "spam-1 holds 41 files, 40 of them emails"),
        ({"other/x": b""}, "'other/x' is in none of the folders"),
        (None, "folder spam-2 have SHA-256"),
    ],
)
def test_other_emails_are_rejected(tmp_path, corpus, change, match):
    if change is None:
        corpus.files["spam-2"][min(corpus.files["spam-2"])] += b"more"
    corpus.write(tmp_path, change)
    with pytest.raises(ValueError, match=match):
        load("emails", data_dir=tmp_path)


def test_a_failed_download_says_what_to_do(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(emails, "URL", "http://127.0.0.1:9/")
    with pytest.raises(ValueError, match="set JAXNET_DATA to a folder that holds spamassassin/"):
        load("emails", data_dir=tmp_path)


# --- the corpus


@needs_corpus
def test_the_emails_of_a_folder_are_read():
    # The folder with the most HTML, encodings and mistakes.
    folder = "hard-ham-1"
    files = {
        name.rpartition("/")[2]: content
        for name, content in read_tar(CORPUS, **emails._LIMITS).items()
        if name.startswith(f"{folder}/")
    }
    texts = [email.text for email in emails._parse(CORPUS, folder, files)]
    assert len(texts) == 250 and sum(text.has_html for text in texts) == 165
    num_words = [len(emails.words_of(text)) for text in texts]
    assert min(num_words) == 13 and sum(num_words) == 235_145


@needs_corpus
@pytest.mark.slow
def test_all_emails_of_the_corpus_are_read():
    dataset = load("emails")
    assert dataset.x.shape == (5841, 6224)
    assert dataset.sha256.startswith("8029942711b1")
    assert np.bincount(dataset.groups).tolist() == [2464, 1385, 240, 468, 1284]
    assert dataset.x.any(axis=1).all() and np.isfinite(dataset.x).all()
    for word in ("listinfo", "deathtospamdeathtospamdeathtospam", "mailman-owner"):
        assert word not in dataset.feature_names


@pytest.mark.parametrize(
    ("declared", "actual", "text"),
    [
        ("euc-kr", "cp949", "똠방각하의 펲시콜라 광고"),
        ("ks_c_5601-1987", "cp949", "햏자 여러분"),
        ("gb2312", "gbk", "朱鎔基和電話"),
        ("gb2312", "gb18030", "㐂㐁的字"),
        ("shift_jis", "cp932", "髙橋さん①"),
        ("euc-kr", "utf-8", "한국어 본문"),
    ],
)
def test_a_charset_that_is_declared_too_narrow_is_read_as_the_wider_one(declared, actual, text):
    with pytest.raises(UnicodeDecodeError):
        text.encode(actual).decode(declared)
    head = f"Content-Type: text/plain; charset={declared}\nContent-Transfer-Encoding: 8bit\n"
    subject = base64.b64encode(text.encode(actual)).decode()
    content = f"Subject: =?{declared}?B?{subject}?=\n{head}\n".encode() + text.encode(actual)
    assert parse_email(content)[:2] == (text, text)


def test_a_text_that_was_cut_stays_readable():
    content = "좋은 아침입니다, 오늘 회의가 있습니다".encode("cp949")[:-1]
    head = b"Content-Type: text/plain; charset=euc-kr\nContent-Transfer-Encoding: 8bit\n\n"
    assert parse_email(head + content).body.startswith("좋은 아침입니다, 오늘 회의가 있습니")
