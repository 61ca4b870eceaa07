"""What can be wrong with a training run."""

from __future__ import annotations

from charl.errors import code

E_PROGRAM = code("E0742", "a program has no export that can be trained with")
E_DATA = code("E0743", "arrays do not fit the parameters of an export")
E_SIZE = code("E0744", "there is too little data for a batch")
E_LOSS = code("E0745", "a loss is not a number, or infinite")
E_OTHER = code("E0746", "a checkpoint belongs to another program, version or run")
E_CHECKPOINT = code("E0747", "a file of a training run cannot be written or read")
E_SCHEDULE = code("E0748", "a learning rate or schedule makes no sense")
E_METRICS = code("E0749", "no export gives metrics of the validation data")
E_ARGUMENT = code("E0750", "a parameter has no value to train with")
E_RUN = code("E0751", "a folder holds a run already")
E_STEP = code("E0752", "a backend cannot run a training step")
