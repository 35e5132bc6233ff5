"""The ResNet-18 of He et al. (2016) up to its pooled features, with torchvision's names.

torchvision's own takes its whole package to import, detection and video included, before the first
photo. Tests hold this one against it.
"""

from torch import Tensor, nn
from torch.nn.functional import batch_norm

from contrastive_age.model.backbone import Backbone

FEATURES = 512


class BatchNorm2d(nn.BatchNorm2d):
    """torch's with a fixed momentum, for which no batches need be counted.

    On a GPU each count would be a kernel of its own.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, channel by channel."""
        return batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum or 0.0,
            self.eps,
        )


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, s, s) to (n, outputs, s / stride, s / stride), rounded up."""
        y: Tensor = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu_()))
        y += x if self.downsample is None else self.downsample(x)
        return y.relu_()


class ResNet18(Backbone):
    """Normalised images, float (n, 3, s, s), to pooled features, (n, 512)."""

    width = FEATURES
    title = "a ResNet-18"
    names_of = "torchvision"

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _layer(64, 64, stride=1)
        self.layer2 = _layer(64, 128, stride=2)
        self.layer3 = _layer(128, 256, stride=2)
        self.layer4 = _layer(256, FEATURES, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.draw()

    def last_block(self, images: Tensor) -> Tensor:
        """Give what is pooled, (n, 512, h, w) with h = w = ceil(s / 32)."""
        x = self.maxpool(self.bn1(self.conv1(images)).relu_())
        block: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return block

    def pool(self, block: Tensor) -> Tensor:
        """Give the features of what `last_block` gave."""
        features: Tensor = self.avgpool(block).flatten(1)
        return features

    def draw(self) -> None:
        """Draw all weights anew as torchvision does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()

    def name_in_network(self, name: str) -> str:
        """Give our name of a tensor by torchvision's."""
        return name if name.startswith("fc.") else f"backbone.{name}"


def _layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Block(inputs, outputs, stride), Block(outputs, outputs, stride=1))
