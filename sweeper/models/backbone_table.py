"""torchvision's classification networks as data, so that `sweeper check` and trials on cached features import neither
torchvision (2 s) nor their weights. Tests hold it to torchvision; `python -m tests.models.networks_of_torchvision`
prints it."""

from __future__ import annotations

from typing import NamedTuple

from sweeper.study.config import TorchvisionConfig

__all__ = [
    "NETWORKS",
    "N_OUTPUTS",
    "Network",
    "ends_in_linear_layer",
    "n_backbone_features",
    "n_backbone_parameters",
]

N_OUTPUTS = 1000
"""Outputs of every network: the classes of ImageNet."""


class Network(NamedTuple):
    """One network."""

    n_features: int
    """Width of its last features, the input of its last layer."""
    n_parameters: int
    """Without the last layer, and without auxiliary classifiers."""
    n_parameters_with_outputs: int
    """With the last layer."""
    smallest: int
    """Least height and width of a picture, in pixels."""
    is_only_size: bool
    """Whether pictures must have exactly this height and width."""
    weights_file: str
    """Name of torchvision's file with the weights that it recommends."""


def n_backbone_features(config: TorchvisionConfig) -> int:
    """Width of what the head gets."""
    return N_OUTPUTS if config.head_on == "outputs" else NETWORKS[config.network].n_features


def n_backbone_parameters(config: TorchvisionConfig) -> int:
    """Number of parameters below the head."""
    network = NETWORKS[config.network]
    return network.n_parameters_with_outputs if config.head_on == "outputs" else network.n_parameters


def ends_in_linear_layer(config: TorchvisionConfig) -> bool:
    """Whether the network's outputs are a linear function of its features."""
    return not config.network.startswith("squeezenet")  # which ends in a convolution, a ReLU and a mean


