"""Layer table of a network: output shapes, parameter counts and receptive fields."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    Shapes exclude the batch. `receptive_field_px` is the side of the square of input pixels that
    one output value depends on along the longest path, at most the whole input.
    """

    name: str
    type: str
    output_shape: Shape
    parameters: int
    receptive_field_px: int


def layer_table(network: nn.Module, input_shape: Shape) -> list[Layer]:
    """List the layers of a network in execution order.

    The shapes of a sequential network are computed; those of any other network come from a forward
    pass on zeros of `input_shape` (C, H, W).
    """
    sequential = isinstance(network, nn.Sequential)
    shapes = (_computed_shapes if sequential else _observed_shapes)(network, input_shape)
    field, stride = 1, 1
    whole_input = max(input_shape[1:])
    rows = []
    for name, module, shape in shapes:
        if isinstance(module, nn.Linear | nn.Flatten | nn.AdaptiveAvgPool2d):
            field = whole_input
        elif isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel_px, _, stride_px, dilation = _window(module)
            field = min(whole_input, field + dilation * (kernel_px - 1) * stride)
            stride *= stride_px
        parameters = sum(parameter.numel() for parameter in module.parameters())
        rows.append(Layer(name, type(module).__name__, shape, parameters, field))
    return rows


def _computed_shapes(network: nn.Module, shape: Shape) -> Iterator[tuple[str, nn.Module, Shape]]:
    for name, module in network.named_children():
        shape = _output_shape(module, shape)
        yield name, module, shape


def _output_shape(module: nn.Module, shape: Shape) -> Shape:
    match module:
        case nn.Conv2d() | nn.MaxPool2d() | nn.AvgPool2d():
            channels = module.out_channels if isinstance(module, nn.Conv2d) else shape[0]
            kernel, padding, stride, dilation = _window(module)
            kernel = dilation * (kernel - 1) + 1
            # W2 = (W1 - F + 2P) / S + 1, rounded down
            sides = tuple((side - kernel + 2 * padding) // stride + 1 for side in shape[1:])
            return (channels, *sides)
        case nn.Linear():
            return (*shape[:-1], module.out_features)
        case nn.Flatten():
            return (torch.Size(shape).numel(),)
        case nn.ReLU() | nn.Dropout() | nn.LogSoftmax():
            return shape
        case _:
            raise TypeError(f"no shape arithmetic for {type(module).__name__}")


def _window(module: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) -> tuple[int, int, int, int]:
    """Return kernel, padding, stride and dilation of a square window."""
    dilation = 1 if isinstance(module, nn.AvgPool2d) else module.dilation
    values = (module.kernel_size, module.padding, module.stride, dilation)
    kernel, padding, stride, dilation = (
        int(value[0] if isinstance(value, tuple) else value) for value in values
    )
    return kernel, padding, stride, dilation


def _observed_shapes(network: nn.Module, shape: Shape) -> list[tuple[str, nn.Module, Shape]]:
    rows: list[tuple[str, nn.Module, Shape]] = []

    def observe(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            rows.append((name, module, tuple(output.shape[1:])))

        return module.register_forward_hook(hook)

    hooks = [
        observe(name, module)
        for name, module in network.named_modules()
        if not any(module.children())
    ]
    device = next(network.parameters()).device
    try:
        with torch.inference_mode():
            network(torch.zeros(1, *shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return rows
