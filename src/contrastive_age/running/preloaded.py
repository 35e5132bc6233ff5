"""What a fold needs, imported once for all workers: the server that forks them imports this.

Nothing here may start a thread or look for a GPU, neither of which a fork survives. (OpenBLAS and
jemalloc, which have threads of their own, know of forks.)
"""

import gc
import importlib
import logging
import os
import sys
from contextlib import suppress

import torch

# Where a library asks whether there is a GPU, the driver is asked without being started.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

NEEDED = (
    # What Kedro and MLflow import when a catalog or a run is opened,
    "contrastive_age.io.atomic",
    "contrastive_age.io.folders",
    "contrastive_age.pipeline_registry",
    "contrastive_age.settings",
    "kedro.framework.session",
    "kedro_datasets.pandas",
    "mlflow.store.tracking.sqlalchemy_store",
    # and nodes when they run.
    "contrastive_age.evaluation.fold",
    "contrastive_age.evaluation.gradcam",
    "contrastive_age.model.seen",
    "contrastive_age.parameters.origins",
    "contrastive_age.training.fold",
    "pyarrow.dataset",
)

employer = os.getppid()
logging.disable(logging.INFO)  # where Kedro finds its configuration is said already
for name in NEEDED:
    if os.getppid() != employer:
        sys.exit()  # nobody waits for it any more
    with suppress(Exception):  # a worker that needs it says what is wrong
        importlib.import_module(name)
logging.disable(logging.NOTSET)
# The first optimiser imports torch's compiler.
torch.optim.SGD([torch.zeros(1)])

# Workers then share the memory of what they only look through.
gc.collect()
gc.freeze()
