"""The least that a FastAPI endpoint can do: read the upload and answer a constant."""

from fastapi import FastAPI, UploadFile

app = FastAPI()


@app.post("/classify")
async def classify(file: UploadFile) -> dict[str, str]:
    """Read one image."""
    await file.read()
    return {"label": "7"}
