"""How text is generated. Names and meanings are those of ``transformers.GenerationConfig``; ``seed`` and ``slide`` are
added. Unlike there, no filter is on unless it is asked for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import InputError, nearest

__all__ = ["DEFAULT_NEW_TOKENS", "GenerationOptions"]

DEFAULT_NEW_TOKENS = 64
_EXTREME = 1e30  # beyond it, or below its reciprocal, scores leave the range of float32
_STEEPEST = 50.0  # exponent of a length: a million to this power is a float
_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p")  # which say nothing without sampling
_BEAMS = ("length_penalty", "early_stopping")  # which say nothing without beams


@dataclass(frozen=True)
class GenerationOptions:
    """Raises InputError for values that do not fit, all of them at once.

    GenerationOptions(num_beams=10, length_penalty=0.8, no_repeat_ngram_size=4)
    GenerationOptions(top_p=0.9, temperature=0.7, num_return_sequences=3, seed=1)
    """

    max_new_tokens: int | None = None  #: None: 64, min_new_tokens where that is more; or what the context has room for
    min_new_tokens: int = 0  #: before which no end-of-text token is chosen
    do_sample: bool | None = None  #: None: yes, where a sampling option is set; ``temperature`` 0 means no
    temperature: float = 1.0  #: by which logits are divided
    top_k: int = 0  #: only the k most probable tokens; 0: all
    top_p: float = 1.0  #: only the most probable tokens that together have this probability
    min_p: float = 0.0  #: only tokens with at least this share of the largest probability
    typical_p: float = 1.0  #: only tokens of typical information, with this probability together (Meister et al. 2022)
    repetition_penalty: float = 1.0  #: divides positive and multiplies negative scores of tokens that are there already
    no_repeat_ngram_size: int = 0  #: no sequence of so many tokens occurs twice, the prompt included; 0: any may
    num_beams: int = 1
    length_penalty: float = 1.0  #: exponent of the length by which a beam's log-probability is divided
    early_stopping: bool | str = False  #: True, False or ``"never"``
    num_return_sequences: int = 1
    eos_token_id: int | tuple[int, ...] | None = None  #: None: the tokenizer's
    stop_strings: str | tuple[str, ...] = ()  #: text ends before the first of them
    use_cache: bool = True  #: keep keys and values; False computes the whole sequence for every token
    seed: int = 0
    slide: bool = False  #: read the last tokens of what exceeds the context, instead of refusing it

    def __post_init__(self) -> None:
        for name in ("eos_token_id", "stop_strings"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if problems := [*_wrong_types(self)] or [*_problems(self)]:
            raise InputError("Generation: " + " ".join(f"{problem}." for problem in problems))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> GenerationOptions:
        """The options of a mapping by name. Raises InputError for a name that is not known."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise InputError(
                    f"Generation has no option {name!r}.{nearest(name, known) or ' Known: ' + ', '.join(known) + '.'}"
                )
        return cls(**given)

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the options that are not what they are by default."""
        fields = dataclasses.fields(self)
        return tuple(field.name for field in fields if getattr(self, field.name) != field.default)

    @property
    def sampling(self) -> bool:
        """Whether tokens are sampled."""
        if self.do_sample is not None:
            return self.do_sample
        return self.temperature != 0 and any(getattr(self, name) != _default(name) for name in _SAMPLING)

    @property
    def ends(self) -> tuple[int, ...] | None:
        """``eos_token_id`` as a tuple; None stands for the tokenizer's."""
        return (self.eos_token_id,) if isinstance(self.eos_token_id, int) else self.eos_token_id

    @property
    def stops(self) -> tuple[str, ...]:
        """``stop_strings`` as a tuple."""
        return (self.stop_strings,) if isinstance(self.stop_strings, str) else self.stop_strings


