"""The code that a registered model begins with: MLflow copies this file into the model and runs it to load it."""

from mlflow.models import set_model

from sweeper.tracking.serving import ServedModel

set_model(ServedModel())
