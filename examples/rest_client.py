"""Colours a photo through TF Serving's REST port. Python's standard library is enough for it.

    python examples/rest_client.py photo.jpg --seed=1 --output=photo-1.png
    python examples/rest_client.py photo.jpg --seed=1 --form=column --server=http://localhost:8501 --model=colorgan

With --tensors it calls the signature `serving_default` instead, with luminance that was reduced here (needs NumPy and
Pillow), and gets a small picture back. JSON spells every number out: for tensors gRPC is many times faster.
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request


class ServerError(Exception):
    """What the server answered instead of a result; `code` is the HTTP status."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


def call(server: str, model: str, request: dict, timeout: float = 60.0) -> dict:
    """POSTs one predict request; gives back the answer's JSON."""
    url = f"{server}/v1/models/{model}:predict"
    body = urllib.request.Request(url, json.dumps(request).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(body, timeout=timeout) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        content = error.read()
        try:
            message = json.loads(content)["error"]
        except (ValueError, KeyError, TypeError):
            message = content.decode(errors="replace")[:500] or error.reason
        raise ServerError(error.code, message) from None


def colorize_png(server: str, model: str, photos: list[bytes], seeds: list[int], form: str = "row"):
    """Files' bytes and seeds to a list of (PNG bytes, noise as a list of floats). form: row or column."""
    images = [{"b64": base64.b64encode(photo).decode()} for photo in photos]
    request = {"signature_name": "colorize_png"}
    if form == "row":
        pairs = zip(images, seeds, strict=True)
        request["instances"] = [{"image_bytes": image, "seed": seed} for image, seed in pairs]
        results = [(row["png_bytes"], row["noise"]) for row in call(server, model, request)["predictions"]]
    else:
        request["inputs"] = {"image_bytes": images, "seed": seeds}
        outputs = call(server, model, request)["outputs"]
        results = list(zip(outputs["png_bytes"], outputs["noise"], strict=True))
    return [(base64.b64decode(png["b64"]), noise) for png, noise in results]


def colorize(server: str, model: str, gray: list, noise: list, form: str = "row"):
    """Nested lists gray [batch, s, s, 1] in [0, 1] and noise [batch, 100] in [-1, 1] to (rgb, chroma), nested lists."""
    if form == "row":
        rows = [{"gray": g, "noise": z} for g, z in zip(gray, noise, strict=True)]
        rows = call(server, model, {"instances": rows})["predictions"]
        return [row["rgb"] for row in rows], [row["chroma"] for row in rows]
    outputs = call(server, model, {"inputs": {"gray": gray, "noise": noise}})["outputs"]
    return outputs["rgb"], outputs["chroma"]


def small_gray(path: str, size: int):
    """A photo's luminance as the signature `serving_default` wants it: float32 [1, size, size, 1] in [0, 1]."""
    import numpy as np
    from PIL import Image, ImageOps

    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    gray = (np.asarray(photo, np.float32) / 255 @ np.float32([0.299, 0.587, 0.114])).astype(np.float32)
    reduced = Image.fromarray(gray).resize((size, size), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(reduced), 0, 1)[None, :, :, None]


def save_rgb(rgb, path: str) -> None:
    """rgb [s, s, 3] in [0, 1] to a file."""
    import numpy as np
    from PIL import Image

    Image.fromarray((np.asarray(rgb) * 255 + 0.5).astype(np.uint8)).save(path)


def main():
    parser = argparse.ArgumentParser(description="Colours a photo through TF Serving's REST port.")
    parser.add_argument("photo", help="a PNG or JPEG")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another colouring")
    parser.add_argument("--output", default="colored.png")
    parser.add_argument("--server", default="http://localhost:8501")
    parser.add_argument("--model", default="colorgan")
    parser.add_argument("--form", choices=("row", "column"), default="row")
    parser.add_argument("--tensors", action="store_true", help="send luminance, get a small picture")
    parser.add_argument("--size", type=int, default=64, help="with --tensors: the size the model was trained at")
    arguments = parser.parse_args()
    try:
        if arguments.tensors:
            import random

            draw = random.Random(arguments.seed)
            noise = [[draw.uniform(-1, 1) for _ in range(100)]]
            gray = small_gray(arguments.photo, arguments.size).tolist()
            rgb, _ = colorize(arguments.server, arguments.model, gray, noise, arguments.form)
            save_rgb(rgb[0], arguments.output)
        else:
            with open(arguments.photo, "rb") as file:
                photo = file.read()
            png, _ = colorize_png(arguments.server, arguments.model, [photo], [arguments.seed], arguments.form)[0]
            with open(arguments.output, "wb") as file:
                file.write(png)
    except (ServerError, OSError) as error:
        print(f"rest_client.py: {error}", file=sys.stderr)
        return 1
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
