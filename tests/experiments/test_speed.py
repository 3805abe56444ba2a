"""The comparison of speed: what is measured, not how fast this machine is today."""

import sys

import pytest

from experiments.command import main
from experiments.speed import experiment as speed
from experiments.speed.experiment import WORKLOADS, Config, Peer, best_setting, summarize


def test_operations_of_a_run_are_those_of_its_matrix_products():
    # 784-512-10: forward 2 n m, backward 2 n m for weights, and for inputs but not of the first.
    first, second = 784 * 512, 512 * 10
    expected = (4 * first + 6 * second) * (60_000 // 128) * 128
    assert WORKLOADS["large"].flops(60_000) == expected


def peer(name, num_threads, seconds, result=0.5):
    made = Peer.__new__(Peer)
    made.name, made.num_threads = name, num_threads
    made.seconds, made.results = seconds, [result] * len(seconds)
    made.version, made.missing = ("1", None) if seconds else (None, "No module named torch")
    made.first_seconds = 7.0
    return made


def test_ratios_hold_each_peer_at_its_best_setting():
    peers = [
        peer("jaxnet", 1, [2.0, 2.0, 2.0]),
        peer("jaxnet", 2, [1.0, 3.0, 1.0]),
        peer("scikit-learn", 1, [4.0, 6.0, 4.0]),
        peer("scikit-learn", 2, [9.0, 9.0, 9.0]),
        peer("PyTorch", 1, []),
        peer("matrix product", 1, [1.0, 1.0, 1.0], result=1e12),
    ]
    assert best_setting(peers, "jaxnet") is peers[1]
    assert best_setting(peers, "PyTorch") is None
    metrics, rows = summarize("small", peers, num_examples=1797)
    assert metrics["small: time of scikit-learn / time of jaxnet"]["values"] == [4.0, 2.0, 4.0]
    fraction = WORKLOADS["small"].flops(1797) / 1e12
    reached = metrics["small: fraction of the matrix-product peak"]["values"]
    assert reached == pytest.approx([fraction, fraction / 3, fraction])
    assert ("PyTorch", "not installed", "1", "", "", "", "", "") in rows
    assert rows[0][3] == "first s" and rows[1][3] == "7.0"
    assert not any("PyTorch" in name for name in metrics)


@pytest.mark.crash
def test_peers_learn_the_same_and_the_missing_one_is_named(tmp_path, monkeypatch, capsys):
    peers = ("jaxnet", "scikit-learn", "PyTorch", speed.PEAK)
    small = speed.Workload("classifier", peers, "iris", (4, 8, 3), batch_size=16, num_epochs=60)
    monkeypatch.setattr(speed, "WORKLOADS", {"small": small})
    monkeypatch.setattr(speed, "RATES", {"adam": 0.02})
    fake = tmp_path / "torch"
    fake.mkdir()
    (fake / "__init__.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    summary = speed.run(Config(workload="small", repeats=1, out=tmp_path / "run"))
    text = capsys.readouterr().out
    assert "not installed" in text
    assert "small: time of scikit-learn / time of jaxnet" in summary["metrics"]
    header, *rows = summary["tables"]["small"]
    accuracies = [float(row[header.index("result")]) for row in rows if row[4]]
    assert len(accuracies) in (2, 4)
    assert min(accuracies) > 0.85
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.crash
def test_clustering_peers_reach_the_same_inertia(tmp_path, monkeypatch):
    kmeans = speed.Workload("kmeans", ("jaxnet", "scikit-learn"), "iris", (4, 3), 1, 1)
    monkeypatch.setattr(speed, "WORKLOADS", {"kmeans": kmeans})
    summary = speed.run(Config(workload="kmeans", repeats=1, out=tmp_path / "run"))
    header, *rows = summary["tables"]["kmeans"]
    inertias = [float(row[header.index("result")]) for row in rows]
    assert inertias == pytest.approx([inertias[0]] * len(inertias), rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeats", "0"], "repeats must be at least 1, found 0"),
        (["--torch-python", "nowhere/python"], "torch_python: nowhere/python is not a program"),
    ],
)
def test_mistakes_are_one_line(options, message, capsys, tmp_path):
    out = tmp_path / "run"
    assert main(speed, [*options, "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not out.exists()


def test_a_peer_that_fails_says_why(tmp_path):
    with pytest.raises(ValueError, match=r"jaxnet with 1 threads failed: .*(nothing|No such file)"):
        Peer("jaxnet", 1, speed.Path(sys.executable), tmp_path / "nothing.json")