def _default(name: str) -> Any:
    return GenerationOptions.__dataclass_fields__[name].default


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_types(options: GenerationOptions) -> Iterator[str]:
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        kind = field.type
        fits = {
            "int": _is_integer(value),
            "int | None": value is None or _is_integer(value),
            "float": (_is_integer(value) or isinstance(value, float)) and math.isfinite(value),
            "bool": isinstance(value, bool),
            "bool | None": value is None or isinstance(value, bool),
            "bool | str": isinstance(value, bool) or value == "never",
            "int | tuple[int, ...] | None": value is None
            or all(map(_is_integer, value if isinstance(value, tuple) else (value,))),
            "str | tuple[str, ...]": all(
                isinstance(text, str) and text for text in (value if isinstance(value, tuple) else (value,))
            ),
        }
        if not fits[str(kind)]:
            wanted = {
                "int": "an integer",
                "int | None": "an integer",
                "float": "a finite number",
                "bool": "true or false",
                "bool | None": "true or false",
                "bool | str": 'true, false or "never"',
                "int | tuple[int, ...] | None": "token ids",
                "str | tuple[str, ...]": "texts that are not empty",
            }
            yield f"{field.name} must be {wanted[str(kind)]}; received {value!r}"


def _problems(options: GenerationOptions) -> Iterator[str]:
    yield from _ranges(options)
    if options.do_sample is False or options.temperature == 0:
        changed = [name for name in _SAMPLING if getattr(options, name) not in (_default(name), 0)]
        if changed:
            reason = "do_sample is false" if options.do_sample is False else "temperature is 0"
            yield f"{', '.join(changed)} would have no effect, since {reason}; leave one of them out"
    if options.do_sample and options.temperature == 0:
        yield "do_sample needs a temperature above 0; received 0. Leave do_sample out to take the most probable token"
    if options.num_beams == 1:
        if changed := [name for name in _BEAMS if getattr(options, name) != _default(name)]:
            yield f"{', '.join(changed)} would have no effect without beams; set num_beams above 1, or leave it out"
        if options.num_return_sequences > 1 and not options.sampling:
            yield (
                f"num_return_sequences = {options.num_return_sequences} without sampling or beams would give the same "
                "text each time; set do_sample or num_beams"
            )
    elif options.num_return_sequences > options.num_beams:
        yield (
            f"num_return_sequences must be at most num_beams = {options.num_beams}; received "
            f"{options.num_return_sequences}"
        )


def _ranges(options: GenerationOptions) -> Iterator[str]:
    if options.max_new_tokens is not None and options.max_new_tokens < 1:
        yield f"max_new_tokens must be at least 1; received {options.max_new_tokens}"
    for name in ("num_beams", "num_return_sequences"):
        if getattr(options, name) < 1:
            yield f"{name} must be at least 1; received {getattr(options, name)}"
    for name in ("min_new_tokens", "top_k", "no_repeat_ngram_size", "temperature", "seed"):
        if getattr(options, name) < 0:
            yield f"{name} must not be negative; received {getattr(options, name)}"
    if options.repetition_penalty <= 0:
        yield f"repetition_penalty must be above 0; received {options.repetition_penalty}"
    elif not 1 / _EXTREME <= options.repetition_penalty <= _EXTREME:
        yield (
            f"repetition_penalty must be from {1 / _EXTREME:g} to {_EXTREME:g}; received {options.repetition_penalty}"
        )
    if options.temperature > 0 and not 1 / _EXTREME <= options.temperature <= _EXTREME:
        yield f"temperature must be 0, or from {1 / _EXTREME:g} to {_EXTREME:g}; received {options.temperature}"
    if abs(options.length_penalty) > _STEEPEST:
        yield f"length_penalty must be from {-_STEEPEST:g} to {_STEEPEST:g}; received {options.length_penalty}"
    for name in ("top_p", "typical_p"):
        if not 0 < getattr(options, name) <= 1:
            yield f"{name} must be above 0 and at most 1; received {getattr(options, name)}"
    if not 0 <= options.min_p <= 1:
        yield f"min_p must be from 0 to 1; received {options.min_p}"
    if options.max_new_tokens is not None and options.min_new_tokens > options.max_new_tokens:
        yield (
            f"min_new_tokens must be at most max_new_tokens = {options.max_new_tokens}; received "
            f"{options.min_new_tokens}"
        )
    if options.ends is not None and any(token < 0 for token in options.ends):
        yield f"eos_token_id must not be negative; received {options.eos_token_id}"
