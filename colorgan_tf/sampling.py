"""Algorithm 2 of the paper: k colourings of every photo of a minibatch.

    1: minibatch of m greyscale photos {y(1), ..., y(m)}
    2: for round r in 1 ... k
    3:     minibatch of m noise vectors {z(1,r), ..., z(m,r)}
    4:     {x(1,r), ..., x(m,r)} <- G({y}, {z})
    6: rearrange into {x(1,1), ..., x(1,k)}, ..., {x(m,1), ..., x(m,k)}

The paper goes round by round over *different* photos because its batch normalization uses the statistics of the batch
at hand: a batch of one photo k times would be normalized by that photo alone. `keras_generator(batch_statistics=True)`
is that. Moving averages, the default here and all that an export knows, make a photo's colours a function of that photo
and its noise alone. docs/evaluate.md has the measured difference.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from colorgan_tf import color

# gray [b, h, w, 1] in [0, 1], noise [b, n] in [-1, 1] -> rgb [b, h, w, 3] in [0, 1], chroma [b, h, w, 2] in [-0.5, 0.5]
Generator = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def noise(keys: Sequence[str], round_index: int, size: int, seed: int = 0) -> np.ndarray:
    """z of one round: float32 [len(keys), size], uniform in [-1, 1].

    Each vector is a function of (seed, key, round) alone, so that a photo meets the same noise whatever batch it is in,
    however many rounds are asked for, and whichever model is measured.
    """
    rows = []
    for key in keys:
        digest = hashlib.sha256(f"{seed}\0{round_index}\0{key}".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
        rows.append(generator.uniform(-1.0, 1.0, size))
    return np.asarray(rows, np.float32).reshape(len(keys), size)


def sample(
    generator: Generator, gray: np.ndarray, keys: Sequence[str], k: int, noise_size: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 2 on one minibatch: gray float32 [b, h, w, 1] in [0, 1], one key per photo.

    Returns (rgb [b, k, h, w, 3] in [0, 1], chroma [b, k, h, w, 2] in [-0.5, 0.5]); [i, r] is photo i in round r.
    ValueError for k < 1 and where keys and photos differ in number.
    """
    if k < 1:
        raise ValueError(f"k={k}: expected at least 1 round")
    if len(keys) != len(gray):
        raise ValueError(f"{len(keys)} keys for {len(gray)} photos; expected one each")
    rgb = chroma = None
    for r in range(k):
        round_rgb, round_chroma = generator(gray, noise(keys, r, noise_size, seed))
        if rgb is None:  # written into place round by round: a stack at the end would hold everything twice
            rgb = np.empty((len(gray), k, *round_rgb.shape[1:]), np.float32)
            chroma = np.empty((len(gray), k, *round_chroma.shape[1:]), np.float32)
        rgb[:, r], chroma[:, r] = round_rgb, round_chroma
    return rgb, chroma


def keras_generator(model, batch_statistics: bool = False) -> Generator:
    """A Keras generator model (`models.build_generator`; everything in [-1, 1]) as the callable `sample` takes.

    batch_statistics: normalize by the minibatch at hand, as in the paper, instead of by moving averages; the model's
    own moving averages are left as they are.
    """
    import tensorflow as tf

    if batch_statistics:
        # Called plainly with training=True, Keras would also move the averages; stateless_call hands them back instead.
        @tf.function(reduce_retracing=True)
        def paint(inputs):
            return model.stateless_call(
                model.trainable_variables, model.non_trainable_variables, inputs, training=True
            )[0]
    else:

        @tf.function(reduce_retracing=True)
        def paint(inputs):
            return model(inputs, training=False)

    def generator(gray, z):
        gray = np.asarray(gray, np.float32)
        painted = paint([tf.constant(color.to_network(gray)), tf.constant(z)]).numpy().astype(np.float32)
        return color.pictures(gray, painted)

    return generator
