"""Which package on PyPI brings a module, where the two have different names: for messages that say what to
install. Runs in workers: Python 3.8, standard library only."""

from __future__ import annotations

BY_MODULE = {
    "sklearn": "scikit-learn",
    "imblearn": "imbalanced-learn",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
    "bs4": "beautifulsoup4",
    "azureml": "azureml-core",
    "azureml.ai.monitoring": "azureml-ai-monitoring",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "jwt": "pyjwt",
    "Crypto": "pycryptodome",
    "fitz": "pymupdf",
    "attr": "attrs",
    "pkg_resources": "setuptools<81",
    "google.protobuf": "protobuf",
    "azure.storage.blob": "azure-storage-blob",
    "azure.identity": "azure-identity",
    "OpenSSL": "pyopenssl",
    "faiss": "faiss-cpu",
    "sentence_transformers": "sentence-transformers",
    "usb": "pyusb",
    "serial": "pyserial",
    "MySQLdb": "mysqlclient",
    "psycopg2": "psycopg2-binary",
}
"""Import name -> PyPI name, of what models and scoring scripts use."""
