"""What the tests share: both sides, read once."""

import functools

import sam
import tf


@functools.cache
def template():
    """template.yaml"""
    return sam.Template()


@functools.cache
def module():
    """infra/*.tf"""
    return tf.Module()


def only(blocks):
    """The one block of its kind."""
    (block,) = blocks
    return block
