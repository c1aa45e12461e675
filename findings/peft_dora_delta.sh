#!/usr/bin/env bash
# peft 0.21.2's get_delta_weight() leaves out what makes DoRA differ from LoRA, the magnitude.
#
# It is documented as "Compute the delta weight for the given adapter", and for LoRA base + delta is the merged weight.
# With use_dora it is still the product of the two matrices alone, without an error or a warning. So whoever adds it to
# the base, as tools do that hand merged weights to an inference engine, gets another model than merge_and_unload() and
# than the adapted layer itself. Expected: base + delta equals the merged weight, or an error.
#
# Seen with peft 0.21.2, torch 2.13.0, transformers 5.23.0, Python 3.11, 2026-11-30:
#     LoRA: base + delta equals the merged weight: True
#     DoRA: base + delta equals the merged weight: False
#
#     bash findings/peft_dora_delta.sh        # exit code 0 while it behaves so, 1 if that has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 transformers==5.23.0
cat > look.py <<'P'
import torch
from peft import LoraConfig, get_peft_model


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 6, bias=False)

    def forward(self, x):
        return self.linear(x)


def adds_up(use_dora):
    """Whether base + delta is the merged weight, after the adapters have moved from where they start."""
    torch.manual_seed(0)
    model = get_peft_model(Model(), LoraConfig(r=2, target_modules=["linear"], use_dora=use_dora))
    layer = model.base_model.model.linear
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) / 4)
    added = layer.get_base_layer().weight.detach() + layer.get_delta_weight("default").detach()
    x = torch.randn(3, 8)
    adapted = model(x).detach()
    merged = model.merge_and_unload().linear.weight.detach()
    assert torch.allclose(x @ merged.T, adapted, atol=1e-5)  # so merging itself is right
    return torch.allclose(added, merged, atol=1e-5)


found = {"LoRA": adds_up(False), "DoRA": adds_up(True)}
print(*(f"{name}: base + delta equals the merged weight: {same}" for name, same in found.items()), sep="\n")
raise SystemExit(found != {"LoRA": True, "DoRA": False})
P
environment/bin/python look.py
