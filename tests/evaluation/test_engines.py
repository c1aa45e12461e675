"""Batched generation against the model itself, one token at a time."""

import json
import sys
import types
from collections import Counter
from dataclasses import replace

import pytest

from helpers.random_model import write_model, write_tasks
from raccoon.constants import InputError
from raccoon.conversation import TurnTemplate
from raccoon.evaluation.engines import Decoding, GumbelNoise, Slot, Turn, load_engine, plan_batches, row_seed
from raccoon.records import Verdict
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task

MAX_TOKENS = 12
HEADER = "def f(x):"
ENGINE = ""  # engine_name sets it


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("generation") / "model")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return write_tasks(tmp_path_factory.mktemp("tasks") / "tasks.jsonl", 24)


@pytest.fixture(params=["transformers", "lean"], autouse=True)
def engine_name(request, monkeypatch):
    """Every test of an engine is one of both that need no other environment."""
    monkeypatch.setitem(globals(), "ENGINE", request.param)


def engine_of(folder, mode="greedy", **changed):
    return load_engine(folder, Decoding(mode, max_tokens=MAX_TOKENS, **{"engine": ENGINE, **changed}))


def greedy_by_hand(folder, text, ends):
    """The argmax of the plain forward pass, unpadded and uncached: (token ids, whether an end was reached)."""
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    return argmax_after(folder, ids, ends)


def argmax_after(folder, ids, ends):
    """The same after a text of token ids."""
    import torch
    from transformers import AutoModelForCausalLM

    model, written = AutoModelForCausalLM.from_pretrained(folder).eval(), []
    with torch.no_grad():
        while len(written) < MAX_TOKENS:
            token = int(model(torch.tensor([ids + written])).logits[0, -1].argmax())
            if token in ends:
                return written, True
            written.append(token)
    return written, False


def test_batched_greedy_is_the_models_own_argmax(model, tasks):
    """Left padding, a batch of unlike lengths and the checkpoint's penalties change nothing."""
    engine = engine_of(model)
    answers = engine.generate([Slot(task) for task in tasks])
    assert len({len(task.prompt) for task in tasks}) > 5
    for task, answer in zip(tasks, answers, strict=True):
        ids, ended = greedy_by_hand(model, engine.prompts([Slot(task)])[0], engine.ends)
        assert answer.text == engine.tokenizer.decode(ids, skip_special_tokens=True)
        assert answer.truncated is not ended
    assert {answer.truncated for answer in answers} == {True, False}, "the model must show both endings"


def test_a_completion_is_told_of_when_it_ends_and_once(model, tasks):
    told = []
    requests = [Slot(task) for task in tasks]
    answers = engine_of(model).generate(requests, lambda request, answer: told.append((request, answer)))
    ended = [(request, answer) for request, answer in zip(requests, answers, strict=True) if not answer.truncated]
    assert sorted(told, key=lambda pair: pair[0].key) == sorted(ended, key=lambda pair: pair[0].key)


def test_the_ends_are_the_tokenizers_and_the_generation_configs(model):
    assert engine_of(model).ends == [0, 2]


def test_one_huge_prompt_does_not_pad_the_others():
    tasks = [Task(f"t/{i}", "p" * length, "pass") for i, length in enumerate([100, 90, 2000, 80, 1900])]
    plan = plan_batches([Slot(task) for task in tasks], 64)
    assert [[len(request.task.prompt) for request in batch] for batch in plan] == [[2000, 1900], [100, 90, 80]]


def test_a_sample_depends_on_its_seed_and_not_on_its_batch(model, tasks):
    engine = engine_of(model, "sampled")
    requests = [Slot(task, sample) for task in tasks[:8] for sample in range(3)]
    together = {r.key: a.text for r, a in zip(requests, engine.generate(requests), strict=True)}
    alone = {r.key: engine.generate([r])[0].text for r in requests}
    assert together == alone
    assert len(set(together.values())) > 12
    other = engine_of(model, "sampled", seed=1).generate(requests)
    assert [a.text for a in other] != list(together.values())


def next_turn(slots, answers, feedback="add one to the number"):
    """The slots of the next turn, after answers that were told the same."""
    verdict = Verdict("PARTIAL", "wrong: 0 of 2", 0, 2, feedback=feedback)
    return [
        replace(slot, turns=3, max_feedback=200).after(Turn(answer, "", verdict))
        for slot, answer in zip(slots, answers, strict=True)
    ]


