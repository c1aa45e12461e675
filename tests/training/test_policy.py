"""The model that a run with adapters saves, from a base model in bfloat16."""

from functools import partial
from types import SimpleNamespace

import pytest

torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
safetensors = pytest.importorskip("safetensors.torch")

from helpers.training_runs import make_model  # noqa: E402
from raccoon.model_files import load_weights  # noqa: E402
from raccoon.training.policy import load_chat_tokenizer, load_policy, recompute_layers, save_policy  # noqa: E402

RANK, ALPHA = 4, 8


@pytest.fixture
def policy(tmp_path):
    """Adapters whose update is far smaller than the weights, as after a short run."""
    make_model(tmp_path / "model")
    base = load_policy(str(tmp_path / "model"), load_chat_tokenizer(str(tmp_path / "model")), "bfloat16")
    model = peft.get_peft_model(
        base, peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 1e-4)
    return model


def save(policy, folder, **options) -> None:
    accelerator = SimpleNamespace(unwrap_model=lambda model: model, is_main_process=True)
    trainer = SimpleNamespace(
        model=policy,
        accelerator=accelerator,
        is_fsdp_enabled=False,
        args=SimpleNamespace(bf16=True),
        processing_class=SimpleNamespace(save_pretrained=lambda folder: None),
    )
    save_policy(trainer, str(folder), **options)


def test_adapters_can_stay_apart_from_their_base(policy, tmp_path):
    with torch.no_grad():  # far more than the rounding of the base, which is loaded in float32 here
        for name, weight in policy.named_parameters():
            weight.mul_(1000 if "lora_B" in name else 1)
    save(policy, tmp_path / "apart", merge=False)
    save(policy, tmp_path / "merged")  # changes the policy
    names = {path.name for path in (tmp_path / "apart").iterdir()}
    assert "adapter_model.safetensors" in names and "model.safetensors" not in names
    loaded = load_weights(tmp_path / "apart", "float32").state_dict()
    whole = load_weights(tmp_path / "merged", "float32").state_dict()
    assert all(torch.allclose(loaded[name], whole[name], atol=1e-3) for name in whole)


def test_the_saved_model_holds_all_that_the_adapters_learnt(policy, tmp_path):
    parts = {name: weight.detach().double() for name, weight in policy.named_parameters()}
    save(policy, tmp_path / "out")
    saved = safetensors.load_file(tmp_path / "out" / "model.safetensors")
    plain = tmp_path / "plain"
    plain.touch()
    assert (tmp_path / "out" / "model.safetensors").stat().st_mode == plain.stat().st_mode
    adapted = 0
    for name, weight in saved.items():
        path = f"base_model.model.{name.removesuffix('.weight')}"
        assert weight.dtype == torch.float32
        if f"{path}.base_layer.weight" not in parts:
            assert torch.equal(weight.double(), parts[f"{path}.weight"])
            continue
        adapted += 1
        update = ALPHA / RANK * parts[f"{path}.lora_B.default.weight"] @ parts[f"{path}.lora_A.default.weight"]
        kept = weight.double() - parts[f"{path}.base_layer.weight"]
        assert (kept - update).norm() < 1e-3 * update.norm(), name
    assert adapted == 7


def test_the_adapters_lie_beside_the_saved_model(policy, tmp_path):
    learnt = {name: weight.clone() for name, weight in peft.get_peft_model_state_dict(policy).items()}
    save(policy, tmp_path / "out")
    base = load_policy(str(tmp_path / "model"), load_chat_tokenizer(str(tmp_path / "model")), "bfloat16")
    loaded = peft.PeftModel.from_pretrained(base, tmp_path / "out" / "lora_adapter")
    found = peft.get_peft_model_state_dict(loaded)
    assert found.keys() == learnt.keys() and all(torch.equal(found[name], learnt[name]) for name in learnt)
    assert not list((tmp_path / "out").glob("adapter*"))  # a folder with one is loaded as adapters


@pytest.mark.parametrize(
    "names", [["activation_checkpointing_enable", "gradient_checkpointing_enable"], ["gradient_checkpointing_enable"]]
)
def test_layers_are_recomputed_by_the_name_of_the_installed_transformers(names):
    called = []
    recompute_layers(SimpleNamespace(**{name: partial(called.append, name) for name in names}))
    assert called == names[:1]
