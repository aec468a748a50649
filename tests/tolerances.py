"""Every tolerance of the suite, each with its reason. Errors are relative to the largest expected value unless the name
says ``ABS``.
 float32 has a unit round-off of 6e-8; a sum of n rounded terms is off by about sqrt(n) of them, a network of L layers
by about L of those.
"""

BERT_LOGITS_ABS = 1e-5  #: the project's promise for a pretrained 6-layer encoder, logits of order 1
GPT2_LOGITS_ABS = 1e-4  #: the project's promise for 12 layers without a norm between residual sums, logits of order 1
STEP_LOSS = 1e-4  #: the project's promise for each of the first 50 training losses
GRADIENT = 1e-4  #: the project's promise for every gradient of the first step
FAMILY = 1e-5  #: outputs and gradients of a family's network against transformers, relative to the largest value
LAYER = 2e-6  #: one LoRA layer against float64: two short products, |x| up to 1e3
OPERATOR = 1e-6  #: one operator against float64: a few units of round-off; the CPU kernel of exp is off by less
OPERATOR_EXP = 2e-5  #: operators on MindSpore's float32 exp, which is coarse by up to 366 units in the last place
MERGED_ABS = 1e-5  #: logits of a merged model: every weight is rounded once more
MERGE_ROUNDING = 6e-8  #: relative error of a weight rounded once to float32
UPDATE = 2e-5  #: change of the parameters by AdamW: the parameters, about 100 times larger, are rounded at every step
MOMENT = (
    2e-5  #: AdamW's second moment: a kernel that holds beta2 in float32 weighs squares by 1 - beta2 to within 1.3e-5
)
ACCUMULATION = 5e-6  #: gradients of k micro-batches against the k-fold batch: other order of the same sums; either is 2e-6 from float64 in the last layer's
#: queries, of which a few positions count. In float64 the two are within ACCUMULATION_DOUBLE
ACCUMULATION_DOUBLE = 1e-13
PADDING_ABS = 2e-6  #: logits with and without more padding, order 1: other blocking of the same sums
EXECUTION = 2e-6  #: graph against PyNative: other fusion of the same kernels
SURFACE = 1e-6  #: a network of two layers on the surface against torch: other order of the same float32 sums
SURFACE_TRAINING = 1e-6  #: losses of 50 steps of AdamW from the same weights
ROUNDED = (
    1e-6  #: gradients below this share of the network's largest are sums that cancel: nothing but float32 rounding
)
