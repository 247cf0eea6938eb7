"""The layer between the user's script and the extension."""
import udf_ext


def mesh2index(tensor, mode):
    getattr(udf_ext, mode)(tensor)
