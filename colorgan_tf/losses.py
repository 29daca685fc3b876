"""The objectives, in the paper's symbols. All take logits (D before its sigmoid, or a critic's score) [batch, 1].

Means are over the batch given; who shares a batch between replicas divides once, where the gradient is taken.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf


def gan_d_loss(real, fake):
    """-[log D(x) + log(1 - D(G(y, z)))], which D descends (Algorithm 1, line 6; Eq. 2)."""
    return tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))


def saturating_g_loss(fake):
    """log(1 - D(G(y, z))), which G descends (Algorithm 1, line 11)."""
    return -tf.reduce_mean(tf.nn.softplus(fake))


def non_saturating_g_loss(fake):
    """-log D(G(y, z)): the same fixed point, and a gradient while D still wins (Goodfellow et al. 2014, section 3)."""
    return tf.reduce_mean(tf.nn.softplus(-fake))


def critic_d_loss(real, fake):
    """E[D(G(y, z))] - E[D(x)]: minus the Wasserstein distance a 1-Lipschitz critic sees (Arjovsky et al. 2017)."""
    return tf.reduce_mean(fake) - tf.reduce_mean(real)


def critic_g_loss(fake):
    """-E[D(G(y, z))]."""
    return -tf.reduce_mean(fake)


def _input_gradient(discriminator, images):
    """d D(x_i) / d x_i for every sample: [batch, s, s, 3]. Needs a D without batch statistics to be per sample."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        score = tf.reduce_sum(discriminator(images, training=True))
    return tf.cast(tape.gradient(score, images), tf.float32)


def gradient_penalty(discriminator, real, fake, alpha):
    """E[(||grad D(x^)||_2 - 1)^2], x^ = alpha x + (1 - alpha) G (Gulrajani et al. 2017).

    alpha: [batch, 1, 1, 1] in [0, 1], one a sample; the norm is over all pixels and channels of a sample.
    """
    gradient = _input_gradient(discriminator, alpha * real + (1.0 - alpha) * fake)
    norm = tf.sqrt(tf.reduce_sum(gradient**2, axis=[1, 2, 3]) + 1e-12)
    return tf.reduce_mean((norm - 1.0) ** 2)


def r1_penalty(discriminator, real):
    """E[||grad D(x)||_2^2] / 2 on photos only (Mescheder et al. 2018)."""
    gradient = _input_gradient(discriminator, real)
    return 0.5 * tf.reduce_mean(tf.reduce_sum(gradient**2, axis=[1, 2, 3]))


def l1_loss(y, gray_of_fake):
    """||y - Gray(G(y, z))|| of Eq. 4, the mean over pixels; in the network's units, where white - black = 2."""
    return tf.reduce_mean(tf.abs(y - gray_of_fake))


def l2_loss(truth, painted):
    """Mean squared error of the painted channels: the non-adversarial regression that turns sepia (Fig. 1)."""
    return tf.reduce_mean((truth - painted) ** 2)


def mode_seeking_loss(painted_1, painted_2, z_1, z_2):
    """E|z1 - z2| / E|G(y, z1) - G(y, z2)|, which a generator that ignores z makes large (Mao et al. 2019).

    Unlike theirs, each picture's mean colour is taken off first: another tint over everything earns nothing, things
    that change colour do.
    """

    def local(painted):
        return painted - tf.reduce_mean(painted, axis=[1, 2], keepdims=True)

    distance = tf.reduce_mean(tf.abs(local(painted_1) - local(painted_2)))
    return tf.reduce_mean(tf.abs(z_1 - z_2)) / (distance + 1e-5)


@dataclasses.dataclass(frozen=True)
class Objective:
    """What D and G descend, and what keeps D in bounds.

    d_loss, g_loss: None for regression, which has no D. clip: the bound on D's weights after each update.
    gradient_penalty: its weight in D's loss.
    """

    d_loss: Callable | None
    g_loss: Callable | None
    clip: float | None = None
    gradient_penalty: float = 0.0

    @property
    def adversarial(self) -> bool:
        return self.d_loss is not None


OBJECTIVES = {
    "gan": Objective(gan_d_loss, saturating_g_loss),
    "gan_non_saturating": Objective(gan_d_loss, non_saturating_g_loss),
    "wgan": Objective(critic_d_loss, critic_g_loss, clip=0.01),
    "wgan_gp": Objective(critic_d_loss, critic_g_loss, gradient_penalty=10.0),
    "regression": Objective(None, None),
}
