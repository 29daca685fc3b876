"""Algorithm 1 of the paper as the `train_step` of a Keras model."""

import keras
import tensorflow as tf

from colorgan_tf import color, losses
from colorgan_tf.models import ModelSettings, build_discriminator, build_generator


class ColorGAN(keras.Model):
    """Conditional GAN: G paints colour onto grey y from noise z, D tells painted pictures from photos.

    Build and compile it inside a `tf.distribute` strategy's scope to train on its replicas. The noise is a function of
    `seed`, the step and the place in the global batch alone: the replicas draw different noise, and a resumed or
    differently distributed run sees the same.

    One `train_step` takes uint8 or float photos [batch, k_D + k_G, s, s, 3] (uint8, or [0, 1]): a fresh minibatch for
    every one of the updates.
    """

    def __init__(self, settings: ModelSettings, seed: int = 0, ema_decay: float = 0.0):
        """ema_decay: 0, or the decay of a running mean of G's weights (`ema_generator`), as in Yazici et al. 2019."""
        super().__init__(name="colorgan")
        self.settings = settings
        self.seed = seed
        self.ema_decay = ema_decay
        self.generator = build_generator(settings)
        self.discriminator = build_discriminator(settings)
        self.ema_generator = None
        if ema_decay:
            self.ema_generator = build_generator(settings)
            self.ema_generator.trainable = False
            self.ema_generator.set_weights(self.generator.get_weights())
        self.step = tf.Variable(
            0, trainable=False, dtype=tf.int64, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        self.built = True  # there is no call(); without this Keras refuses to save, and to fit under a strategy

    def compile(
        self,
        d_optimizer: keras.optimizers.Optimizer,
        g_optimizer: keras.optimizers.Optimizer,
        objective: str = "gan",
        k_d: int = 1,
        k_g: int = 1,
        l1_weight: float = 0.0,
        r1_weight: float = 0.0,
        r1_interval: int = 16,
        mode_seeking_weight: float = 0.0,
        **kwargs,
    ):
        """objective: a name of `losses.OBJECTIVES`. k_d, k_g: updates of D and of G in one iteration (k_D, k_G).

        l1_weight: lambda of Eq. 6, for RGB. r1_weight: gamma of R1, applied every `r1_interval` steps and multiplied by
        it (Karras et al. 2020). mode_seeking_weight: of `losses.mode_seeking_loss`, which pairs up photos in G's
        minibatch: half as many, each with two noises.
        """
        super().compile(optimizer=None, **kwargs)
        self.optimizer = None  # Keras otherwise keeps a hidden RMSprop, which would land in checkpoints
        self.objective = losses.OBJECTIVES[objective]
        self.k_d = k_d if self.objective.adversarial else 0
        self.k_g = k_g
        self.l1_weight, self.r1_weight, self.r1_interval = l1_weight, r1_weight, r1_interval
        self.mode_seeking_weight = mode_seeking_weight
        if keras.mixed_precision.dtype_policy().compute_dtype == "float16":
            d_optimizer = keras.optimizers.LossScaleOptimizer(d_optimizer)
            g_optimizer = keras.optimizers.LossScaleOptimizer(g_optimizer)
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        # Built here, so that a checkpoint finds their moments before the first step.
        self.d_optimizer.build(self.discriminator.trainable_variables)
        self.g_optimizer.build(self.generator.trainable_variables)

    @property
    def updates(self) -> int:
        """Minibatches one iteration consumes, k_D + k_G."""
        return self.k_d + self.k_g

    def train_step(self, photos):
        """One iteration of Algorithm 1."""
        minibatches = iter(tf.unstack(photos, self.updates, axis=1))
        draws = iter(range(self.updates))
        logs = {}
        for _ in range(self.k_d):
            draw = next(draws)
            z = self.sample_noise(draw, tf.shape(photos)[0])
            y, x = self.see(next(minibatches))
            logs |= self.update_discriminator(y, x, z, draw)
        for _ in range(self.k_g):
            z = self.sample_noise(next(draws), tf.shape(photos)[0])
            y, x = self.see(next(minibatches))
            logs |= self.update_generator(y, x, z)
        self.update_ema()
        self.step.assign_add(1)
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, logs)

    def update_discriminator(self, y, x, z, draw=0):
        """Lines 3 to 6: D ascends log D(x) + log(1 - D(G(y, z))). draw: which of the step's updates it is."""
        fake = tf.stop_gradient(self.full_color(y, self.generator([y, z], training=True)))
        with tf.GradientTape() as tape:
            real_logit = self.discriminator(x, training=True)
            fake_logit = self.discriminator(fake, training=True)
            d_loss = self.objective.d_loss(real_logit, fake_logit)
            penalty = self.discriminator_penalty(x, fake, draw)
            loss = self.d_optimizer.scale_loss(self.share(d_loss + penalty))
        grad_norm = self.apply_gradients(tape, loss, self.d_optimizer, self.discriminator)
        if self.objective.clip:
            # Every replica holds the same weights, so each clips its own copy.
            self.assign_everywhere(
                self.discriminator.trainable_variables,
                lambda weight: tf.clip_by_value(weight, -self.objective.clip, self.objective.clip),
            )
        return {
            "d_loss": d_loss,
            "d_penalty": penalty,
            "d_real": tf.reduce_mean(tf.sigmoid(real_logit)),
            "d_fake": tf.reduce_mean(tf.sigmoid(fake_logit)),
            "d_grad_norm": grad_norm,
            "d_loss_scale": self.loss_scale(self.d_optimizer),
        }

    def update_generator(self, y, x, z):
        """Lines 9 to 11: G descends log(1 - D(G(y, z))), plus the terms that were asked for."""
        logs = {}
        if self.mode_seeking_weight:
            # The first half of the minibatch twice: pairs in which only z differs, at no cost.
            half = tf.shape(y)[0] // 2
            y, x = (tf.concat([photos[:half], photos[:half], photos[2 * half :]], axis=0) for photos in (y, x))
        with tf.GradientTape() as tape:
            painted = self.generator([y, z], training=True)
            fake = self.full_color(y, painted)
            if self.objective.adversarial:
                g_loss = self.objective.g_loss(self.discriminator(fake, training=True))
            else:
                g_loss = losses.l2_loss(self.painted_part(x), painted)
            total = g_loss
            if self.settings.color_space == "rgb":
                logs["l1_loss"] = losses.l1_loss(y, color.luminance(fake))
                total += self.l1_weight * logs["l1_loss"]
            if self.mode_seeking_weight:
                logs["mode_seeking_loss"] = losses.mode_seeking_loss(
                    painted[:half], painted[half : 2 * half], z[:half], z[half : 2 * half]
                )
                total += self.mode_seeking_weight * logs["mode_seeking_loss"]
            loss = self.g_optimizer.scale_loss(self.share(total))
        grad_norm = self.apply_gradients(tape, loss, self.g_optimizer, self.generator)
        return logs | {
            "g_loss": g_loss,
            "g_grad_norm": grad_norm,
            "g_loss_scale": self.loss_scale(self.g_optimizer),
        }

    def discriminator_penalty(self, real, fake, draw):
        """The terms of D's loss that look at its gradients; zero for the paper's GAN."""
        if self.objective.gradient_penalty:
            alpha = self.uniform(tf.shape(real)[0], (1, 1, 1), stream=self.updates + draw, low=0.0)
            return self.objective.gradient_penalty * losses.gradient_penalty(self.discriminator, real, fake, alpha)
        if self.r1_weight:
            return tf.cond(
                self.step % self.r1_interval == 0,
                lambda: self.r1_weight * self.r1_interval * losses.r1_penalty(self.discriminator, real),
                lambda: 0.0,
            )
        return tf.constant(0.0)

    # Between photos and networks.

    def see(self, photos):
        """Photos (uint8, or float in [0, 1]) to luminance y and the full colour image x as D sees it, in [-1, 1]."""
        rgb = tf.cast(photos, tf.float32) / 255.0 if photos.dtype == tf.uint8 else photos
        if self.settings.color_space == "rgb":
            return color.to_network(color.luminance(rgb)), color.to_network(rgb)
        y, uv = color.to_network(*color.rgb_to_yuv(rgb))
        return y, tf.concat([y, uv], axis=-1)

    def full_color(self, y, painted):
        """What G painted, as D sees it: Y joins U and V; R, G, B are all there already."""
        return painted if self.settings.color_space == "rgb" else tf.concat([y, painted], axis=-1)

    def painted_part(self, x):
        """The inverse of `full_color`: the channels of x that G has to paint."""
        return x if self.settings.color_space == "rgb" else x[..., 1:]

    def sample_noise(self, draw, batch):
        """z for the `draw`-th update of this step: this replica's rows of the global batch's noise."""
        return self.uniform(batch, (self.settings.noise_size,), stream=draw, low=-1.0)

    def uniform(self, batch, shape, stream, low):
        """Uniform [low, 1] numbers [batch, *shape], different on every replica, repeatable from seed, step, stream."""
        context = tf.distribute.get_replica_context()
        replicas, replica = context.num_replicas_in_sync, context.replica_id_in_sync_group
        numbers = tf.random.stateless_uniform(
            [replicas * batch, *shape],
            seed=[self.seed, tf.cast(self.step, tf.int32) * 64 + stream + 1],
            minval=low,
            maxval=1.0,
        )
        return numbers[replica * batch : (replica + 1) * batch]

    # Between losses and weights.

    def share(self, loss):
        """This replica's share of the global batch's mean loss: gradients are summed over replicas."""
        return loss / tf.distribute.get_replica_context().num_replicas_in_sync

    def apply_gradients(self, tape, loss, optimizer, network):
        """Descends `loss`; returns the norm of this replica's own gradient, unscaled."""
        variables = network.trainable_variables
        gradients = tape.gradient(loss, variables)
        norm = tf.linalg.global_norm(gradients)
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # Keras looks for inf and nan on the first replica only. Zero times a gradient, summed over all replicas, is
            # nan for everyone as soon as one replica overflowed, so that all of them skip together.
            poison = tf.add_n([tf.reduce_sum(gradient * 0.0) for gradient in gradients])
            poison = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, poison)
            gradients[0] += poison
            norm /= self.loss_scale(optimizer)
        optimizer.apply(gradients, variables)
        return norm * tf.cast(tf.distribute.get_replica_context().num_replicas_in_sync, norm.dtype)

    def loss_scale(self, optimizer):
        """The current loss scale; 1 without loss scaling."""
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            return tf.cast(optimizer.dynamic_scale.value, tf.float32)
        return tf.constant(1.0)

    def update_ema(self):
        """Moves the averaged generator towards G, faster at the beginning (batch-norm statistics included)."""
        if self.ema_generator is None:
            return
        step = tf.cast(self.step, tf.float32)
        decay = tf.minimum(self.ema_decay, (1.0 + step) / (10.0 + step))
        self.assign_everywhere(
            self.ema_generator.variables,
            lambda mean, weight: mean + (1.0 - decay) * (weight - mean),
            self.generator.variables,
        )

    def assign_everywhere(self, variables, new_value, *others):
        """variable <- new_value(variable, *others) on every replica's own copy, one variable after the other."""
        targets = [variable.value for variable in variables]
        arguments = list(zip(*[[other.value for other in group] for group in others], strict=True))

        def update(strategy):
            for i, target in enumerate(targets):
                strategy.extended.update(
                    target,
                    lambda variable, *values: variable.assign(new_value(variable, *values)),
                    args=arguments[i] if arguments else (),
                )

        tf.distribute.get_replica_context().merge_call(update)
