"""The conversion: plan once, then make shard after shard, each the same bytes however often it is interrupted."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from data.choice import Chooser, split_of
from data.shards import OutputError, ShardWriter, Workspace
from data.sources import InputError, Source
from data.workers import in_order

CHUNK = 32  # pictures a worker gets at a time: many enough that passing them costs nothing, few enough to stay small
MIN_TRAIN_SHARDS = 8  # so that several readers, or several machines, each find files of their own
FORMAT_VERSION = 1  # of the bytes written; an interrupted conversion by another version is not continued


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is converted, and how; see the flags of data/convert.py."""

    source: str
    name: str
    image_size: int
    max_images: int
    val_fraction: float
    seed: int
    min_chroma: float
    shard_mib: int


@dataclasses.dataclass(frozen=True)
class Progress:
    """Told about after every chunk."""

    done: int  # pictures looked at, those of earlier, interrupted runs included
    fresh: int  # of these, in this run
    total: int


def convert(
    source: Source,
    settings: Settings,
    workspace: Workspace,
    workers: int,
    on_progress: Callable[[Progress], None] = lambda progress: None,
):
    """Converts `source` into `workspace.output`; returns its records.DatasetInfo.

    Run again after an interruption, with the same source and settings, it goes on with the first unfinished shard.
    Raises InputError or OutputError, one line each.
    """
    with workspace.held():
        try:
            plan = _plan(source, settings, workspace)
        except BaseException:
            if workspace.plan() is None:  # nothing worth keeping
                workspace.discard()
            raise
        if not workspace.published():
            _write_shards(source, settings, workspace, plan, workers, on_progress)
            info = _describe(settings, workspace, plan)
            if sum(info.count(split) for split in info.splits) == 0:
                workspace.discard()
                first = info.left_out[0]
                raise InputError(
                    f"no picture is left; {len(info.left_out)} left out, {first['key']}: {first['reason']}"
                )
            info.write(workspace.shards)
            workspace.publish()
    workspace.discard()
    return _read_info(workspace.output)


def _plan(source: Source, settings: Settings, workspace: Workspace) -> dict[str, Any]:
    identity = {
        "version": FORMAT_VERSION,
        "input": source.fingerprint(),
        "settings": dataclasses.asdict(settings),
    }
    plan = workspace.plan()
    if plan is None or (plan["identity"] != identity and workspace.overwrite):
        workspace.start()
        counts = _choose(source, settings, workspace)
        plan = {"identity": identity, "counts": counts, "lost": source.lost()}
        workspace.save_plan(plan)
    elif plan["identity"] != identity:
        raise OutputError(
            f"{workspace.partial}: an unfinished conversion with {_difference(plan['identity'], identity)}; "
            "finish it with its own flags, or throw it away with --overwrite"
        )
    return plan


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    for name, value in new["settings"].items():
        if old["settings"].get(name) != value:
            return f"--{name}={old['settings'].get(name)}"
    return "other input" if old["input"] != new["input"] else "another version of this program"


def _choose(source: Source, settings: Settings, workspace: Workspace) -> dict[str, int]:
    """Writes the keys file of each split; one pass over the source's keys."""
    chooser = Chooser(settings.max_images, settings.seed)
    offered = workspace.keys_file("offered")
    with open(offered, "w", encoding="utf-8") as file:
        for keys in _batches(source.keys(), 4096):
            chooser.offer(keys)
            file.writelines(key + "\n" for key in keys)
    counts = {"train": 0, "val": 0}
    with (
        open(workspace.keys_file("train"), "w", encoding="utf-8") as train,
        open(workspace.keys_file("val"), "w", encoding="utf-8") as val,
    ):
        for key in _lines(offered):
            if chooser.takes(key):
                split = split_of(key, settings.val_fraction)
                counts[split] += 1
                (val if split == "val" else train).write(key + "\n")
    os.remove(offered)
    return counts


def _shard_bounds(split: str, count: int, settings: Settings) -> list[tuple[int, int]]:
    """[first, last) picture of each shard: near-equal parts of about `shard_mib`, as far as can be told beforehand."""
    if count == 0:
        return []
    picture = 0.7 * 3 * settings.image_size**2 + 200  # bytes: photos as PNG take 0.65-0.72 of their pixels
    shards = math.ceil(count * picture / (settings.shard_mib * 2**20))
    if split == "train":
        shards = max(shards, MIN_TRAIN_SHARDS)
    shards = min(shards, count)
    return [(count * i // shards, count * (i + 1) // shards) for i in range(shards)]


def _layout(settings: Settings, plan: dict[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """(split, file, first, last) of every shard."""
    from colorgan_tf.records import shard_name

    for split, count in plan["counts"].items():
        bounds = _shard_bounds(split, count, settings)
        for index, (first, last) in enumerate(bounds):
            yield split, shard_name(settings.name, split, index, len(bounds)), first, last


def _write_shards(source, settings, workspace, plan, workers, on_progress) -> None:
    from colorgan_tf.records import encode_example

    layout = list(_layout(settings, plan))
    missing = [shard for shard in layout if workspace.finished(shard[1]) is None]
    total = sum(plan["counts"].values())
    done = total - sum(last - first for _, _, first, last in missing)
    fresh = 0

    def tasks() -> Iterator[tuple[tuple[str, list[str], bool], list]]:
        for split in plan["counts"]:
            shards = [(file, first, last) for s, file, first, last in missing if s == split]
            for file, chunk, ends in _chunks(_lines(workspace.keys_file(split)), shards):
                yield (file, chunk, ends), source.jobs(chunk)

    writer, left_out = None, []
    size = settings.image_size
    with contextlib.closing(in_order(tasks(), size, settings.min_chroma, workers)) as made:
        for (file, keys, ends), results in made:
            writer = writer or ShardWriter(workspace.shards, file)
            for key, result in zip(keys, results, strict=True):
                if isinstance(result, bytes):
                    writer.write(encode_example(result, "png", size, size, key))
                else:
                    left_out.append({"key": key, "reason": result})
            if ends:
                workspace.finish(file, {"shard": writer.close(), "left_out": left_out})
                writer, left_out = None, []
            done, fresh = done + len(keys), fresh + len(keys)
            on_progress(Progress(done, fresh, total))


def _chunks(keys: Iterator[str], shards: list[tuple[str, int, int]]) -> Iterator[tuple[str, list[str], bool]]:
    """(file, keys, whether these are its last) for each shard's [first, last) of `keys`, at most CHUNK at a time."""
    position = 0
    for file, first, last in shards:
        while position < first:
            next(keys)
            position += 1
        while position < last:
            chunk = [next(keys) for _ in range(min(CHUNK, last - position))]
            position += len(chunk)
            yield file, chunk, position == last


def _describe(settings: Settings, workspace: Workspace, plan: dict[str, Any]):
    from colorgan_tf.records import DatasetInfo, Shard

    splits: dict[str, list] = {}
    left_out = sorted(plan["lost"], key=lambda entry: entry["key"])
    for split, file, _, _ in _layout(settings, plan):
        state = workspace.finished(file)
        splits.setdefault(split, []).append(Shard(**state["shard"]))
        left_out += state["left_out"]
    return DatasetInfo(
        name=settings.name,
        source=settings.source,
        image_size=settings.image_size,
        seed=settings.seed,
        val_fraction=settings.val_fraction,
        min_chroma=settings.min_chroma,
        splits=splits,
        left_out=left_out,
    )


def _read_info(directory: str):
    from colorgan_tf.records import DatasetInfo

    return DatasetInfo.read(directory)


def _lines(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