def test_a_later_turn_goes_on_from_the_tokens_that_were_sampled(model, tasks):
    """Three turns in batches of unlike lengths are the plain argmax after ids that nothing decoded in between."""
    engine = engine_of(model)
    slots = [Slot(task, turns=3) for task in tasks]
    template = TurnTemplate(engine.tokenizer, engine.ends, enable_thinking=False)
    rows = engine.rows(slots, engine.prompts(slots))
    for feedback in ("add one to the number", "three"):
        answers = engine.generate(slots)
        slots = next_turn(slots, answers, feedback)
        rows = [row + [*a.ids] + template.after([*a.ids], feedback) for row, a in zip(rows, answers, strict=True)]
    assert len({len(row) for row in rows}) > 5
    for row, answer in zip(rows, engine.generate(slots), strict=True):
        ids, ended = argmax_after(model, row, engine.ends)
        assert list(answer.ids[:-1] if ended else answer.ids) == ids and answer.truncated is not ended
        assert answer.text == engine.tokenizer.decode(ids, skip_special_tokens=True)


def test_the_lean_engine_reads_a_conversation_once(model, tasks):
    engine = engine_of(model, engine="lean")
    slots = [Slot(task, turns=2) for task in tasks]
    second = next_turn(slots, engine.generate(slots))
    sent, before = engine.rows(second, engine.prompts(second)), engine.memory.computed
    answers = engine.generate([replace(slot, turns=2) for slot in second])
    read = engine.memory.computed - before - sum(len(answer.ids) for answer in answers)
    assert 0 < read < 0.7 * sum(map(len, sent)), "without a memory it would read all of it, and padding"
    assert not engine.memory.read, "no other turn follows"
    engine.generate([Slot(tasks[0])])
    assert engine.memory is None, "with one turn nothing is kept"


def test_the_sample_of_a_later_turn_has_its_own_seed_and_depends_on_no_batch(model, tasks):
    engine = engine_of(model, "sampled")
    first = [Slot(task, sample, turns=3) for task in tasks[:6] for sample in range(2)]
    second = next_turn(first, engine.generate(first))
    together = [answer.ids for answer in engine.generate(second)]
    assert together == [engine.generate([slot])[0].ids for slot in second]
    assert len({row_seed(0, slot) for slot in [*first, *second, *next_turn(second, engine.generate(second))]}) == 36


def test_gumbel_noise_samples_from_the_softmax():
    import torch
    from scipy.stats import chisquare

    expected, rows = [2000, 1200, 600, 200], 4000
    noise = GumbelNoise(list(range(rows)), "cpu")
    drawn = Counter(noise(None, torch.tensor(expected).log().expand(rows, 4)).argmax(dim=1).tolist())
    assert chisquare([drawn[i] for i in range(4)], expected).pvalue > 0.001


def test_a_low_temperature_is_greedy_and_a_small_top_p_too(model, tasks):
    requests = [Slot(task) for task in tasks]
    greedy = engine_of(model).generate(requests)
    assert engine_of(model, "sampled", temperature=1e-4).generate(requests) == greedy
    assert engine_of(model, "sampled", top_p=1e-4).generate(requests) == greedy


def test_thinking_is_switched_off_in_the_template(model, tasks):
    engine = engine_of(model)
    assert engine.generate([Slot(tasks[0])])[0].prompt.endswith("<|im_start|> nothink ")
    engine.decoding = replace(engine.decoding, enable_thinking=True)
    assert "nothink" not in engine.prompts([Slot(tasks[0])])[0]


def test_without_a_chat_template_the_plain_prompt_is_sent(tmp_path, tasks):
    engine = engine_of(write_model(tmp_path / "plain", template=None))
    (answer,) = engine.generate([Slot(tasks[0])])
    assert answer.prompt == tasks[0].prompt == messages(tasks[0])[0]["content"]


def test_a_base_model_goes_on_with_the_stub_up_to_a_stop_word(model, tasks, monkeypatch):
    """What comes is the chat-less greedy text, cut where the first stop word begins; generation ends there too."""
    stubs = [replace(task, prompt=f"Do.\n\n```python\n{HEADER}\n```\n", entry_point="f") for task in tasks]
    requests = [Slot(task) for task in stubs]
    monkeypatch.setattr("raccoon.tasks.prompts.STUB_STOP_WORDS", ("no such word",))
    whole = engine_of(model, prompt_style="completion").generate(requests)
    assert {answer.prompt for answer in whole} == {HEADER + "\n"}
    text = whole[0].text
    word = text[1:3]
    monkeypatch.setattr("raccoon.tasks.prompts.STUB_STOP_WORDS", (word,))
    engine = engine_of(model, prompt_style="completion")
    answer, passes = counted(engine, requests[0])
    assert (answer.text, answer.truncated) == (text[: text.find(word)], False)
    monkeypatch.setattr("raccoon.tasks.prompts.STUB_STOP_WORDS", ("no such word",))
    assert passes < counted(engine, requests[0])[1], "a token a pass: the rest was not generated"


def counted(engine, request):
    """(the completion of a request, the model's passes for it)"""
    passes = []
    hook = engine.model.register_forward_hook(lambda *_: passes.append(1))
    (answer,) = engine.generate([request])
    hook.remove()
    return answer, len(passes)


