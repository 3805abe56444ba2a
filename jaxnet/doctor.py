"""Known-answer checks of the JAX backend: `python -m jaxnet.doctor`.

jaxlib 0.10.2 and 0.11.0 to 0.11.2 compute wrong sums on CPU, and networks train on them without an
error, to other results. The program that a check examines is its first argument, so that a test can
pass a wrong one. The programs of jax-ml/jax issues 39257 and 40412 crash these versions of jaxlib
and are not run.
"""

import argparse
import collections
import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.extend.backend
import jax.numpy as jnp
import numpy as np

from jaxnet._files import atomic_write

_Program = Callable[..., Any]
_REVISION = 1  # Of the quick checks: another number invalidates all cached results.

_UPGRADE = (
    "install another jaxlib: pip install --upgrade jax "
    "'jaxlib>=0.10.1,!=0.10.2,!=0.11.0,!=0.11.1,!=0.11.2'; where it cannot be replaced, set "
    "XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=-reduce before Python starts"
)
_REPORT = (
    "where a sum failed too, follow its remedy first; otherwise run pip install --force-reinstall "
    "jax jaxlib, and report a remaining failure to https://github.com/jax-ml/jax/issues"
)
_REPEATABLE = (
    "on GPU, set XLA_FLAGS='--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0' before "
    f"Python starts; on CPU, {_UPGRADE}"
)


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        name: what was checked.
        passed: whether the result was right.
        detail: found and expected values.
        remedy: what to do; empty where the check passed.
    """

    name: str
    passed: bool
    detail: str
    remedy: str


class UnsoundBackendError(RuntimeError):
    """The JAX backend does not start, or computes wrong results."""


def _check(name: str, remedy: str) -> Callable[[_Program], Callable[..., Finding]]:
    def decorate(examination: _Program) -> Callable[..., Finding]:
        def check(*args: Any, **options: Any) -> Finding:
            try:
                passed, detail = examination(*args, **options)
            except Exception as error:  # A broken backend may raise anything; other checks run.
                passed, detail = False, f"raised {_one_line(error)}"
            return Finding(name, bool(passed), detail, "" if passed else remedy)

        return check

    return decorate


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _has_float64() -> bool:
    with contextlib.suppress(RuntimeError, NotImplementedError, TypeError), jax.enable_x64(True):
        return bool(jnp.asarray(1.0) + 2.0**-40 > 1)
    return False


_broadcast_sum = jax.jit(lambda x: jnp.sum(jnp.broadcast_to(x, (8, 1024, 1024))))
_squared_norms = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3, dtype=row.dtype) @ row) ** 2)))


@_check("sum of a broadcast", _UPGRADE)
def _check_broadcast_sum(program: _Program = _broadcast_sum) -> Any:
    """A sum of 8 * 1024 * 1024 ones is exact in float32; wrong sums differ between calls."""
    ones, expected = jnp.ones((1024, 1), jnp.float32), 8 * 1024 * 1024
    sums = {float(program(ones)) for _ in range(8)}
    values = ", ".join(f"{value:.17g}" for value in sorted(sums))
    return sums == {expected}, f"8 calls give {values}, expected {expected}"


@_check("sums of rows", _UPGRADE)
def _check_row_sums(program: _Program = _squared_norms, *, float64: bool = False) -> Any:
    """The last of the rows (i, 0, 0), i < n, has squared norm (n - 1)^2: jax-ml/jax issue 39103."""
    if float64 and not _has_float64():
        return True, "float64 skipped: this backend does not have it"
    n, dtype = (16_385, np.dtype("float64")) if float64 else (32_769, np.dtype("float32"))
    x = np.zeros((n, 3), dtype)
    x[:, 0] = np.arange(n)
    with jax.enable_x64(float64):
        last = float(program(jnp.asarray(x))[-1])
    expected = (n - 1) ** 2
    return last == expected, f"the last of {n} in {dtype} is {last:.17g}, expected {expected}"


@_check("matrix product", _REPORT)
def _check_matmul(program: _Program = jnp.matmul) -> Any:
    """The error max |C - AB| / (|A||B|) is at most k 2^-24 (Higham, 2002, section 3.5), k = 128.

    Accelerators may round the factors by default, to TensorFloat-32 (2^-10) or bfloat16 (2^-7).
    """
    a, b = np.random.default_rng(20).standard_normal((2, 256, 128)).astype(np.float32)
    exact, scale = a.astype(np.float64) @ b.T.astype(np.float64), abs(a) @ abs(b.T)
    bounds = {"float32": 128 * 2.0**-24, "TensorFloat-32": 2.0**-10, "bfloat16": 2.0**-7}

    def error(precision: jax.lax.Precision | None) -> float:
        product = program(jnp.asarray(a), jnp.asarray(b.T), precision=precision)
        return float(np.max(abs(np.asarray(product, np.float64) - exact) / scale))

    highest, default = error(jax.lax.Precision.HIGHEST), error(None)
    rounding = next((name for name in bounds if default <= bounds[name]), "worse than bfloat16")
    return highest <= bounds["float32"] and default <= bounds["bfloat16"], (
        f"error {highest:.1e} at highest precision, at most {bounds['float32']:.1e} allowed; "
        f"{default:.1e} by default: {rounding}"
    )


@_check("random normal numbers", _REPORT)
def _check_normal(draw: _Program = jax.random.normal) -> Any:
    """Of n draws, the standard errors of mean, variance, kurtosis are sqrt(1, 2, 24) / sqrt(n)."""
    n = 1_000_000
    values = np.asarray(draw(jax.random.key(20), (n,), jnp.float32), np.float64)
    mean, variance = values.mean(), values.var()
    kurtosis = np.mean((values - mean) ** 4) / variance**2
    errors = np.array([mean, variance - 1, kurtosis - 3]) / np.sqrt(np.array([1, 2, 24]) / n)
    shown = ", ".join(f"{error:+.1f}" for error in errors)
    return np.all(abs(errors) <= 5), f"mean, variance, kurtosis off by {shown} standard errors"


def _network_loss(xp: Any, params: Any, x: Any, y: Any) -> Any:
    hidden = xp.tanh(x @ params[:24].reshape(3, 8) + params[24:32])
    return xp.mean(xp.logaddexp(0, -y * (hidden @ params[32:])))


@_check("gradient", _REPORT)
def _check_gradient(grad: _Program = jax.grad) -> Any:
    """The gradient of a small network equals central differences of its loss in NumPy."""
    generator, float64 = np.random.default_rng(20), _has_float64()
    params, x = generator.standard_normal(40), generator.standard_normal((16, 3))
    y, steps = np.sign(generator.standard_normal(16)), 1e-5 * np.eye(40)
    loss = functools.partial(_network_loss, np, x=x, y=y)
    expected = np.array([(loss(params + step) - loss(params - step)) / 2e-5 for step in steps])
    with jax.enable_x64(float64), jax.default_matmul_precision("highest"):
        compiled = jax.jit(grad(lambda params: _network_loss(jnp, params, x, y)))
        error = np.max(abs(np.asarray(compiled(jnp.asarray(params))) - expected))
    bound, name = (1e-8, "float64") if float64 else (1e-4, "float32, without float64")
    return error <= bound, f"error {error:.1e} ({name}), at most {bound:.0e} allowed"


@jax.jit
def _training_step(key: jax.Array, kernel: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    def loss(kernel: jax.Array) -> jax.Array:
        hidden = jnp.tanh(x @ kernel)
        kept = jnp.where(jax.random.bernoulli(key, 0.8, hidden.shape), hidden, 0)
        return jnp.mean((kept @ kernel.T - x) ** 2)

    value, gradient = jax.value_and_grad(loss)(kernel)
    return value, kernel - 0.1 * gradient


@_check("determinism", _REPEATABLE)
def _check_determinism(program: _Program = _training_step, *, num_calls: int = 200) -> Any:
    """A training step with dropout gives bitwise identical results at every call."""
    generator, outputs = np.random.default_rng(20), set()
    kernel = jnp.asarray(generator.standard_normal((256, 128)) / 16, jnp.float32)
    x = jnp.asarray(generator.standard_normal((1024, 256)), jnp.float32)
    for _ in range(num_calls):
        leaves = jax.tree.leaves(program(jax.random.key(20), kernel, x))
        outputs.add(b"".join(np.asarray(leaf).tobytes() for leaf in leaves))
    results = "identical" if len(outputs) == 1 else f"{len(outputs)} different"
    return len(outputs) == 1, f"{num_calls} calls give {results} results"


def examine(*, quick: bool = False) -> tuple[Finding, ...]:
    """Check the first device of this process; the others are assumed to be like it.

    Args:
        quick: check only the sums and, briefly, determinism; takes about a second.

    Returns:
        One finding for each check, also for a check that fails or raises.

    >>> [finding.name for finding in examine(quick=True) if finding.passed]
    ['sum of a broadcast', 'sums of rows', 'sums of rows', 'determinism']
    """
    sums = (_check_broadcast_sum(), _check_row_sums(), _check_row_sums(float64=True))
    if quick:
        return (*sums, _check_determinism(num_calls=20))
    return (*sums, _check_matmul(), _check_normal(), _check_gradient(), _check_determinism())


def require_sound_backend(*, cache: Path | None = None) -> None:
    """Raise unless the quick checks pass; to be called before training.

    Args:
        cache: a directory, made where missing, that stores passed checks: one small file for each
            combination of versions, devices, XLA_FLAGS, number of threads, processor and host.
            Failures are not stored; a directory or file that cannot be used is ignored. With None
            the checks run at every call.

    Raises:
        UnsoundBackendError: no backend starts, or a check failed; with result and remedy.

    >>> require_sound_backend()
    """
    identity = json.dumps(_facts() | {"host": platform.node(), "revision": _REVISION}).encode()
    record = cache and cache / f"sound-backend-{hashlib.sha256(identity).hexdigest()[:32]}.json"
    if record:
        with contextlib.suppress(OSError), record.open("rb") as file:
            if file.read(len(identity) + 1) == identity:
                return
    failures = [finding for finding in examine(quick=True) if not finding.passed]
    if failures:
        details = "; ".join(f"{finding.name}: {finding.detail}" for finding in failures)
        remedies = "; or ".join(dict.fromkeys(finding.remedy for finding in failures))
        raise UnsoundBackendError(
            f"this JAX backend computes wrong results ({details}). Remedy: {remedies}. "
            "`python -m jaxnet.doctor` prints details"
        )
    if record:
        with contextlib.suppress(OSError):
            record.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(record) as temporary:
                temporary.write_bytes(identity)


def _facts() -> dict[str, str]:
    """Versions, devices and settings that results depend on; starts the backend."""
    try:
        devices = [f"{device.platform} ({device.device_kind})" for device in jax.local_devices()]
    # JAX asserts where JAX_PLATFORMS names a plug-in whose hardware is absent.
    except (RuntimeError, AssertionError) as error:
        raise UnsoundBackendError(
            f"no JAX backend starts with JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')!r} "
            f"({_one_line(error)}); unset it, or install the platform that it names"
        ) from error
    return {name: _version(name) for name in ("jax", "jaxlib", "numpy", "optax")} | {
        "python": platform.python_version(),
        "devices": ", ".join(
            f"{number} {kind}" for kind, number in collections.Counter(devices).items()
        ),
        "driver": " ".join(jax.extend.backend.get_backend().platform_version.split()),
        "processor": _processor(),
        "threads": os.environ.get("NPROC") or str(os.cpu_count()),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def _version(distribution: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(distribution)
    return "unknown"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main(argv: Sequence[str] | None = None) -> int:
    """Check the JAX backend by known answers: the command `python -m jaxnet.doctor`.

    Args:
        argv: arguments of the command line; None takes those of the process.

    Returns:
        The exit status: 0, or 1 where a result is wrong.

    >>> main(["--help"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    SystemExit: 0
    """
    description = "Check the JAX backend by known answers; exit status 1 where a result is wrong."
    parser = argparse.ArgumentParser("python -m jaxnet.doctor", description=description)
    parser.add_argument(
        "--quick", action="store_true", help="run only the checks that take about a second"
    )
    arguments = parser.parse_args(argv)
    try:
        facts = _facts()
    except UnsoundBackendError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"{name:9} {value or 'not set'}" for name, value in facts.items()), flush=True)
    findings = examine(quick=arguments.quick)
    for name, passed, detail, remedy in findings:
        print(f"{'ok' if passed else 'FAILED':6} {name}: {detail}")
        if not passed:
            print(f"       remedy: {remedy}")
    return 0 if all(finding.passed for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
