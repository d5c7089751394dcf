"""The rival networks. Importing this package makes them and their names known to `swath.models`."""

from swath.lab.networks.deeplab import DeepLab
from swath.lab.networks.perpixel import PixelLSTM, TempCNN
from swath.lab.networks.segnet import SegNet
from swath.lab.networks.unetseries import EarlyFusion, FeatureConvLSTM, FeatureMean
from swath.lab.networks.utae import UTAE
from swath.models.convlstm import ConvLSTM
from swath.models.names import register_names
from swath.models.registry import TwoStages, WholeSeries, register

register("segnet-convlstm", TwoStages(SegNet, ConvLSTM))
register("deeplab-convlstm", TwoStages(DeepLab, ConvLSTM))
register("early-fusion", WholeSeries(EarlyFusion, one_length=True))
register("feature-mean", WholeSeries(FeatureMean))
register("feature-convlstm", WholeSeries(FeatureConvLSTM))
register("u-tae", WholeSeries(UTAE))
register("tempcnn", WholeSeries(TempCNN, one_length=True))
register("pixel-lstm", WholeSeries(PixelLSTM))

for _slug, _names in {
    "segnet-convlstm": ("SegNet", "SegNet + ConvLSTM"),
    "deeplab-convlstm": ("DeepLabV3+", "DeepLabV3+ + ConvLSTM"),
    "early-fusion": ("early fusion, one date", "early fusion"),
    "feature-mean": ("feature mean, one date", "feature mean"),
    "feature-convlstm": ("feature ConvLSTM, one date", "feature ConvLSTM"),
    "u-tae": ("U-TAE, one date", "U-TAE"),
    "tempcnn": ("TempCNN, one date", "TempCNN"),
    "pixel-lstm": ("pixel LSTM, one date", "pixel LSTM"),
}.items():
    register_names(_slug, _names)
