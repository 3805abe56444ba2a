"""Logs from a user's table, from generated users, and from the files of Schonlau et al."""

import hashlib
import io
import lzma
import tarfile

import numpy as np
import pytest

from experiments.config import TableOptions
from experiments.data.logs import load_user_logs
from experiments.data.named import schonlau
from experiments.data.named.generated_logs import generate_logs


@pytest.fixture
def load(tmp_path):
    def load(text, **options):
        path = tmp_path / "some.csv"
        path.write_text(text, encoding="utf-8")
        given = {"user": "user", "event": "event", "time": None, "label": None, "fraction": 0.5}
        return load_user_logs(path, **(given | options), options=TableOptions())

    return load


def test_rows_are_sorted_by_time_and_equal_times_stay(load):
    text = "time,user,event\n2024-01-03,b,x\n2024-01-01,a,y\n2024-01-03,b,z\n2024-01-02,a,07\n"
    logs = load(text, time="time")
    assert logs.users == ("a", "b") and logs.vocabulary == ("07", "x", "y", "z")
    assert [log.tolist() for log in logs.events] == [[2, 0], [1, 3]]
    assert [rows.tolist() for rows in logs.rows] == [[2, 4], [1, 3]]
    assert logs.num_training == (1, 1) and "sorted by 'time'" in logs.notes[-1]
    in_order = load(text)
    assert in_order.users == ("b", "a") and not in_order.notes
    assert [log.tolist() for log in in_order.events] == [[1, 3], [2, 0]]


def test_labels_say_which_events_are_of_someone_else(load):
    text = "user,event,label\na,x,0\na,y,TRUE\nb,x,false\nb,x,0\n"
    assert [label.tolist() for label in load(text, label="label").is_masquerade or ()] == [
        [False, True],
        [False, False],
    ]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("user,event\na,x\n,y\nb,x\n", {}, "column 'user' holds no value in row 2"),
        ("user,event\na,x\na,y\n", {}, "names 1 users, expected 2 to 1000"),
        ("user,evnt\na,x\nb,y\n", {}, "event: there is no column 'event'; did you mean 'evnt'"),
        ("user,event,t\na,x,soon\nb,y,late\n", {"time": "t"}, "neither dates nor numbers"),
        ("user,event,l\na,x,0\nb,y,maybe\n", {"label": "l"}, "column 'l' holds 'maybe', expected"),
        (
            "user,event,l\na,x,1\na,x,0\nb,y,0\n",
            {"label": "l"},
            "event 1 of user 'a' is of someone else, and the first 1 are taken",
        ),
    ],
)
def test_what_cannot_be_read_is_rejected(load, text, options, message):
    with pytest.raises(ValueError, match=message) as raised:
        load(text, **options)
    assert "some.csv: " in str(raised.value)


def test_generated_logs_depend_on_their_seed_alone():
    logs = generate_logs()
    assert logs.sha256 == generate_logs().sha256 != generate_logs(1).sha256
    assert logs.is_masquerade is not None
    for label, length in zip(logs.is_masquerade, logs.num_training, strict=True):
        assert not label[:length].any()
    assert 0.01 < np.mean(logs.is_masquerade) < 0.08


@pytest.fixture(scope="module")
def files():
    """Files like those of the authors: the second block after training of user 3 is of others."""
    log = b"\n".join([b"ls", b"cd"] * (schonlau.NUM_COMMANDS // 2)) + b"\n"
    labels = np.zeros((100, 50), int)
    labels[1, 2] = 1
    text = "\n".join(" ".join(map(str, row)) for row in labels).encode()
    return {f"User{number}": log for number in range(1, 51)} | {"label.txt": text}


def test_labels_of_blocks_are_those_of_their_commands(files):
    logs = schonlau.parse_logs(files, sha256=None)
    assert logs.users[2] == "User3" and logs.vocabulary == ("cd", "ls")
    assert logs.is_masquerade is not None
    expected = np.zeros((50, 15_000), bool)
    expected[2, 5_100:5_200] = True
    np.testing.assert_array_equal(logs.is_masquerade, expected)


def test_other_files_than_those_of_the_authors_are_rejected(files, tmp_path):
    with pytest.raises(ValueError, match=r"have the checksum .*, expected .*; remove them"):
        schonlau.parse_logs(files)
    with pytest.raises(ValueError, match=r"has no file User7; fetch it again"):
        schonlau.parse_logs({name: text for name, text in files.items() if name != "User7"})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"MasqueradeDat/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    (tmp_path / "schonlau").mkdir()
    path = tmp_path / "schonlau" / "schonlau.tar.xz"
    path.write_bytes(lzma.compress(packed.getvalue(), preset=0))
    lines = {name: text.decode().split() for name, text in files.items()}
    content = "\n".join(line for name in lines for line in (name, *lines[name]))
    found = hashlib.sha256(content.encode()).hexdigest()
    with pytest.raises(ValueError, match=f"checksum {found}"):
        schonlau.load_schonlau(tmp_path)
