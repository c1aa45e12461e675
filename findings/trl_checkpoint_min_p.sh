#!/usr/bin/env bash
# trl 1.16.0's GRPOTrainer samples with settings of the checkpoint that its own configuration leaves at None.
#
# GRPOConfig documents min_p=None as off, and the trainer passes a whole GenerationConfig to generate(). With
# transformers 5 generate() fills each None in it from the checkpoint's generation_config.json. trl has a remedy for
# that, but applies it only before transformers 5. So a checkpoint with min_p 1.0 has eight equal completions in each
# group, and all advantages are zero; one with no_repeat_ngram_size, which GRPOConfig does not know, cannot repeat
# words. Expected: a run samples as its GRPOConfig says.
#
# Seen with trl 1.16.0, transformers 5.23.0, torch 2.13.0, Python 3.11, 2026-11-30:
#     {}: 8 of 8 completions are different
#     {'min_p': 1.0}: 1 of 8 completions are different
#
#     bash findings/trl_checkpoint_min_p.sh        # exit code 0 while it behaves so, 1 if that has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 trl==1.16.0 transformers==5.23.0
cat > look.py <<'P'
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer

WORDS = ["<end>", "<unknown>", *(f"w{number}" for number in range(30))]


def different(declared):
    """How many of eight completions of a prompt differ if the checkpoint's generation_config declares this."""
    core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, "<unknown>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<end>",
                                        unk_token="<unknown>")
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, eos_token_id=0, pad_token_id=0))
    model.generation_config.update(**declared)
    seen = []

    def reward(completions, **_):
        seen.extend(completions)
        return [0.0] * len(completions)

    args = GRPOConfig("out", max_steps=1, per_device_train_batch_size=8, num_generations=8, max_completion_length=8,
                      temperature=1.0, use_cpu=True, bf16=False, save_strategy="no", disable_tqdm=True, min_p=None)
    GRPOTrainer(model, reward, args=args, train_dataset=Dataset.from_dict({"prompt": ["w1 w2"]}),
                processing_class=tokenizer).train()
    return len(set(seen))


found = {str(declared): different(declared) for declared in ({}, {"min_p": 1.0})}
print(*(f"{name}: {count} of 8 completions are different" for name, count in found.items()), sep="\n")
raise SystemExit(found != {"{}": 8, "{'min_p': 1.0}": 1})
P
HF_HUB_DISABLE_TELEMETRY=1 TRL_EXPERIMENTAL_SILENCE=1 environment/bin/python look.py 2>errors.txt || { tail -5 errors.txt; exit 1; }
