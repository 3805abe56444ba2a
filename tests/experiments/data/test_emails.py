"""Mails: odd ones are read, marks of lists are not; words as features; thresholds out of fold."""

import bz2
import hashlib
import io
import lzma
import os
import tarfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pooch
import pytest
from experiments.data.named.mail import html_text, parse_mail, strip_notices, strip_tags
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer

from experiments.classification import cross_validation, evaluation
from experiments.classification.experiment import Config, run
from experiments.clustering import experiment as clustering
from experiments.data import fit_idf, load, standardize
from experiments.data.named import emails

CORPUS = Path(os.environ.get("JAXNET_DATA") or "missing", "spamassassin", "corpus.tar.xz")
needs_corpus = pytest.mark.skipif(
    not CORPUS.is_file(), reason="JAXNET_DATA names no folder that holds spamassassin/corpus.tar.xz"
)


def mail(body: bytes, *headers: bytes) -> bytes:
    return b"\n".join([b"From x@y Thu Aug 22 2002", b"Received: here", *headers, b"", body])


PLAIN = b"Content-Type: text/plain; charset="
MIXED = b'Content-Type: multipart/mixed; boundary="cut"'


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (mail(b"h\xc3\xa4", PLAIN + b"no-such-charset"), "hä"),
        (mail(b"h\xe4", PLAIN + b"us-ascii"), "hä"),
        (mail(b"h\xe4", PLAIN + b"base64"), "hä"),
        (mail(b"h\xe4", PLAIN + b'"a\0b"'), "hä"),
        (mail(b"h\xa4", PLAIN + b"iso-8859-15"), "h€"),
        (mail(b"h\xe4"), "hä"),
        (mail(b"h=E4", b"Content-Transfer-Encoding: quoted-printable"), "hä"),
        (mail(b"aGFt", b"Content-Transfer-Encoding: base64"), "ham"),
        (mail(b"aGFtA", b"Content-Transfer-Encoding: base64"), "aGFtA"),
        (mail(b"h", b"Content-Transfer-Encoding: no-such"), "h"),
        (mail(b"", PLAIN + b"us-ascii"), ""),
        (b"", ""),
        (b"\xff\xfe\0", "ÿþ\0"),
        (mail(b"whole", b"Content-Type: multipart/mixed"), "whole"),
        (mail(b"whole", MIXED), "whole"),
        (mail(b"--cut\n\none\n--cut\n\ntwo", MIXED), "one\ntwo"),
        (mail(b"<b>F<!-- x -->R</b>&eacute;<p>e", b"Content-Type: text/html"), "FRé\ne"),
        (mail(b"--cut\nContent-Type: text/html\n\n<p>no\n--cut\n\nyes\n--cut--", MIXED), "yes"),
        (mail(b"--cut\nContent-Type: image/png\n\nPNG\n--cut--", MIXED), ""),
        (mail(b"no", b"Content-Type: application/pdf"), ""),
        (mail(b"yes", b"Content-Type: nonsense"), "yes"),
    ],
)
def test_odd_mails_are_read(content, body):
    assert parse_mail(content).body == body


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
    found = parse_mail(mail(b"body", header))
    assert found.subject == subject and found.body == "body"


def test_html_never_fails():
    assert html_text("<script>a<b</script><style>c</style>d<br>e<td>f") == "d\ne\nf"
    assert html_text("a &#x110000000; <![b <!c <?d") != ""
    assert html_text("yes <![endif foo [ x]]> no").startswith("yes")
    rng = np.random.default_rng(0)
    pieces = ["<", ">", "!", "[", "]", "--", "&", "#", "x", "'", '"', "/", "a", " ", "script", "?"]
    for _ in range(300):
        text = "".join(rng.choice(pieces, 30))
        assert isinstance(html_text(text), str)
        content = mail(text.encode(), b"Content-Type: text/html" + text.encode())
        assert isinstance(parse_mail(content).body, str)


