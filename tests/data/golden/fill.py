"""Deterministic weights for parity tests.  Public domain (CC0).  Needs numpy only.

Every tensor of a state dict is filled from its own key name, so two implementations
that use the same key names and shapes hold the same numbers, whatever the order.

    x = numpy.random.RandomState((crc32(key) ^ seed) & 0xffffffff).standard_normal(shape)

    rule  which tensors                                         value (float32)
    A     ndim >= 2, key ends with "weight"                     x / sqrt(prod(shape[1:]))   (fan-in)
    B     ndim >= 2, any other key (rel_pos_*, pos_encoding,
          cls_token, attn_query, query)                         0.15 * x
    C     ndim == 1, key ends with "weight" (norm gains)        1 + 0.1 * x
    D     ndim == 1, any other key (biases, 1-D class token)    0.1 * x
    -     integer / bool tensors                                left alone

The key is the name in the state dict of the module under test itself (VideoEncoder,
MIL head, TextEncoder, ...), with no outer prefix such as "video_encoder.".
The flat 0.02 scale that was first asked for makes the attention almost uniform and the
tests blind; the fan-in rule keeps activations near unit variance.
"""

import math
import zlib

import numpy as np


def fill_array(key, shape, seed=0):
    shape = tuple(int(s) for s in shape)
    rs = np.random.RandomState((zlib.crc32(key.encode("utf-8")) ^ int(seed)) & 0xFFFFFFFF)
    x = rs.standard_normal(shape)
    is_weight = key.endswith("weight")
    if len(shape) >= 2:
        y = x / math.sqrt(float(np.prod(shape[1:]))) if is_weight else 0.15 * x
    else:
        y = 1.0 + 0.1 * x if is_weight else 0.1 * x
    return np.asarray(y, dtype=np.float32)


def fill_module(module, seed=0):
    """Fill a torch module in place (parameters and floating buffers); returns it."""
    import torch

    sd = module.state_dict()
    out = {}
    for key, t in sd.items():
        if t.is_floating_point():
            out[key] = torch.from_numpy(fill_array(key, t.shape, seed)).to(t.dtype)
        else:
            out[key] = t
    module.load_state_dict(out, strict=True)
    return module


def gaussian(seed, shape):
    """Test inputs: float32 normals from RandomState(seed)."""
    return np.random.RandomState(int(seed)).standard_normal(tuple(shape)).astype(np.float32)


def gray_video(seed, shape):
    """Test videos: uint8 from RandomState(seed).  Blocky noise plus fine noise, so that
    both the resize filter and the frame choice show in the result.  shape = (T,H,W[,C])."""
    rs = np.random.RandomState(int(seed))
    t, h, w = shape[:3]
    c = shape[3] if len(shape) == 4 else 1
    coarse = rs.randint(20, 236, size=(t, (h + 15) // 16, (w + 15) // 16, c))
    coarse = np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2)[:, :h, :w]
    fine = rs.randint(-20, 21, size=(t, h, w, c))
    v = np.clip(coarse + fine, 0, 255).astype(np.uint8)
    return v if len(shape) == 4 else v[..., 0]


def clip_input(seed, shape):
    """Normalised test clips (B,N,T,H,W,3) float32: an offset per clip and channel, a coarse
    pattern that changes over time and place (4 x 8 x 8 cells), and fine noise.  One
    RandomState(seed), three draws, in this order: offset, coarse, fine."""
    b, n, t, h, w, c = shape
    rs = np.random.RandomState(int(seed))
    offset = rs.standard_normal((b, n, 1, 1, 1, c))
    coarse = rs.standard_normal((b, n, 4, 8, 8, c))
    fine = rs.standard_normal((b, n, t, h, w, c))
    coarse = np.repeat(np.repeat(np.repeat(coarse, t // 4, 2), h // 8, 3), w // 8, 4)
    return (0.7 * offset + 1.2 * coarse + 0.4 * fine).astype(np.float32)
