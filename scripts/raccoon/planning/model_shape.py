"""A model's shape, read from its config.json alone: parameters, bytes of its cache, operations of a pass.

It loads no weights and imports no torch. It knows dense decoders of the Llama kind (Qwen2, Qwen3, Llama, Mistral) and
Gemma 3, some of whose layers see only a window of the newest tokens. A table has the shapes of Qwen2.5, so that they
need no network.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.model_files import is_hub_id

FAMILIES = ("qwen2", "qwen3", "llama", "mistral", "gemma3_text")
BIASED = ("qwen2",)  # its attention's input projections have biases; its config does not say so
NORMED_HEADS = ("qwen3", "gemma3_text")  # queries and keys are normalised
FOUR_NORMS = ("gemma3_text",)  # attention and MLP have a norm behind them too
TIED = ("gemma3_text",)  # the head is the embedding, where the config does not say; transformers leaves out defaults
BF16_BYTES = 2  # of a number in the cache


@dataclass(frozen=True)
class Shape:
    """A dense decoder: embedding, `layers` of attention and gated MLP, final norm, output head."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool  # the head is the embedding
    biased: bool = False
    output_biased: bool = False  # of attention's last projection
    mlp_biased: bool = False
    normed_heads: bool = False
    norms: int = 2  # of a layer
    window: int = 0  # tokens that each of the `windowed` layers sees
    windowed: int = 0

    @property
    def query(self) -> int:
        """Width of all heads together."""
        return self.heads * self.head_dim

    @property
    def key_value(self) -> int:
        """Width of the keys, or of the values."""
        return self.kv_heads * self.head_dim

    @property
    def table(self) -> int:
        """Parameters of the embedding, and of the head."""
        return self.vocab * self.hidden

    @property
    def layer(self) -> int:
        """Parameters of one layer."""
        attention = self.hidden * (2 * self.query + 2 * self.key_value)
        biases = self.biased * (self.query + 2 * self.key_value) + self.output_biased * self.hidden
        mlp = 3 * self.hidden * self.intermediate + self.mlp_biased * (2 * self.intermediate + self.hidden)
        return attention + biases + mlp + self.norms * self.hidden + self.normed_heads * 2 * self.head_dim

    @property
    def parameters(self) -> int:
        """The number of all weights; a head that is the embedding is counted once."""
        return self.layers * self.layer + self.hidden + self.table * (1 if self.tied else 2)

    @property
    def cache_bytes(self) -> int:
        """Bytes of the bfloat16 key-value cache for one token."""
        return 2 * self.layers * self.key_value * BF16_BYTES

    def cached(self, tokens: float) -> float:
        """Bytes of the bfloat16 key-value cache of a sequence of so many tokens, of which some layers keep a window."""
        beyond = max(tokens - self.window, 0.0) * self.windowed / self.layers
        return (tokens - beyond) * self.cache_bytes

    def attended(self, tokens: int) -> float:
        """Twice the pairs of tokens of a sequence that see each other, on average over the layers."""
        beyond = max(tokens - self.window, 0) ** 2 * self.windowed / self.layers
        return tokens**2 - beyond

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA adapters of a rank on every linear layer except the head."""
        attention = 2 * (self.hidden + self.query) + 2 * (self.hidden + self.key_value)
        return rank * self.layers * (attention + 3 * (self.hidden + self.intermediate))

    def pass_operations(self, prompt: int, completion: int) -> tuple[float, float]:
        """Floating-point operations of a forward pass over one sequence: in the layers, and in the head.

        Attention is causal. The head is applied only to the completion's tokens.
        """
        tokens = prompt + completion
        layers = 2 * self.layers * (self.layer * tokens + self.query * self.attended(tokens))
        return layers, 2 * self.table * completion

    def training_operations(self, prompt: int, completion: int, rank: int = 0) -> float:
        """Floating-point operations of a GPU's forward and backward pass over one sequence.

        The layers are computed twice, except each layer's last product, whose result is not needed again. The head's
        logits are computed twice too. The backward pass of a product costs two products, that of attention's two costs
        five. With adapters of `rank` the frozen weights have no gradient, and each layer's last product is computed
        twice too, because its adapter needs it.
        """
        tokens = prompt + completion
        matrices = 2 * tokens * self.layers * self.layer
        attention = 2 * self.layers * self.query * self.attended(tokens)
        last, head = 2 * tokens * self.layers * self.hidden * self.intermediate, 2 * self.table * completion
        if rank:
            return 3 * matrices + 4 * 2 * tokens * self.adapters(rank) + 4.5 * attention + 3 * head
        return 4 * matrices - last + 4.5 * attention + 4 * head


# From the config.json of each: layers, hidden, intermediate, heads, kv_heads, head_dim, vocab, tied, biased
SHAPES = {
    "Qwen2.5-0.5B": Shape(24, 896, 4864, 14, 2, 64, 151936, True, True),
    "Qwen2.5-1.5B": Shape(28, 1536, 8960, 12, 2, 128, 151936, True, True),
    "Qwen2.5-7B": Shape(28, 3584, 18944, 28, 4, 128, 152064, False, True),
    "Qwen2.5-14B": Shape(48, 5120, 13824, 40, 8, 128, 152064, False, True),
    "Qwen2.5-32B": Shape(64, 5120, 27648, 40, 8, 128, 152064, False, True),
}
KNOWN = {  # hub model -> row of SHAPES, for machines without a network
    "billxbf/Nano-Raccoon-Preview-1104": "Qwen2.5-14B",
    **{f"Qwen/{name}{kind}": name for name in SHAPES for kind in ("", "-Instruct")},
}


def model_shape(name: str) -> Shape:
    """The shape of a model: a folder, a hub id, or a row of SHAPES.

    Raises InputError if there is no such model, if its architecture is not known here, or if the hub requires an
    accepted licence or a token.
    """
    if Path(name).expanduser().is_dir():
        return parse_shape(read_config(Path(name).expanduser() / "config.json"), name)
    row = KNOWN.get(name, name)
    if row in SHAPES:
        return SHAPES[row]
    if not is_hub_id(name):
        raise InputError(f"no model {name}: give a folder, a hub id, or one of {', '.join(SHAPES)}")
    return parse_shape(read_config(fetch_config(name)), name)


def read_config(path: Path) -> Mapping[str, Any]:
    """The content of a config.json; raises InputError if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({error}); give the folder of a saved model") from None


