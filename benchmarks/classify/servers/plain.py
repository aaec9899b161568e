"""A good plain FastAPI service: a threaded endpoint around eager PyTorch."""

from typing import Any

from fastapi import FastAPI, UploadFile

from benchmarks.classify.servers.common import answers, load, prepared

app = FastAPI()
classifier = load()


@app.post("/classify")
def classify(file: UploadFile) -> dict[str, Any]:
    """Label one image."""
    return answers(classifier, [prepared(classifier, file.file.read())])[0]
