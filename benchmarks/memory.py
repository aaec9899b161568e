"""Peak resident memory of a few steps at large sizes, each in a fresh process.

    python -m benchmarks.memory [--sizes 512 1024 2048] [--aspect 1.0]

The bar: two steps at 2048 px within 6 GB.
"""

import argparse
from functools import partial

import torch
from PIL import Image

from app.style.images import to_tensor
from app.style.losses import CONTENT_LAYER
from app.style.options import StyleOptions
from app.style.schedule import Stage
from app.style.targets import StyleTargets
from app.style.transfer import _choose_optimizer, _is_large, _optimize
from app.style.vgg import VGG19
from app.vision.heap import retain_freed_memory
from benchmarks.process import peak_bytes, run

BAR_BYTES = 6e9


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--aspect", type=float, default=1.0, help="width / height (default: 1)")
    parser.add_argument("--float32", action="store_true", help="as on a host without bfloat16")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        measure(args.sizes[0], round(args.sizes[0] / args.aspect), float32=args.float32)
        return
    print("    size     peak  per pixel  (beyond the process with its weights)")
    idle = None
    for size in (64, *args.sizes):
        options = ["--aspect", args.aspect, *["--float32"] * args.float32]
        peak = int(run("benchmarks.memory", "--child", "--sizes", size, *options))
        idle = idle or peak
        pixels = size * round(size / args.aspect)
        verdict = "" if size < 2048 else "  ok" if peak <= BAR_BYTES else "  OVER 6 GB"
        print(f"{size:>8} {peak / 1e9:>6.2f} GB {(peak - idle) / pixels:>10.0f} B{verdict}")


def measure(width: int, height: int, *, float32: bool) -> None:
    """Take two steps at one size and print this process's peak resident bytes."""
    retain_freed_memory()
    network = VGG19.load(torch.device("cpu"))
    if float32:
        network.dtype = torch.float32
    targets = StyleTargets(network)
    image = Image.effect_noise((width, height), 64).convert("RGB")
    photo = to_tensor(image, image.size, network.device)
    options = StyleOptions(seed=0)
    loss = targets.loss(photo, [targets.grams(image, image.size)], options)
    assert CONTENT_LAYER in loss.terms
    stage = Stage(width, height, 2)
    evaluate = partial(loss, network=network, recompute=_is_large(stage))
    optimizer = _choose_optimizer(stage, photo)
    for _ in _optimize(photo, evaluate, 2, optimizer):
        pass
    print(peak_bytes())


if __name__ == "__main__":
    main()
