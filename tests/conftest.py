"""Fixtures shared by all tests, XLA flags and compiled programs of the processes that run them."""

import atexit
import gc
import os
import shutil
import tempfile

# Each program that is read from the cache would be a long warning.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The threads of scikit-learn's boosting wait for each other in loops, where other processes use the
# cores: four small fits took 42 s.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import jaxlib
import jaxtyping
import numpy as np
import pytest
from sklearn.datasets import load_digits

# Read when the first array is made. Most of the time of the suite is spent in XLA, which optimizes
# small programs that run for milliseconds. JAXNET_TEST_PLAIN_FLAGS=1 leaves these flags out.
_QUICK = ["--xla_backend_optimization_level=0"]
# A process with a flag that its XLA does not know ends at once; jaxlib 0.12 lacks the first.
if tuple(map(int, jaxlib.__version__.split(".")[:2])) < (0, 11):
    _QUICK += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
# Those that commands add, without effect on CPU. Added by the first command of a process, they
# would change the keys of compiled programs, and all later tests would compile again.
_QUICK += ["--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0"]
# Two CPU devices, for the tests of sharding; one-device programs use the first.
_DEVICES = "--xla_force_host_platform_device_count"
_given = os.environ.get("XLA_FLAGS", "").split()
# The workers of pytest-xdist inherit the flags that this module set in their parent process.
_user_flags = [flag for flag in _given if flag not in [*_QUICK, f"{_DEVICES}=2"]]
_flags = list(_user_flags)
if os.environ.get("JAXNET_TEST_PLAIN_FLAGS") != "1":
    _flags += _QUICK
if not any(flag.startswith(_DEVICES) for flag in _flags):
    _flags.append(f"{_DEVICES}=2")
os.environ["XLA_FLAGS"] = " ".join(_flags)

# Many tests compile the same program, and so do the workers of pytest-xdist, which inherit the name
# of the folder. Commands in other processes at most read it: one that is killed leaves half a file.
# Whoever reads an entry that another worker is writing compiles the program, after a warning.
_PROGRAMS = "JAXNET_TEST_PROGRAMS"
if os.environ.get("JAXNET_TEST_PLAIN_FLAGS") != "1":
    if _PROGRAMS not in os.environ:
        os.environ[_PROGRAMS] = tempfile.mkdtemp(prefix="jaxnet-programs-")
        atexit.register(shutil.rmtree, os.environ[_PROGRAMS], ignore_errors=True)
    jax.config.update("jax_compilation_cache_dir", os.environ[_PROGRAMS])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


# Tracing makes many objects and few cycles of them. What imports and collection made stays.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave out what exists before the first test when garbage is collected."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def user_flags() -> str:
    """XLA_FLAGS without those that the tests add: commands in other processes run with these."""
    return " ".join(_user_flags)


@pytest.fixture
def key() -> jax.Array:
    """A fixed typed PRNG key."""
    return jax.random.key(20)


@pytest.fixture
def as_users_run():
    """Without the type checks of the tests, which would see wrong arguments first."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def x64():
    """Float64 inside one test: mathematics is checked where rounding does not hide errors."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def digits() -> dict[str, dict[str, jax.Array]]:
    """The digits of scikit-learn, standardized by one mean and scale, in two parts."""
    bunch = load_digits()
    x = ((bunch.data - bunch.data.mean()) / bunch.data.std()).astype(np.float32)
    y = bunch.target.astype(np.int32)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1400], order[1400:]
    parts = {"train": {"x": x[train], "y": y[train]}, "test": {"x": x[test], "y": y[test]}}
    return jax.device_put(parts)
