"""What only a GPU runs, as far as a CPU can tell: the names that it relies on, and choices made for GPUs alone.

Execution of it on two processes of a CPU is test_sharding.py's, its memory tests/planning/test_plan_check.py's.
"""

import importlib
import re

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from helpers import documents  # noqa: E402
from helpers.paths import ROOT  # noqa: E402
from raccoon import decoding  # noqa: E402

# (module, name in it, the branch that relies on it). Private names of scripts/ are test_library_internals.py's.
RELIED_ON = (
    ("accelerate.utils.fsdp_utils", "fsdp2_prepare_model", "float32 shards of a bfloat16 policy, and FSDP2's units"),
    ("accelerate.parallelism_config", "ParallelismConfig", "REPLICAS: shards within a machine, replicas across"),
    ("accelerate", "Accelerator.autocast", "bfloat16 in TRL's forward pass"),
    ("accelerate", "Accelerator.clip_grad_norm_", "the norm of sharded gradients, whole on every process"),
    ("accelerate.utils", "GradientAccumulationPlugin.sync_each_batch", "gradients reduced after each micro-batch"),
    ("torch.distributed.fsdp", "MixedPrecisionPolicy", "bfloat16 passes, float32 reduction and log-probabilities"),
    ("torch.distributed.fsdp", "FSDPModule.unshard", "whole weights while a batch is generated"),
    ("torch.distributed.fsdp", "FSDPModule.set_reshard_after_forward", "the same"),
    ("torch.distributed.fsdp", "register_fsdp_forward_method", "generate() of a policy that is sharded early"),
    ("torch.distributed.tensor", "DTensor.full_tensor", "the export of a sharded policy"),
    ("torch.random", "fork_rng", "held-out checks that leave the GPU's random state as it was"),
    ("torch.cuda", "max_memory_allocated", "the measured peak beside the plan"),
    ("torch.cuda.random", "get_rng_state_all", "the random state of GPUs in each process's checkpoint"),
    ("transformers", "TrainingArguments.ddp_timeout", "processes that wait for a slow judge"),
    ("transformers", "PreTrainedModel.activation_checkpointing_enable", "layers that are computed twice"),
    ("trl.trainer.utils", "add_fused_lm_head", "log-probabilities without a whole matrix of logits"),
    ("trl.kernels", "ChunkedLogProbFunction", "the same, by Triton"),
    ("trl.kernels.chunked_logprob", "TOKEN_CHUNK_SIZE", "the plan's tile of logits"),
    ("trl.trainer.utils", "_CHUNKED_LOGPROB_CHUNK_SIZE", "the plan's tile of logits"),
    ("trl.kernels.chunked_logprob", "_use_triton", "the plan's check on a GPU's branch"),
    ("trl.kernels.chunked_logprob", "_addmm_fp32", "the plan's check on a GPU's branch"),
    ("torch.distributed._tools.common_utils", "get_untyped_storages", "the plan's check"),
)


@pytest.mark.parametrize(("module", "name", "branch"), RELIED_ON, ids=[name for _, name, _ in RELIED_ON])
def test_what_a_gpu_branch_relies_on_is_there(module, name, branch):
    library = module.partition(".")[0]
    version = importlib.import_module(library).__version__
    gone = f"{library} {version} has no {module}.{name} any more; on GPUs it is needed for: {branch}"
    try:
        found = importlib.import_module(module)
    except ImportError:
        pytest.fail(gone)
    for part in name.split("."):
        declared = getattr(found, "__annotations__", {})
        assert hasattr(found, part) or part in declared, gone
        found = getattr(found, part, None)


def test_the_plans_tile_is_trls():
    from trl.kernels.chunked_logprob import TOKEN_CHUNK_SIZE
    from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE

    from raccoon.planning.memory import TILE_TOKENS, TILE_WORDS

    assert (TOKEN_CHUNK_SIZE, _CHUNKED_LOGPROB_CHUNK_SIZE) == (TILE_TOKENS, TILE_WORDS)


def test_a_held_out_check_touches_the_random_state_of_its_own_gpu_alone(monkeypatch):
    """torch's own choice is every visible GPU, those of the other processes included, and a warning."""
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: asked.append(devices))
    decoding.own_randomness()
    assert asked == [[1]]


def test_attention_is_torchs_fused_one(tmp_path):
    """The plan has no matrix of attention weights, which transformers' eager attention would keep."""
    from helpers.training_runs import make_model
    from raccoon.model_files import load_tokenizer
    from raccoon.training.policy import load_policy

    make_model(tmp_path)
    model = load_policy(str(tmp_path), load_tokenizer(str(tmp_path)), "float32")
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("SETUP_GUIDE.md", "1. The machine"),
        ("SETUP_GUIDE.md", "6. Two H200s"),
        ("SETUP_GUIDE.md", "7. Two machines"),
        ("POC_README.md", "Two H200s"),
        ("POC_README.md", "vLLM rollouts"),
        ("README.md", "In a container"),
        ("QUICK_START.md", ""),
        ("Dockerfile", ""),
        ("docker-compose.yml", ""),
        ("scripts/slurm_two_nodes.sh", ""),
    ],
)
def test_what_never_ran_on_a_gpu_says_so(name, section):
    text = documents.read(ROOT / name)
    if section:
        (text,) = (each for each in documents.sections(text) if each.partition("\n")[0].endswith(f"# {section}"))
    text = " ".join(re.sub("^# ", "", text, flags=re.M).split())
    assert re.search(r"(?:never|not|No \w+ has) (?:run|measured) on a GPU", text)
