"""The paper's networks in PyTorch, weights from Keras: the peer, written as its users would write it."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

KERNELS = (7, 5, 5, 5, 5, 5)
FILTERS = (128, 64, 64, 64, 32)


class Generator(nn.Module):
    """Six convs with y before every one and the noise map before the first three; NCHW, colour in [-1, 1]."""

    def __init__(self, size=64, noise_size=100, filters=FILTERS):
        super().__init__()
        self.size = size
        self.noise_dense = nn.Linear(noise_size, size * size)
        self.noise_bn = nn.BatchNorm2d(1, eps=1e-5, momentum=0.1)
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        before = 0
        for i, (kernel, after) in enumerate(zip(KERNELS, (*filters, 2), strict=True)):
            last = i == len(KERNELS) - 1
            extra = 2 if i < 3 else 1
            self.convs.append(nn.Conv2d(before + extra, after, kernel, padding=kernel // 2, bias=last))
            if not last:
                self.norms.append(nn.BatchNorm2d(after, eps=1e-5, momentum=0.1))
            before = after

    def forward(self, y, z):
        noise = functional.relu(self.noise_bn(self.noise_dense(z).view(-1, 1, self.size, self.size)))
        x = None
        for i, conv in enumerate(self.convs):
            parts = ([] if x is None else [x]) + [y] + ([noise] if i < 3 else [])
            x = conv(torch.cat(parts, 1))
            if i < len(self.norms):
                x = functional.relu(self.norms[i](x))
        return torch.tanh(x.float())

    def load_keras(self, weights):
        """weights: an npz of "layer/weight" arrays, batch norm included."""

        def put(parameter, value):
            parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(value)))

        def norm(module, name):
            put(module.weight, weights[f"{name}/gamma"])
            put(module.bias, weights[f"{name}/beta"])
            put(module.running_mean, weights[f"{name}/moving_mean"])
            put(module.running_var, weights[f"{name}/moving_variance"])

        put(self.noise_dense.weight, weights["noise_dense/kernel"].T)
        put(self.noise_dense.bias, weights["noise_dense/bias"])
        norm(self.noise_bn, "noise_bn")
        for i, conv in enumerate(self.convs):
            name = f"conv_{i}" if i < len(self.norms) else "color_conv"
            put(conv.weight, weights[f"{name}/kernel"].transpose(3, 2, 0, 1))
            if conv.bias is not None:
                put(conv.bias, weights[f"{name}/bias"])
            else:
                norm(self.norms[i], f"bn_{i}")

    def fuse(self):
        """Batch norm into the convs, by PyTorch's own tool."""
        from torch.nn.utils.fusion import fuse_conv_bn_eval

        for i, norm in enumerate(self.norms):
            self.convs[i] = fuse_conv_bn_eval(self.convs[i], norm)
        self.norms = nn.ModuleList(nn.Identity() for _ in self.norms)
        return self


class Discriminator(nn.Module):
    """Four 5x5 convs of stride 2, Dense 64, one logit."""

    def __init__(self, size=64, filters=64):
        super().__init__()
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        before = 3
        for i in range(4):
            after = filters * 2**i
            self.convs.append(nn.Conv2d(before, after, 5, stride=2, padding=2, bias=i == 0))
            self.norms.append(nn.BatchNorm2d(after, eps=1e-5, momentum=0.1) if i else nn.Identity())
            before = after
        self.dense = nn.Linear(before * (size // 16) ** 2, 64)
        self.score = nn.Linear(64, 1)

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.leaky_relu(norm(conv(x)), 0.2)
        return self.score(self.dense(x.flatten(1))).float()
