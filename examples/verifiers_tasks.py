"""A task file as a taskset of verifiers 0.4, whose reward is the sandbox's verdict.

    pip install verifiers==0.4.0
    export PYTHONPATH=scripts:examples
    vf-validate verifiers_tasks --taskset.file tasks.jsonl --runtime.type subprocess    # does each solution pass?
    vf-eval verifiers_tasks --env.taskset.file tasks.jsonl --env.agent.harness.id null \\
        --env.agent.runtime.type subprocess --client.base-url http://127.0.0.1:8000/v1 -m MODEL

A failure of the sandbox itself is verifiers' SandboxError: the rollout has an error and no reward.
"""

import asyncio

import verifiers.v1 as vf

from raccoon.rewards.code_reward import code_reward
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import read_task_file

__all__ = ["CodeTaskset"]

COLUMNS = ("test", "entry_point", "context", "solution", "kind")  # what code_reward() takes by name


class CodeData(vf.TaskData):
    """The fields of a task that its verdict needs."""

    test: str
    entry_point: str
    context: str
    solution: str
    kind: str


class CodeTask(vf.Task[CodeData]):
    """A task with one reward: 1 if the code of the last reply passes, else 0."""

    @vf.reward
    async def passes(self, task: CodeData, trace: vf.Trace) -> float:
        return await self.verdict(trace.last_reply)

    async def validate(self, runtime: vf.Runtime) -> bool | None:
        return await self.verdict(self.data.solution) == 1 if self.data.solution else None

    async def verdict(self, completion: str) -> float:
        columns = {name: [getattr(self.data, name)] for name in COLUMNS}
        prompts = [self.data.prompt_text]
        [reward] = await asyncio.to_thread(code_reward, [completion], prompts=prompts, **columns)
        if reward is None:
            raise vf.SandboxError("the code was not judged; the log says why")
        return reward


class CodeConfig(vf.TasksetConfig):
    file: str = "tasks.jsonl"


class CodeTaskset(vf.Taskset[CodeTask, CodeConfig]):
    """The tasks of a task file, with the prompts that train_rl_poc.py gives."""

    def load(self) -> list[CodeTask]:
        tasks = []
        for task in read_task_file(self.config.file):
            fields = {name: getattr(task, name) for name in COLUMNS}
            data = CodeData(id=task.task_id, prompt=messages(task), **fields)
            tasks.append(CodeTask(data, self.config.task))
        return tasks
