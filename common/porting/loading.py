"""torch's data sets, samplers and loader in plain Python; the order of random samplers is torch's for the same seed.

`mindspore_impl.torch_api.utils.data` gives what is made of a batch (``collate``) and the default generator.
"""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from common.porting.generator import Generator

__all__ = [
    "BatchSampler", "ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset", "RandomSampler", "Sampler", "SequentialSampler",
    "StackDataset", "Subset", "SubsetRandomSampler", "WeightedRandomSampler", "random_split",
]  # fmt: skip

DEFAULT = [Generator()]  #: the generator that samplers without one draw from; the surface puts its own here


class Dataset:
    """Examples by number."""

    def __class_getitem__(cls, _: Any) -> type:
        return cls

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Examples one after the other."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError("Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """Several iterable data sets, one after the other."""

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)


class ConcatDataset(Dataset):
    """Several data sets as one."""

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        place = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[place][index - (self.cumulative_sizes[place - 1] if place else 0)]


class StackDataset(Dataset):
    """Data sets of the same length, whose examples are put together."""

    def __init__(self, *datasets: Any, **named: Any):
        self.datasets: Any = named if named else datasets
        given = list(named.values()) if named else list(datasets)
        if len({len(dataset) for dataset in given}) != 1:
            raise ValueError("Size mismatch between datasets")
        self._length = len(given[0])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)


class Subset(Dataset):
    """Some of the examples."""

    def __init__(self, dataset: Any, indices: Sequence[int]):
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[place] for place in index]]
        return self.dataset[self.indices[index]]


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Parts of a data set at random; lengths, or shares that sum to 1."""
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        counts = [math.floor(len(dataset) * share) for share in lengths]
        for place in range(len(dataset) - sum(counts)):
            counts[place % len(counts)] += 1
        if 0 in counts:
            warnings.warn("a part of random_split is empty", stacklevel=2)
    else:
        counts = [int(length) for length in lengths]
    if sum(counts) != len(dataset):
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = (generator or DEFAULT[0]).permutation(len(dataset)).tolist()
    ends = itertools.accumulate(counts)
    return [Subset(dataset, order[end - count : end]) for end, count in zip(ends, counts, strict=True)]


class Sampler:
    """Numbers of examples."""

    def __init__(self, data_source: Any = None):
        self.data_source = data_source

    def __class_getitem__(cls, _: Any) -> type:
        return cls

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError


class SequentialSampler(Sampler):
    """In order."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


def _seeded(generator: Any) -> Any:
    """The given generator, or a new one with a seed from the default one."""
    return generator if generator is not None else Generator().manual_seed(DEFAULT[0].long())


class RandomSampler(Sampler):
    """In random order, or with replacement."""

    def __init__(
        self, data_source: Any, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ):
        super().__init__(data_source)
        self.replacement, self._num_samples, self.generator = replacement, num_samples, generator
        if num_samples is not None and num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count, source = len(self.data_source), _seeded(self.generator)
        if self.replacement:
            for _ in range(self.num_samples // 32):
                yield from source.integers(32, 0, count).tolist()
            yield from source.integers(self.num_samples % 32, 0, count).tolist()
        else:
            for _ in range(self.num_samples // count):
                yield from source.permutation(count).tolist()
            yield from source.permutation(count).tolist()[: self.num_samples % count]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """Some numbers, in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None):
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for place in (self.generator or DEFAULT[0]).permutation(len(self.indices)):
            yield self.indices[int(place)]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """By weights; which numbers come is not torch's choice, since its multinomial is not followed."""

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None):
        self.weights = np.asarray([float(weight) for weight in weights])
        if num_samples <= 0 or (self.weights < 0).any() or self.weights.sum() <= 0:
            raise ValueError("num_samples must be positive, and weights non-negative with a positive sum")
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise ValueError("more samples than positive weights cannot be taken without replacement")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        source = self.generator or DEFAULT[0]
        if self.replacement:
            edges = np.cumsum(self.weights) / self.weights.sum()
            found = np.searchsorted(edges, source.uniform(self.num_samples, double=True), side="right")
        else:  # the smallest of exponential waiting times (Efraimidis and Spirakis 2006)
            waits = -np.log1p(-source.uniform(len(self.weights), double=True))
            with np.errstate(divide="ignore"):
                found = np.argsort(waits / self.weights, kind="stable")[: self.num_samples]
        return iter(np.minimum(found, len(self.weights) - 1).tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Batches of another sampler's numbers."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool):
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        while batch := list(itertools.islice(numbers, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


class _Endless(Sampler):
    """For iterable data sets."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader:
    """Batches of a data set. Examples are read in this process: ``num_workers`` and what belongs to it change nothing."""

    collate: Callable[[list[Any]], Any] = staticmethod(lambda batch: batch)
    convert: Callable[[Any], Any] = staticmethod(lambda example: example)

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        self.dataset, self.generator, self.num_workers, self.pin_memory = dataset, generator, num_workers, pin_memory
        self._endless = isinstance(dataset, IterableDataset)
        if self._endless and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader with IterableDataset: expected unspecified shuffle, sampler and batch_sampler")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            sampler = (
                _Endless()
                if self._endless
                else RandomSampler(dataset, generator=generator)
                if shuffle
                else SequentialSampler(dataset)
            )
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last, self.sampler, self.batch_sampler = (
            batch_size,
            drop_last,
            sampler,
            batch_sampler,
        )
        batched = batch_sampler is not None
        self.collate_fn = collate_fn or (type(self).collate if batched else type(self).convert)

    def __iter__(self) -> Iterator[Any]:
        (self.generator or DEFAULT[0]).long()  # torch seeds its workers with it
        return self._endless_batches() if self._endless else self._batches()

    def _batches(self) -> Iterator[Any]:
        for numbers in self.batch_sampler if self.batch_sampler is not None else self.sampler:
            if self.batch_sampler is None:
                yield self.collate_fn(self.dataset[numbers])
            elif hasattr(self.dataset, "__getitems__"):
                yield self.collate_fn(self.dataset.__getitems__(numbers))
            else:
                yield self.collate_fn([self.dataset[number] for number in numbers])

    def _endless_batches(self) -> Iterator[Any]:
        examples = iter(self.dataset)
        if self.batch_sampler is None:
            yield from map(self.collate_fn, examples)
            return
        while batch := list(itertools.islice(examples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def __len__(self) -> int:
        if self._endless:
            count = len(self.dataset)
            if self.batch_size is None:
                return count
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)
