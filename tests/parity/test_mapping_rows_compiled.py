"""`twinlora map verify --mode graph` over a few rows of every file; apart from test_mapping_rows.py so that two workers
share the time."""

from __future__ import annotations

import pytest

from common.api_mapping.running import selected
from tests.parity.mapped import FILES, troubles

pytestmark = [pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]

COMPILED = {
    "activation": ["nn.functional.relu", "nn.functional.gelu", "nn.functional.log_softmax", "nn.functional.leaky_relu"],
    "arithmetic": ["torch.add", "torch.floor_divide", "torch.eq", "torch.maximum"],
    "complexes": ["torch.view_as_complex", "torch.angle"],
    "convolution": ["nn.functional.conv1d", "nn.functional.conv2d"],
    "creation": ["torch.zeros_like", "torch.full", "torch.clone"],
    "factorization": ["linalg.eigvalsh"],
    "fourier": ["fft.rfft"],
    "indexing": ["torch.gather", "torch.where", "torch.index_select", "torch.topk"],
    "linalg": ["linalg.norm", "linalg.cholesky"],
    "loss": ["nn.functional.mse_loss", "nn.functional.kl_div"],
    "network": ["nn.functional.linear", "nn.functional.embedding", "nn.functional.dropout"],
    "normalization": ["nn.functional.rms_norm", "nn.functional.layer_norm"],
    "others": ["torch.hsplit"],
    "pointwise": ["torch.exp", "torch.clamp", "torch.erf", "torch.nan_to_num"],
    "products": ["torch.matmul", "torch.bmm"],
    "pooling": ["nn.functional.avg_pool1d"],
    "random": ["torch.rand"],
    "reduction": ["torch.argmax", "torch.mean"],
    "scattering": ["torch.slice_scatter"],
    "shape": ["torch.cat", "torch.transpose", "torch.stack", "torch.reshape"],
    "signal": ["nn.functional.channel_shuffle"],
    "special": ["special.expit", "special.log1p"],
    "statistics": ["torch.var", "torch.cumsum"],
    "special_functions": ["special.entr"],
    "tensor": ["Tensor.view", "Tensor.masked_fill", "Tensor.to", "Tensor.mean"],
    "module_functions": ["nn.GELU", "nn.MSELoss"],
    "module_others": ["nn.Softmax2d"],
    "module_sequences": ["nn.GRUCell"],
    "module_windows": ["nn.Conv1d", "nn.AvgPool1d"],
    "modules": ["nn.Linear", "nn.Embedding", "nn.LayerNorm"],
    "optimizers": ["optim.SGD", "optim.AdamW"],
    "volume": ["nn.functional.adaptive_avg_pool3d"],
}


@pytest.fixture(autouse=True)
def _shipped_lock_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("file", COMPILED)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["first", "every"])
def test_compiled_calls_are_as_in_torch(file, every):
    rows = selected(COMPILED[file] if every else COMPILED[file][:1])
    assert {row.name for row in rows} <= {row.name for row in FILES[file]}
    assert troubles(rows, "graph") == []


def test_every_file_has_compiled_rows():
    assert set(COMPILED) == set(FILES) - {"inplace"}  # graphs refuse methods that change their tensor
