"""Conversations of several turns in training: what is sampled, graded, learnt from and left alone."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from helpers.reward_doubles import TABLE  # noqa: E402
from helpers.training_runs import PROGRAMS, make_model  # noqa: E402
from raccoon.constants import InputError  # noqa: E402
from raccoon.records import Verdict  # noqa: E402
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable  # noqa: E402
from raccoon.runs.log import Rollout, RunLog  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402
from raccoon.training.batches import rows  # noqa: E402
from raccoon.training.callbacks import Watch  # noqa: E402
from raccoon.training.policy import load_chat_tokenizer, load_policy, recomputation  # noqa: E402
from raccoon.training.sampling import Conversation, Conversations  # noqa: E402
from raccoon.training.sections import Turns  # noqa: E402
from raccoon.training.trainer import CodeTrainer  # noqa: E402

LIMIT = 3
TASKS = [Task(f"t/{i}", f"task {i}", "assert f(1) == 2\n", "f") for i in range(8)]
FEEDBACK = "Your code fails a test."


class Sandbox:
    """Knows the first of PROGRAMS, and tells every other to try again."""

    def __init__(self, tells: bool = True) -> None:
        self.tells, self.asked = tells, []

    def run(self, programs):
        self.asked += [program.max_feedback for program in programs]
        return [self.verdict(program) for program in programs]

    def verdict(self, program):
        if program.code == PROGRAMS[0]:
            return Verdict("PASS", "pass", 1, 1)
        told = FEEDBACK if self.tells and program.max_feedback else ""
        return Verdict("PARTIAL", "wrong: AssertionError", 0, 1, feedback=told)


class Watched(CodeTrainer):
    """Keeps each batch as it goes into the update, and the gradients before the weights change."""

    def make_batch(self, inputs):
        self.completed = []
        output = super().make_batch(inputs)
        self.batch = {name: value.clone() for name, value in output.items()}
        return output

    def log_rollouts(self, advantages, rollouts, unused):
        self.rollouts, self.unused = list(rollouts), list(unused)
        super().log_rollouts(advantages, rollouts, unused)


class Gradients(Watch):
    def on_pre_optimizer_step(self, args, state, control, model, **_):
        self.trainer.gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}


def run_section(folder, turns=2, limit=LIMIT):
    return SimpleNamespace(
        model_path=str(folder / "model"),
        turns=Turns(turns, 300),
        sampling=SimpleNamespace(enable_thinking=False, max_completion_length=limit),
    )


@contextmanager
def trained(folder, sandbox=None, turns=2, savings=(), refills=0, **changes):
    """A trainer after its only step."""
    from trl import GRPOConfig

    if not (folder / "model").exists():
        make_model(folder / "model", layers=2)
    tokenizer = load_chat_tokenizer(str(folder / "model"))
    model = load_policy(str(folder / "model"), tokenizer, "float32")
    options = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "max_steps": 1, **changes}
    args = GRPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        num_generations=4,
        max_completion_length=LIMIT,
        learning_rate=0.05,
        beta=0.0,
        loss_type="dapo",
        scale_rewards="none",
        max_grad_norm=1e9,
        save_strategy="no",
        shuffle_dataset=False,
        logging_steps=1,
        disable_tqdm=True,
        seed=3,
        **recomputation(GRPOConfig, False),
        **options,
    )
    ends = model.generation_config.eos_token_id
    table = RewardTable(**{**TABLE, "turn_discount": 0.9})
    trainer = Watched(
        model=model,
        args=args,
        processing_class=tokenizer,
        reward=ExecutionReward(table, sandbox or Sandbox(), Chat(tokenizer, ends, "", "fence" in savings)),
        train_dataset=rows(TASKS),
        run_log=RunLog(folder),
        savings=savings,
        refills=refills,
        callbacks=[Gradients()],
        conversations=Conversations(run_section(folder, turns)) if turns > 1 else None,
    )
    trainer.refills.tasks = TASKS
    calls, complete = [], trainer.sampler.complete
    trainer.sampler.complete = lambda ids, *others: calls.append(ids) or complete(ids, *others)
    trainer.calls = calls
    trainer.train()
    yield trainer


def oracle(folder, batch):
    """The loss and its gradient by hand: the policy's own tokens alone, each with the same weight.

    A token counts if it is not part of the message, which stands between the two answers in the template's words.
    """
    tokenizer = load_chat_tokenizer(str(folder / "model"))
    model = load_policy(str(folder / "model"), tokenizer, "float32")
    message = tokenizer(f" <|im_end|> <|im_start|> {FEEDBACK} <|im_end|> <|im_start|> ")["input_ids"][1:]
    total, count, loss = torch.tensor(0.0), 0, 0.0
    for row in range(len(batch["advantages"])):
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist()
        ids = batch["completion_ids"][row][batch["completion_mask"][row].bool()].tolist()
        own, place = [], 0
        while place < len(ids):
            if ids[place : place + len(message)] == message:
                place += len(message)
            else:
                own.append(place)
                place += 1
        logits = model(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        logprobs = logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0][own]
        total = total - batch["advantages"][row] * (logprobs - logprobs.detach()).exp().sum()
        count += len(own)
    loss = total / count
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in model.named_parameters()}, count


@pytest.mark.parametrize(
    ("savings", "refills"),
    [((), 0), (("rows",), 0), (("rows", "prompts"), 0), ((), 2), (("rows", "prompts"), 2), (("generation",), 0)],
)
def test_only_what_the_policy_sampled_is_learnt_from(tmp_path, savings, refills):
    with trained(tmp_path, savings=savings, refills=refills) as trainer:
        batch = trainer.batch
        loss, gradients, count = oracle(tmp_path, batch)
        turns = [len(rollout.turns) for rollout in trainer.rollouts]
        assert {1, 2} == set(turns) and bool(trainer.unused) == bool(refills)
        assert batch["num_items_in_batch"] == count == sum(rollout.tokens for rollout in trainer.rollouts)
        assert trainer.metrics[-1]["loss"] == pytest.approx(loss, abs=1e-4)  # TRL rounds it
        assert any(gradient.abs().max() > 1e-3 for gradient in gradients.values())
        for name, gradient in gradients.items():
            torch.testing.assert_close(trainer.gradients[name], gradient, rtol=1e-3, atol=1e-5, msg=name)


def test_a_conversation_is_one_text_whose_messages_no_one_sampled(tmp_path):
    with trained(tmp_path) as trainer:
        template = trainer.conversations.template
        for row, rollout in enumerate(trainer.rollouts):
            ids = trainer.batch["completion_ids"][row][trainer.batch["completion_mask"][row].bool()].tolist()
            answers = [ids[: rollout.turns[0].tokens]]
            if len(rollout.turns) == 2:
                answers.append(ids[-rollout.turns[1].tokens :])
                told = template.after(answers[0], FEEDBACK)
                assert ids == answers[0] + told + answers[1]
                mask = [1] * len(answers[0]) + [0] * len(told) + [1] * len(answers[1])
                assert trainer.batch["tool_mask"][row][: len(ids)].tolist() == mask
            texts = trainer.processing_class.batch_decode(answers, skip_special_tokens=True)
            assert texts == [turn.completion for turn in rollout.turns]
            assert rollout.completion == texts[-1] and rollout.verdict == rollout.turns[-1].verdict
            feedback = [turn.feedback for turn in rollout.turns]
            assert feedback == [FEEDBACK, ""][-len(feedback) :]


def test_finished_conversations_cost_no_pass(tmp_path):
    with trained(tmp_path) as trainer:
        first, second = trainer.calls
        open_ones = [rollout for rollout in trainer.rollouts if len(rollout.turns) == 2]
        assert len(first) == 16 and 0 < len(second) == len(open_ones) < 16
        asked = trainer.reward.sandbox.asked
        assert 300 in asked and asked[-1] == 0  # after the last answer nothing is told
    with trained(tmp_path, Sandbox(tells=False)) as trainer:
        assert len(trainer.calls) == 1
        assert all(len(rollout.turns) == 1 for rollout in trainer.rollouts)


def test_with_one_turn_trl_gets_no_conversation(tmp_path):
    with trained(tmp_path, turns=1) as trainer:
        assert trainer.rollout_func is None and "tool_mask" not in trainer.batch
        assert all(rollout.turns == () for rollout in trainer.rollouts)
        assert "pass_by_turn" not in trainer.metrics[-1]
        assert trainer.reward.sandbox.asked.count(0) == len(trainer.reward.sandbox.asked)


def test_a_late_pass_is_worth_less(tmp_path):
    with trained(tmp_path) as trainer:
        for rollout in trainer.rollouts:
            one = sum(rollout.reward_parts.values())
            assert rollout.reward == pytest.approx(one)
            table = {"PASS": 1.1, "PARTIAL": 0.3, "FAIL": -0.4}[rollout.status]
            late = len(rollout.turns) == 2 and table > 0
            assert rollout.reward == pytest.approx(table * (0.9 if late else 1))


def test_a_second_turn_reads_the_message_alone_and_the_memory_is_freed(tmp_path):
    with trained(tmp_path, savings=("generation",)) as trainer:
        memory, calls = trainer.sampler.memory, [{tuple(ids) for ids in texts} for texts in trainer.calls]
        first = sum(map(len, calls[0])) + 16 * (LIMIT - 1)
        message = len(trainer.conversations.template.after([2], FEEDBACK)) + 1  # and the answer's last token
        sampled = sum(rollout.turns[-1].tokens for rollout in trainer.rollouts if len(rollout.turns) == 2)
        assert memory.computed <= first + 1.2 * (message * len(calls[1]) + sampled)
        assert not memory.read
    with trained(tmp_path, Sandbox(tells=False), savings=("generation",)) as trainer:
        assert len(trainer.calls) == 1 and not trainer.sampler.memory.read


def graded(answers, verdicts, ids):
    """What goes on after answers with these verdicts, with a template that adds 70 and 71."""
    rollouts = [
        Rollout("t", "c", "c", verdict, 0.0, {}, len(each), not each or each[-1] not in (2, 8))
        for verdict, each in zip(verdicts, ids, strict=True)
    ]
    conversations = Conversations.__new__(Conversations)
    conversations.trainer = SimpleNamespace(reward=SimpleNamespace(evaluate=lambda *_: rollouts))
    conversations.template = SimpleNamespace(after=lambda ids, feedback: [70, 71])
    held = [Conversation(TASKS[0], [5]) for _ in ids]
    for each, said in zip(held, ids, strict=True):
        each.answer(said, [-0.5] * len(said))
    return held, conversations.grade(held, 300)


def test_cut_and_lost_answers_end_their_conversation():
    wrong = Verdict("PARTIAL", "wrong", 0, 1, feedback=FEEDBACK)
    lost = replace(wrong, status="INFRA")
    right = replace(wrong, status="PASS", feedback="")
    held, going = graded([], [wrong, wrong, lost, right], [[3, 2], [3, 3], [3, 2], [3, 2]])
    assert going == held[:1]
    assert going[0].ids == [3, 2, 70, 71] and going[0].sampled == [1, 1, 0, 0]
    assert going[0].logprobs == [-0.5, -0.5, None, None] and going[0].told == [FEEDBACK]
    assert [each.ids for each in held[1:]] == [[3, 3], [3, 2], [3, 2]]


def test_a_process_without_open_conversations_grades_nothing():
    """A tokenizer decodes an empty batch as one empty text."""
    conversations = Conversations.__new__(Conversations)
    conversations.trainer = SimpleNamespace(reward=SimpleNamespace(evaluate=lambda *_: pytest.fail("graded")))
    assert conversations.grade([], 300) == []


@pytest.mark.parametrize(("mode", "sent"), [("server", 3), ("colocate", 1)])
def test_processes_send_a_server_as_many_texts_each(mode, sent):
    """It shares them out by their number; what a process sent only to fill up is no answer of anyone."""
    seen = []

    def complete(texts, *_):
        seen.append(len(texts))
        return [(7, 8)] * len(texts), [[-1.0, -2.0]] * len(texts)

    conversations = Conversations.__new__(Conversations)
    conversations.trainer = SimpleNamespace(
        use_vllm=True,
        args=SimpleNamespace(vllm_mode=mode),
        most=lambda number: 3,
        sampler=SimpleNamespace(complete=complete),
    )
    one = Conversation(TASKS[0], [5])
    conversations.answer([one], [5])
    assert (one.ids, one.logprobs, one.newest) == ([7, 8], [-1.0, -2.0], [7, 8])
    conversations.answer([], [5])
    assert seen == [sent] + [3] * (mode == "server")


def test_tasks_without_room_for_a_conversation_are_left_out(tmp_path, capsys):
    make_model(tmp_path / "model")
    conversations = Conversations(run_section(tmp_path, limit=150))
    assert conversations.longest == 2 * 150 + conversations.template.longest(300)
    words = conversations.context - conversations.longest - 3  # <|im_start|> ... <|im_end|> <|im_start|>
    fits, too_long = Task("a/1", "w " * words, ""), Task("a/2", "w " * (words + 1), "")
    assert conversations.with_room([fits, too_long]) == [fits]
    assert "left out 1 of 2 tasks" in capsys.readouterr().out
    assert conversations.with_room([]) == []
    with pytest.raises(InputError, match="exceed the model's context of 640 with every task"):
        conversations.with_room([too_long])


def test_too_little_feedback_is_refused_where_there_is_any():
    with pytest.raises(InputError, match="MAX_FEEDBACK is 299"):
        Turns(2, 299)
    with pytest.raises(InputError, match="MAX_TURNS is 0"):
        Turns(0, 1000)
    assert Turns(1, 0).tokens(50) == 50
