"""The output tensor: probabilities as numbers, or the most probable classes as text."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from app.api.v2.request_body import ELEMENT_LENGTH
from app.api.v2.schemas import BinarySize, OutputMetadata, OutputParameters, ResponseOutput
from app.vision.classifier import Classifier

NAME = "probabilities"


def output_metadata(classes: Sequence[str]) -> OutputMetadata:
    """Describe the output of a model with these classes."""
    return OutputMetadata(
        name=NAME, datatype="FP32", shape=[-1, len(classes)], labels=list(classes)
    )


def output(
    rows: list[Tensor], classifier: Classifier, asked: OutputParameters, *, binary: bool
) -> tuple[ResponseOutput, bytes]:
    """Return the output, and the binary data that follows the JSON object.

    Args:
        rows: the probabilities of each image, float32 (classes,).
        classifier: for the names of the classes.
        asked: the requested form of the output.
        binary: whether to send binary data if `asked` does not say.
    """
    if asked.binary_data is not None:
        binary = asked.binary_data
    if asked.classification is not None:
        texts = [_texts(row, classifier, asked.classification) for row in rows]
        return _of_texts(texts, binary)
    return _of_numbers(torch.stack(rows), binary)


def _texts(row: Tensor, classifier: Classifier, count: int) -> list[str]:
    return [
        f"{each.probability:.6f}:{each.index}:{each.label}" for each in classifier.top_k(row, count)
    ]


def _of_texts(texts: list[list[str]], binary: bool) -> tuple[ResponseOutput, bytes]:
    shape = [len(texts), len(texts[0])]
    elements = [text for row in texts for text in row]
    if not binary:
        return ResponseOutput(name=NAME, datatype="BYTES", shape=shape, data=elements), b""
    encoded = [text.encode() for text in elements]
    data = b"".join(ELEMENT_LENGTH.pack(len(each)) + each for each in encoded)
    size = BinarySize(binary_data_size=len(data))
    return ResponseOutput(name=NAME, datatype="BYTES", shape=shape, parameters=size), data


def _of_numbers(probabilities: Tensor, binary: bool) -> tuple[ResponseOutput, bytes]:
    shape = list(probabilities.shape)
    if not binary:
        numbers = probabilities.flatten().tolist()
        return ResponseOutput(name=NAME, datatype="FP32", shape=shape, data=numbers), b""
    data = probabilities.numpy().astype(np.dtype("<f4")).tobytes()
    size = BinarySize(binary_data_size=len(data))
    return ResponseOutput(name=NAME, datatype="FP32", shape=shape, parameters=size), data
