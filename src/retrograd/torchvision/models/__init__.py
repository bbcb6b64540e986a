"""torchvision.models: networks for pictures, by the names, shapes and first weights of torchvision's."""

from __future__ import annotations

from typing import Any

from . import (
    alexnet as _alexnet,
)
from . import (
    convnext,
    densenet,
    efficientnet,
    inception,
    mobilenet,
    mobilenetv2,
    mobilenetv3,
    resnet,
    shufflenetv2,
    squeezenet,
    vgg,
    vision_transformer,
)
from ._api import (
    ENUMERATIONS as _ENUMERATIONS,
)
from ._api import (
    Weights,
    WeightsEnum,
    get_model,
    get_model_builder,
    get_model_weights,
    get_weight,
    list_models,
    register_model,
)
from .alexnet import (
    AlexNet,
    alexnet,
)
from .convnext import (
    ConvNeXt,
    convnext_base,
    convnext_large,
    convnext_small,
    convnext_tiny,
)
from .densenet import (
    DenseNet,
    densenet121,
    densenet161,
    densenet169,
    densenet201,
)
from .efficientnet import (
    EfficientNet,
    FusedMBConv,
    MBConv,
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b5,
    efficientnet_b6,
    efficientnet_b7,
    efficientnet_v2_l,
    efficientnet_v2_m,
    efficientnet_v2_s,
)
from .googlenet import (
    GoogLeNet,
    GoogLeNetOutputs,
    googlenet,
)
from .inception import (
    Inception3,
    InceptionOutputs,
    inception_v3,
)
from .mobilenet import (
    InvertedResidual,
    MobileNetV2,
    MobileNetV3,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
)
from .resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from .shufflenetv2 import (
    ShuffleNetV2,
    shufflenet_v2_x0_5,
    shufflenet_v2_x1_0,
    shufflenet_v2_x1_5,
    shufflenet_v2_x2_0,
)
from .squeezenet import (
    Fire,
    SqueezeNet,
    squeezenet1_0,
    squeezenet1_1,
)
from .vgg import (
    VGG,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from .vision_transformer import (
    VisionTransformer,
    vit_b_16,
    vit_b_32,
    vit_h_14,
    vit_l_16,
    vit_l_32,
)

globals().update(_ENUMERATIONS)


def __getattr__(name: str) -> Any:
    from retrograd.utils._names import missing

    raise missing(__name__, name, [one for one in globals() if not one.startswith("_")])
