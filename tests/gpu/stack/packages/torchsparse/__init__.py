from torchsparse import backend


def conv(out, features, launches):
    backend.conv_forward(out.data_ptr(), features.data_ptr(), out.numel(), launches)
