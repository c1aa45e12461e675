#!/usr/bin/env bash
# transformers 5.23.0 adds no sliding window to an attention mask of four dimensions.
#
# A mask of two dimensions says which tokens are padding, and a model with sliding_window adds causality and its window.
# One of four dimensions, as packed or shared prompts need it, is taken as it is: the window that the checkpoint was
# trained with is gone, without an error or a warning. So Mistral computes what the same model without a window would,
# and only sequences longer than the window show it. Expected: the window stays, or a warning names it.
#
# Seen with transformers 5.23.0, torch 2.13.0, Python 3.11, 2026-11-30, window 4, 12 tokens:
#     a causal mask of four dimensions gives the logits of one of two dimensions: False
#     it gives those of the same model without a window: True
#
#     bash findings/transformers_mask_without_window.sh        # exit code 0 while it behaves so, 1 if that has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
cat > look.py <<'P'
import torch
from transformers import MistralConfig, MistralForCausalLM


def logits(window, mask):
    """Those behind the last of 12 tokens, by the model of one seed with this sliding window."""
    torch.manual_seed(0)
    model = MistralForCausalLM(MistralConfig(
        vocab_size=30, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=window)).eval()
    with torch.no_grad():
        return model(input_ids=torch.arange(12)[None] + 3, attention_mask=mask).logits[0, -1]


no_padding, causal = torch.ones(1, 12), torch.ones(12, 12, dtype=torch.bool).tril()[None, None]
given = logits(4, causal)
found = [torch.allclose(given, logits(window, no_padding), atol=1e-5) for window in (4, None)]
print(f"a causal mask of four dimensions gives the logits of one of two dimensions: {found[0]}")
print(f"it gives those of the same model without a window: {found[1]}")
raise SystemExit(found != [False, True])
P
environment/bin/python look.py
