"""Sentinels: the rules that name a run's faults, and what applies them step by step and check by check.

They change nothing. A finding says how grave it is, when the fault began, what the numbers show and what to change.
WHAT_GOES_WRONG.md has a section for each rule. A fault is said once, and again only after it was gone for WINDOW steps.
A rule that measures a window can end a run only once, so that the same command can continue it anyway.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raccoon.records import named_counts
from raccoon.runs import conditions as c
from raccoon.runs import heldout
from raccoon.runs.conditions import WINDOW, History, counts, first_and_now
from raccoon.runs.findings import Finding
from raccoon.runs.log import COMPLETIONS_LOG


@dataclass(frozen=True)
class Rule:
    """A fault, and the condition that shows it at the newest step of a history."""

    name: str
    severity: str  # of findings.SEVERITIES
    section: str  # of WHAT_GOES_WRONG.md
    holds: Callable[[History], bool]
    cause: Callable[[History], str]
    remedy: str
    patience: int = 1  # steps in a row for which the condition must hold
    stops_after: int = 0  # so many steps in a row end the run; 0: never
    began: Callable[[History], int] | None = None  # the place where the fault began; None: the first step in a row


SCORES = (
    Rule(
        "sandbox_failed",
        "warning",
        "Many completions time out, or the sandbox fails",
        lambda h: set(counts(h, "statuses")) == {"INFRA"},
        lambda h: "the sandbox failed on every completion, so nothing was learnt",
        "test it alone with scripts/sandbox.py",
        stops_after=c.PATIENCE,
    ),
    Rule(
        "no_verdict",
        "warning",
        "Many completions time out, or the sandbox fails",
        c.some_infra,
        lambda h: (
            f"{counts(h, 'statuses')['INFRA']} completions have no verdict, {c.count(h, 'infra_beside')} of "
            f"them beside judged ones of the same task [{named_counts(counts(h, 'infra'))}]"
        ),
        "if the code decides it, not scoring them raises the pass rate; run their code from "
        f"{COMPLETIONS_LOG} with scripts/sandbox.py",
    ),
    Rule(
        "shared_refused",
        "warning",
        "The code cheats the tests",
        lambda h: h.number("shared_refused") > 0,
        lambda h: (
            f"{h.number('shared_refused'):.0f} completions ran in the process of their test, unlike the solution of "
            "their task, and are FAIL"
        ),
        f"the code attacks the sandbox, or the sandbox has a fault; read their code in {COMPLETIONS_LOG}",
    ),
    Rule(
        "judge_failed",
        "warning",
        "The judge gives no scores",
        c.judged_nothing,
        lambda h: "the judge scored no completion, so nothing was learnt",
        f"read its errors in {COMPLETIONS_LOG}, and check that its server runs",
        stops_after=c.PATIENCE,
    ),
    Rule(
        "timeouts",
        "warning",
        "Many completions time out, or the sandbox fails",
        c.many_timeouts,
        lambda h: f"more than {c.MANY_TIMEOUTS:.0%} of the completions timed out",
        "lower SANDBOX_WORKERS or raise SANDBOX_TIMEOUT",
    ),
)

UPDATES = (
    Rule(
        "gradient_not_finite",
        "warning",
        "The gradient spikes or is not finite, or an update is very large",
        c.not_finite,
        lambda h: "the gradient is not finite, so it taught nothing",
        "lower LEARNING_RATE",
        stops_after=c.PATIENCE,
    ),
    Rule(
        "gradient_spikes",
        "warning",
        "The gradient spikes or is not finite, or an update is very large",
        c.spiking,
        lambda h: (
            f"{len(c.spikes(h))} gradients of the newest {c.SPIKE_STEPS} steps are over {c.SPIKE:g} times the usual "
            f"norm of {h.typical('grad_norm', c.SPIKE_STEPS):.2g}"
        ),
        f"read the completions of these steps in {COMPLETIONS_LOG}; lower MAX_GRAD_NORM or LEARNING_RATE",
        began=lambda h: c.spikes(h)[0],
    ),
    Rule(
        "large_update",
        "warning",
        "The gradient spikes or is not finite, or an update is very large",
        lambda h: h.number("update_ratio") > c.LARGE_UPDATE,
        lambda h: f"an update changes the weights by {h.number('update_ratio'):.1%} of their norm",
        "lower LEARNING_RATE",
    ),
    Rule(
        "updates_round_away",
        "warning",
        "Updates that round away",
        c.hardly_moves,
        lambda h: (
            f"a step changes only {h.number('weights_changed'):.1%} of the weights, because updates round to nothing"
        ),
        "set MASTER_WEIGHTS to float32, or raise LEARNING_RATE",
        patience=c.PATIENCE,
    ),
    Rule(
        "clip_saturation",
        "warning",
        "Most updates are clipped",
        lambda h: h.mean("clipped") > c.MANY_CLIPPED,
        lambda h: f"{h.mean('clipped'):.0%} of the tokens are clipped, and teach nothing",
        "lower LEARNING_RATE or NUM_ITERATIONS, or raise EPSILON_HIGH",
        began=lambda h: h.began("clipped"),
    ),
    Rule(
        "kl_blowup",
        "warning",
        "The KL divergence runs away",
        c.running_away,
        lambda h: f"the KL divergence runs away, {first_and_now(h, 'kl', '{:.3g}')} nats a token",
        "raise BETA, lower LEARNING_RATE, and keep a checkpoint from before",
        began=c.took_off,
    ),
)

ANSWERS = (
    Rule(
        "entropy_collapse",
        "warning",
        "The entropy collapses",
        lambda h: h.number("entropy") < c.ENTROPY_COLLAPSE * h.first_mean("entropy"),
        lambda h: (
            f"the entropy fell below {c.ENTROPY_COLLAPSE:.0%} of its start, {h.first_mean('entropy'):.3g}: the "
            "completions of a prompt hardly differ"
        ),
        "raise TEMPERATURE or lower LEARNING_RATE",
        patience=c.PATIENCE,
        began=lambda h: h.began("entropy"),
    ),
    Rule(
        "entropy_growth",
        "warning",
        "The entropy collapses",
        c.turns_into_noise,
        lambda h: (
            f"the entropy grew to {h.number('entropy'):.3g}, from {h.first_mean('entropy'):.3g} in the first steps: "
            "the completions turn into noise"
        ),
        "lower LEARNING_RATE or TEMPERATURE, or raise BETA",
        began=lambda h: h.began("entropy"),
    ),
    Rule(
        "many_truncated",
        "warning",
        "Many completions are cut",
        lambda h: h.mean("truncated", 5) > c.MANY_TRUNCATED or c.grown(h, "truncated", c.MORE_TRUNCATED),
        lambda h: f"{h.mean('truncated', 5):.0%} of the completions are cut at the limit, so it decides their reward",
        "raise MAX_COMPLETION_LENGTH, set ENABLE_THINKING to False if they end inside their thoughts, set "
        "MASK_TRUNCATED to True, or check the end tokens of the chat template",
        began=lambda h: h.began("truncated"),
    ),
    Rule(
        "length_growth",
        "warning",
        "The completions grow or shrink",
        c.longer_for_nothing,
        lambda h: (
            f"the completions grew from {first_and_now(h, 'tokens_mean', '{:.0f}')} tokens, and no held-out gain "
            "pays for it"
        ),
        f"look at {COMPLETIONS_LOG} for padding and at HELDOUT for a gain; let no part of the reward grow with length",
        began=lambda h: h.began("tokens_mean"),
    ),
    Rule(
        "length_collapse",
        "warning",
        "The completions grow or shrink",
        c.shorter_for_nothing,
        lambda h: (
            f"the completions shrank from {first_and_now(h, 'tokens_mean', '{:.0f}')} tokens, and no more of them pass"
        ),
        f"read the newest in {COMPLETIONS_LOG}; pay for a PASS alone, and lower LEARNING_RATE",
        began=lambda h: h.began("tokens_mean"),
    ),
    Rule(
        "repetition",
        "warning",
        "The completions repeat themselves",
        lambda h: c.grown(h, "repetition", c.MORE_REPETITION),
        lambda h: f"the completions repeat themselves: {first_and_now(h, 'repetition', '{:.0%}')} of their words",
        f"read the newest in {COMPLETIONS_LOG}; lower LEARNING_RATE or raise BETA, and keep a checkpoint from before",
        began=lambda h: h.began("repetition"),
    ),
)

CONSTANT_ANSWERS = Rule(
    "constant_answers",
    "warning",
    "The answers are constants",
    lambda h: c.constant_share(h) > c.MANY_CONSTANT_ANSWERS,
    lambda h: (
        f"{c.constant_share(h):.0%} of the answers ignore their arguments, like `return 2`, and "
        f"{h.mean('pass_rate', WINDOW // 2):.1%} pass: the run learns to earn REWARD_PARTIAL"
    ),
    'set PAY_CONSTANT_ANSWERS to False and PARTIAL_CREDIT to "beyond_constant" or "off"',
)

SIGNAL = (
    Rule(
        "no_signal",
        "warning",
        "Most groups have no signal",
        c.little_signal,
        lambda h: f"{h.mean('constant_groups'):.0%} of the groups are constant, so their completions teach nothing",
        "set PROFILE_SAMPLES to choose tasks that are solved sometimes, or raise MAX_REFILLS or NUM_GENERATIONS",
        began=lambda h: h.began("constant_groups"),
    ),
    Rule(
        "no_spread",
        "warning",
        "Most groups have no signal",
        lambda h: bool(c.without_spread(h)) and not c.little_signal(h),
        lambda h: (
            f"the {c.without_spread(h)[:-4]}s hardly differ any more, deviation "
            + first_and_now(h, c.without_spread(h), "{:.2g}")
        ),
        "look at the scale of the reward's parts, take tasks that are solved sometimes, and look whether the entropy "
        "collapsed",
        began=lambda h: h.began(c.without_spread(h)),
    ),
    CONSTANT_ANSWERS,
    replace(
        CONSTANT_ANSWERS,
        name="only_constant_answers",
        severity="stop",
        holds=lambda h: c.constant_share(h) > max(c.MOST_CONSTANT_ANSWERS, h.mean("pass_rate", WINDOW // 2)),
    ),
    Rule(
        "partial_signal",
        "warning",
        "The reward rises but the pass rate does not",
        c.partial_signal,
        lambda h: (
            f"over {c.PARTIAL_SIGNAL:.0%} of the groups that differ hold no PASS, only PARTIAL and FAIL: the model "
            "learns to write code that runs, not code that passes"
        ),
        'set PARTIAL_CREDIT to "beyond_constant" or "off", or set PROFILE_SAMPLES to choose tasks that are solved '
        "sometimes, or start from a model that was taught the tasks (sft_model.py)",
    ),
    Rule(
        "unearned_reward",
        "warning",
        "The reward rises but the pass rate does not",
        c.unearned,
        lambda h: (
            f"the reward rose to {h.mean('reward'):+.2f} and the pass rate did not, {h.mean('pass_rate'):.1%}: other "
            "parts of the reward are easier to earn than a PASS"
        ),
        'set PARTIAL_CREDIT to "beyond_constant" or "off", and BONUS_ONLY_WITH_PASS to True, or lower the weight of '
        "the other parts",
        patience=WINDOW // 2,
    ),
    Rule(
        "held_out_falls",
        "warning",
        "The held-out tasks get worse",
        c.held_out_falls,
        lambda h: (
            f"the held-out score fell from {c.mean_score(c.best_scores(h)):.3f} to {c.mean_score(h.evals[-3:]):.3f} "
            "while the reward did not"
        ),
        "read completions with a high reward, because the reward may be exploited; keep the checkpoint of the best "
        "score",
        began=lambda h: c.best_scores(h)[-1][0],
    ),
    Rule(
        "reward_falls",
        "warning",
        "The reward falls",
        c.lost_gain,
        lambda h: (
            f"the reward fell to {h.mean('reward'):+.3f}, from {h.start('reward').mean:+.3f} at the start and "
            f"{c.best_window(h).mean:+.3f} at its best"
        ),
        "lower LEARNING_RATE, raise BETA, and continue from the best checkpoint",
        began=c.fell,
    ),
    Rule(
        "plateau",
        "info",
        "The reward no longer rises",
        c.flat,
        lambda h: f"the reward has been flat for {len(h) // 2} of {len(h)} steps",
        "stop here, or give harder tasks; more steps of the same will not help",
        began=lambda h: len(h) - len(h) // 2,
    ),
)

TURNS = (
    Rule(
        "waits_for_feedback",
        "warning",
        "Several turns do not help",
        c.waits,
        lambda h: (
            f"the first answers got worse, {first_and_now(h, 'first_turn')} pass, and the last ones better: the model "
            "waits for its feedback instead of solving the task at once"
        ),
        "lower TURN_DISCOUNT, so that a late PASS earns less",
        began=lambda h: h.began("first_turn"),
    ),
    Rule(
        "feedback_unused",
        "warning",
        "Several turns do not help",
        c.no_help,
        lambda h: (
            f"under {c.FEW_REPAIRED:.0%} of the conversations with a second turn end in a PASS: the model makes "
            "nothing of its feedback"
        ),
        "teach it repairs first (create_synthetic_data.py --mode trajectories --turns 2, then sft_model.py), or save "
        "the time with MAX_TURNS 1",
    ),
    Rule(
        "cut_at_first",
        "warning",
        "Several turns do not help",
        lambda h: h.mean("cut_at_first", WINDOW // 2) > c.MANY_CUT,
        lambda h: f"more than {c.MANY_CUT:.0%} of the conversations end at their first answer, because it was cut",
        "raise MAX_COMPLETION_LENGTH, which is the limit of one answer",
    ),
)

TIME = (
    Rule(
        "slower_steps",
        "info",
        "The steps take longer and longer",
        lambda h: h.ratio("seconds") > c.SLOWER and h.rise("seconds") > c.CERTAIN,
        lambda h: f"a step takes {h.mean('seconds'):.3g} s, over {c.SLOWER:g} times as long as the first ones",
        "look which part of `seconds` grew: longer completions, a full sandbox, or another load on the machine",
        began=lambda h: h.began("seconds"),
    ),
)

RULES = SCORES + UPDATES + ANSWERS + SIGNAL + TURNS + TIME


class Sentinels:
    """Watches one run: give it every line of metrics.jsonl and of heldout.jsonl, also those from before a resume."""

    def __init__(self) -> None:
        self.history = History()
        self.held = [0] * len(RULES)  # for how many steps in a row a rule's condition has held
        self.last = [-WINDOW - 1] * len(RULES)  # the place where a fault that was said was last seen

    def see(self, row: Mapping[str, Any]) -> list[Finding]:
        """What the next step shows."""
        history, found = self.history, []
        history.add(row)
        place = len(history) - 1
        for number, rule in enumerate(RULES):
            if not rule.holds(history):
                self.held[number] = 0
                continue
            self.held[number] += 1
            if self.held[number] < rule.patience:
                continue
            stops = 0 < rule.stops_after <= self.held[number]
            if stops or place - self.last[number] > WINDOW:
                began = rule.began(history) if rule.began else place - self.held[number] + 1
                severity, step = "stop" if stops else rule.severity, history.step
                found.append(
                    Finding(
                        severity, rule.name, step(began), step(place), rule.cause(history), rule.remedy, rule.section
                    )
                )
            self.last[number] = place
        return found

    def check(self, record: dict) -> list[Finding]:
        """What the next check on held-out tasks shows, together with the steps before it."""
        self.history.checks.append(record)
        return heldout.check_findings(self.history.checks, self.history.rows)
