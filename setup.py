"""What setup.cfg cannot say: ``configs/`` of the repository is installed as ``common.configs``."""

from setuptools import find_namespace_packages, setup

packages = find_namespace_packages(include=["common*", "pytorch_impl*", "mindspore_impl*", "twinlora*"])
configs = {"common.configs": "configs", "common.configs.studies": "configs/studies"}
setup(packages=[*packages, *configs], package_dir=configs)
