"""The device code: four Triton kernels that a transformer's forward pass is made of.

Reductions and matrix accumulators are float32 whatever the storage type is. No kernel keeps
anything about its problem's size in its code except what is a `tl.constexpr`, so that one image
serves every batch and sequence length.
"""

# Triton gives a kernel's parameters their types when it compiles it: there is nothing to annotate.
# Constants in capitals are its custom, and so is a branch that only one kind of image has.
# ruff: noqa: ANN001, ANN201, ANN202, N803, SIM108
# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-def,untyped-decorator"

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)
# Stands in for minus infinity in running maxima: minus infinity less itself is NaN.
LOWEST = tl.constexpr(-3.0e38)


@triton.jit
def rms_norm(out, x, weight, epsilon, columns, out_stride, x_stride, BLOCK: tl.constexpr):
    """out = x / sqrt(mean(x^2) + epsilon) * weight. One program a row."""
    row = tl.program_id(0).to(tl.int64)
    out += row * out_stride
    x += row * x_stride
    lane = tl.arange(0, BLOCK)

    squares = tl.zeros([BLOCK], tl.float32)
    for start in range(0, columns, BLOCK):
        column = start + lane
        value = tl.load(x + column, mask=column < columns, other=0.0).to(tl.float32)
        squares += value * value
    factor = tl.rsqrt(tl.sum(squares) / columns + epsilon)

    for start in range(0, columns, BLOCK):
        column = start + lane
        valid = column < columns
        value = tl.load(x + column, mask=valid, other=0.0).to(tl.float32)
        gain = tl.load(weight + column, mask=valid, other=0.0).to(tl.float32)
        tl.store(out + column, (value * factor * gain).to(out.dtype.element_ty), mask=valid)


@triton.jit
def rotary_embedding(
    x,
    cosine,
    sine,
    positions,
    heads,
    token_stride,
    head_stride,
    HALF: tl.constexpr,
    BLOCK_HEADS: tl.constexpr,
):
    """Rotate both halves of each head by the angle of its token's position, in place.

    `cosine` and `sine` are tables of one row a position. Program (i, j) does token i and the
    j-th block of heads, so that one row of the tables serves many heads.
    """
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BLOCK_HEADS + tl.arange(0, BLOCK_HEADS)
    lane = tl.arange(0, HALF)

    angle = tl.load(positions + token) * HALF + lane
    cos = tl.load(cosine + angle).to(tl.float32)[None, :]
    sin = tl.load(sine + angle).to(tl.float32)[None, :]

    first = x + token * token_stride + head[:, None] * head_stride + lane[None, :]
    second = first + HALF
    valid = head[:, None] < heads
    a = tl.load(first, mask=valid, other=0.0).to(tl.float32)
    b = tl.load(second, mask=valid, other=0.0).to(tl.float32)
    tl.store(first, (a * cos - b * sin).to(x.dtype.element_ty), mask=valid)
    tl.store(second, (b * cos + a * sin).to(x.dtype.element_ty), mask=valid)


@triton.jit
def softmax(out, x, columns, out_stride, x_stride, BLOCK: tl.constexpr):
    """Softmax over each row, of any width: the sum is rescaled as the maximum grows."""
    row = tl.program_id(0).to(tl.int64)
    out += row * out_stride
    x += row * x_stride
    lane = tl.arange(0, BLOCK)

    maximum = tl.full([], LOWEST, tl.float32)
    total = tl.zeros([], tl.float32)
    for start in range(0, columns, BLOCK):
        column = start + lane
        value = tl.load(x + column, mask=column < columns, other=float("-inf")).to(tl.float32)
        higher = tl.maximum(maximum, tl.max(value))
        total = total * tl.exp2((maximum - higher) * LOG2_E)
        total += tl.sum(tl.exp2((value - higher) * LOG2_E))
        maximum = higher

    for start in range(0, columns, BLOCK):
        column = start + lane
        valid = column < columns
        value = tl.load(x + column, mask=valid, other=float("-inf")).to(tl.float32)
        share = tl.exp2((value - maximum) * LOG2_E) / total
        tl.store(out + column, share.to(out.dtype.element_ty), mask=valid)


