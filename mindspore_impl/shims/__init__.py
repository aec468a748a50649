"""Functions and cells that do what torch's do, where no call of MindSpore does all of it. They stand on one side only:
torch needs no adapters.
 `mindspore_impl.functional`, `nn` and `optim` offer, under each of torch's names, the framework's own call where it was
verified on the device, and these where not. Each takes torch's argument names and is described by its row in
`common.api_mapping.rows`.
"""
