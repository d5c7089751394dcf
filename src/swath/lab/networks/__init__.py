"""The rival networks. Importing this package makes them known to `swath.models.registry`."""

from swath.lab.networks.deeplab import DeepLab
from swath.lab.networks.perpixel import PixelLSTM, TempCNN
from swath.lab.networks.segnet import SegNet
from swath.lab.networks.unetseries import EarlyFusion, FeatureConvLSTM, FeatureMean
from swath.lab.networks.utae import UTAE
from swath.models.convlstm import ConvLSTM
from swath.models.registry import TwoStages, WholeSeries, register

register("segnet-convlstm", TwoStages(SegNet, ConvLSTM))
register("deeplab-convlstm", TwoStages(DeepLab, ConvLSTM))
register("early-fusion", WholeSeries(EarlyFusion, one_length=True))
register("feature-mean", WholeSeries(FeatureMean))
register("feature-convlstm", WholeSeries(FeatureConvLSTM))
register("u-tae", WholeSeries(UTAE))
register("tempcnn", WholeSeries(TempCNN, one_length=True))
register("pixel-lstm", WholeSeries(PixelLSTM))
