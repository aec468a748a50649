"""What setup.cfg cannot say: ``configs/`` of the repository is installed as ``common.configs``."""

from setuptools import find_namespace_packages, setup

packages = find_namespace_packages(include=["common*", "pytorch_impl*", "mindspore_impl*", "twinlora*"])
setup(packages=[*packages, "common.configs"], package_dir={"common.configs": "configs"})
