"""Each check finds wrong results, and training does not start on them."""

import contextlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import doctor

FLAG = "--xla_cpu_experimental_ynn_fusion_type=-reduce"
VERSIONS = "'jaxlib>=0.10.1,!=0.10.2,!=0.11.0,!=0.11.1,!=0.11.2'"
WRONG = doctor.Finding("sums of rows", False, "3, expected 4", "another jaxlib")
RIGHT = doctor.Finding("sums of rows", True, "4, expected 4", "")


def on_call(number, program, wrong):
    """A program that is wrong at one call only."""
    calls = iter(range(1, 1000))
    return lambda *args: wrong if next(calls) == number else program(*args)


def rounded_by_default(mantissa_bits):
    """A product that rounds its factors at default precision, as accelerators do."""

    def product(a, b, precision):
        if precision is None:
            a, b = (jax.lax.reduce_precision(x, 8, mantissa_bits) for x in (a, b))
        return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)

    return product


@pytest.mark.crash
def test_this_backend_passes_all_checks():
    findings = doctor.examine()
    assert [finding for finding in findings if not finding.passed or finding.remedy] == []
    assert [finding.name for finding in findings] == [
        "sum of a broadcast",
        "sums of rows",
        "sums of rows",
        "matrix product",
        "random normal numbers",
        "gradient",
        "determinism",
    ]


@pytest.mark.parametrize("number", [1, 8])
@pytest.mark.parametrize("wrong", [8388607.0, 8486912.0, np.nan])
def test_one_wrong_sum_of_eight_is_found(number, wrong):
    finding = doctor._check_broadcast_sum(on_call(number, lambda x: 8388608.0, wrong))
    assert not finding.passed
    assert f"{wrong:.17g}" in finding.detail
    assert "expected 8388608" in finding.detail
    assert VERSIONS in finding.remedy
    assert FLAG in finding.remedy


@pytest.mark.parametrize(
    ("float64", "n", "published"), [(False, 32_769, 1071645696.0), (True, 16_385, 267911424.0)]
)
def test_the_values_of_issue_39103_are_found(float64, n, published):
    # The values that the issue reports for jaxlib 0.10.2.
    def program(value):
        def last(x):
            assert x.shape == (n, 3)
            assert x.dtype == (jnp.float64 if float64 else jnp.float32)
            return np.array([0.0, value])

        return last

    finding = doctor._check_row_sums(program(published), float64=float64)
    assert not finding.passed
    assert f"is {published:.0f}, expected {(n - 1) ** 2}" in finding.detail
    assert VERSIONS in finding.remedy
    assert doctor._check_row_sums(program((n - 1.0) ** 2), float64=float64).passed


@pytest.mark.parametrize(
    "program",
    [
        lambda a, b, precision: rounded_by_default(10)(a, b, None),
        lambda a, b, precision: jnp.matmul(a, b).at[3, 5].multiply(1.01),
        lambda a, b, precision: jnp.matmul(a, b).at[0, 0].set(jnp.nan),
        lambda a, b, precision: jnp.matmul(a[:, :-1], b[:-1]),
        rounded_by_default(3),
    ],
    ids=["TensorFloat-32 at highest", "one element", "nan", "one term less", "float8 by default"],
)
def test_a_wrong_product_is_found(program):
    finding = doctor._check_matmul(program)
    assert not finding.passed
    assert finding.detail.startswith("error ")
    assert "github.com/jax-ml/jax/issues" in finding.remedy


@pytest.mark.parametrize(
    ("mantissa_bits", "name"), [(23, "float32"), (10, "TensorFloat-32"), (7, "bfloat16")]
)
def test_the_default_precision_is_named(mantissa_bits, name):
    finding = doctor._check_matmul(rounded_by_default(mantissa_bits))
    assert finding.passed
    assert finding.detail.endswith(f"by default: {name}")


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x + 0.01,
        lambda x: x * 1.01,
        lambda x: np.sign(x),
        lambda x: np.clip(x, -3, 3),
        lambda x: np.append(x[:-1], np.nan),
    ],
    ids=["mean", "variance", "signs", "no tails", "nan"],
)
def test_wrong_random_numbers_are_found(change):
    def draw(key, shape, dtype):
        return change(np.random.default_rng(0).standard_normal(shape))

    finding = doctor._check_normal(draw)
    assert not finding.passed
    assert finding.detail.endswith("standard errors")
    assert finding.remedy
    unchanged = doctor._check_normal(
        lambda key, shape, dtype: np.random.default_rng(0).normal(size=shape)
    )
    assert unchanged.passed


@pytest.mark.parametrize("float64", [True, False])
def test_a_wrong_gradient_is_found(monkeypatch, float64):
    monkeypatch.setattr(doctor, "_has_float64", lambda: float64)
    right = doctor._check_gradient()
    assert right.passed
    assert ("(float64)" if float64 else "(float32, without float64)") in right.detail
    for wrong in (
        lambda function: lambda x: jax.grad(function)(x).at[7].add(1e-6 if float64 else 1e-3),
        lambda function: lambda x: -jax.grad(function)(x),
        lambda function: lambda x: jnp.full_like(x, jnp.nan),
    ):
        finding = doctor._check_gradient(wrong)
        assert not finding.passed
        assert finding.detail.startswith("error ")
        assert finding.remedy