def test_markings_of_lists_are_taken_out():
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
        found = parse_mail(mail(text.encode())).body
        assert found.split() == ["Hello"], found
    quoted = "\n".join(f"> {line}" for line in ["Hello", *footer.splitlines()])
    assert strip_notices(quoted) == "> Hello"
    kept = "A mailing list\n----------\nnot of this kind\n\n-- \nMy name"
    assert strip_notices(kept) == kept
    assert parse_mail(mail(b"write to some.one@example.com, now")).body == "write to  , now"


DOCUMENTS = [["a", "b", "a"], ["a", "c"], ["c", "c", "d", "a"], ["d", "c"], ["b", "b"]]


def test_term_weights_and_idf_are_those_of_scikit_learn():
    x, words = emails.term_weights(DOCUMENTS, min_documents=1)
    tf = TfidfVectorizer(analyzer=list, sublinear_tf=True, use_idf=False)
    np.testing.assert_allclose(x, tf.fit_transform(DOCUMENTS).toarray(), rtol=1e-6)
    assert words == tuple(tf.get_feature_names_out())
    counts = CountVectorizer(analyzer=list).fit_transform(DOCUMENTS)
    oracle = TfidfTransformer(norm=None).fit(counts)
    scale = fit_idf(x, min_documents=1).scale
    np.testing.assert_allclose(1 / scale, oracle.idf_, rtol=1e-6)
    with pytest.raises(ValueError, match="no word is in 5 of 5 documents"):
        emails.term_weights(DOCUMENTS, min_documents=5)


def test_what_training_rows_see_depends_on_them_alone():
    everything, words = emails.term_weights(DOCUMENTS, min_documents=2)
    own, own_words = emails.term_weights(DOCUMENTS[:3], min_documents=2)
    fitted = fit_idf(everything[:3], min_documents=2)
    scaled = standardize(fitted, everything)
    columns = [words.index(word) for word in own_words]
    expected = standardize(fit_idf(own, min_documents=2), own)
    np.testing.assert_array_equal(scaled[:3, columns], expected)
    others = np.setdiff1d(np.arange(len(words)), columns)
    assert len(others) and not scaled[:, others].any(), "words that training rows do not have"


# --- a corpus of a few mails


def mails_of(folder: str) -> dict[str, bytes]:
    rng = np.random.default_rng(list(emails.FOLDERS).index(folder))
    words = ["meeting", "kernel", "patch"] if "ham" in folder else ["free", "MONEY", "click!"]
    contents = [
        mail(" ".join(rng.choice([*words, "the", "to"], 12)).encode(), b"Subject: %d" % number)
        for number in range(40)
    ]
    contents[-1] = contents[0]
    names = [f"{i:05d}.{hashlib.md5(content).hexdigest()}" for i, content in enumerate(contents)]
    return dict(zip(names, contents, strict=True))


