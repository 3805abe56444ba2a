"""experiments.anomaly: from series of users and labelled ones to alarms; resumed and replayed."""

import csv
import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.anomaly import alarms, detection, experiment, features, novelty, window_scores
from experiments.anomaly.config import Online
from experiments.anomaly.user_series import load_user_series
from experiments.data.labelled_series import Series, SeriesCollection
from experiments.data.named import nab
from experiments.protocol import configure, find_experiment
from jaxnet import anomaly
from jaxnet.runs import Interrupted, compare_runs, verify_run

SMALL = {"lags": (1, 2), "seasonal": False, "hidden_dims": (4,), "ratios": (2,)}


def write_table(path, *, spike=180, n=240, changes=None):
    """A CSV file with a daily wave, in which one value is far too large; returns its rows."""
    rows = []
    for hour in range(n):
        value = np.sin(hour * 2 * np.pi / 24) + (8 if hour == spike else 0)
        rows.append([f"2024-01-{1 + hour // 24:02d} {hour % 24:02d}:00:00", f"{value:.5f}"])
    for row, column, text in changes or ():
        rows[row][column] = text
    path.write_text("\n".join(["when,load", *map(",".join, rows)]) + "\n")
    return rows


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    """A finished run of online networks on a user's table."""
    folder = tmp_path_factory.mktemp("anomaly")
    write_table(folder / "load.csv")
    config = configure(
        experiment,
        data=folder / "load.csv",
        time="when",
        num_seeds=2,
        max_alarms=1,
        out=folder / "run",
        **SMALL,
    )
    summary = experiment.run(config)
    return folder, config, summary


def test_an_alarm_lists_the_records_behind_it(run_directory):
    folder, _, summary = run_directory
    verify_run(folder / "run")
    with open(folder / "run" / "alarms.csv", encoding="utf-8") as file:
        [row] = list(csv.DictReader(file))
    with np.load(folder / "run" / "scores.npz", allow_pickle=False) as content:
        scores = content["series_0"]
    assert scores.shape == (2, 240)
    step = int(scores[0].argmax())
    # The spike is an input of the forecasts of the next two steps.
    assert 180 <= step <= 182 and 180 <= scores[1].argmax() <= 182
    assert row["series"] == "load" and row["from"] == f"2024-01-08 {step - 168:02d}:00:00"
    # Rows count from 1; means of up to four values are a score.
    assert row["records behind it"] == f"{step - 2} to {step + 1}"
    assert summary["metrics"]["num_alarms"]["values"] == [1.0, 1.0]
    report = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "Alarms of the first network" in report and "figcaption" in report


def test_a_run_is_replayed_and_resumed_bitwise(run_directory, monkeypatch):
    folder, config, _ = run_directory
    monkeypatch.setattr("experiments.anomaly.figures.shown_series", lambda *_: [])
    monkeypatch.setattr("experiments.anomaly.online_scores._PIECE", 64)
    whole = experiment.run(dataclasses.replace(config, out=folder / "pieces"))
    assert find_experiment("anomaly") is experiment
    # Pieces of another length are the same result.
    assert compare_runs(folder / "run", folder / "pieces") == ()

    class Signal:
        signal_number = 15

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    with monkeypatch.context() as context:
        context.setattr("jaxnet.runs.deferred_interruption", Signal, raising=False)
        with pytest.raises(Interrupted):
            experiment.run(dataclasses.replace(config, out=folder / "stopped"))
    assert not (folder / "stopped" / "summary.json").exists()
    resumed = experiment.run(dataclasses.replace(config, out=None, resume=folder / "stopped"))
    assert resumed["state_sha256"] == whole["state_sha256"]
    assert compare_runs(folder / "stopped", folder / "pieces") == ()


@pytest.mark.parametrize("method", ["level", "novelty", "pca", "distance", "autoencoder"])
def test_methods_find_the_spike(tmp_path, method, monkeypatch):
    # Figures, which another test looks at, take longer than all else.
    monkeypatch.setattr("experiments.anomaly.figures.shown_series", lambda *_: [])
    write_table(tmp_path / "load.csv")
    small = {} if method in ("level", "novelty") else {"num_points": 8}
    small |= {"num_epochs": 1, "num_windows": 50} if method == "autoencoder" else {}
    config = configure(
        experiment,
        method,
        data=tmp_path / "load.csv",
        time="when",
        num_seeds=1,
        max_alarms=8,
        out=tmp_path / "run",
        **small,
    )
    experiment.run(config)
    with np.load(tmp_path / "run" / "scores.npz", allow_pickle=False) as scores:
        assert abs(int(scores["series_0"][0].argmax()) - 180) < 24
    json.loads((tmp_path / "run" / "summary.json").read_text())