def fetch_config(name: str) -> Path:
    """The config.json of a hub model, downloaded or from the hub's cache; raises InputError with the remedy."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(hf_hub_download(name, "config.json"))
    except GatedRepoError:
        fault = (
            f"the licence of {name} must be accepted: accept it on the model's page of the hub, and set HF_TOKEN to a "
            "token of that account"
        )
    except RepositoryNotFoundError:
        fault = f"no model {name} on the hub; if it is private, set HF_TOKEN to a token that may read it"
    except (OSError, HFValidationError) as error:
        kind = type(error).__name__
        fault = f"cannot fetch config.json of {name} ({kind}); give a model folder, or a hub id with access to the hub"
    raise InputError(fault)


def parse_shape(config: Mapping[str, Any], name: str) -> Shape:
    """The shape that a config.json describes; raises InputError for other architectures."""
    family = config.get("model_type")
    if family not in FAMILIES:
        raise InputError(f"{name} has model_type {family!r}; the planner knows {', '.join(FAMILIES)}")
    try:
        heads, hidden = config["num_attention_heads"], config["hidden_size"]
        declared = bool(config.get("attention_bias"))
        layers, window = config["num_hidden_layers"], config.get("sliding_window") or 0
        kinds = config.get("layer_types") or ["sliding_attention" if family == "mistral" and window else ""] * layers
        return Shape(
            layers=layers,
            hidden=hidden,
            intermediate=config["intermediate_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or hidden // heads,
            vocab=config["vocab_size"],
            tied=bool(config.get("tie_word_embeddings", family in TIED)),
            biased=family in BIASED or declared,
            output_biased=declared and family != "qwen2",
            mlp_biased=bool(config.get("mlp_bias")),
            normed_heads=family in NORMED_HEADS,
            norms=4 if family in FOUR_NORMS else 2,
            window=window,
            windowed=kinds.count("sliding_attention"),
        )
    except KeyError as error:
        raise InputError(f"the config.json of {name} has no {error}; give the folder of a saved model") from None
