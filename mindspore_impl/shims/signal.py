"""Short-time Fourier transforms."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, ops

from mindspore_impl.shims.complexes import joined, parts
from mindspore_impl.shims.convolution import pad
from mindspore_impl.shims.fft import fft, irfft, rfft
from mindspore_impl.shims.indexing import added_at
from mindspore_impl.shims.shape import part

__all__ = ["istft", "stft"]


def _window(name: str, window: Tensor | None, length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window in the middle of ``n_fft`` elements."""
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{name}: win_length must be in [1, {n_fft}]; received {length}.")
    if window is None:
        window = ops.ones((length,), like.dtype)
    if window.ndim != 1 or window.shape[0] != length:
        raise RuntimeError(f"{name}: a window of {length} elements is needed; received {window.shape}.")
    left = (n_fft - length) // 2
    return pad(window, (left, n_fft - length - left)) if length < n_fft else window


def _frames(length: int, n_fft: int, hop: int) -> np.ndarray:
    starts = np.arange(0, length - n_fft + 1, hop)
    return starts[:, None] + np.arange(n_fft)[None, :]


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
) -> Tensor:
    """Transforms of overlapping frames of real numbers: ``(batch, frequency, frame)``, complex."""
    if not return_complex:
        raise RuntimeError("stft: return_complex=True is needed; take torch.view_as_real of the result.")
    if input.ndim not in (1, 2) or input.dtype not in (ms.float32, ms.float64):
        raise RuntimeError(
            f"stft: float32 or float64 with 1 or 2 axes is needed; received {input.dtype} {input.shape}."
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    if hop < 1:
        raise RuntimeError(f"stft: hop_length must be positive; received {hop}.")
    weights = _window("stft", window, n_fft if win_length is None else win_length, n_fft, input)
    x = ops.expand_dims(input, 0) if input.ndim == 1 else input
    if center:
        x = ops.squeeze(pad(ops.expand_dims(x, 1), (n_fft // 2, n_fft // 2), pad_mode), 1)
    if not 0 < n_fft <= x.shape[-1]:
        raise RuntimeError(f"stft: n_fft must be in [1, {x.shape[-1]}]; received {n_fft}.")
    frames = ops.gather(x, Tensor(_frames(x.shape[-1], n_fft, hop)), 1) * weights
    norm = "ortho" if normalized else None
    found = rfft(frames, norm=norm) if onesided is None or onesided else fft(frames, norm=norm)
    real, imag = [mint.transpose(piece, -1, -2) for piece in parts(found)]
    if input.ndim == 1:
        real, imag = ops.squeeze(real, 0), ops.squeeze(imag, 0)
    return joined(real, imag)


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The real numbers of which ``input`` is the `stft`, by adding up frames and dividing by the windows' squares."""
    if return_complex:
        raise RuntimeError("istft: only real signals are available; leave return_complex out.")
    if not input.is_complex() or input.ndim not in (2, 3):
        raise RuntimeError(f"istft: complex numbers with 2 or 3 axes are needed; received {input.dtype} {input.shape}.")
    half = onesided is None or onesided
    if input.shape[-2] != (n_fft // 2 + 1 if half else n_fft):
        raise RuntimeError(f"istft: {n_fft} and {input.shape[-2]} frequencies do not fit.")
    hop = n_fft // 4 if hop_length is None else hop_length
    real, imag = [mint.transpose(piece, -1, -2) for piece in parts(input)]
    z = joined(real, imag)
    z = z if input.ndim == 3 else ops.reshape(z, (1, *z.shape))
    norm = "ortho" if normalized else None
    frames = irfft(z, n_fft, norm=norm)
    weights = _window("istft", window, n_fft if win_length is None else win_length, n_fft, frames)
    batch, count = frames.shape[0], frames.shape[1]
    total = n_fft + hop * (count - 1)
    places = Tensor(_frames(total, n_fft, hop).reshape(-1))
    squares = mint.broadcast_to(weights * weights, (count, n_fft))
    added = added_at(ops.zeros((total,), frames.dtype), 0, places, ops.reshape(squares, (-1,)))
    rows = mint.broadcast_to(places, (batch, count * n_fft))
    signal = added_at(ops.zeros((batch, total), frames.dtype), 1, rows, ops.reshape(frames * weights, (batch, -1)))
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - n_fft // 2 if center else total
    kept = min(end, total) - start
    if kept < 1:
        raise RuntimeError(f"istft: {count} frames of {n_fft} leave nothing after the half windows at both ends.")
    envelope = part(added, 0, start, kept)
    if hasattr(envelope, "assign_value") and not bool((ops.abs(envelope) > 1e-11).all()):
        raise RuntimeError("istft: the windows leave a place out: their squares must not add up to 0.")
    found = part(signal, 1, start, kept) / envelope
    if end > total:
        found = pad(found, (0, end - total))
    return ops.squeeze(found, 0) if input.ndim == 2 else found
