"""JAX: a jitted function and its gradient."""
import hashlib
import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0")
import jax
import jax.numpy as jnp
import numpy as np


def show(name, array):
    print(name, hashlib.sha256(np.asarray(array).tobytes()).hexdigest()[:32], flush=True)


def f(x, w):
    return jnp.tanh(x @ w).sum() + jnp.sort(x[0])[0]


key = jax.random.key(1)
x = jax.random.normal(key, (128, 256))
w = jax.random.normal(key, (256, 64))
print(jax.devices()[0].platform)
show("value", jax.jit(f)(x, w))
show("gradient", jax.jit(jax.grad(f, argnums=1))(x, w))
show("scan", jax.jit(lambda v: jnp.cumsum(jnp.sin(v)))(x.reshape(-1)))
