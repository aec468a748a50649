"""Methods that change their tensor, made of the functions that give the new values; see `tensor` for what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mindspore import Tensor, mint, ops

from mindspore_impl.shims.activation import sigmoid as _sigmoid
from mindspore_impl.shims.activation import tanh as _tanh
from mindspore_impl.shims.arithmetic import addcdiv as _addcdiv
from mindspore_impl.shims.arithmetic import addcmul as _addcmul
from mindspore_impl.shims.arithmetic import atan2 as _atan2
from mindspore_impl.shims.arithmetic import bitwise_left_shift as _bitwise_left_shift
from mindspore_impl.shims.arithmetic import bitwise_right_shift as _bitwise_right_shift
from mindspore_impl.shims.arithmetic import copysign as _copysign
from mindspore_impl.shims.arithmetic import div as _div
from mindspore_impl.shims.arithmetic import floor_divide as _floor_divide
from mindspore_impl.shims.arithmetic import fmod as _fmod
from mindspore_impl.shims.arithmetic import hypot as _hypot
from mindspore_impl.shims.arithmetic import ldexp as _ldexp
from mindspore_impl.shims.arithmetic import lerp as _lerp
from mindspore_impl.shims.arithmetic import mul as _mul
from mindspore_impl.shims.arithmetic import pow as _pow
from mindspore_impl.shims.arithmetic import remainder as _remainder
from mindspore_impl.shims.arithmetic import sub as _sub
from mindspore_impl.shims.arithmetic import xlogy as _xlogy
from mindspore_impl.shims.comparison import ge as _ge
from mindspore_impl.shims.comparison import gt as _gt
from mindspore_impl.shims.comparison import heaviside as _heaviside
from mindspore_impl.shims.comparison import le as _le
from mindspore_impl.shims.comparison import ne as _ne
from mindspore_impl.shims.cumulative import cumprod as _cumprod
from mindspore_impl.shims.cumulative import cumsum as _cumsum
from mindspore_impl.shims.indexing import index_add as _index_add
from mindspore_impl.shims.indexing import index_copy as _index_copy
from mindspore_impl.shims.indexing import masked_scatter as _masked_scatter
from mindspore_impl.shims.indexing import scatter_add as _scatter_add
from mindspore_impl.shims.pointwise import acos as _acos
from mindspore_impl.shims.pointwise import acosh as _acosh
from mindspore_impl.shims.pointwise import asin as _asin
from mindspore_impl.shims.pointwise import asinh as _asinh
from mindspore_impl.shims.pointwise import atan as _atan
from mindspore_impl.shims.pointwise import atanh as _atanh
from mindspore_impl.shims.pointwise import bitwise_not as _bitwise_not
from mindspore_impl.shims.pointwise import clamp as _clamp
from mindspore_impl.shims.pointwise import clamp_max as _clamp_max
from mindspore_impl.shims.pointwise import clamp_min as _clamp_min
from mindspore_impl.shims.pointwise import cos as _cos
from mindspore_impl.shims.pointwise import cosh as _cosh
from mindspore_impl.shims.pointwise import deg2rad as _deg2rad
from mindspore_impl.shims.pointwise import digamma as _digamma
from mindspore_impl.shims.pointwise import erf as _erf
from mindspore_impl.shims.pointwise import erfc as _erfc
from mindspore_impl.shims.pointwise import erfinv as _erfinv
from mindspore_impl.shims.pointwise import expm1 as _expm1
from mindspore_impl.shims.pointwise import lgamma as _lgamma
from mindspore_impl.shims.pointwise import log as _log
from mindspore_impl.shims.pointwise import log1p as _log1p
from mindspore_impl.shims.pointwise import log2 as _log2
from mindspore_impl.shims.pointwise import log10 as _log10
from mindspore_impl.shims.pointwise import logit as _logit
from mindspore_impl.shims.pointwise import nan_to_num as _nan_to_num
from mindspore_impl.shims.pointwise import rad2deg as _rad2deg
from mindspore_impl.shims.pointwise import round as _round
from mindspore_impl.shims.pointwise import rsqrt as _rsqrt
from mindspore_impl.shims.pointwise import sign as _sign
from mindspore_impl.shims.pointwise import sin as _sin
from mindspore_impl.shims.pointwise import sinc as _sinc
from mindspore_impl.shims.pointwise import sinh as _sinh
from mindspore_impl.shims.pointwise import tan as _tan
from mindspore_impl.shims.products import addbmm as _addbmm
from mindspore_impl.shims.products import addmm as _addmm
from mindspore_impl.shims.products import addmv as _addmv
from mindspore_impl.shims.products import addr as _addr
from mindspore_impl.shims.products import baddbmm as _baddbmm
from mindspore_impl.shims.tensor import written

__all__ = [
    "abs_",
    "absolute_",
    "acos_",
    "acosh_",
    "addbmm_",
    "addcdiv_",
    "addcmul_",
    "addmm_",
    "addmv_",
    "addr_",
    "arccos_",
    "arcsin_",
    "arctan_",
    "asin_",
    "asinh_",
    "atan2_",
    "atan_",
    "atanh_",
    "baddbmm_",
    "bitwise_and_",
    "bitwise_left_shift_",
    "bitwise_not_",
    "bitwise_or_",
    "bitwise_right_shift_",
    "bitwise_xor_",
    "ceil_",
    "clamp_max_",
    "clamp_min_",
    "clip_",
    "copysign_",
    "cos_",
    "cosh_",
    "cumprod_",
    "cumsum_",
    "deg2rad_",
    "digamma_",
    "divide_",
    "eq_",
    "erf_",
    "erfc_",
    "erfinv_",
    "exp2_",
    "expm1_",
    "fix_",
    "float_power_",
    "floor_",
    "floor_divide_",
    "fmod_",
    "frac_",
    "ge_",
    "greater_",
    "greater_equal_",
    "gt_",
    "heaviside_",
    "hypot_",
    "index_add_",
    "index_copy_",
    "ldexp_",
    "le_",
    "lerp_",
    "less_",
    "less_equal_",
    "lgamma_",
    "log1p_",
    "log2_",
    "log10_",
    "log_",
    "logical_and_",
    "logical_not_",
    "logical_or_",
    "logical_xor_",
    "logit_",
    "lt_",
    "masked_scatter_",
    "multiply_",
    "nan_to_num_",
    "ne_",
    "neg_",
    "negative_",
    "not_equal_",
    "pow_",
    "rad2deg_",
    "reciprocal_",
    "remainder_",
    "round_",
    "rsqrt_",
    "scatter_add_",
    "sigmoid_",
    "sign_",
    "sin_",
    "sinc_",
    "sinh_",
    "sqrt_",
    "square_",
    "subtract_",
    "tan_",
    "tanh_",
    "tril_",
    "triu_",
    "true_divide_",
    "trunc_",
    "xlogy_",
]


def _changing(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """The method ``name``: what ``function`` gives, written into the tensor."""

    def call(input: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        return written(input, function(input, *arguments, **keywords))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name[:-1]}`, written into the tensor."
    return call


abs_ = _changing("abs_", mint.abs)
absolute_ = _changing("absolute_", mint.abs)
acos_ = _changing("acos_", _acos)
acosh_ = _changing("acosh_", _acosh)
addbmm_ = _changing("addbmm_", _addbmm)
addcdiv_ = _changing("addcdiv_", _addcdiv)
addcmul_ = _changing("addcmul_", _addcmul)
addmm_ = _changing("addmm_", _addmm)
addmv_ = _changing("addmv_", _addmv)
addr_ = _changing("addr_", _addr)
arccos_ = _changing("arccos_", _acos)
arcsin_ = _changing("arcsin_", _asin)
arctan_ = _changing("arctan_", _atan)
asin_ = _changing("asin_", _asin)
asinh_ = _changing("asinh_", _asinh)
atan_ = _changing("atan_", _atan)
atan2_ = _changing("atan2_", _atan2)
atanh_ = _changing("atanh_", _atanh)
baddbmm_ = _changing("baddbmm_", _baddbmm)
bitwise_and_ = _changing("bitwise_and_", ops.bitwise_and)
bitwise_left_shift_ = _changing("bitwise_left_shift_", _bitwise_left_shift)
bitwise_not_ = _changing("bitwise_not_", _bitwise_not)
bitwise_or_ = _changing("bitwise_or_", ops.bitwise_or)
bitwise_right_shift_ = _changing("bitwise_right_shift_", _bitwise_right_shift)
bitwise_xor_ = _changing("bitwise_xor_", ops.bitwise_xor)
ceil_ = _changing("ceil_", mint.ceil)
clamp_max_ = _changing("clamp_max_", _clamp_max)
clamp_min_ = _changing("clamp_min_", _clamp_min)
clip_ = _changing("clip_", _clamp)
copysign_ = _changing("copysign_", _copysign)
cos_ = _changing("cos_", _cos)
cosh_ = _changing("cosh_", _cosh)
cumprod_ = _changing("cumprod_", _cumprod)
cumsum_ = _changing("cumsum_", _cumsum)
deg2rad_ = _changing("deg2rad_", _deg2rad)
digamma_ = _changing("digamma_", _digamma)
divide_ = _changing("divide_", _div)
eq_ = _changing("eq_", mint.eq)
erf_ = _changing("erf_", _erf)
erfc_ = _changing("erfc_", _erfc)
erfinv_ = _changing("erfinv_", _erfinv)
exp2_ = _changing("exp2_", ops.exp2)
expm1_ = _changing("expm1_", _expm1)
fix_ = _changing("fix_", mint.trunc)
float_power_ = _changing("float_power_", mint.float_power)
floor_ = _changing("floor_", mint.floor)
floor_divide_ = _changing("floor_divide_", _floor_divide)
fmod_ = _changing("fmod_", _fmod)
frac_ = _changing("frac_", ops.frac)
ge_ = _changing("ge_", _ge)
greater_ = _changing("greater_", _gt)
greater_equal_ = _changing("greater_equal_", _ge)
gt_ = _changing("gt_", _gt)
heaviside_ = _changing("heaviside_", _heaviside)
hypot_ = _changing("hypot_", _hypot)
index_add_ = _changing("index_add_", _index_add)
index_copy_ = _changing("index_copy_", _index_copy)
ldexp_ = _changing("ldexp_", _ldexp)
le_ = _changing("le_", _le)
lerp_ = _changing("lerp_", _lerp)
less_ = _changing("less_", mint.lt)
less_equal_ = _changing("less_equal_", _le)
lgamma_ = _changing("lgamma_", _lgamma)
log_ = _changing("log_", _log)
log10_ = _changing("log10_", _log10)
log1p_ = _changing("log1p_", _log1p)
log2_ = _changing("log2_", _log2)
logical_and_ = _changing("logical_and_", mint.logical_and)
logical_not_ = _changing("logical_not_", mint.logical_not)
logical_or_ = _changing("logical_or_", mint.logical_or)
logical_xor_ = _changing("logical_xor_", mint.logical_xor)
logit_ = _changing("logit_", _logit)
lt_ = _changing("lt_", mint.lt)
masked_scatter_ = _changing("masked_scatter_", _masked_scatter)
multiply_ = _changing("multiply_", _mul)
nan_to_num_ = _changing("nan_to_num_", _nan_to_num)
ne_ = _changing("ne_", _ne)
neg_ = _changing("neg_", mint.neg)
negative_ = _changing("negative_", mint.neg)
not_equal_ = _changing("not_equal_", _ne)
pow_ = _changing("pow_", _pow)
rad2deg_ = _changing("rad2deg_", _rad2deg)
reciprocal_ = _changing("reciprocal_", mint.reciprocal)
remainder_ = _changing("remainder_", _remainder)
round_ = _changing("round_", _round)
rsqrt_ = _changing("rsqrt_", _rsqrt)
scatter_add_ = _changing("scatter_add_", _scatter_add)
sigmoid_ = _changing("sigmoid_", _sigmoid)
sign_ = _changing("sign_", _sign)
sin_ = _changing("sin_", _sin)
sinc_ = _changing("sinc_", _sinc)
sinh_ = _changing("sinh_", _sinh)
sqrt_ = _changing("sqrt_", mint.sqrt)
square_ = _changing("square_", mint.square)
subtract_ = _changing("subtract_", _sub)
tan_ = _changing("tan_", _tan)
tanh_ = _changing("tanh_", _tanh)
tril_ = _changing("tril_", ops.tril)
triu_ = _changing("triu_", mint.triu)
true_divide_ = _changing("true_divide_", _div)
trunc_ = _changing("trunc_", mint.trunc)
xlogy_ = _changing("xlogy_", _xlogy)
