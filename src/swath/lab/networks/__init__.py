"""The rival networks. Importing this package makes them and their names known to `swath.models`."""

from swath.lab.networks.deeplab import DeepLab
from swath.lab.networks.perpixel import PixelLSTM, TempCNN
from swath.lab.networks.segnet import SegNet
from swath.lab.networks.unetseries import EarlyFusion, FeatureConvLSTM, FeatureMean
from swath.lab.networks.utae import UTAE
from swath.models.convlstm import ConvLSTM
from swath.models.registry import TwoStages, WholeSeries, register

register("segnet-convlstm", TwoStages(SegNet, ConvLSTM), ("SegNet", "SegNet + ConvLSTM"))
register("deeplab-convlstm", TwoStages(DeepLab, ConvLSTM), ("DeepLabV3+", "DeepLabV3+ + ConvLSTM"))
for _slug, _network, _name in (
    ("early-fusion", EarlyFusion, "early fusion"),
    ("feature-mean", FeatureMean, "feature mean"),
    ("feature-convlstm", FeatureConvLSTM, "feature ConvLSTM"),
    ("u-tae", UTAE, "U-TAE"),
    ("tempcnn", TempCNN, "TempCNN"),
    ("pixel-lstm", PixelLSTM, "pixel LSTM"),
):
    register(_slug, WholeSeries(_network), (f"{_name}, one date", _name))
