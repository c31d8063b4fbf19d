"""vLLM: one of its own kernels, and a short generation that PyTorch on the CPU agrees with.

The model is a small Llama with random weights, made here; nothing is downloaded.
fused_add_rms_norm: vllm-project/vllm, vllm/_custom_ops.py, in 0.11.0 and at commit
0002bde560dd9adcabb28b0da32f47d4c020e799.
"""

import os
from pathlib import Path

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # one process, whose output is all there is
os.environ["VLLM_NO_USAGE_STATS"] = "1"

from machine import require_compiler

require_compiler()

import torch
from transformers import LlamaConfig, LlamaForCausalLM

PROMPT = [1, 3, 5, 7, 11, 13]
LENGTH = 16
NEAR = 0.05
"""How far below the best a chosen token may be, in units of the logits: float16 is that exact, and
a wrong layer moves them by about one."""


def model() -> LlamaForCausalLM:
    """Return the model with weights of a size that every layer counts."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        vocab_size=1024,
        max_position_embeddings=256,
        rms_norm_eps=1e-5,
        initializer_range=0.1,
        bos_token_id=1,
        eos_token_id=2,
        architectures=["LlamaForCausalLM"],
    )
    made = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for weights in made.parameters():  # as float16 has them, for both
            weights.copy_(weights.half().float())
    return made


def norm() -> None:
    """Normalise on the GPU, and hold it against the same in double precision."""
    from vllm import _custom_ops as ops

    torch.manual_seed(0)
    value, residual = (torch.randn(7, 512, dtype=torch.float16) for _ in range(2))
    weight = torch.ones(512, dtype=torch.float16)
    summed = value.double() + residual.double()
    wanted = summed * torch.rsqrt(summed.pow(2).mean(-1, keepdim=True) + 1e-5)
    found = value.cuda()
    ops.fused_add_rms_norm(found, residual.cuda(), weight.cuda(), 1e-5)
    error = float((found.cpu().double() - wanted).abs().max())
    assert error < 0.01, f"fused_add_rms_norm is off by {error}"


def generated(folder: Path) -> list[int]:
    """Return the tokens of a greedy run on the GPU."""
    from vllm import LLM, SamplingParams

    engine = LLM(
        str(folder),
        skip_tokenizer_init=True,
        enforce_eager=True,
        dtype="float16",
        max_model_len=128,
        max_num_seqs=2,
        gpu_memory_utilization=0.05,
        seed=0,
    )
    how = SamplingParams(temperature=0, max_tokens=LENGTH, ignore_eos=True, detokenize=False)
    (answer,) = engine.generate([{"prompt_token_ids": PROMPT}], how)
    return list(answer.outputs[0].token_ids)


def behind(reference: LlamaForCausalLM, tokens: list[int]) -> float:
    """Return how far the worst chosen token is behind the best, by the CPU in double precision."""
    with torch.no_grad():
        logits = reference.double()(torch.tensor([[*PROMPT, *tokens]])).logits[0]
    rows = logits[len(PROMPT) - 1 : -1]
    chosen = rows.gather(1, torch.tensor(tokens)[:, None])[:, 0]
    return float((rows.max(dim=1).values - chosen).max())


def main() -> None:
    """Run both."""
    norm()
    reference = model()
    folder = Path("model")
    reference.half().save_pretrained(folder)
    tokens = generated(folder)
    assert len(tokens) == LENGTH, f"{len(tokens)} tokens, not {LENGTH}"
    far = behind(reference, tokens)
    assert far < NEAR, f"a chosen token is {far} behind the best: {tokens}"
    print(f"fused_add_rms_norm fits; {LENGTH} tokens, at most {far:.1e} behind the CPU's best")


if __name__ == "__main__":
    main()