def pack(path: Path, files: dict[str, bytes], compress) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compress(file.getvalue()))


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Mails in place of the corpus, in neither form yet; returns them by folder and name."""
    files = {folder: mails_of(folder) for folder in emails.FOLDERS}
    folders = {}
    for folder, mails in files.items():
        content = b"".join(name.encode() + mails[name] for name in sorted(mails))
        sha256 = hashlib.sha256(content).hexdigest()
        folders[folder] = emails.FOLDERS[folder]._replace(num_mails=40, sha256=sha256)
    monkeypatch.setattr(emails, "FOLDERS", folders)
    monkeypatch.setattr("experiments.datasets.named.FOLDERS", folders)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache")
    monkeypatch.delenv("JAXNET_DATA", raising=False)
    return files


def write_whole(path: Path, files, change=None) -> None:
    members = {f"./{f}/{name}.txt": files[f][name] for f in files for name in files[f]}
    pack(path, members | (change or {}), lzma.compress)


def test_one_archive_and_those_of_the_authors_give_the_same_data_set(tmp_path, corpus):
    write_whole(tmp_path / "one" / "spamassassin" / "corpus.tar.xz", corpus)
    dataset = load("emails", data_dir=tmp_path / "one")
    for folder, files in corpus.items():
        members = {f"{folder}/{name}": content for name, content in files.items()}
        archive = tmp_path / "five" / "spamassassin" / emails.FOLDERS[folder].archive
        pack(archive, members | {f"{folder}/cmds": b"mv"}, bz2.compress)
    assert load("emails", data_dir=tmp_path / "five").sha256 == dataset.sha256
    assert dataset.class_names == ("ham", "spam") and dataset.is_text
    assert len(dataset.x) == len(dataset.titles) == len(dataset.groups) < 200, "doubles are left"
    assert dataset.x.shape[1] == len(dataset.feature_names)
    assert {"kernel", "money", "!", "<capitals>"} <= set(dataset.feature_names)
    is_spam = [dataset.group_names[group].startswith("spam") for group in dataset.groups]
    assert dataset.y.tolist() == list(map(int, is_spam))
    assert np.bincount(dataset.groups).min() >= 35


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"spam-1/00099." + "0" * 32: b""}, "spam-1 holds 41 files, 41 of them mails, expected 40"),
        ({"spam-1/README": b""}, "spam-1 holds 41 files, 40 of them mails"),
        ({"other/x": b""}, "'other/x' is in none of the folders"),
        (None, "folder spam-2 have SHA-256"),
    ],
)
def test_other_mails_are_refused(tmp_path, corpus, change, match):
    if change is None:
        corpus["spam-2"][min(corpus["spam-2"])] += b"more"
    write_whole(tmp_path / "spamassassin" / "corpus.tar.xz", corpus, change)
    with pytest.raises(ValueError, match=match):
        load("emails", data_dir=tmp_path)


def test_a_failed_download_says_what_to_do(tmp_path, corpus, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(emails, "URL", "http://127.0.0.1:9/")
    with pytest.raises(ValueError, match="set JAXNET_DATA to a folder that holds spamassassin/"):
        load("emails", data_dir=tmp_path)


def test_the_command_learns_a_few_mails(tmp_path, corpus):
    write_whole(tmp_path / "spamassassin" / "corpus.tar.xz", corpus)
    options = {"dataset": "emails", "data_dir": tmp_path, "model": "linear", "num_epochs": 8}
    options |= {"max_false_positive_rate": 0.05, "learning_rate": 0.05, "batch_size": 16}
    nested = run(Config(**options, cross_validate=3, out=tmp_path / "nested"))
    assert len(nested["params_sha256"]) == 6 and nested["num_seeds"] == 3
    found = {name: value["mean"] for name, value in nested["metrics"].items()}
    assert found["pooled_recall"] > 0.9 and found["recall"] > 0.9
    assert found["false_positive_rate"] <= 0.05 and "cost" not in found
    single = run(Config(**options | {"max_false_positive_rate": 0.1}, out=tmp_path / "single"))
    assert single["metrics"]["recall"]["mean"] > 0.9


def test_a_network_groups_a_few_mails_and_says_what_marks_them(tmp_path, corpus):
    write_whole(tmp_path / "spamassassin" / "corpus.tar.xz", corpus)
    options = {"dataset": "emails", "data_dir": tmp_path, "method": "autoencoder_kmeans"}
    options |= {"num_clusters": 2, "code_dim": 2, "batch_size": 16, "num_seeds": 1}
    summary = clustering.run(clustering.Config(**options, out=tmp_path / "run"))
    assert summary["metrics"]["accuracy"]["mean"] > 0.9
    assert 0 <= summary["metrics"]["nmi_of_groups"]["mean"] <= 1
    header, *groups = summary["tables"]["Clusters"]
    assert header == ("cluster", "examples", "marked by", "typical")
    assert sum(int(size) for _, size, *_ in groups) == summary["num_examples"]["all"]
    assert all(marks and subjects for *_, marks, subjects in groups)


# --- thresholds


def test_a_budget_is_that_of_new_examples():
    for negatives, rate, allowed in ((999, 0.01, 9), (332, 0.003, -1), (333, 0.003, 0)):
        if allowed < 0:
            with pytest.raises(ValueError, match="at least 333 negative examples"):
                evaluation.budget_on(rate, negatives)
        else:
            assert int(evaluation.budget_on(rate, negatives) * negatives) == allowed
    # In the mean over many samples, the rate on new data is (m + 1) / (n + 1).
    rng = np.random.default_rng(0)
    scores = np.sort(rng.uniform(size=(4000, 99)))
    allowed = int(evaluation.budget_on(0.05, 99) * 99)
    assert np.mean(1 - scores[:, -1 - allowed]) == pytest.approx(0.05, abs=0.002)


def test_thresholds_never_see_their_test_fold():
    labels = np.tile([0, 0, 1], 40).astype(np.int32)
    plan = cross_validation.plan(labels, num_folds=4, num_repeats=2, seed=0, nested=True)
    assert len(plan.pairs) == 12 and plan.rows(0).shape == (20, 90)
    for (one, other), train in zip(plan.pairs, plan.trains[8:], strict=True):
        assert not {*train} & {*plan.tests[one], *plan.tests[other]} and len(train) == 60
    indices, _ = cross_validation.padded(plan.judged)
    outputs = (np.arange(12)[:, None] * 1000 + indices)[..., None].astype(np.float32)
    values, weights = cross_validation.out_of_fold(plan, outputs, 120)
    for fold, test in enumerate(plan.tests):
        rest = np.setdiff1d(np.arange(120), test)
        assert weights[fold].sum() == len(rest) and not weights[fold, test].any()
        pair, example = np.divmod(values[fold, rest, 0].astype(int), 1000)
        assert example.tolist() == rest.tolist()
        assert all(fold in plan.pairs[index] for index in pair), "trained without the test fold"
        own = [set(plan.trains[8 + index]) for index in pair]
        assert not any(row in train for row, train in zip(rest, own, strict=True))


def test_a_threshold_within_a_budget_of_none_is_finite():
    outputs, labels = jnp.array([[9.0], [1.0]]), jnp.array([0, 1])
    threshold = evaluation.threshold_within(outputs, labels, 0.5)
    assert 1 < threshold < 1.001


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_false_positive_rate": 1.0}, r"must lie in \(0, 1\), found 1.0"),
        ({"max_false_positive_rate": 0.1, "dataset": "iris"}, "for two classes, iris has 3"),
        ({"max_false_positive_rate": 0.1, "cross_validate": 2}, "at least 3 folds"),
        ({"max_false_positive_rate": 0.1, "false_positive_cost": 2.0}, "as costs do; use one"),
        ({"max_false_positive_rate": 0.001}, "at least 999 negative examples"),
    ],
)
def test_rates_that_do_not_fit_leave_nothing(tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        run(Config(**{"dataset": "breast_cancer"} | options, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


# --- the corpus


@pytest.fixture(scope="module")
def spamassassin():
    return load("emails")


@needs_corpus
def test_all_mails_of_the_corpus_are_read(spamassassin):
    assert spamassassin.x.shape == (5841, 6224)
    assert spamassassin.sha256.startswith("8029942711b1")
    assert np.bincount(spamassassin.groups).tolist() == [2464, 1385, 240, 468, 1284]
    assert spamassassin.x.any(axis=1).all() and np.isfinite(spamassassin.x).all()
    for word in ("listinfo", "deathtospamdeathtospamdeathtospam", "mailman-owner"):
        assert word not in spamassassin.feature_names


@needs_corpus
@pytest.mark.slow
def test_spam_is_found_within_the_budget(tmp_path):
    options = {"dataset": "emails", "max_false_positive_rate": 0.003, "cross_validate": 5}
    found = run(Config(**options, out=tmp_path / "run"))["metrics"]
    assert found["false_positive_rate"]["mean"] <= 0.003
    assert found["recall"]["mean"] >= 0.9
    assert found["roc_auc"]["mean"] > 0.995
