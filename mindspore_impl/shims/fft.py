"""Functions of `torch.fft`, on kernels in float32 and float64."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.complexes import joined, parts
from mindspore_impl.shims.shape import flip, part, roll

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

_OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _norm(name: str, norm) -> str:
    if norm not in (None, "backward", "ortho", "forward"):
        raise RuntimeError(f"{name}: norm must be None, backward, ortho or forward; received {norm}.")
    return "backward" if norm is None else norm


def _parts(name: str, input: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part, in float32 or float64: graphs cut and join real numbers only."""
    if input.is_complex():
        return parts(input)
    x = _real(name, input)
    return x, ops.zeros_like(x)


def _real(name: str, input: Tensor) -> Tensor:
    if input.is_complex():
        raise RuntimeError(f"{name}: real numbers are needed; received {input.dtype}.")
    if input.dtype in (ms.float16, ms.bfloat16):
        raise RuntimeError(f"{name}: float32 or float64 is needed; received {input.dtype}.")
    return input if input.dtype == ms.float64 else input.astype(ms.float32)


def _axis(name: str, input: Tensor, dim: int) -> int:
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"{name}: dim must be an axis of {input.shape}; received {dim}.")
    return dim % input.ndim


def _axes(name: str, input: Tensor, s, dim) -> tuple:
    """The axes and their sizes."""
    sizes = None if s is None else (s,) if isinstance(s, int) else tuple(s)
    if dim is None:
        axes = tuple(range(input.ndim)) if sizes is None else tuple(range(input.ndim - len(sizes), input.ndim))
    else:
        axes = tuple([_axis(name, input, axis) for axis in ((dim,) if isinstance(dim, int) else dim)])
    if len(set(axes)) != len(axes) or (len(axes) > 0 and min(axes) < 0):
        raise RuntimeError(f"{name}: distinct axes are needed; received {dim} of {input.shape}.")
    if sizes is not None and len(sizes) != len(axes):
        raise RuntimeError(f"{name}: as many sizes as axes are needed; received {s} and {dim}.")
    return axes, (-1,) * len(axes) if sizes is None else sizes


def _sized(name: str, x: Tensor, size: int, axis: int) -> Tensor:
    """Cut to ``size`` elements along an axis, or filled up with 0."""
    if size < 1:
        raise RuntimeError(f"{name}: at least one element is needed; received {size}.")
    have = x.shape[axis]
    if size < have:
        return part(x, axis, 0, size)
    if size > have:
        shape = tuple([size - have if i == axis else extent for i, extent in enumerate(x.shape)])
        return ops.concat((x, ops.zeros(shape, x.dtype)), axis)
    return x


def _along(name: str, z: tuple, size, axis: int, norm: str, inverse: bool) -> tuple:
    """The transform along one axis, which stands last in memory: the kernels of graphs know no other.

    Args:
        z: real and imaginary part.
        size: to which the axis is cut or filled; -1 for its own.
    """
    size = z[0].shape[axis] if size is None or size == -1 else size
    real, imag = [mint.transpose(_sized(name, part, size, axis), axis, -1) for part in z]
    if 0 in real.shape:
        return mint.transpose(real, axis, -1), mint.transpose(imag, axis, -1)
    whole = joined(real, imag)
    real, imag = parts(ops.ifft(whole, norm=norm) if inverse else ops.fft(whole, norm=norm))
    return mint.transpose(real, axis, -1), mint.transpose(imag, axis, -1)


def _many(name: str, z: tuple, sizes: tuple, axes: tuple, norm: str, inverse: bool) -> tuple:
    for number in range(len(axes)):
        z = _along(name, z, sizes[number], axes[number], norm, inverse)
    return z


def _half(z: tuple, axis: int) -> tuple:
    """The first n // 2 + 1 elements, of which the others are conjugates."""
    kept = z[0].shape[axis] // 2 + 1
    return part(z[0], axis, 0, kept), part(z[1], axis, 0, kept)


