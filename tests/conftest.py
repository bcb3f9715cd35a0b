"""What all tests share: how hard Hypothesis tries, what is derived once, and what happens when a tool is not there."""

import os
import shutil
from functools import cache

import pytest
from hypothesis import HealthCheck, settings
from nacl.pwhash import argon2id

settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=5000)
# As many mutants are judged: few examples, and the same ones each time.
settings.register_profile(
    "mutation",
    parent=settings.get_profile("default"),
    max_examples=30,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# The same passphrase and salt give the same key: a keystore that a test opens twice is derived once.
argon2id.kdf = cache(argon2id.kdf)


def require(present: bool, what: str) -> None:
    """Skip the test, saying why, when ``what`` is not there; in CI nothing is skipped, so fail."""
    if present:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing; `make peers` installs it")
    pytest.skip(f"{what} is missing; `make peers` installs it (Debian packages need root)")


def require_program(name: str) -> str:
    """The path of a program, or :func:`require`'s refusal."""
    path = shutil.which(name)
    require(path is not None, f"the program {name}")
    assert path is not None
    return path
