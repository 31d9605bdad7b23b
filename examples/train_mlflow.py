"""Save the model of train.py the way MLflow does, with a signature: the iris-mlflow folder."""

import joblib
import mlflow.sklearn
import pandas as pd
import sklearn
from mlflow.models import infer_signature

model = joblib.load("model.pkl")
flowers = pd.DataFrame([[5.1, 3.5, 1.4, 0.2]], columns=model.feature_names_in_)
signature = infer_signature(flowers, model.predict(flowers))
mlflow.sklearn.save_model(
    model,
    "iris-mlflow",
    signature=signature,
    serialization_format="pickle",
    pip_requirements=[f"scikit-learn=={sklearn.__version__}", "pandas"],
)
print("iris-mlflow")
