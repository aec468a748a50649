"""The networks of `networks/`: class, constructor arguments and inputs, as they stand on the command line of
``twinlora map check``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["CASES", "NETWORKS", "Ported"]

NETWORKS = Path(__file__).parent / "networks"


@dataclass(frozen=True)
class Ported:
    """One network."""

    file: str
    name: str
    inputs: tuple[str, ...]
    init: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Its PyTorch source."""
        return NETWORKS / f"{self.file}.py"


CASES = (
    Ported("lenet", "LeNet", ("float32[2,1,28,28]",)),
    Ported("resnet", "ResNet", ("float32[2,3,16,16]",)),
    Ported("lstm_tagger", "LSTMTagger", ("int64[2,7]<30",), ("vocab_size=30",)),
    Ported("gru_classifier", "GRUClassifier", ("int64[2,7]<30",), ("vocab_size=30",)),
    Ported("attention", "MultiHeadedAttention", (*["float32[2,5,16]"] * 3, "int64[2,5,5]<2"), ("h=4", "d_model=16")),
    Ported("transformer_encoder", "TransformerClassifier", ("int64[2,7]<30",), ("ntoken=30",)),
    Ported("dcgan", "Generator", ("float32[2,16,1,1]",)),
    Ported("dcgan", "Discriminator", ("float32[2,3,16,16]",)),
    Ported("vae", "VAE", ("float32[2,1,28,28]<1",)),
    Ported("gat", "GAT", ("float32[6,8]", "int64[6,6]<2"), ("nfeat=8", "nhid=4", "nclass=3")),
    Ported(
        "detection_head",
        "DetectionHead",
        ("float32[2,8,6,6]", "float32[2,8,3,3]"),
        ("in_channels=8", "num_anchors=3", "num_classes=4"),
    ),
    Ported("crf", "CRF", ("float32[3,6,5]", "int64[3,6]<5", "bool[3,6]=1"), ("num_tags=5",)),
    Ported("unet_block", "UNet", ("float32[2,3,8,8]", "float32[2]")),
    Ported("llama_block", "Llama", ("int64[2,9]<64",)),
    Ported("nanogpt", "GPT", ("int64[2,9]<32", "int64[2,9]<32")),
    Ported("seq2seq", "Seq2Seq", ("int64[6,2]<30", "int64[5,2]<30")),
    Ported("textcnn", "TextCNN", ("int64[2,9]<30",), ("vocab_size=30",)),
    Ported("mlp_mixer", "MLPMixer", ("float32[2,3,16,16]",)),
    Ported("squeeze_excite", "SENet", ("float32[2,3,8,8]",)),
    Ported("mobilenet", "MobileNetV2", ("float32[2,3,16,16]",)),
    Ported("wavenet", "WaveNet", ("int64[2,20]<32",)),
    Ported("siamese", "SiameseNetwork", ("float32[2,1,12,12]", "float32[2,1,12,12]")),
    Ported("siamese", "ContrastiveLoss", ("float32[2,5]", "float32[2,5]", "float32[2,1]<1")),
    Ported("highway", "CharAwareEncoder", ("int64[2,4,6]<20",), ("num_chars=20",)),
    Ported("bert_layer", "BertForMaskedLM", ("int64[2,8]<50",)),
    Ported("vit", "VisionTransformer", ("float32[2,3,16,16]",)),
    Ported("deepfm", "DeepFM", ("int64[4,3]<5",), ("field_dims=(5,7,9)",)),
    Ported("dqn", "DuelingDQN", ("float32[2,6]",)),
)
