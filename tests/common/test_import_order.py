"""Every module of ``common`` can be the first one that is imported: there is no circle that only some orders
survive."""

import pkgutil
import subprocess
import sys

import common

CODE = """
import importlib, sys
failed = []
before = set(sys.modules)
for name in {names!r}:
    for loaded in [module for module in sys.modules if module == "common" or module.startswith("common.")]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed.append(f"{{name}}: {{error}}")
print("\\n".join(failed))
"""


def test_every_module_can_be_imported_first():
    names = [module.name for module in pkgutil.walk_packages(common.__path__, "common.")]
    assert len(names) > 150
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(names=names)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""
