"""torch's compiler is not imported before it is wanted, and is whole then."""

from __future__ import annotations

import subprocess
import sys

TRAINING = """
import sys

import torch

from sweeper.launch.worker import import_torch

import_torch()
torch.manual_seed(0)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters(), fused=True)
inputs = torch.ones(5, 3)

def step():
    optimizer.zero_grad()
    loss = model(inputs).pow(2).mean()
    loss.backward()
    optimizer.step()
    return loss.item()

first = [step() for _ in range(3)]
state = optimizer.state_dict()
assert "torch._dynamo.convert_frame" not in sys.modules, "the compiler is imported"
"""
COMPILING = """
calls = []

def backend(graph, inputs):
    calls.append(graph)
    return graph.forward

compiled = torch.compile(lambda x: model(x).sin(), backend=backend)
assert torch.equal(compiled(inputs), model(inputs).sin())
assert len(calls) == 1
assert torch._dynamo.convert_frame is sys.modules["torch._dynamo.convert_frame"]
assert step() < first[-1]
optimizer.load_state_dict(state)
import torch._dynamo.config
"""


def run(code: str) -> None:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr


def test_a_training_imports_no_compiler() -> None:
    run(TRAINING)


def test_who_compiles_finds_it_whole() -> None:
    run(TRAINING + COMPILING)