def test_labelled_series_are_evaluated(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    series = []
    for index in range(4):
        values = generator.normal(size=300)
        values[200] += 30
        windows = ((190, 215),) if index < 3 else ()
        series.append(Series(f"s{index}", np.arange(300) * 300.0, values, windows))
    collection = SeriesCollection("nab", tuple(series), is_named=True, is_labelled=True)
    monkeypatch.setattr(experiment, "load_data", lambda config: collection)
    monkeypatch.setattr("experiments.anomaly.figures.shown_series", lambda *_: [])
    config = configure(experiment, num_seeds=1, rest_steps=20, out=tmp_path / "run", **SMALL)
    summary = experiment.run(config)
    values = {name: value["mean"] for name, value in summary["metrics"].items()}
    assert 50 < values["nab_standard"] <= 100 and values["nab_standard_first_half"] > 50
    assert 0 < values["vus_pr"] < 1 and values["hits_at_4_false_alarms"] > 0.5
    assert {"nab_reward_low_fp", "nab_reward_low_fn", "vus_pr_first_half"} <= set(values)


def test_rows_that_are_not_in_order_or_repeat_are_notes(tmp_path):
    rows = write_table(tmp_path / "a.csv", n=48)
    shuffled = [rows[1], rows[0], *rows[2:20], rows[19], *rows[30:]]
    lines = [",".join(row) for row in shuffled]
    lines[5] = lines[5].split(",")[0] + ","
    (tmp_path / "b.csv").write_text("\n".join(["when,load", *lines]) + "\n")
    data = load_user_series(tmp_path / "b.csv", time="when", ignore=())
    [series] = data.series
    assert (np.diff(series.times) >= 0).all()
    assert series.records is not None and series.records[:3].tolist() == [2, 1, 3]
    assert series.values[5] == series.values[4]
    text = " ".join(data.notes)
    for part in ("not in the order of time", "1 rows have the time", "1 gaps", "1 missing values"):
        assert part in text


@pytest.mark.parametrize(
    "text, message",
    [
        ("when,load\n" + "\n".join(f"{t},{t}" for t in range(5)), "5 rows, expected at least 20"),
        ("when,load\n" + "\n".join(f"{t},3" for t in range(30)), "no column of numbers that chan"),
        ("at,load\n" + "\n".join(f"{t},{t}" for t in range(30)), "no column 'when', found 'at'"),
        (
            "when,load\n" + "\n".join(f"{t},{'ab'[t % 2]}" for t in range(30)),
            "column 'load' of .* expected numbers; leave it out with --ignore",
        ),
        (
            "when,load\n" + "\n".join(f"{t if t != 7 else ''},{t}" for t in range(30)),
            "column 'when' of .* is empty at row 8; remove the row",
        ),
    ],
)
def test_tables_that_are_not_series_are_named(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text + "\n")
    with pytest.raises(ValueError, match=message):
        load_user_series(tmp_path / "a.csv", time="when", ignore=())


def test_options_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'taxi' of series"):
        experiment.load_data(configure(experiment, dataset="taxi"))
    with pytest.raises(ValueError, match="data needs --time"):
        experiment.load_data(configure(experiment, data=tmp_path / "a.csv"))
    with pytest.raises(ValueError, match="time and ignore are for a user's file"):
        experiment.load_data(configure(experiment, time="when"))
    short = SeriesCollection("a", (Series("a", np.arange(30.0), np.arange(30.0)),))
    with pytest.raises(ValueError, match="series a has 30 steps, expected at least 128"):
        experiment.check(configure(experiment, "pca"), short)
    with pytest.raises(ValueError, match="num_seeds must be 1 for pca"):
        experiment.check(configure(experiment, "pca", num_seeds=2, num_points=4), short)


@pytest.mark.parametrize("change", [30, 39])
def test_scores_online_do_not_depend_on_later_steps(change):
    generator = np.random.default_rng(0)
    times, values = np.arange(200) * 3600.0, generator.normal(size=200)
    changed = np.where(np.arange(200) < 160 + change, values, 50.0)
    first, second = (
        features.forecast_data(Series("a", times, rows), lags=(1, 5), seasonal=True, num_steps=50)
        for rows in (values, changed)
    )
    np.testing.assert_array_equal(first[0][: 160 + change], second[0][: 160 + change])
    np.testing.assert_array_equal(first[1][: 160 + change], second[1][: 160 + change])
    options = {"short_windows": (1, 4), "rest_steps": 7}
    scores = [detection.online_scores(np.abs(rows), **options) for rows in (values, changed)]
    np.testing.assert_array_equal(scores[0][: 160 + change], scores[1][: 160 + change])
    options = {"ratios": (2, 5), "rest_steps": 7}
    [before], [after] = (
        novelty.novelty_scores([rows], [0.5 * rows], **options) for rows in (values, changed)
    )
    np.testing.assert_array_equal(before[: 160 + change], after[: 160 + change])
    assert not np.array_equal(before, after)


def test_scores_of_a_run_do_not_depend_on_later_rows(run_directory, monkeypatch):
    folder, config, _ = run_directory
    monkeypatch.setattr("experiments.anomaly.figures.shown_series", lambda *_: [])
    write_table(folder / "changed.csv", changes=[(row, 1, "9") for row in range(200, 240)])
    changed = dataclasses.replace(config, data=folder / "changed.csv", out=folder / "changed")
    experiment.run(changed)
    scores = []
    for run in ("run", "changed"):
        with np.load(folder / run / "scores.npz", allow_pickle=False) as content:
            scores.append(content["series_0"])
    np.testing.assert_array_equal(scores[0][:, :200], scores[1][:, :200])
    assert (scores[0][:, 200:] != scores[1][:, 200:]).any()


def test_novelty_is_the_mean_of_the_tail_scores_of_distances():
    generator = np.random.default_rng(0)
    values = [generator.normal(size=n) for n in (150, 230, 140)]
    errors = [generator.normal(size=len(rows)) for rows in values]
    actual = novelty.novelty_scores(values, errors, ratios=(2, 3), rest_steps=0)
    for rows, wrong, scores in zip(values, errors, actual, strict=True):
        total = np.zeros(len(rows))
        for ratio in (2, 3):
            vectors = np.array(
                [
                    [rows[max(t - n + 1, 0) : t + 1].mean() for n in (1, ratio, ratio**2)]
                    + [wrong[t]]
                    for t in range(len(rows))
                ]
            )
            nearest = [
                np.linalg.norm(vectors[:t] - vectors[t], axis=1).min() if t else 0.0
                for t in range(len(rows))
            ]
            total += detection.tail_score(np.array(nearest) + 0.02) / 2
        np.testing.assert_allclose(scores, total, rtol=1e-4, atol=1e-4)
    for rows in novelty.nearest_earlier([np.stack([rows], 1) for rows in values], piece=64):
        assert rows[0] == 0 and (rows[1:] > 0).all()


def test_a_rest_keeps_the_scores_that_exceed_those_before():
    scores = np.random.default_rng(1).normal(size=50)
    for num_steps in (1, 4):
        expected = [
            score if score > max(scores[max(t - num_steps, 0) : t], default=-np.inf) else -1e3
            for t, score in enumerate(scores)
        ]
        np.testing.assert_array_equal(detection.rested(scores, num_steps), expected)
    np.testing.assert_array_equal(detection.rested(scores, 0), scores)


def test_means_of_windows_are_those_of_the_library():
    values = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    expected = anomaly.overlap_mean(jnp.asarray(values), 12)
    np.testing.assert_allclose(window_scores.mean_of_windows(values), expected, atol=1e-6)


def test_a_threshold_allows_a_number_of_alarms():
    scores = [np.array([1.0, 5.0, 4.0]), np.array([4.0, 0.0])]
    assert [alarms.threshold_of(scores, n) for n in (1, 2, 3, 9)] == [5.0, 5.0, 4.0, 0.0]
    assert alarms.threshold_of([np.zeros(9)], 3) == np.inf


def test_the_length_of_a_window_is_that_of_tsb_ad():
    steps = np.arange(3000)
    assert window_scores.window_length(np.sin(steps * 2 * np.pi / 77)) == 77
    assert window_scores.window_length(steps * 0.0) == 125
    assert window_scores.window_length(steps * 1.0) == 125


def test_nab_files_are_parsed_and_checked(tmp_path):
    text = "timestamp,value\n" + "\n".join(
        f"2014-04-01 {hour:02d}:00:00,{hour}.5" for hour in (0, 1, 1, 2, 3)
    )
    windows = {"real/a.csv": [["2014-04-01 01:00:00.000000", "2014-04-01 02:00:00.000000"]]}
    contents = {"data/real/a.csv": text.encode(), nab.WINDOWS: json.dumps(windows).encode()}
    data = nab.parse_nab(contents)
    [series] = data.series
    assert series.name == "real/a" and series.windows == ((1, 3),) and data.is_labelled
    assert series.values.tolist() == [0.5, 1.5, 1.5, 2.5, 3.5]
    assert series.labels.tolist() == [0, 1, 1, 1, 0]
    path = tmp_path / "nab" / "data" / "realTweets" / "Twitter_volume_FB.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"Twitter_volume_FB.csv has SHA-256 .* delete it"):
        nab._fetch_file("data/realTweets/Twitter_volume_FB.csv", tmp_path)


def test_defaults_are_those_of_the_methods():
    assert configure(experiment).method == Online()
    assert configure(experiment, "distance").num_seeds == 1