def _mirrored(name: str, z: tuple, n, axis: int) -> tuple:
    """All ``n`` elements along an axis of what is conjugate-symmetric, from its first n // 2 + 1."""
    size = 2 * (z[0].shape[axis] - 1) if n is None or n == -1 else n
    if size < 1:
        raise RuntimeError(f"{name}: at least one element is needed; received {size}.")
    real, imag = [_sized(name, part, size // 2 + 1, axis) for part in z]
    count = (size + 1) // 2 - 1
    if count < 1:
        return real, imag
    return (
        ops.concat((real, _reversed(real, axis, count)), axis),
        ops.concat((imag, -_reversed(imag, axis, count)), axis),
    )


def _reversed(x: Tensor, axis: int, count: int) -> Tensor:
    """The elements count, ..., 1 along an axis."""
    return flip(part(x, axis, 1, count), (axis,))


def _to_real(name: str, input: Tensor, s, dim, norm: str, opposite: bool) -> Tensor:
    """The transform of what is conjugate-symmetric in the last of the axes, and its inverse."""
    axes, sizes = _axes(name, input, s, dim)
    if len(axes) == 0:
        raise RuntimeError(f"{name}: at least one axis is needed; received {dim}.")
    real, imag = _many(name, _parts(name, input), sizes[:-1], axes[:-1], norm, not opposite)
    z = _mirrored(name, (real, -imag if opposite else imag), sizes[-1], axes[-1])
    return _along(name, z, -1, axes[-1], _OPPOSITE[norm] if opposite else norm, True)[0]


def _of_real(name: str, input: Tensor, s, dim, norm: str, opposite: bool) -> Tensor:
    """Half of the transform of real numbers, along the last of the axes first."""
    axes, sizes = _axes(name, input, s, dim)
    if len(axes) == 0:
        raise RuntimeError(f"{name}: at least one axis is needed; received {dim}.")
    x = _real(name, input)
    first = _along(name, (x, ops.zeros_like(x)), sizes[-1], axes[-1], _OPPOSITE[norm] if opposite else norm, False)
    real, imag = _half(first, axes[-1])
    return joined(*_many(name, (real, -imag if opposite else imag), sizes[:-1], axes[:-1], norm, opposite))


def _size(n) -> tuple:
    if n is not None and n < 1:
        raise RuntimeError(f"a transform has at least one point; received n={n}.")
    return (-1,) if n is None else (n,)


def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """Discrete Fourier transform along one axis."""
    return fftn(input, _size(n), (dim,), norm)


def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """Its inverse."""
    return ifftn(input, _size(n), (dim,), norm)


def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform of real numbers: the first n // 2 + 1 of its elements, of which the others are conjugates."""
    return rfftn(input, _size(n), (dim,), norm)


def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`: n real numbers, by default 2 (size - 1). The imaginary parts of the first element, and for
    an even n of the middle one, count for nothing."""
    return irfftn(input, _size(n), (dim,), norm)


def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform, real numbers, of what is conjugate-symmetric, given as its first n // 2 + 1 elements."""
    return hfftn(input, _size(n), (dim,), norm)


def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    return ihfftn(input, _size(n), (dim,), norm)


def fftn(input: Tensor, s=None, dim=None, norm: str | None = None) -> Tensor:
    """The transform along several axes, by default all."""
    axes, sizes = _axes("fftn", input, s, dim)
    return joined(*_many("fftn", _parts("fftn", input), sizes, axes, _norm("fftn", norm), False))


def ifftn(input: Tensor, s=None, dim=None, norm: str | None = None) -> Tensor:
    """Its inverse."""
    axes, sizes = _axes("ifftn", input, s, dim)
    return joined(*_many("ifftn", _parts("ifftn", input), sizes, axes, _norm("ifftn", norm), True))


def fft2(input: Tensor, s=None, dim=(-2, -1), norm: str | None = None) -> Tensor:
    """The transform along two axes."""
    return fftn(input, s, dim, norm)


def ifft2(input: Tensor, s=None, dim=(-2, -1), norm: str | None = None) -> Tensor:
    """Its inverse."""
    return ifftn(input, s, dim, norm)


def rfftn(input: Tensor, s=None, dim=None, norm: str | None = None) -> Tensor:
    """The transform of real numbers along several axes, half of the last."""
    return _of_real("rfftn", input, s, dim, _norm("rfftn", norm), False)


def irfftn(input: Tensor, s=None, dim=None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    return _to_real("irfftn", input, s, dim, _norm("irfftn", norm), False)


def rfft2(input: Tensor, s=None, dim=(-2, -1), norm: str | None = None) -> Tensor:
    """The transform of real numbers along two axes."""
    return rfftn(input, s, dim, norm)


def irfft2(input: Tensor, s=None, dim=(-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `rfft2`."""
    return irfftn(input, s, dim, norm)


def hfftn(input: Tensor, s=None, dim=None, norm: str | None = None) -> Tensor:
    """`hfft` along the last of several axes, `fft` along the others."""
    return _to_real("hfftn", input, s, dim, _norm("hfftn", norm), True)


def ihfftn(input: Tensor, s=None, dim=None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    return _of_real("ihfftn", input, s, dim, _norm("ihfftn", norm), True)


def hfft2(input: Tensor, s=None, dim=(-2, -1), norm: str | None = None) -> Tensor:
    """`hfftn` along two axes."""
    return hfftn(input, s, dim, norm)


def ihfft2(input: Tensor, s=None, dim=(-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `hfft2`."""
    return ihfftn(input, s, dim, norm)


def _shifted(input: Tensor, dim, back: bool) -> Tensor:
    if input.is_complex():
        real, imag = parts(input)
        return joined(_shifted(real, dim, back), _shifted(imag, dim, back))
    axes = tuple(range(input.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    shifts = tuple([(input.shape[axis] + 1) // 2 if back else input.shape[axis] // 2 for axis in axes])
    return roll(input, shifts, axes) if axes else input


def fftshift(input: Tensor, dim=None) -> Tensor:
    """The frequency 0 in the middle."""
    if not input.ndim:
        raise ValueError("fftshift: an axis is needed; received a tensor without axes.")
    return _shifted(input, dim, False)


def ifftshift(input: Tensor, dim=None) -> Tensor:
    """The frequency 0 first."""
    if not input.ndim:
        raise ValueError("ifftshift: an axis is needed; received a tensor without axes.")
    return _shifted(input, dim, True)


def fftfreq(n: int, d: float = 1.0, *, dtype=None) -> Tensor:
    """The frequencies of `fft`, for samples at a distance of d."""
    return _frequencies(n, d, dtype, False)


def rfftfreq(n: int, d: float = 1.0, *, dtype=None) -> Tensor:
    """Those of `rfft`."""
    return _frequencies(n, d, dtype, True)


@ops.constexpr
def _frequencies(n: int, d: float, dtype, whole: bool) -> Tensor:
    wanted = ms.float32 if dtype is None else dtype
    if wanted not in (ms.float32, ms.float64, ms.float16):
        raise TypeError(f"fftfreq: a floating point dtype is needed; received {wanted}.")
    if n < 0:
        raise ValueError(f"fftfreq: the number of points must not be negative; received {n}.")
    places = np.arange(n // 2 + 1) if whole else np.concatenate([np.arange((n + 1) // 2), np.arange(-(n // 2), 0)])
    kind = ms.dtype_to_nptype(wanted)
    return Tensor(places.astype(kind) * kind(1.0 / (n * d)))
