"""Runs the training script several times, sharded or not, in processes as torchrun starts them, on a CPU.

accelerate shards on GPUs only: here it is told that these processes may shard as well, and FSDP2 then runs over
gloo. One pair of processes makes all runs, because importing the libraries takes longer than a run.

    torchrun --nproc-per-node 2 tests/helpers/two_processes.py runs.json

runs.json is a list of {"argv": [flags of the script], "sharded": bool, "bf16": bool, "stopped": bool}. What each
process of a sharded run saw (gathers of each generation, dtypes, gradients between micro-batches) goes to
OUTPUT_DIR.probe.RANK. In a stopped run the last process got SIGTERM before training; the exit codes go to
OUTPUT_DIR.exit.RANK.
"""

import json
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trl
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule
from torch.distributed.fsdp._fully_shard import _fsdp_param_group
from torch.distributed.fsdp._fully_shard._fsdp_state import FSDPState
from torch.distributed.tensor import DTensor

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
SHARDING = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
}
Config, State = trl.GRPOConfig, AcceleratorState.__init__


def init_state(self, *args, fsdp_plugin=None, **kwargs) -> None:
    """AcceleratorState, which lets FSDP have processes of a CPU too."""
    State(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        if self._mixed_precision != "no":
            fsdp_plugin.set_mixed_precision(self._mixed_precision)
        self.fsdp_plugin = fsdp_plugin


class Probe:
    """What a trainer does with its shards."""

    def __init__(self) -> None:
        self.count = 0  # all-gathers so far
        self.gathers: list[int] = []  # of each generation, a held-out check counting as one
        self.seconds: list[dict[str, float]] = []  # of this process, for each line of metrics.jsonl
        self.hooked = 0  # FSDP2's hooks so far
        self.generations: list[list[int]] = []  # of each in a step: its forward passes, its longest completion, hooks
        self.units = self.resharding = self.micro_batches = self.whole_gradients = 0
        self.shard = 0  # weights that this process holds
        self.dtypes: dict[str, set[str]] = {"masters": set(), "computed": set(), "reduced": set(), "logps": set()}

    def watching(self, trainer_class: type) -> type:
        """The trainer class, which tells this probe what it does."""
        probe, gather, pre_forward = self, _fsdp_param_group.foreach_all_gather, FSDPState._pre_forward

        def counted(*args: Any, **kwargs: Any) -> Any:
            probe.count += 1
            return gather(*args, **kwargs)

        def counting(method: Callable) -> Callable:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                before = probe.count
                result = method(*args, **kwargs)
                probe.gathers.append(probe.count - before)
                return result

            return wrapper

        def watched(trainer: Any, complete: Callable) -> Callable:
            def wrapper(*args: Any) -> Any:
                passes, hooked = [], probe.hooked
                model = trainer.accelerator.unwrap_model(trainer.model)
                base = getattr(model, "get_base_model", lambda: model)()
                watch = base.register_forward_hook(lambda *_: passes.append(1))
                completion_ids, logprobs = complete(*args)
                watch.remove()
                probe.generations.append([len(passes), max(map(len, completion_ids)), probe.hooked - hooked])
                return completion_ids, logprobs

            return wrapper

        class Watched(trainer_class):
            _generate_single_turn = counting(trainer_class._generate_single_turn)

            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.sampler.sample = counting(self.sampler.sample)
                self.sampler.complete = watched(self, self.sampler.complete)

            def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
                result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
                probe.dtypes["logps"] |= {str(part.dtype) for part in result[:2] if part is not None}
                return result

            def take_seconds(self) -> dict[str, float]:
                probe.seconds.append(dict(self.seconds))
                return super().take_seconds()

            def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
                loss = super().training_step(*args, **kwargs)
                probe.after_micro_batch(self.model)
                return loss

        def hook(state: FSDPState, *args: Any) -> Any:
            probe.hooked += 1
            return pre_forward(state, *args)

        _fsdp_param_group.foreach_all_gather, FSDPState._pre_forward = counted, hook
        return Watched

    def after_micro_batch(self, model: torch.nn.Module) -> None:
        units = [module for module in model.modules() if isinstance(module, FSDPModule)]
        groups = {group for unit in units for group in unit._get_fsdp_state()._fsdp_param_groups}
        shards = [parameter for group in groups for parameter in group.fsdp_params]
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        self.micro_batches += 1
        self.units = len(groups)
        self.resharding = sum(group.post_forward_mesh_info is not None for group in groups)
        self.shard = sum(parameter.to_local().numel() for parameter in trained if isinstance(parameter, DTensor))
        self.dtypes["masters"] |= {str(parameter.dtype) for parameter in trained}
        self.dtypes["reduced"] |= {str(gradient.dtype) for gradient in gradients}
        self.dtypes["computed"] |= {str(shard.param_dtype or shard.orig_dtype) for shard in shards}
        self.whole_gradients += sum(shard.unsharded_accumulated_grad is not None for shard in shards)
        self.whole_gradients += sum(not isinstance(gradient, DTensor) for gradient in gradients)

    def write(self, output: str) -> None:
        seen = {
            "gathers": self.gathers,
            "generations": self.generations,
            "hooked": self.hooked,
            "seconds": self.seconds,
            "units": self.units,
            "resharding": self.resharding,
            "micro_batches": self.micro_batches,
            "whole_gradients": self.whole_gradients,
            "shard": self.shard,
            **{name: sorted(each) for name, each in self.dtypes.items()},
        }
        Path(f"{output}.probe.{os.environ['RANK']}").write_text(json.dumps(seen))


def run(argv: list[str], sharded: bool, bf16: bool = False, stopped: bool = False) -> None:
    """One start of the training script; "bf16" is what it asks for on GPUs."""
    output = argv[argv.index("--output-dir") + 1]
    from raccoon.launch import StopSignal
    from raccoon.training import trainer
    from raccoon.training.policy import recomputation

    AcceleratorState._reset_state(reset_partial_state=True)
    for name, value in SHARDING.items():
        os.environ.pop(name, None)
        if sharded:
            os.environ[name] = value
    trl.GRPOConfig = type(
        "Config",
        (Config,),
        {"__new__": lambda _, **kwargs: Config(**{**kwargs, "bf16": bf16, **recomputation(Config, bf16)})},
    )  # a class still: its fields are asked for
    probe, trainer_class, stdout = Probe(), trainer.CodeTrainer, sys.stdout
    if sharded:
        trainer.CodeTrainer = probe.watching(trainer_class)
    from raccoon.runs import checkpoints

    checkpoints.hold_folder = lambda folder: None  # its runs share a process, which would shut itself out
    sys.argv = ["train_rl_poc.py", *argv]
    if stopped and os.environ["RANK"] == "1":
        StopSignal.install = lambda stop: setattr(stop, "number", signal.SIGTERM)
    try:
        runpy.run_path(str(SCRIPTS / "train_rl_poc.py"), run_name="__main__")
    except SystemExit as ended:
        if not stopped:
            raise
        Path(f"{output}.exit.{os.environ['RANK']}").write_text(str(ended.code))
    sys.stdout, trainer.CodeTrainer = stdout, trainer_class
    if sharded:
        probe.write(output)


if __name__ == "__main__":
    AcceleratorState.__init__ = init_state
    wanted = Path(sys.argv[1]).resolve()
    os.chdir(wanted.parent)
    for each in json.loads(wanted.read_text()):
        run(**each)
    torch.distributed.destroy_process_group()