@pytest.mark.parametrize("number", [1, 2, 20])
def test_one_different_bit_is_found(number):
    right = {"loss": np.float32(1), "kernel": np.zeros(3)}
    wrong = {"loss": np.float32(1), "kernel": np.array([0, -0.0, 0])}
    finding = doctor._check_determinism(on_call(number, lambda *args: right, wrong), num_calls=20)
    assert not finding.passed
    assert finding.detail == "20 calls give 2 different results"
    assert "--xla_gpu_deterministic_ops=true" in finding.remedy
    assert (
        doctor._check_determinism(lambda *args: right).detail == "200 calls give identical results"
    )


def test_float64_is_skipped_where_it_is_missing(monkeypatch):
    assert doctor._has_float64()
    with monkeypatch.context() as patch:
        patch.setattr(doctor.jax, "enable_x64", lambda value: contextlib.nullcontext())
        assert not doctor._has_float64()
    monkeypatch.setattr(doctor, "_has_float64", lambda: False)
    finding = doctor._check_row_sums(lambda x: pytest.fail("called"), float64=True)
    assert finding == ("sums of rows", True, "float64 skipped: this backend does not have it", "")


def test_an_exception_is_a_finding():
    def broken(*args, **options):
        raise jax.errors.JaxRuntimeError("INTERNAL:\n  no kernel")

    for check in (doctor._check_row_sums, doctor._check_matmul, doctor._check_normal):
        finding = check(broken)
        assert not finding.passed
        assert finding.detail == "raised JaxRuntimeError: INTERNAL: no kernel"
        assert finding.remedy


@pytest.fixture
def examined(monkeypatch):
    """The results of the next examinations, the last first; each is removed when it is used."""
    results = []

    def examine(*, quick):
        assert quick
        return (RIGHT, results.pop())

    monkeypatch.setattr(doctor, "examine", examine)
    return results


def test_a_wrong_backend_raises_with_result_and_remedy(examined, tmp_path):
    examined[:] = [RIGHT, WRONG, WRONG]
    message = r"wrong results \(sums of rows: 3, expected 4\). Remedy: another jaxlib\. "
    for _ in range(2):
        with pytest.raises(doctor.UnsoundBackendError, match=message):
            doctor.require_sound_backend(cache=tmp_path)
        assert list(tmp_path.iterdir()) == []
    doctor.require_sound_backend(cache=tmp_path)
    assert examined == []
    assert issubclass(doctor.UnsoundBackendError, RuntimeError)


def test_passed_checks_are_stored(examined, tmp_path):
    cache = tmp_path / "to be" / "made"
    examined[:] = [WRONG, RIGHT]
    for _ in range(3):
        doctor.require_sound_backend(cache=cache)
    assert examined == [WRONG]
    (record,) = cache.iterdir()
    assert record.stat().st_size < 1000
    with pytest.raises(doctor.UnsoundBackendError):
        doctor.require_sound_backend()


CHANGES = {
    "flags": lambda patch: patch.setenv("XLA_FLAGS", "--another"),
    "threads": lambda patch: patch.setenv("NPROC", "77"),
    "cores": lambda patch: patch.setattr(doctor.os, "cpu_count", lambda: 77),
    "jax": lambda patch: patch.setattr(
        doctor, "_version", lambda name: "0.1" if name == "jax" else "1"
    ),
    "jaxlib": lambda patch: patch.setattr(
        doctor, "_version", lambda name: "0.1" if name == "jaxlib" else "1"
    ),
    "processor": lambda patch: patch.setattr(doctor, "_processor", lambda: "Z80"),
    "host": lambda patch: patch.setattr(doctor.platform, "node", lambda: "elsewhere"),
    "revision": lambda patch: patch.setattr(doctor, "_REVISION", 0),
    "device": lambda patch: patch.setattr(
        doctor.jax,
        "local_devices",
        lambda: [types.SimpleNamespace(platform="gpu", device_kind="NVIDIA H100")],
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_backend_is_examined_again(examined, tmp_path, monkeypatch, change):
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setattr(doctor, "_version", lambda name: "1")
    examined[:] = [WRONG, RIGHT]
    doctor.require_sound_backend(cache=tmp_path)
    with monkeypatch.context() as patch:
        change(patch)
        with pytest.raises(doctor.UnsoundBackendError):
            doctor.require_sound_backend(cache=tmp_path)
    doctor.require_sound_backend(cache=tmp_path)


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff" * 3000, b"[" * 100_000])
def test_a_damaged_record_is_ignored_and_replaced(examined, tmp_path, garbage):
    examined[:] = [RIGHT, RIGHT]
    doctor.require_sound_backend(cache=tmp_path)
    (record,) = tmp_path.iterdir()
    sound = record.read_bytes()
    for text in (garbage, sound + b" ", sound[:-1]):
        examined[:] = [RIGHT]
        record.write_bytes(text)
        doctor.require_sound_backend(cache=tmp_path)
        assert examined == []
        assert record.read_bytes() == sound


def test_a_cache_that_cannot_be_written_is_ignored(examined, tmp_path):
    (tmp_path / "file").touch()
    examined[:] = [RIGHT, RIGHT]
    for _ in range(2):
        doctor.require_sound_backend(cache=tmp_path / "file" / "folder")
    assert examined == []
    examined[:] = [RIGHT]
    doctor.require_sound_backend(cache=tmp_path / "folder")
    (record,) = (tmp_path / "folder").iterdir()
    record.unlink()
    (record / "in the way").mkdir(parents=True)
    examined[:] = [RIGHT]
    doctor.require_sound_backend(cache=tmp_path / "folder")
    assert examined == []
    assert list((tmp_path / "folder").iterdir()) == [record]
