"""Names of torch that hold a program together but compute nothing: there is nothing to verify, so they get advice and
are counted apart."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DTYPES", "LAYER_METHODS", "NAMES", "OPTIMIZER_METHODS", "Advice", "advice"]


@dataclass(frozen=True)
class Advice:
    """What stands in the place of a torch name."""

    target: str  #: MindSpore's name, empty where there is none
    text: str = ""  #: what to do


#: torch's dtypes and MindSpore's.
DTYPES = {
    name: name
    for name in (
        "bool",
        "uint8",
        "int8",
        "int16",
        "int32",
        "int64",
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "complex64",
        "complex128",
    )
}
DTYPES |= {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "cfloat": "complex64",
}
_TYPES = {
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Float": "float32",
    "Double": "float64",
    "Byte": "uint8",
    "Char": "int8",
    "Short": "int16",
}
_TYPES |= {"Int": "int32", "Long": "int64", "Bool": "bool"}

_NO_GRAPH = "leave it out: nothing is recorded, gradients are taken of a function (mindspore.value_and_grad); cut one with mindspore.ops.stop_gradient"
_DEVICE = "leave it out: a process has one device, set once with mindspore.set_device"
_FORMAT = "leave it out: tensors have no memory format"
_LOADING = "a dataset pipeline; or keep torch's loader and hand over numpy arrays"
_NAMED = "parameters carry their own names"

#: By dotted name.
NAMES = {
    "torch": Advice("mindspore"),
    "torch.nn": Advice("mindspore.nn", "layers with torch's arguments are in mindspore.mint.nn"),
    "torch.nn.functional": Advice("mindspore.mint.nn.functional"),
    "torch.nn.Module": Advice("mindspore.nn.Cell", "rename forward to construct"),
    "torch.nn.Module.forward": Advice(
        "mindspore.nn.Cell.construct", "rename forward to construct; its first parameter must be called self"
    ),
    "torch.nn.Parameter": Advice("mindspore.Parameter", "takes name= too; requires_grad stays"),
    "torch.nn.Buffer": Advice("mindspore.nn.Cell.register_buffer", "self.register_buffer(name, tensor)"),
    "torch.nn.ModuleList": Advice("mindspore.nn.CellList"),
    "torch.nn.ModuleDict": Advice("mindspore_impl.porting.ModuleDict", "nn.CellDict refuses containers"),
    "torch.nn.ParameterList": Advice("mindspore.ParameterTuple", "a tuple: build it from the finished list"),
    "torch.nn.ParameterDict": Advice("", "no counterpart: set attributes of a Cell, one for each key"),
    "torch.nn.Sequential": Advice("mindspore.nn.SequentialCell"),
    "torch.nn.DataParallel": Advice("", "one process per device under msrun"),
    "torch.nn.parallel.DistributedDataParallel": Advice(
        "mindspore.nn.DistributedGradReducer", "between value_and_grad and the optimizer"
    ),
    "torch.Tensor": Advice("mindspore.Tensor"),
    "torch.Size": Advice("tuple", "shapes are tuples"),
    "torch.dtype": Advice("mindspore.dtype.Type", "the type of every dtype"),
    "torch.device": Advice("", _DEVICE),
    "torch.Generator": Advice("mindspore.Generator"),
    "torch.is_tensor": Advice("mindspore.is_tensor"),
    "torch.no_grad": Advice("", _NO_GRAPH),
    "torch.inference_mode": Advice("", _NO_GRAPH),
    "torch.enable_grad": Advice("", _NO_GRAPH),
    "torch.set_grad_enabled": Advice("", _NO_GRAPH),
    "torch.is_grad_enabled": Advice("", _NO_GRAPH),
    "torch.autograd.grad": Advice("mindspore.grad", "takes the function, not its result"),
    "torch.autograd.backward": Advice("mindspore.value_and_grad", "takes the function, not its result"),
    "torch.autograd.Function": Advice("mindspore.nn.Cell", "give the Cell a bprop method"),
    "torch.autograd.Variable": Advice("mindspore.Tensor"),
    "torch.autocast": Advice("mindspore.amp.auto_mixed_precision", "converts the network, not a block of code"),
    "torch.amp.autocast": Advice("mindspore.amp.auto_mixed_precision", "converts the network, not a block of code"),
    "torch.amp.GradScaler": Advice("mindspore.amp.DynamicLossScaler"),
    "torch.manual_seed": Advice("mindspore.manual_seed", "other random numbers follow from the same seed"),
    "torch.use_deterministic_algorithms": Advice("mindspore.set_deterministic"),
    "torch.compile": Advice("mindspore.jit"),
    "torch.save": Advice("mindspore.save_checkpoint"),
    "torch.load": Advice(
        "mindspore.load_checkpoint", "reads MindSpore's own format; carry weights over as safetensors"
    ),
    "torch.utils.checkpoint.checkpoint": Advice(
        "mindspore.recompute", "takes a Cell or a method of one, not a function; leave out use_reentrant"
    ),
    "torch.utils.data.DataLoader": Advice("mindspore.dataset.GeneratorDataset", _LOADING),
    "torch.utils.data.Dataset": Advice(
        "mindspore.dataset.GeneratorDataset", "takes any object with __getitem__ and __len__"
    ),
    "torch.finfo": Advice("numpy.finfo", "of the numpy dtype: numpy.finfo(mindspore.dtype_to_nptype(dtype))"),
    "torch.iinfo": Advice("numpy.iinfo", "of the numpy dtype: numpy.iinfo(mindspore.dtype_to_nptype(dtype))"),
    "torch.pi": Advice("math.pi"),
    "torch.e": Advice("math.e"),
    "torch.inf": Advice("math.inf"),
    "torch.nan": Advice("math.nan"),
    "torch.contiguous_format": Advice("", _FORMAT),
    "torch.channels_last": Advice("", _FORMAT),
    "torch.preserve_format": Advice("", _FORMAT),
    "torch.strided": Advice("", _FORMAT),
    "torch.__version__": Advice("mindspore.__version__"),
    "torch.cuda.is_available": Advice(
        "mindspore.device_context.gpu.is_available", "and mindspore.device_context.ascend.is_available"
    ),
    "torch.cuda.device_count": Advice(
        "mindspore.device_context.gpu.device_count", "and mindspore.device_context.ascend.device_count"
    ),
    "torch.cuda.empty_cache": Advice("mindspore.runtime.empty_cache"),
    "torch.cuda.synchronize": Advice("mindspore.runtime.synchronize"),
    "torch.cuda.max_memory_allocated": Advice("mindspore.runtime.max_memory_allocated"),
    "torch.cuda.manual_seed": Advice("mindspore.manual_seed"),
    "torch.cuda.manual_seed_all": Advice("mindspore.manual_seed"),
}
NAMES |= {f"torch.{name}": Advice(f"mindspore.{ours}") for name, ours in DTYPES.items()}
NAMES |= {
    f"torch.{name}Tensor": Advice("mindspore.Tensor", f"with dtype mindspore.{dtype} when it is called")
    for name, dtype in _TYPES.items()
}

#: Whole sections of torch that have no rows, since they compute nothing.
_SECTIONS = {
    "torch.backends.": Advice("", "leave it out: switches of torch's own libraries"),
    "torch.cuda.": Advice(
        "", "no CUDA calls: see mindspore.runtime, mindspore.device_context and mindspore.set_device"
    ),
    "torch.distributed.rpc.": Advice("", "no counterpart: processes of one job share tensors by collectives only"),
    "torch.distributed.checkpoint.": Advice("", "no counterpart: each process saves its part, or rank 0 the whole"),
    "torch.distributed.": Advice(
        "mindspore.mint.distributed", "much of it has torch's names; none of it is verified here"
    ),
    "torch.fx.": Advice("", "no counterpart: graphs are compiled by mindspore.jit"),
    "torch.jit.": Advice("mindspore.jit", "compiles the Python source; annotations for TorchScript can go"),
    "torch.multiprocessing.": Advice("multiprocessing", "Python's own; one process per device is started by msrun"),
    "torch.onnx.": Advice("mindspore.export"),
    "torch.optim.lr_scheduler.": Advice(
        "mindspore.experimental.optim.lr_scheduler",
        "for its optimizers only, not verified here; or set the rate each step",
    ),
    "torch.profiler.": Advice("mindspore.profiler"),
    "torch.utils.data.": Advice("mindspore.dataset", _LOADING),
    "torch.utils.tensorboard.": Advice("", "torch's writer takes numpy arrays; nothing in it needs MindSpore"),
}

#: Methods of tensors, by name. A row of the mapping goes before.
_METHODS = {
    "to": Advice("mindspore.Tensor.to", "to(dtype) stays; leave to(device) out, a process has one device"),
    "cpu": Advice("", "leave it out; towards numpy, asnumpy() does it"),
    "cuda": Advice("", _DEVICE),
    "type": Advice("mindspore.Tensor.astype", "of a dtype"),
    "size": Advice(
        "mindspore.Tensor.shape",
        "x.size() is x.shape and x.size(0) is x.shape[0]; MindSpore's size is the number of elements",
    ),
    "dim": Advice("mindspore.Tensor.ndim", "no call: x.ndim"),
    "detach": Advice("mindspore.ops.stop_gradient", "stop_gradient(x)"),
    "numpy": Advice("mindspore.Tensor.asnumpy"),
    "backward": Advice(
        "mindspore.value_and_grad", "no counterpart: take the gradients of a function that returns the loss"
    ),
    "requires_grad_": Advice("mindspore.Parameter.requires_grad", "set the attribute of a Parameter"),
    "retain_grad": Advice("", "leave it out: take the gradient with respect to that value"),
    "register_hook": Advice("mindspore.Tensor.register_hook", "the hook may not change its argument in place"),
    "pin_memory": Advice("", "leave it out"),
    "share_memory_": Advice("", "leave it out"),
    "get_device": Advice("", _DEVICE),
}

#: Methods of layers, known on self; and whether the bare name is enough on an object of unknown kind.
LAYER_METHODS = {
    "add_module": (Advice("mindspore.nn.Cell.insert_child_to_cell", "same order of arguments"), True),
    "apply": (Advice("mindspore.nn.Cell.apply"), False),
    "buffers": (Advice("mindspore.nn.Cell.buffers"), True),
    "children": (Advice("mindspore.nn.Cell.cells"), False),
    "eval": (Advice("mindspore.nn.Cell.set_train", "set_train(False); a new Cell is not in training mode"), True),
    "get_submodule": (Advice("mindspore.nn.Cell.get_sub_cell"), True),
    "load_state_dict": (Advice("mindspore.load_param_into_net", "or Cell.load_state_dict"), True),
    "modules": (Advice("mindspore.nn.Cell.cells_and_names", "yields names too"), False),
    "named_buffers": (Advice("mindspore.nn.Cell.named_buffers"), True),
    "named_children": (Advice("mindspore.nn.Cell.name_cells", "a dict: name_cells().items()"), True),
    "named_modules": (Advice("mindspore.nn.Cell.cells_and_names"), True),
    "named_parameters": (Advice("mindspore.nn.Cell.parameters_and_names"), True),
    "parameters": (Advice("mindspore.nn.Cell.get_parameters", "trainable_params() for an optimizer"), True),
    "register_buffer": (Advice("mindspore.nn.Cell.register_buffer"), True),
    "register_forward_hook": (Advice("mindspore.nn.Cell.register_forward_hook"), True),
    "register_forward_pre_hook": (Advice("mindspore.nn.Cell.register_forward_pre_hook"), True),
    "register_module": (Advice("mindspore.nn.Cell.insert_child_to_cell"), True),
    "register_parameter": (Advice("mindspore.nn.Cell.insert_param_to_cell", f"or set the attribute; {_NAMED}"), True),
    "reset_parameters": (Advice("", "no such method: set new values with Parameter.set_data"), False),
    "set_submodule": (
        Advice("", "no such method: get_sub_cell(path) of its parent, and set the attribute there"),
        True,
    ),
    "state_dict": (Advice("mindspore.nn.Cell.parameters_dict", f"or Cell.state_dict; {_NAMED}"), True),
    "train": (Advice("mindspore.nn.Cell.set_train"), True),
    "zero_grad": (Advice("", "leave it out: gradients do not add up from step to step"), True),
}

LAYER_METHODS |= {
    "to": (
        Advice("", "leave a device out, a process has one; of a dtype mindspore.nn.Cell.to_float: inputs are cast"),
        False,
    ),
    "cuda": (Advice("", _DEVICE), False),
    "cpu": (Advice("", _DEVICE), False),
    "share_memory": (Advice("", "leave it out"), False),
    "requires_grad_": (Advice("mindspore.Parameter.requires_grad", "set the attribute of every Parameter"), False),
}
LAYER_METHODS |= {
    name: (
        Advice("mindspore.nn.Cell.to_float", f"to_float(mindspore.{DTYPES.get(name, name)}): inputs are cast"),
        False,
    )
    for name in ("half", "float", "double", "bfloat16")
}

#: Methods of optimizers, known by the object's name.
OPTIMIZER_METHODS = {
    "state_dict": Advice("mindspore.save_checkpoint", "save_checkpoint(optimizer, path): an optimizer is a Cell"),
    "load_state_dict": Advice(
        "mindspore.load_checkpoint",
        "load_checkpoint(path, optimizer); torch's state does not fit, as it goes by number",
    ),
    "zero_grad": Advice("", "leave it out: gradients do not add up from step to step"),
}


def advice(name: str) -> Advice | None:
    """What is known of a dotted torch name; of ``torch.Tensor.to`` as a method of a tensor, of ``torch.nn.Module.eval``
    as one of a layer."""
    parent, _, leaf = name.rpartition(".")
    if name in NAMES:
        return NAMES[name]
    if parent == "torch.Tensor" and leaf in _METHODS:
        return _METHODS[leaf]
    if parent == "torch.nn.Module" and leaf in LAYER_METHODS:
        return LAYER_METHODS[leaf][0]
    if parent == "torch.optim.Optimizer" and leaf in OPTIMIZER_METHODS:
        return OPTIMIZER_METHODS[leaf]
    if name.startswith("torch.cuda.") and name.endswith("Tensor"):
        return advice(f"torch.{leaf}")
    return next((told for section, told in _SECTIONS.items() if f"{name}.".startswith(section)), None)
