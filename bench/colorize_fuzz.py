"""1,000 good, damaged and hostile files through colorize.py: what is done, what is reported, time and memory.

    python -m bench.colorize_fuzz --model=exports/colorgan

Every good file must give its results, every other be named in the closing list or have given results, and the process
stay under 2 GiB. Exit status 1 where one of these does not hold.
"""

import io
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib

import numpy as np
from absl import app, flags
from PIL import Image

MODEL = flags.DEFINE_string("model", None, "Export to use; colorize.py's default without it.")
FILES = flags.DEFINE_integer("files", 1000, "How many small files; some large ones come on top.", 100)
SEED = flags.DEFINE_integer("seed", 0, "Of the damage.")

KINDS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP"}
LIMIT_GIB = 2.0


def good(rng: np.random.Generator, suffix: str) -> bytes:
    """A soft picture with noise, of a random size and mode."""
    height, width = rng.integers(16, 300, 2)
    y, x = np.mgrid[0:height, 0:width] / 100.0
    rgb = np.stack([np.sin(k + x * rng.uniform(1, 9)) * np.cos(y * rng.uniform(1, 9)) for k in range(3)], -1)
    image = Image.fromarray(np.uint8(np.clip(128 + 90 * rgb + rng.normal(scale=8, size=rgb.shape), 0, 255)))
    mode = rng.choice(["L", "RGB", "RGB", "P", "RGBA", "CMYK"])
    fits = {"jpg": ("L", "RGB", "CMYK"), "webp": ("RGB", "RGBA"), "bmp": ("L", "RGB", "P")}
    image = image.convert(mode if mode in fits.get(suffix, ("L", "RGB", "P", "RGBA")) else "RGB")
    exif = Image.Exif()
    exif[274] = int(rng.integers(1, 9))
    return encode(image, suffix, **({} if suffix == "bmp" else {"exif": exif}))


def encode(image: Image.Image, suffix: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, KINDS[suffix], **options)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A grey PNG of these claims, whatever its data."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = b"".join(chunk(*pair) for pair in extra)
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def hostile() -> dict[str, bytes]:
    """Small files that claim much."""
    zeros = zlib.compress(bytes(200 << 20), 9)
    ok = bytes(101 * 100)
    return {
        "bomb-20000.png": png(20_000, 20_000, bytes(20_001 * 20_000)),
        "bomb-claims.png": png(2**31 - 1, 2**31 - 1, b""),
        "bomb-text.png": png(100, 100, ok, (b"zTXt", b"Comment\0\0" + zeros)),
        "bomb-profile.png": png(100, 100, ok, (b"iCCP", b"x\0\0" + zeros)),
        "bomb-claims.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 2**30, 2**30, 1, 24, *[0] * 6),
        "bomb-claims.tif": b"II*\0\x08\0\0\0\x04\0"
        + b"".join(
            struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 10**9), (257, 10**9), (262, 1), (273, 8))
        )
        + bytes(4),
        "bomb-16383.webp": encode(Image.new("RGB", (16_383, 16_383)), "webp"),
        "long.png": encode(Image.new("L", (50_000, 1)), "png"),
        "tall.tif": encode(Image.new("RGB", (1, 50_000)), "tif"),
    }


def write_files(folder: str, count: int, seed: int) -> set[str]:
    """Fills a folder; gives back the names of the files that are good."""
    rng = np.random.default_rng(seed)
    files, fine = hostile(), set()
    while len(files) < count:
        suffix = rng.choice(list(KINDS))
        data = bytearray(good(rng, suffix))
        kind = rng.choice(["good", "cut", "flipped", "wrong", "empty", "noise", "text", "tiny"],
                          p=[0.25, 0.25, 0.3, 0.08, 0.02, 0.04, 0.02, 0.04])  # fmt: skip
        name = f"{len(files):04d}-{kind}.{suffix}"
        if kind == "good":
            fine.add(name)
        elif kind == "cut":
            data = data[: rng.integers(0, len(data))]
        elif kind == "flipped":
            for place in rng.integers(0, len(data) if rng.random() < 0.5 else 200, rng.integers(1, 40)):
                data[place] ^= 1 << rng.integers(0, 8)
        elif kind == "wrong":
            name = f"{len(files):04d}-{kind}.{rng.choice([other for other in KINDS if other != suffix])}"
            fine.add(name)
        elif kind == "empty":
            data = b""
        elif kind == "noise":
            data = data[:12] + rng.bytes(5000)
        elif kind == "text":
            data = b"These are my holidays.\n" * 50
        elif kind == "tiny":
            data = encode(Image.new("L", (1, 1)), suffix)
        files[name] = bytes(data)
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    for name, size, mode in (("wide-12000.png", (12_000, 3_000), "RGB"), ("square-12000.png", (12_000, 12_000), "L")):
        Image.linear_gradient("L").resize(size).convert(mode).save(os.path.join(folder, name), compress_level=1)
        fine.add(name)
    os.mkfifo(os.path.join(folder, "pipe.jpg"))
    os.symlink(folder, os.path.join(folder, "loop"))
    return fine


def main(argv):
    del argv
    with tempfile.TemporaryDirectory() as work:
        folder, output = os.path.join(work, "in"), os.path.join(work, "out")
        os.mkdir(folder)
        # In a process of its own: a child's peak memory counts what its parent had when it forked.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            fine = pool.apply(write_files, (folder, FILES.value, SEED.value))
        names = {name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))}
        model = [f"--model={MODEL.value}"] if MODEL.value else []
        program = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "colorize.py")
        start = time.monotonic()
        command = [sys.executable, program, folder, f"--output={output}", "--n=2", *model]
        with open(os.path.join(work, "stderr"), "w+") as heard:
            process = subprocess.Popen(command, stderr=heard)
            _, status, usage = os.wait4(process.pid, 0)
            heard.seek(0)
            stderr = heard.read()
        seconds, memory = time.monotonic() - start, usage.ru_maxrss / 2**20
        done = set()
        for name in names:
            for target in (os.path.splitext(name)[0], name):
                if all(os.path.exists(os.path.join(output, f"{target}-{end}.png")) for end in ("1", "2", "sheet")):
                    done.add(name)
        listed = {name for name in names if f"{os.path.join(folder, name)}: " in stderr}
        leftovers = [name for name in os.listdir(output) if name.endswith(".part")]
    print(f"{len(names)} files ({len(fine)} good): {len(done)} done, {len(listed)} reported as failed")
    print(f"{seconds:.0f} s, peak memory {memory:.2f} GiB, exit status {os.waitstatus_to_exitcode(status)}")
    problems = {
        "good but not done": fine - done,
        "neither done nor reported": names - done - listed,
        "both": done & listed,
        "left behind": set(leftovers),
        "trace": {"yes"} if "Traceback" in stderr else set(),
        f"over {LIMIT_GIB} GiB": {f"{memory:.2f}"} if memory > LIMIT_GIB else set(),
    }
    for problem, which in problems.items():
        if which:
            print(f"{problem}: {', '.join(sorted(which)[:10])}")
    return 1 if any(problems.values()) else 0


if __name__ == "__main__":
    app.run(main)
