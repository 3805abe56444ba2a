"""Importing a module gives the module, whatever its package exports."""

import importlib
import pkgutil
import types

import pytest

import jaxnet

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(jaxnet.__path__, "jaxnet.")
    if not module.name.split(".")[-1].startswith("_")
)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_not_hidden_by_a_name_of_its_package(name):
    importlib.import_module(name)
    parent, _, child = name.rpartition(".")
    # `import a.b as m` binds this attribute.
    imported = getattr(importlib.import_module(parent), child)
    assert isinstance(imported, types.ModuleType) and imported.__name__ == name


def test_the_names_of_a_package_are_not_names_of_its_modules():
    """Also where the order of imports would happen to bind the module."""
    clashes = [
        name
        for name in MODULES
        if name.rpartition(".")[2]
        in getattr(importlib.import_module(name.rpartition(".")[0]), "__all__", ())
    ]
    assert not clashes