@triton.jit
def _attend(
    accumulator,
    total,
    maximum,
    query,
    key,
    value,
    key_row_stride,
    value_row_stride,
    scale,
    row,
    shift,
    key_length,
    begin,
    end,
    MASKED: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Let a block of queries look at the keys from `begin` to `end`."""
    lane = tl.arange(0, BLOCK_N)
    dim = tl.arange(0, HEAD_DIM)
    for start in range(begin, end, BLOCK_N):
        column = start + lane
        k_at = key + column[None, :] * key_row_stride + dim[:, None]
        v_at = value + column[:, None] * value_row_stride + dim[None, :]
        if MASKED:
            k = tl.load(k_at, mask=column[None, :] < key_length, other=0.0)
        else:
            k = tl.load(k_at)
        score = tl.dot(query, k) * scale
        if MASKED:
            # A query sees its own position and what is before it, counted from the end of the
            # keys: the queries may be the last few tokens of a longer sequence.
            visible = (column[None, :] <= row[:, None] + shift) & (column[None, :] < key_length)
            score = tl.where(visible, score, float("-inf"))
        higher = tl.maximum(maximum, tl.max(score, 1))
        weight = tl.exp2(score - higher[:, None])
        fade = tl.exp2(maximum - higher)
        total = total * fade + tl.sum(weight, 1)
        if MASKED:
            v = tl.load(v_at, mask=column[:, None] < key_length, other=0.0)
        else:
            v = tl.load(v_at)
        accumulator = tl.dot(weight.to(v.dtype), v, accumulator * fade[:, None])
        maximum = higher
    return accumulator, total, maximum


@triton.jit
def attention_forward(
    out,
    logsumexp,
    query,
    key,
    value,
    scale,
    heads_per_key_head,
    query_length,
    key_length,
    out_batch_stride,
    out_head_stride,
    out_row_stride,
    query_batch_stride,
    query_head_stride,
    query_row_stride,
    key_batch_stride,
    key_head_stride,
    key_row_stride,
    value_batch_stride,
    value_head_stride,
    value_row_stride,
    HEAD_DIM: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Causal flash attention, with several query heads to a key head where the model has that.

    Program (i, h, b) does a block of query rows of head h of sequence b. `logsumexp` is dense,
    float32, (batch, heads, query_length).
    """
    # The last rows see the most keys: start them first, and the short ones fill the gaps.
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    key_head = head // heads_per_key_head
    out += batch * out_batch_stride + head * out_head_stride
    query += batch * query_batch_stride + head * query_head_stride
    key += batch * key_batch_stride + key_head * key_head_stride
    value += batch * value_batch_stride + key_head * value_head_stride
    logsumexp += (batch * tl.num_programs(1) + head) * query_length

    first_row = block * BLOCK_M
    row = first_row + tl.arange(0, BLOCK_M)
    dim = tl.arange(0, HEAD_DIM)
    row_valid = row < query_length
    q = tl.load(
        query + row[:, None] * query_row_stride + dim[None, :], mask=row_valid[:, None], other=0.0
    )

    shift = key_length - query_length
    # Up to here every row of the block sees every key; from there on up to `end`, some do not.
    unmasked = tl.minimum(tl.maximum(first_row + shift + 1, 0), key_length) // BLOCK_N * BLOCK_N
    end = tl.minimum(first_row + BLOCK_M + shift, key_length)

    accumulator = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    maximum = tl.full([BLOCK_M], LOWEST, tl.float32)
    scale_2 = scale * LOG2_E
    accumulator, total, maximum = _attend(
        accumulator, total, maximum, q, key, value, key_row_stride, value_row_stride, scale_2,
        row, shift, key_length, 0, unmasked, MASKED=False, HEAD_DIM=HEAD_DIM, BLOCK_N=BLOCK_N,
    )  # fmt: skip
    accumulator, total, maximum = _attend(
        accumulator, total, maximum, q, key, value, key_row_stride, value_row_stride, scale_2,
        row, shift, key_length, unmasked, end, MASKED=True, HEAD_DIM=HEAD_DIM, BLOCK_N=BLOCK_N,
    )  # fmt: skip

    # A row that sees no key at all gives zeros, not 0 / 0.
    seen = total > 0.0
    result = accumulator / tl.where(seen, total, 1.0)[:, None]
    tl.store(
        out + row[:, None] * out_row_stride + dim[None, :],
        result.to(out.dtype.element_ty),
        mask=row_valid[:, None],
    )
    log_total = tl.where(seen, (maximum + tl.log2(total)) * LN_2, float("-inf"))
    tl.store(logsumexp + row, log_total, mask=row_valid)
