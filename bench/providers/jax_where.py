from typing import Any

import jax
import jax.numpy as jnp

from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._plain import supports as supports

NAME = "JAX"
DESCRIPTION = "jnp.where and sums under jax.jit"


def _loss(y_pred: jax.Array, y_true: jax.Array) -> jax.Array:
    valid = ~jnp.isnan(y_true)
    error = jnp.where(valid, y_pred - jnp.where(valid, y_true, 0), 0)
    return jnp.sum(error * error) / jnp.maximum(1, jnp.sum(valid))


def make(case: Case, arrays: Arrays) -> Run:
    y_true, y_pred = jnp.asarray(arrays.y_true), jnp.asarray(arrays.y_pred)
    function = jax.jit(jax.value_and_grad(_loss) if case.gradient else _loss)

    def run() -> tuple[Any, ...]:
        results = jax.block_until_ready(function(y_pred, y_true))
        return results if case.gradient else (results,)

    return run
