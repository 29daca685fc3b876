"""One side of bench/train_peers.py: `python train_worker.py ours|torch|torch_compiled|matmul PRECISION [OPTION]`.

Every run is one iteration of Algorithm 1 with k_D = k_G = 1 (noise and a minibatch for D, fresh ones for G), Adam of
beta1 0.5, on photos that lie in memory; its value is G's loss, so that nothing is left unfinished.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import numpy as np

from bench.peers.protocol import serve


def photos(batch):
    return np.random.default_rng(0).integers(0, 256, (batch, 2, 64, 64, 3), np.uint8)


def ours(precision):
    import keras
    import tensorflow as tf

    from colorgan_tf.gan import ColorGAN
    from colorgan_tf.models import ModelSettings

    keras.mixed_precision.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision])
    gan = ColorGAN(ModelSettings())
    adam = {"d_optimizer": 2e-4, "g_optimizer": 1e-4}
    gan.compile(**{name: keras.optimizers.Adam(rate, beta_1=0.5) for name, rate in adam.items()})
    step = tf.function(gan.train_step, jit_compile=False)

    def prepare(batch):
        data = tf.constant(photos(batch))
        return lambda: float(step(data)["g_loss"])

    return prepare


def torch(precision, compiled=False):
    import torch
    from torch.nn import functional

    from bench.peers.generator_torch import Discriminator, Generator

    torch.set_num_threads(os.cpu_count())
    g = Generator().to(memory_format=torch.channels_last)
    d = Discriminator().to(memory_format=torch.channels_last)
    for weight in [*g.parameters(), *d.parameters()]:
        if weight.dim() > 1:
            torch.nn.init.trunc_normal_(weight, std=0.02)
    # foreach: all weights in one go, which is PyTorch's fastest Adam on a CPU.
    d_optimizer = torch.optim.Adam(d.parameters(), 2e-4, betas=(0.5, 0.999), foreach=True)
    g_optimizer = torch.optim.Adam(g.parameters(), 1e-4, betas=(0.5, 0.999), foreach=True)
    matrix = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.299 / 1.772, -0.587 / 1.772, 0.5], [0.5, -0.587 / 1.402, -0.114 / 1.402]]
    )
    scale, shift = torch.tensor([2.0, 2.0, 2.0]), torch.tensor([-1.0, 0.0, 0.0])

    def see(rgb):
        """uint8 [b, h, w, 3] to Y, U, V in [-1, 1], NCHW in channels_last memory."""
        yuv = (rgb.float() / 255 @ matrix.T) * scale + shift
        return yuv.permute(0, 3, 1, 2)

    def d_loss(x, z):
        with torch.no_grad():
            fake = torch.cat([x[:, :1], g(x[:, :1], z)], 1)
        return functional.softplus(-d(x)).mean() + functional.softplus(d(fake)).mean()

    def g_loss(x, z):
        return -functional.softplus(d(torch.cat([x[:, :1], g(x[:, :1], z)], 1))).mean()

    if compiled:
        d_loss, g_loss = torch.compile(d_loss), torch.compile(g_loss)

    def prepare(batch):
        data = torch.from_numpy(photos(batch))
        cast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")

        def once():
            for loss_of, optimizer, place in ((d_loss, d_optimizer, 0), (g_loss, g_optimizer, 1)):
                optimizer.zero_grad(set_to_none=True)
                z = torch.rand(batch, 100) * 2 - 1
                d.requires_grad_(place == 0)  # G's step needs no gradient of D's weights
                with cast:
                    loss = loss_of(see(data[:, place]), z)
                loss.backward()
                optimizer.step()
            return float(loss)

        return once

    return prepare


def torch_compiled(precision):
    return torch(precision, compiled=True)


def matmul(precision):
    import tensorflow as tf

    def prepare(size):
        a = tf.cast(tf.random.normal([size, size]), precision)
        return lambda: float(tf.cast(tf.matmul(a, a)[0, 0], tf.float32))

    return prepare


if __name__ == "__main__":
    serve(globals()[sys.argv[1]](sys.argv[2]))
