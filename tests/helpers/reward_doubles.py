"""Stand-ins for what the reward works with: a tokenizer, a sandbox with fixed verdicts, the reward's table."""

TABLE = {
    "reward_pass": 1.0,
    "reward_partial": 0.2,
    "reward_fail": -0.5,
    "partial_credit": "flat",
    "quality_bonus": 0.05,
    "bonus_only_with_pass": False,
    "reward_min": -1.0,
    "reward_max": 1.5,
    "max_line": 120,
    "max_response": 3000,
    "pay_constant_answers": True,
    "allow_shared_tests": False,
}


class Tokenizer:
    """Token ids are code points; 0 ends a completion."""

    def batch_decode(self, batch, skip_special_tokens):
        return ["".join(chr(token) for token in ids if token) for ids in batch]


class FixedSandbox:
    """Answers with given verdicts and keeps what it was given."""

    def __init__(self, verdicts):
        self.verdicts, self.programs = verdicts, []

    def run(self, programs):
        self.programs += programs
        return self.verdicts


def ids(text: str, ended: bool = True) -> list[int]:
    return [ord(character) for character in text] + [0] * ended
