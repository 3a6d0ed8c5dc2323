"""Networks of one's own, as a user would write them: the ResNets of the CIFAR-10 experiments of He et al., 2015.

Three stages of 16, 32 and 64 channels on 32 x 32 images; where a stage halves the image, the shortcut takes
every other pixel and pads the channels with zeros (their option A).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        stride = 1 if before == channels else 2
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.padding = stride, (channels - before) // 2

    def forward(self, image: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(image)))))
        shortcut = functional.pad(image[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return torch.relu(inner + shortcut)


class CifarResNet(nn.Module):
    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, blocks)
        self.layer2 = self.stage(16, 32, blocks)
        self.layer3 = self.stage(32, 64, blocks)

    def stage(self, before: int, channels: int, blocks: int) -> nn.Sequential:
        return nn.Sequential(Block(before, channels), *(Block(channels, channels) for _ in range(blocks - 1)))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(images))))))
        return maps.mean(dim=(2, 3))


def cifar_resnet(blocks: int) -> nn.Module:
    """Return a network of 6 ``blocks`` + 2 layers: 3 for ResNet-20, 9 for ResNet-56."""
    return CifarResNet(blocks)


def not_a_network() -> str:
    return "a network"