NETWORKS: dict[str, Network] = {
    "alexnet": Network(4096, 57003840, 61100840, 63, False, "alexnet-owt-7be5be79.pth"),
    "convnext_base": Network(1024, 87566464, 88591464, 32, False, "convnext_base-6075fbad.pth"),
    "convnext_large": Network(1536, 196230336, 197767336, 32, False, "convnext_large-ea097f82.pth"),
    "convnext_small": Network(768, 49454688, 50223688, 32, False, "convnext_small-0c510722.pth"),
    "convnext_tiny": Network(768, 27820128, 28589128, 32, False, "convnext_tiny-983f1562.pth"),
    "densenet121": Network(1024, 6953856, 7978856, 29, False, "densenet121-a639ec97.pth"),
    "densenet161": Network(2208, 26472000, 28681000, 29, False, "densenet161-8d451a50.pth"),
    "densenet169": Network(1664, 12484480, 14149480, 29, False, "densenet169-b2777c0a.pth"),
    "densenet201": Network(1920, 18092928, 20013928, 29, False, "densenet201-c1103571.pth"),
    "efficientnet_b0": Network(1280, 4007548, 5288548, 1, False, "efficientnet_b0_rwightman-7f5810bc.pth"),
    "efficientnet_b1": Network(1280, 6513184, 7794184, 1, False, "efficientnet_b1-c27df63c.pth"),
    "efficientnet_b2": Network(1408, 7700994, 9109994, 1, False, "efficientnet_b2_rwightman-c35c1473.pth"),
    "efficientnet_b3": Network(1536, 10696232, 12233232, 1, False, "efficientnet_b3_rwightman-b3899882.pth"),
    "efficientnet_b4": Network(1792, 17548616, 19341616, 1, False, "efficientnet_b4_rwightman-23ab8bcd.pth"),
    "efficientnet_b5": Network(2048, 28340784, 30389784, 1, False, "efficientnet_b5_lukemelas-1a07897c.pth"),
    "efficientnet_b6": Network(2304, 40735704, 43040704, 1, False, "efficientnet_b6_lukemelas-24a108a5.pth"),
    "efficientnet_b7": Network(2560, 63786960, 66347960, 1, False, "efficientnet_b7_lukemelas-c5b4e57e.pth"),
    "efficientnet_v2_l": Network(1280, 117234272, 118515272, 33, False, "efficientnet_v2_l-59c71312.pth"),
    "efficientnet_v2_m": Network(1280, 52858356, 54139356, 33, False, "efficientnet_v2_m-dc08266a.pth"),
    "efficientnet_v2_s": Network(1280, 20177488, 21458488, 33, False, "efficientnet_v2_s-dd5fe13b.pth"),
    "googlenet": Network(1024, 5599904, 6624904, 15, False, "googlenet-1378be20.pth"),
    "inception_v3": Network(2048, 21785568, 23834568, 75, False, "inception_v3_google-0cc3c7bd.pth"),
    "maxvit_t": Network(512, 30407624, 30919624, 224, True, "maxvit_t-bc5ab103.pth"),
    "mnasnet0_5": Network(1280, 937512, 2218512, 1, False, "mnasnet0.5_top1_67.823-3ffadce67e.pth"),
    "mnasnet0_75": Network(1280, 1889208, 3170208, 1, False, "mnasnet0_75-7090bc5f.pth"),
    "mnasnet1_0": Network(1280, 3102312, 4383312, 1, False, "mnasnet1.0_top1_73.512-f206786ef8.pth"),
    "mnasnet1_3": Network(1280, 5001256, 6282256, 1, False, "mnasnet1_3-a4c69d6f.pth"),
    "mobilenet_v2": Network(1280, 2223872, 3504872, 1, False, "mobilenet_v2-7ebf99e0.pth"),
    "mobilenet_v3_large": Network(1280, 4202032, 5483032, 1, False, "mobilenet_v3_large-5c1a4163.pth"),
    "mobilenet_v3_small": Network(1024, 1517856, 2542856, 1, False, "mobilenet_v3_small-047dcff4.pth"),
    "regnet_x_16gf": Network(2048, 52229536, 54278536, 1, False, "regnet_x_16gf-ba3796d7.pth"),
    "regnet_x_1_6gf": Network(912, 8277136, 9190136, 1, False, "regnet_x_1_6gf-a12f2b72.pth"),
    "regnet_x_32gf": Network(2520, 105290560, 107811560, 1, False, "regnet_x_32gf-6eb8fdc6.pth"),
    "regnet_x_3_2gf": Network(1008, 14287552, 15296552, 1, False, "regnet_x_3_2gf-7071aa85.pth"),
    "regnet_x_400mf": Network(400, 5094976, 5495976, 1, False, "regnet_x_400mf-62229a5f.pth"),
    "regnet_x_800mf": Network(672, 6586656, 7259656, 1, False, "regnet_x_800mf-94a99ebd.pth"),
    "regnet_x_8gf": Network(1920, 37651648, 39572648, 1, False, "regnet_x_8gf-2b70d774.pth"),
    "regnet_y_128gf": Network(7392, 637419894, 644812894, 1, False, "regnet_y_128gf_swag-c8ce3e52.pth"),
    "regnet_y_16gf": Network(3024, 80565140, 83590140, 1, False, "regnet_y_16gf-3e4a00f9.pth"),
    "regnet_y_1_6gf": Network(888, 10313430, 11202430, 1, False, "regnet_y_1_6gf-0d7bc02a.pth"),
    "regnet_y_32gf": Network(3712, 141333770, 145046770, 1, False, "regnet_y_32gf-8db6d4b5.pth"),
    "regnet_y_3_2gf": Network(1512, 17923338, 19436338, 1, False, "regnet_y_3_2gf-9180c971.pth"),
    "regnet_y_400mf": Network(440, 3903144, 4344144, 1, False, "regnet_y_400mf-e6988f5f.pth"),
    "regnet_y_800mf": Network(784, 5647512, 6432512, 1, False, "regnet_y_800mf-58fc7688.pth"),
    "regnet_y_8gf": Network(2016, 37364472, 39381472, 1, False, "regnet_y_8gf-dc2b1b54.pth"),
    "resnet101": Network(2048, 42500160, 44549160, 1, False, "resnet101-cd907fc2.pth"),
    "resnet152": Network(2048, 58143808, 60192808, 1, False, "resnet152-f82ba261.pth"),
    "resnet18": Network(512, 11176512, 11689512, 1, False, "resnet18-f37072fd.pth"),
    "resnet34": Network(512, 21284672, 21797672, 1, False, "resnet34-b627a593.pth"),
    "resnet50": Network(2048, 23508032, 25557032, 1, False, "resnet50-11ad3fa6.pth"),
    "resnext101_32x8d": Network(2048, 86742336, 88791336, 1, False, "resnext101_32x8d-110c445d.pth"),
    "resnext101_64x4d": Network(2048, 81406272, 83455272, 1, False, "resnext101_64x4d-173b62eb.pth"),
    "resnext50_32x4d": Network(2048, 22979904, 25028904, 1, False, "resnext50_32x4d-1a0047aa.pth"),
    "shufflenet_v2_x0_5": Network(1024, 341792, 1366792, 1, False, "shufflenetv2_x0.5-f707e7126e.pth"),
    "shufflenet_v2_x1_0": Network(1024, 1253604, 2278604, 1, False, "shufflenetv2_x1-5666bf0f80.pth"),
    "shufflenet_v2_x1_5": Network(1024, 2478624, 3503624, 1, False, "shufflenetv2_x1_5-3c479a10.pth"),
    "shufflenet_v2_x2_0": Network(2048, 5344996, 7393996, 1, False, "shufflenetv2_x2_0-8be3c8ee.pth"),
    "squeezenet1_0": Network(512, 735424, 1248424, 21, False, "squeezenet1_0-b66bff10.pth"),
    "squeezenet1_1": Network(512, 722496, 1235496, 17, False, "squeezenet1_1-b8a52dc0.pth"),
    "swin_b": Network(1024, 86743224, 87768224, 32, False, "swin_b-68c6b09e.pth"),
    "swin_s": Network(768, 48837258, 49606258, 32, False, "swin_s-5e29d889.pth"),
    "swin_t": Network(768, 27519354, 28288354, 32, False, "swin_t-704ceda3.pth"),
    "swin_v2_b": Network(1024, 86905848, 87930848, 32, False, "swin_v2_b-781e5279.pth"),
    "swin_v2_s": Network(768, 48968442, 49737442, 32, False, "swin_v2_s-637d8ceb.pth"),
    "swin_v2_t": Network(768, 27582570, 28351570, 32, False, "swin_v2_t-b137f0e2.pth"),
    "vgg11": Network(4096, 128766336, 132863336, 32, False, "vgg11-8a719046.pth"),
    "vgg11_bn": Network(4096, 128771840, 132868840, 32, False, "vgg11_bn-6002323d.pth"),
    "vgg13": Network(4096, 128950848, 133047848, 32, False, "vgg13-19584684.pth"),
    "vgg13_bn": Network(4096, 128956736, 133053736, 32, False, "vgg13_bn-abd245e5.pth"),
    "vgg16": Network(4096, 134260544, 138357544, 32, False, "vgg16-397923af.pth"),
    "vgg16_bn": Network(4096, 134268992, 138365992, 32, False, "vgg16_bn-6c64b313.pth"),
    "vgg19": Network(4096, 139570240, 143667240, 32, False, "vgg19-dcbb9e9d.pth"),
    "vgg19_bn": Network(4096, 139581248, 143678248, 32, False, "vgg19_bn-c79401a0.pth"),
    "vit_b_16": Network(768, 85798656, 86567656, 224, True, "vit_b_16-c867db91.pth"),
    "vit_b_32": Network(768, 87455232, 88224232, 224, True, "vit_b_32-d86f8d99.pth"),
    "vit_h_14": Network(1280, 632189440, 633470440, 518, True, "vit_h_14_swag-80465313.pth"),
    "vit_l_16": Network(1024, 303301632, 304326632, 224, True, "vit_l_16-852ce7e3.pth"),
    "vit_l_32": Network(1024, 305510400, 306535400, 224, True, "vit_l_32-c7638314.pth"),
    "wide_resnet101_2": Network(2048, 124837696, 126886696, 1, False, "wide_resnet101_2-d733dc28.pth"),
    "wide_resnet50_2": Network(2048, 66834240, 68883240, 1, False, "wide_resnet50_2-9ba9bcbe.pth"),
}
