"""What stands for the names of torch that hold a program together: classes, containers, methods of layers."""

from __future__ import annotations

__all__ = ["DROPPED_METHODS", "INIT", "INPLACE", "LAYER_METHODS", "NAMES", "TUPLES"]

#: torch's names and MindSpore's, where the arguments are the same.
NAMES = {
    "torch": "ms",
    "torch.nn": "nn",
    "torch.nn.functional": "F",
    "torch.optim": "optim",
    "torch.nn.init": "init",
    "torch.optim.lr_scheduler": "lr_scheduler",
    "torch.utils.data": "porting.data",
    "torch.Tensor": "ms.Tensor",
    "torch.tensor": "ms.Tensor",
    "torch.nn.Module": "ms.nn.Cell",
    "torch.nn.Parameter": "ms.Parameter",
    "torch.nn.ModuleList": "ms.nn.CellList",
    "torch.nn.ModuleDict": "porting.ModuleDict",
    "torch.nn.Sequential": "ms.nn.SequentialCell",
    "torch.nn.TransformerEncoder": "porting.TransformerEncoder",
    "torch.nn.TransformerDecoder": "porting.TransformerDecoder",
    "torch.is_tensor": "ms.is_tensor",
    "torch.manual_seed": "porting.manual_seed",
    "torch.cuda.manual_seed": "porting.manual_seed",
    "torch.cuda.manual_seed_all": "porting.manual_seed",
    "torch.optim.Optimizer": "ms.nn.Cell",
    "torch.dtype": "ms.Type",
    "torch.Size": "tuple",
    "torch.inf": 'float("inf")',
    "torch.nan": 'float("nan")',
    "torch.__version__": "ms.__version__",
}
#: Initialisers of `mindspore_impl.porting.init`, under torch's names.
INIT = {
    *("uniform_", "normal_", "trunc_normal_", "constant_", "ones_", "zeros_", "eye_", "dirac_", "orthogonal_"),
    *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "calculate_gain"),
}
#: Methods of ``parameter.data`` that set start values, and the initialiser that does the same.
DATA_INIT = {"uniform_": "uniform_", "normal_": "normal_", "zero_": "zeros_", "fill_": "constant_"}
#: Sections whose public names `mindspore_impl.porting` has, by their module there.
SECTIONS = {"torch.optim.lr_scheduler": "lr_scheduler", "torch.utils.data": "data"}
__all__ += ["DATA_INIT", "SECTIONS"]

#: Place of ``inplace`` among the constructor's positional arguments.
INPLACE = {
    **dict.fromkeys(("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid"), 0),
    **dict.fromkeys(("LeakyReLU", "ELU", "CELU", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"), 1),
    **dict.fromkeys(("Threshold", "Hardtanh", "RReLU"), 2),
}
#: Methods of layers, and what is written instead.
LAYER_METHODS = {
    "apply": "apply",
    "buffers": "buffers",
    "named_buffers": "named_buffers",
    "register_buffer": "register_buffer",
    "get_submodule": "get_sub_cell",
    "named_parameters": "parameters_and_names",
    "named_modules": "cells_and_names",
    "children": "cells",
    "state_dict": "state_dict",
    "load_state_dict": "load_state_dict",
    "register_forward_hook": "register_forward_hook",
    "register_forward_pre_hook": "register_forward_pre_hook",
}
#: Methods that are left out: a process has one device, and nothing is recorded.
DROPPED_METHODS = {"cuda", "cpu", "pin_memory", "share_memory_", "contiguous_", "retain_grad"}
#: Functions and methods that return values and indices, in this order.
TUPLES = {"max", "min", "sort", "topk", "median", "mode", "kthvalue", "cummax", "cummin", "nanmedian", "aminmax"}
