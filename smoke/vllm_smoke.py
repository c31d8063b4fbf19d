"""vLLM: one of its own kernels, and a short generation with a small model of random weights.

The model is made here and nothing is downloaded. fused_add_rms_norm: vllm-project/vllm,
vllm/_custom_ops.py, in 0.11.0 and at commit 0002bde560dd9adcabb28b0da32f47d4c020e799.
"""

import json
import os
from pathlib import Path

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # one process, whose output is all there is
os.environ["VLLM_NO_USAGE_STATS"] = "1"

import torch
from vllm import LLM, SamplingParams
from vllm import _custom_ops as ops

MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 1024,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float16",
}


def norm() -> None:
    """Normalise on the GPU, and hold it against the same in double precision."""
    torch.manual_seed(0)
    value, residual = (torch.randn(7, 512, dtype=torch.float16) for _ in range(2))
    weight = torch.ones(512, dtype=torch.float16)
    summed = value.double() + residual.double()
    wanted = summed * torch.rsqrt(summed.pow(2).mean(-1, keepdim=True) + 1e-5)
    found = value.cuda()
    ops.fused_add_rms_norm(found, residual.cuda(), weight.cuda(), 1e-5)
    error = float((found.cpu().double() - wanted).abs().max())
    assert error < 0.01, f"fused_add_rms_norm is off by {error}"


def generate() -> list[int]:
    """Return the tokens of two greedy runs, which must be the same."""
    folder = Path("model")
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(MODEL))
    model = LLM(
        str(folder),
        load_format="dummy",
        skip_tokenizer_init=True,
        enforce_eager=True,
        dtype="float16",
        max_model_len=128,
        max_num_seqs=2,
        gpu_memory_utilization=0.05,
        seed=0,
    )
    how = SamplingParams(temperature=0, max_tokens=16, ignore_eos=True, detokenize=False)
    prompts = [{"prompt_token_ids": [1, 3, 5, 7, 11, 13]}]
    runs = [list(model.generate(prompts, how)[0].outputs[0].token_ids) for _ in range(2)]
    assert runs[0] == runs[1], f"two greedy runs differ: {runs}"
    assert len(runs[0]) == how.max_tokens, f"{len(runs[0])} tokens, not {how.max_tokens}"
    return runs[0]


if __name__ == "__main__":
    norm()
    print(f"fused_add_rms_norm fits; {len(generate())} tokens generated twice, the same")
