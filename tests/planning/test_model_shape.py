"""Shapes read from config.json: against transformers' own models, and what is said where there is none."""

import json

import pytest

from raccoon.constants import InputError
from raccoon.planning.model_shape import KNOWN, SHAPES, Shape, fetch_config, model_shape, parse_shape


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen2.5-0.5B", 494_032_768),
        ("Qwen2.5-1.5B", 1_543_714_304),
        ("Qwen2.5-7B", 7_615_616_512),
        ("Qwen2.5-14B", 14_770_033_664),  # as the models' cards and safetensors have them
    ],
)
def test_the_table_has_the_published_numbers_of_parameters(name, parameters):
    assert SHAPES[name].parameters == parameters


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("Qwen2", {}),
        ("Qwen2", {"tie_word_embeddings": True}),
        ("Qwen3", {"head_dim": 16}),
        ("Qwen3", {"head_dim": 16, "attention_bias": True}),
        ("Mistral", {}),
        ("Llama", {"attention_bias": True, "mlp_bias": True}),
        ("Llama", {"num_key_value_heads": 4}),
        ("Gemma3", {"head_dim": 16}),
        ("Gemma3", {"head_dim": 16, "tie_word_embeddings": True}),
    ],
)
def test_parameters_are_those_of_the_real_model(tmp_path, family, options):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    sizes = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        **options,
    }
    part = "Text" if family == "Gemma3" else ""
    config = getattr(transformers, f"{family}{part}Config")(**sizes)
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = getattr(transformers, f"{family}ForCausalLM")(config)
    assert model_shape(str(tmp_path)).parameters == model.num_parameters()


def test_adapters_are_those_of_peft():
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    config = transformers.Qwen2Config(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    wanted = peft.LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = peft.get_peft_model(transformers.Qwen2ForCausalLM(config), wanted)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert parse_shape(config.to_dict(), "m").adapters(8) == trained


def test_a_shape_by_hand():
    shape = Shape(layers=1, hidden=2, intermediate=3, heads=2, kv_heads=1, head_dim=1, vocab=5, tied=False)
    attention, mlp, norms = 2 * 2 + 2 * 1 + 2 * 1 + 2 * 2, 3 * 2 * 3, 4
    assert shape.parameters == attention + mlp + norms + 2 + 2 * 5 * 2
    assert shape.cache_bytes == 2 * 1 * 1 * 2  # key and value, one layer, one number, two bytes
    assert SHAPES["Qwen2.5-14B"].cache_bytes == 196_608


def test_layers_with_a_window_keep_and_see_no_more_than_it():
    kinds = ["sliding_attention"] * 5 + ["full_attention"]
    config = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "vocab_size": 9}
    config |= {"num_hidden_layers": 6, "layer_types": kinds, "sliding_window": 4, "model_type": "gemma3_text"}
    shape = parse_shape(config, "m")
    assert shape.tied  # transformers leaves the default out of config.json
    a_layer = shape.cache_bytes / 6
    assert shape.cached(3) == 6 * 3 * a_layer
    assert shape.cached(10) == pytest.approx((10 + 5 * 4) * a_layer)
    # Twice the area of a triangle, less the part that the window cuts off
    assert shape.attended(10) == pytest.approx((10**2 + 5 * (10**2 - 6**2)) / 6)
    assert parse_shape(config | {"layer_types": None, "model_type": "mistral"}, "m").windowed == 6


def test_the_default_model_is_known_without_a_network():
    import train_rl_poc

    assert KNOWN[train_rl_poc.MODEL_PATH] == "Qwen2.5-14B"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "mamba"}, "model_type 'mamba'; the planner knows qwen2"),
        ({"model_type": "qwen2", "num_attention_heads": 4, "hidden_size": 8}, "has no 'num_hidden_layers'"),
        ("not json", "cannot read"),
    ],
)
def test_a_folder_without_a_known_shape_is_named(tmp_path, config, words):
    text = config if isinstance(config, str) else json.dumps(config)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=words):
        model_shape(str(tmp_path))
    with pytest.raises(InputError, match="no model ./absent: give a folder, a hub id, or one of Qwen2.5-0.5B"):
        model_shape("./absent")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "GatedRepoError",
            "the licence of some/one must be accepted: accept it on the model's page .*, and set HF_TOKEN",
        ),
        ("RepositoryNotFoundError", "no model some/one on the hub; if it is private, set HF_TOKEN"),
        ("LocalEntryNotFoundError", "cannot fetch config.json of some/one"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_remedy(monkeypatch, error, words):
    hub = pytest.importorskip("huggingface_hub")
    kind = getattr(hub.errors, error)

    def refuse(*_, **__):
        raise kind.__new__(kind)  # its constructor wants the hub's response

    monkeypatch.setattr(hub, "hf_hub_download", refuse)
    with pytest.raises(InputError, match=words):
        fetch_config("some/one")
