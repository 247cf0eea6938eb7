import flash_attn_2_cuda


def flash_attn_func(out):
    flash_attn_2_cuda.fwd(out.data_ptr(), out.numel())
