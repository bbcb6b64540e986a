"""The published weights by their file names: what they fit, how their pictures were made, how well they did on ImageNet.

A row: model, enumeration, weights (the default has a star), file, crop, resize, interpolation, parameters, least picture,
top-1 and top-5 accuracy in percent; and the means and standard deviations where they are not the usual ones.
"""

from __future__ import annotations

TABLE = """
alexnet AlexNet_Weights IMAGENET1K_V1* alexnet-owt-7be5be79.pth 224 256 bilinear 61100840 63 56.522 79.066
convnext_base ConvNeXt_Base_Weights IMAGENET1K_V1* convnext_base-6075fbad.pth 224 232 bilinear 88591464 32 84.062 96.87
convnext_large ConvNeXt_Large_Weights IMAGENET1K_V1* convnext_large-ea097f82.pth 224 232 bilinear 197767336 32 84.414 96.976
convnext_small ConvNeXt_Small_Weights IMAGENET1K_V1* convnext_small-0c510722.pth 224 230 bilinear 50223688 32 83.616 96.65
convnext_tiny ConvNeXt_Tiny_Weights IMAGENET1K_V1* convnext_tiny-983f1562.pth 224 236 bilinear 28589128 32 82.52 96.146
densenet121 DenseNet121_Weights IMAGENET1K_V1* densenet121-a639ec97.pth 224 256 bilinear 7978856 29 74.434 91.972
densenet161 DenseNet161_Weights IMAGENET1K_V1* densenet161-8d451a50.pth 224 256 bilinear 28681000 29 77.138 93.56
densenet169 DenseNet169_Weights IMAGENET1K_V1* densenet169-b2777c0a.pth 224 256 bilinear 14149480 29 75.6 92.806
densenet201 DenseNet201_Weights IMAGENET1K_V1* densenet201-c1103571.pth 224 256 bilinear 20013928 29 76.896 93.37
efficientnet_b0 EfficientNet_B0_Weights IMAGENET1K_V1* efficientnet_b0_rwightman-7f5810bc.pth 224 256 bicubic 5288548 1 77.692 93.532
efficientnet_b1 EfficientNet_B1_Weights IMAGENET1K_V1 efficientnet_b1_rwightman-bac287d4.pth 240 256 bicubic 7794184 1 78.642 94.186
efficientnet_b1 EfficientNet_B1_Weights IMAGENET1K_V2* efficientnet_b1-c27df63c.pth 240 255 bilinear 7794184 1 79.838 94.934
efficientnet_b2 EfficientNet_B2_Weights IMAGENET1K_V1* efficientnet_b2_rwightman-c35c1473.pth 288 288 bicubic 9109994 1 80.608 95.31
efficientnet_b3 EfficientNet_B3_Weights IMAGENET1K_V1* efficientnet_b3_rwightman-b3899882.pth 300 320 bicubic 12233232 1 82.008 96.054
efficientnet_b4 EfficientNet_B4_Weights IMAGENET1K_V1* efficientnet_b4_rwightman-23ab8bcd.pth 380 384 bicubic 19341616 1 83.384 96.594
efficientnet_b5 EfficientNet_B5_Weights IMAGENET1K_V1* efficientnet_b5_lukemelas-1a07897c.pth 456 456 bicubic 30389784 1 83.444 96.628
efficientnet_b6 EfficientNet_B6_Weights IMAGENET1K_V1* efficientnet_b6_lukemelas-24a108a5.pth 528 528 bicubic 43040704 1 84.008 96.916
efficientnet_b7 EfficientNet_B7_Weights IMAGENET1K_V1* efficientnet_b7_lukemelas-c5b4e57e.pth 600 600 bicubic 66347960 1 84.122 96.908
efficientnet_v2_l EfficientNet_V2_L_Weights IMAGENET1K_V1* efficientnet_v2_l-59c71312.pth 480 480 bicubic 118515272 33 85.808 97.788 0.5,0.5,0.5 0.5,0.5,0.5
efficientnet_v2_m EfficientNet_V2_M_Weights IMAGENET1K_V1* efficientnet_v2_m-dc08266a.pth 480 480 bilinear 54139356 33 85.112 97.156
efficientnet_v2_s EfficientNet_V2_S_Weights IMAGENET1K_V1* efficientnet_v2_s-dd5fe13b.pth 384 384 bilinear 21458488 33 84.228 96.878
googlenet GoogLeNet_Weights IMAGENET1K_V1* googlenet-1378be20.pth 224 256 bilinear 6624904 15 69.778 89.53
inception_v3 Inception_V3_Weights IMAGENET1K_V1* inception_v3_google-0cc3c7bd.pth 299 342 bilinear 27161264 75 77.294 93.45
mobilenet_v2 MobileNet_V2_Weights IMAGENET1K_V1 mobilenet_v2-b0353104.pth 224 256 bilinear 3504872 1 71.878 90.286
mobilenet_v2 MobileNet_V2_Weights IMAGENET1K_V2* mobilenet_v2-7ebf99e0.pth 224 232 bilinear 3504872 1 72.154 90.822
mobilenet_v3_large MobileNet_V3_Large_Weights IMAGENET1K_V1 mobilenet_v3_large-8738ca79.pth 224 256 bilinear 5483032 1 74.042 91.34
mobilenet_v3_large MobileNet_V3_Large_Weights IMAGENET1K_V2* mobilenet_v3_large-5c1a4163.pth 224 232 bilinear 5483032 1 75.274 92.566
mobilenet_v3_small MobileNet_V3_Small_Weights IMAGENET1K_V1* mobilenet_v3_small-047dcff4.pth 224 256 bilinear 2542856 1 67.668 87.402
resnet101 ResNet101_Weights IMAGENET1K_V1 resnet101-63fe2227.pth 224 256 bilinear 44549160 1 77.374 93.546
resnet101 ResNet101_Weights IMAGENET1K_V2* resnet101-cd907fc2.pth 224 232 bilinear 44549160 1 81.886 95.78
resnet152 ResNet152_Weights IMAGENET1K_V1 resnet152-394f9c45.pth 224 256 bilinear 60192808 1 78.312 94.046
resnet152 ResNet152_Weights IMAGENET1K_V2* resnet152-f82ba261.pth 224 232 bilinear 60192808 1 82.284 96.002
resnet18 ResNet18_Weights IMAGENET1K_V1* resnet18-f37072fd.pth 224 256 bilinear 11689512 1 69.758 89.078
resnet34 ResNet34_Weights IMAGENET1K_V1* resnet34-b627a593.pth 224 256 bilinear 21797672 1 73.314 91.42
resnet50 ResNet50_Weights IMAGENET1K_V1 resnet50-0676ba61.pth 224 256 bilinear 25557032 1 76.13 92.862
resnet50 ResNet50_Weights IMAGENET1K_V2* resnet50-11ad3fa6.pth 224 232 bilinear 25557032 1 80.858 95.434
resnext101_32x8d ResNeXt101_32X8D_Weights IMAGENET1K_V1 resnext101_32x8d-8ba56ff5.pth 224 256 bilinear 88791336 1 79.312 94.526
resnext101_32x8d ResNeXt101_32X8D_Weights IMAGENET1K_V2* resnext101_32x8d-110c445d.pth 224 232 bilinear 88791336 1 82.834 96.228
resnext101_64x4d ResNeXt101_64X4D_Weights IMAGENET1K_V1* resnext101_64x4d-173b62eb.pth 224 232 bilinear 83455272 1 83.246 96.454
resnext50_32x4d ResNeXt50_32X4D_Weights IMAGENET1K_V1 resnext50_32x4d-7cdf4587.pth 224 256 bilinear 25028904 1 77.618 93.698
resnext50_32x4d ResNeXt50_32X4D_Weights IMAGENET1K_V2* resnext50_32x4d-1a0047aa.pth 224 232 bilinear 25028904 1 81.198 95.34
shufflenet_v2_x0_5 ShuffleNet_V2_X0_5_Weights IMAGENET1K_V1* shufflenetv2_x0.5-f707e7126e.pth 224 256 bilinear 1366792 1 60.552 81.746
shufflenet_v2_x1_0 ShuffleNet_V2_X1_0_Weights IMAGENET1K_V1* shufflenetv2_x1-5666bf0f80.pth 224 256 bilinear 2278604 1 69.362 88.316
shufflenet_v2_x1_5 ShuffleNet_V2_X1_5_Weights IMAGENET1K_V1* shufflenetv2_x1_5-3c479a10.pth 224 232 bilinear 3503624 1 72.996 91.086
shufflenet_v2_x2_0 ShuffleNet_V2_X2_0_Weights IMAGENET1K_V1* shufflenetv2_x2_0-8be3c8ee.pth 224 232 bilinear 7393996 1 76.23 93.006
squeezenet1_0 SqueezeNet1_0_Weights IMAGENET1K_V1* squeezenet1_0-b66bff10.pth 224 256 bilinear 1248424 21 58.092 80.42
squeezenet1_1 SqueezeNet1_1_Weights IMAGENET1K_V1* squeezenet1_1-b8a52dc0.pth 224 256 bilinear 1235496 17 58.178 80.624
vgg11 VGG11_Weights IMAGENET1K_V1* vgg11-8a719046.pth 224 256 bilinear 132863336 32 69.02 88.628
vgg11_bn VGG11_BN_Weights IMAGENET1K_V1* vgg11_bn-6002323d.pth 224 256 bilinear 132868840 32 70.37 89.81
vgg13 VGG13_Weights IMAGENET1K_V1* vgg13-19584684.pth 224 256 bilinear 133047848 32 69.928 89.246
vgg13_bn VGG13_BN_Weights IMAGENET1K_V1* vgg13_bn-abd245e5.pth 224 256 bilinear 133053736 32 71.586 90.374
vgg16 VGG16_Weights IMAGENET1K_V1* vgg16-397923af.pth 224 256 bilinear 138357544 32 71.592 90.382
vgg16 VGG16_Weights IMAGENET1K_FEATURES vgg16_features-amdegroot-88682ab5.pth 224 256 bilinear 138357544 32 nan nan 0.48235,0.45882,0.40784 0.00392156862745098,0.00392156862745098,0.00392156862745098
vgg16_bn VGG16_BN_Weights IMAGENET1K_V1* vgg16_bn-6c64b313.pth 224 256 bilinear 138365992 32 73.36 91.516
vgg19 VGG19_Weights IMAGENET1K_V1* vgg19-dcbb9e9d.pth 224 256 bilinear 143667240 32 72.376 90.876
vgg19_bn VGG19_BN_Weights IMAGENET1K_V1* vgg19_bn-c79401a0.pth 224 256 bilinear 143678248 32 74.218 91.842
vit_b_16 ViT_B_16_Weights IMAGENET1K_V1* vit_b_16-c867db91.pth 224 256 bilinear 86567656 224 81.072 95.318
vit_b_16 ViT_B_16_Weights IMAGENET1K_SWAG_E2E_V1 vit_b_16_swag-9ac1b537.pth 384 384 bicubic 86859496 384 85.304 97.65
vit_b_16 ViT_B_16_Weights IMAGENET1K_SWAG_LINEAR_V1 vit_b_16_lc_swag-4e70ced5.pth 224 224 bicubic 86567656 224 81.886 96.18
vit_b_32 ViT_B_32_Weights IMAGENET1K_V1* vit_b_32-d86f8d99.pth 224 256 bilinear 88224232 224 75.912 92.466
vit_h_14 ViT_H_14_Weights IMAGENET1K_SWAG_E2E_V1* vit_h_14_swag-80465313.pth 518 518 bicubic 633470440 518 88.552 98.694
vit_h_14 ViT_H_14_Weights IMAGENET1K_SWAG_LINEAR_V1 vit_h_14_lc_swag-c1eb923e.pth 224 224 bicubic 632045800 224 85.708 97.73
vit_l_16 ViT_L_16_Weights IMAGENET1K_V1* vit_l_16-852ce7e3.pth 224 242 bilinear 304326632 224 79.662 94.638
vit_l_16 ViT_L_16_Weights IMAGENET1K_SWAG_E2E_V1 vit_l_16_swag-4f3808c9.pth 512 512 bicubic 305174504 512 88.064 98.512
vit_l_16 ViT_L_16_Weights IMAGENET1K_SWAG_LINEAR_V1 vit_l_16_lc_swag-4d563306.pth 224 224 bicubic 304326632 224 85.146 97.422
vit_l_32 ViT_L_32_Weights IMAGENET1K_V1* vit_l_32-c7638314.pth 224 256 bilinear 306535400 224 76.972 93.07
wide_resnet101_2 Wide_ResNet101_2_Weights IMAGENET1K_V1 wide_resnet101_2-32ee1156.pth 224 256 bilinear 126886696 1 78.848 94.284
wide_resnet101_2 Wide_ResNet101_2_Weights IMAGENET1K_V2* wide_resnet101_2-d733dc28.pth 224 232 bilinear 126886696 1 82.51 96.02
wide_resnet50_2 Wide_ResNet50_2_Weights IMAGENET1K_V1 wide_resnet50_2-95faca4d.pth 224 256 bilinear 68883240 1 78.468 94.086
wide_resnet50_2 Wide_ResNet50_2_Weights IMAGENET1K_V2* wide_resnet50_2-9ba9bcbe.pth 224 232 bilinear 68883240 1 81.602 95.758
"""

__all__ = ["TABLE"]