def test_an_adapter_is_merged_into_its_base(model, tasks, tmp_path):
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(model)

    engine = engine_of(tmp_path / "adapter")
    assert not isinstance(engine.model, PeftModel)
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        torch.testing.assert_close(engine.model(ids).logits, adapted.eval()(ids).logits, rtol=1e-4, atol=1e-4)
    plain = engine_of(model).generate([Slot(task) for task in tasks])
    assert engine.generate([Slot(task) for task in tasks]) != plain


@pytest.mark.parametrize("shift", [0, 3, 7])
def test_a_plan_holds_every_request_once_the_longest_first(tasks, shift):
    requests = [Slot(task, sample) for task in tasks for sample in range(2)]
    plan = plan_batches(requests, 7, shift)
    flat = [request for batch in plan for request in batch]
    assert sorted(r.key for r in flat) == sorted(r.key for r in requests)
    assert all(0 < len(batch) <= 7 for batch in plan)
    lengths = [len(r.task.prompt) for r in flat]
    assert lengths == sorted(lengths, reverse=True)
    assert plan == plan_batches(requests[::-1], 7, shift), "the order of the requests does not matter"


def test_a_shift_moves_the_borders(tasks):
    requests = [Slot(task) for task in tasks]
    assert [len(b) for b in plan_batches(requests, 10)] == [10, 10, 4]
    assert [len(b) for b in plan_batches(requests, 10, 5)] == [5, 10, 9]


@pytest.fixture
def stand_in(monkeypatch):
    """A module with vllm's doors: its engine ends the last request first, at the limit of tokens."""

    class Engine:
        def __init__(self, args):
            self.args, self.given, self.waiting = args, [], []

        def add_request(self, number, prompt, params, lora_request):
            assert set(prompt) == {"prompt_token_ids"} and lora_request is None
            self.given.append(params)
            self.waiting.append((number, prompt["prompt_token_ids"]))

        def has_unfinished_requests(self):
            return bool(self.waiting)

        def step(self):
            number, ids = self.waiting.pop()
            end = "stop" if self.waiting else "length"
            answer = types.SimpleNamespace(text=str(len(ids)), finish_reason=end, token_ids=[*ids[:2], 2])
            output = {"request_id": number, "outputs": [answer], "num_cached_tokens": len(ids) - 1}
            return [types.SimpleNamespace(finished=done, **output) for done in (False, True)]

    monkeypatch.setitem(
        sys.modules,
        "vllm",
        types.SimpleNamespace(
            EngineArgs=types.SimpleNamespace,
            SamplingParams=types.SimpleNamespace,
            LLMEngine=types.SimpleNamespace(from_engine_args=Engine),
        ),
    )


def test_vllm_gets_token_ids_seeds_and_ends_and_tells_of_each_end(model, tasks, stand_in):
    engine = engine_of(model, "sampled", engine="vllm", temperature=0.5)
    args = engine.model.args
    assert args.generation_config == "vllm", "or vLLM would apply the checkpoint's penalties"
    assert args.dtype == "float32", "the checkpoint's own, where vLLM would take bfloat16"
    requests, told = [Slot(tasks[0]), Slot(tasks[1], 1)], []
    answers = engine.generate(requests, lambda *pair: told.append(pair))
    assert [a.truncated for a in answers] == [True, False]
    assert told == list(zip(requests, answers, strict=True))[::-1]
    first, second = engine.model.given
    assert first.seed != second.seed and first.stop_token_ids == [0, 2] and first.temperature == 0.5
    second = next_turn(requests, answers)
    sent = engine.rows(requests, engine.prompts(requests))
    later = engine.generate(second)
    assert all(int(a.text) > len(ids) for a, ids in zip(later, sent, strict=True)), "ids of the whole conversation"
    assert [*later[0].ids[:2]] == sent[0][:2] and {each.seed for each in engine.model.given[2:]} != {first.seed}
    assert engine.cached_tokens == sum(int(answer.text) - 1 for answer in [*answers, *later])
    engine.decoding = Decoding(max_tokens=MAX_TOKENS)
    engine.generate([Slot(tasks[0])])
    assert engine.model.given[-1].temperature == 0.0 and not hasattr(engine.model.given[-1], "stop")
    engine.decoding = Decoding(max_tokens=MAX_TOKENS, prompt_style="completion")
    engine.generate([Slot(tasks[0])])
    assert '\n"""' in engine.model.given[-1].stop


def test_a_model_that_vllm_cannot_serve_is_one_line(model, stand_in, monkeypatch):
    def refuse(args):
        raise ValueError("no such architecture\nand much more")

    monkeypatch.setattr(sys.modules["vllm"].LLMEngine, "from_engine_args", refuse)
    with pytest.raises(InputError, match=r"no such architecture\): use --engine transformers"):
        engine_of(model, engine="vllm")
